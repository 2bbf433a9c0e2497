//! Collecting the settings, and checking them all at once.

use std::time::Duration;

use super::check::{
    EXPECTED_APP_BASE_URL, EXPECTED_CLIENT_ID, EXPECTED_OH_BASE_URL, EXPECTED_REDIRECT_URI,
    base_url, check_client_secret, https_or_loopback, mount_path, redirect_target, signing_keys,
};
use super::{DeletionPolicy, Settings};
use crate::environment::SettingsError;
use crate::store::Keyring;
use crate::{ClientSecret, KeyMaterial, MasterToken, WebhookSecret};

/// Collects [`Settings`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SettingsBuilder {
    pub(super) client_id: String,
    pub(super) client_secret: ClientSecret,
    pub(super) app_base_url: String,
    pub(super) oh_base_url: String,
    pub(super) mount_path: String,
    pub(super) redirect_uri: Option<String>,
    pub(super) webhook_secrets: Vec<WebhookSecret>,
    pub(super) unsigned_webhooks: bool,
    pub(super) master_token: Option<MasterToken>,
    pub(super) login_redirect_url: Option<String>,
    pub(super) logout_redirect_url: Option<String>,
    pub(super) deauth_on_delete: bool,
    pub(super) deletion: DeletionPolicy,
    pub(super) previous_client_secrets: Vec<ClientSecret>,
    pub(super) store_keys: Option<KeyMaterial>,
    pub(super) cookie_key: Option<KeyMaterial>,
    pub(super) ledger_key: Option<KeyMaterial>,
    pub(super) ledger_signing_key: Option<KeyMaterial>,
    pub(super) session_cache_ttl: Duration,
    pub(super) session_max_age: Option<Duration>,
    pub(super) timeout: Duration,
}

impl SettingsBuilder {
    /// Another Open Humans than `https://www.openhumans.org`.
    pub fn oh_base_url(mut self, url: impl Into<String>) -> Self {
        self.oh_base_url = url.into();
        self
    }

    /// Where the routes are mounted, if not under `/openhumans`.
    pub fn mount_path(mut self, path: impl Into<String>) -> Self {
        self.mount_path = path.into();
        self
    }

    /// The registered redirect URI, if it does not follow from the address and the mount path.
    pub fn redirect_uri(mut self, url: impl Into<String>) -> Self {
        self.redirect_uri = Some(url.into());
        self
    }

    /// Adds a webhook secret. Several may be valid at once while one replaces another.
    pub fn webhook_secret(mut self, secret: impl Into<String>) -> Self {
        self.webhook_secrets.push(WebhookSecret::new(secret));
        self
    }

    /// Believes webhooks that nobody signed. Anyone who can reach the route can then end any
    /// member's authorization and have data erased. Only for a project without a secret, behind
    /// something else that keeps strangers out.
    pub fn dangerously_accept_unsigned_webhooks(mut self) -> Self {
        self.unsigned_webhooks = true;
        self
    }

    /// The project's master access token.
    pub fn master_token(mut self, token: impl Into<String>) -> Self {
        self.master_token = Some(MasterToken::new(token));
        self
    }

    /// Where a login without a return path of its own ends. Default: the app's root.
    pub fn login_redirect_url(mut self, url: impl Into<String>) -> Self {
        self.login_redirect_url = Some(url.into());
        self
    }

    /// Where a logout ends. Default: the app's root.
    pub fn logout_redirect_url(mut self, url: impl Into<String>) -> Self {
        self.logout_redirect_url = Some(url.into());
        self
    }

    /// Whether `disconnect` also removes the member at Open Humans. Default true.
    pub fn deauth_on_delete(mut self, yes: bool) -> Self {
        self.deauth_on_delete = yes;
        self
    }

    /// What to delete, by what is known of the member's wish.
    pub fn deletion(mut self, policy: DeletionPolicy) -> Self {
        self.deletion = policy;
        self
    }

    /// Adds a client secret that the project had before. The key that is derived from it decrypts
    /// stored tokens; see [`Settings::store_keys`].
    pub fn previous_client_secret(mut self, secret: impl Into<String>) -> Self {
        self.previous_client_secrets.push(ClientSecret::new(secret));
        self
    }

    /// Sets the keys that encrypt stored tokens, in the form of
    /// [`Keyring::parse`](crate::store::Keyring::parse).
    pub fn store_keys(mut self, keys: impl Into<String>) -> Self {
        self.store_keys = Some(KeyMaterial::new(keys));
        self
    }

    /// The key that seals the login cookie, shared by all processes of the app.
    pub fn cookie_key(mut self, key: impl Into<String>) -> Self {
        self.cookie_key = Some(KeyMaterial::new(key));
        self
    }

    /// The key of the pseudonyms in the ledger. Keep it as long as the ledger must be readable.
    pub fn ledger_key(mut self, key: impl Into<String>) -> Self {
        self.ledger_key = Some(KeyMaterial::new(key));
        self
    }

    /// The key that the ledger is sealed with, as `oh ledger keygen` prints it; while one replaces
    /// another, both, separated by a comma. Its name is the ledger's. Without one the ledger is not
    /// sealed.
    pub fn ledger_signing_key(mut self, key: impl Into<String>) -> Self {
        self.ledger_signing_key = Some(KeyMaterial::new(key));
        self
    }

    /// How long a process may go on believing a session before it asks the token store whether
    /// the member is still there. A deauthorization seen by this process counts at once; one seen
    /// by another process counts within this time. Default 5 s; zero asks every time.
    pub fn session_cache_ttl(mut self, every: Duration) -> Self {
        self.session_cache_ttl = every;
        self
    }

    /// How long a login lasts, whatever the host's session library says: after that the member
    /// logs in again, which takes one click while they are logged in at Open Humans. Default 30
    /// days; `None` or zero for no end.
    pub fn session_max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.session_max_age = age.into();
        self
    }

    /// How long to wait for an answer of Open Humans. Default 15 s. The same in all processes of
    /// an app, which wait for each other's refreshes by it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// When a value cannot be used, naming the setting.
    pub fn build(self) -> Result<Settings, SettingsError> {
        if self.client_id.trim().is_empty() {
            return Err(SettingsError::Missing {
                name: "OPENHUMANS_CLIENT_ID",
                expected: EXPECTED_CLIENT_ID,
            });
        }
        check_client_secret(&self.client_secret)?;
        let app_base_url = base_url(
            "OPENHUMANS_APP_BASE_URL",
            &self.app_base_url,
            EXPECTED_APP_BASE_URL,
        )?;
        let oh_base_url = base_url(
            "OPENHUMANS_OH_BASE_URL",
            &self.oh_base_url,
            EXPECTED_OH_BASE_URL,
        )?;
        let mount_path = mount_path(&self.mount_path)?;
        let redirect_uri = match &self.redirect_uri {
            Some(url) => https_or_loopback("OPENHUMANS_REDIRECT_URI", url, EXPECTED_REDIRECT_URI)?,
            None => {
                let base = app_base_url.as_str().trim_end_matches('/');
                let url = format!("{base}{mount_path}/complete");
                https_or_loopback("OPENHUMANS_REDIRECT_URI", &url, EXPECTED_REDIRECT_URI)?
            }
        };
        for secret in &self.webhook_secrets {
            let text = secret.expose();
            if !(16..=64).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(SettingsError::Invalid {
                    name: "OPENHUMANS_WEBHOOK_SECRET",
                    why: "a secret is empty, too short, too long or not printable ASCII".into(),
                    expected: "16 to 64 ASCII characters, or several such separated by commas",
                });
            }
        }
        for (name, key) in [
            ("OPENHUMANS_COOKIE_KEY", &self.cookie_key),
            ("OPENHUMANS_LEDGER_KEY", &self.ledger_key),
        ] {
            if key.as_ref().is_some_and(|key| key.expose().len() < 32) {
                return Err(SettingsError::Invalid {
                    name,
                    why: "it is too short".into(),
                    expected: "32 random characters or more",
                });
            }
        }
        let ledger_signing_keys = match &self.ledger_signing_key {
            Some(keys) => signing_keys(keys.expose())?,
            None => Vec::new(),
        };
        let configured = self.store_keys.as_ref().map(KeyMaterial::expose);
        let store_keys = std::iter::once(&self.client_secret)
            .chain(&self.previous_client_secrets)
            .fold(
                Keyring::configured(configured)?,
                Keyring::with_client_secret,
            );
        // Where the app itself begins, behind a path prefix too.
        let home = format!("{}/", app_base_url.path().trim_end_matches('/'));
        let redirect = |name, url: Option<String>| match url {
            None => Ok(home.clone()),
            Some(url) => redirect_target(&url).ok_or_else(|| SettingsError::Invalid {
                name,
                why: "it is neither a path nor an http address".into(),
                expected: "a path of the app such as /home, or a whole https URL",
            }),
        };
        Ok(Settings {
            client_id: self.client_id,
            client_secret: self.client_secret,
            login_redirect_url: redirect("OPENHUMANS_LOGIN_REDIRECT_URL", self.login_redirect_url)?,
            logout_redirect_url: redirect(
                "OPENHUMANS_LOGOUT_REDIRECT_URL",
                self.logout_redirect_url,
            )?,
            app_base_url,
            oh_base_url,
            mount_path,
            redirect_uri,
            webhook_secrets: self.webhook_secrets,
            unsigned_webhooks: self.unsigned_webhooks,
            master_token: self.master_token,
            deauth_on_delete: self.deauth_on_delete,
            deletion: self.deletion,
            store_keys,
            cookie_key: self.cookie_key,
            ledger_key: self.ledger_key,
            ledger_signing_keys,
            session_cache_ttl: self.session_cache_ttl,
            session_max_age: self.session_max_age.filter(|age| !age.is_zero()),
            timeout: self.timeout,
        })
    }
}
