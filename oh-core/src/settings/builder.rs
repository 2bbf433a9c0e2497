//! The builder of [`Settings`].

use std::time::Duration;

use super::check::{
    self, EXPECTED_APP_BASE_URL, EXPECTED_CLIENT_ID, base_url, https_or_loopback, redirect_url,
};
use super::store_keys::store_keys;
use super::{DeletionPolicy, Settings, SettingsError};
use crate::mount::MountPath;
use crate::{ClientSecret, KeyMaterial, MasterToken, WebhookSecret};

/// Collects and validates [`Settings`].
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
    pub(super) fn new(
        client_id: String,
        client_secret: ClientSecret,
        app_base_url: String,
    ) -> Self {
        Self {
            client_id,
            client_secret,
            app_base_url,
            oh_base_url: "https://www.openhumans.org".into(),
            mount_path: "/openhumans".into(),
            redirect_uri: None,
            webhook_secrets: Vec::new(),
            unsigned_webhooks: false,
            master_token: None,
            login_redirect_url: None,
            logout_redirect_url: None,
            deauth_on_delete: true,
            deletion: DeletionPolicy::default(),
            previous_client_secrets: Vec::new(),
            store_keys: None,
            cookie_key: None,
            ledger_key: None,
            ledger_signing_key: None,
            session_cache_ttl: Duration::from_secs(5),
            session_max_age: Some(Duration::from_secs(30 * 24 * 3_600)),
            timeout: Duration::from_secs(15),
        }
    }

    /// Sets the URL of Open Humans. Default: `https://www.openhumans.org`.
    pub fn oh_base_url(mut self, url: impl Into<String>) -> Self {
        self.oh_base_url = url.into();
        self
    }

    /// Sets the path at which the routes are mounted. Default: `/openhumans`.
    pub fn mount_path(mut self, path: impl Into<String>) -> Self {
        self.mount_path = path.into();
        self
    }

    /// Sets the registered redirect URI. Default: the application's URL, the mount path and
    /// `/complete`.
    pub fn redirect_uri(mut self, url: impl Into<String>) -> Self {
        self.redirect_uri = Some(url.into());
        self
    }

    /// Adds a webhook secret. All added secrets are valid, so that you can rotate them.
    pub fn webhook_secret(mut self, secret: impl Into<String>) -> Self {
        self.webhook_secrets.push(WebhookSecret::new(secret));
        self
    }

    /// Accepts unsigned webhooks if there is no webhook secret. Anyone with access to the route can
    /// then deauthorize members and have their data deleted. Use it only if something else
    /// authenticates the sender.
    pub fn dangerously_accept_unsigned_webhooks(mut self) -> Self {
        self.unsigned_webhooks = true;
        self
    }

    /// Sets the project's master access token.
    pub fn master_token(mut self, token: impl Into<String>) -> Self {
        self.master_token = Some(MasterToken::new(token));
        self
    }

    /// Sets the target of a login without a return path. Default: the application's root.
    pub fn login_redirect_url(mut self, url: impl Into<String>) -> Self {
        self.login_redirect_url = Some(url.into());
        self
    }

    /// Sets the target of a logout. Default: the application's root.
    pub fn logout_redirect_url(mut self, url: impl Into<String>) -> Self {
        self.logout_redirect_url = Some(url.into());
        self
    }

    /// Sets whether [`disconnect`](crate::OpenHumans::disconnect) removes the member at Open
    /// Humans. Default: true.
    pub fn deauth_on_delete(mut self, yes: bool) -> Self {
        self.deauth_on_delete = yes;
        self
    }

    /// Sets the deletion policy.
    pub fn deletion(mut self, policy: DeletionPolicy) -> Self {
        self.deletion = policy;
        self
    }

    /// Adds a previous client secret. The key derived from it still decrypts stored tokens; see
    /// [`Settings::store_keys`].
    pub fn previous_client_secret(mut self, secret: impl Into<String>) -> Self {
        self.previous_client_secrets.push(ClientSecret::new(secret));
        self
    }

    /// Sets the keys that encrypt stored tokens, in the format of
    /// [`Keyring::parse`](crate::store::Keyring::parse). Default: derived from the client secret.
    pub fn store_keys(mut self, keys: impl Into<String>) -> Self {
        self.store_keys = Some(KeyMaterial::new(keys));
        self
    }

    /// Sets the key that encrypts the login cookie. Use the same key in all processes. Default:
    /// derived from the client secret.
    pub fn cookie_key(mut self, key: impl Into<String>) -> Self {
        self.cookie_key = Some(KeyMaterial::new(key));
        self
    }

    /// Sets the key of the ledger's pseudonyms. Keep it as long as you need to find members in the
    /// ledger. Default: derived from the client secret.
    pub fn ledger_key(mut self, key: impl Into<String>) -> Self {
        self.ledger_key = Some(KeyMaterial::new(key));
        self
    }

    /// Sets the key that signs checkpoints of the ledger, from `oh ledger keygen`. While you rotate
    /// it, set both keys, separated by a comma. Default: no checkpoints.
    pub fn ledger_signing_key(mut self, key: impl Into<String>) -> Self {
        self.ledger_signing_key = Some(KeyMaterial::new(key));
        self
    }

    /// Sets how long a process uses a cached session before it asks the token store again. A
    /// deauthorization by this process takes effect immediately, one by another process within
    /// this time. Default: 5 seconds; zero disables the cache.
    pub fn session_cache_ttl(mut self, ttl: Duration) -> Self {
        self.session_cache_ttl = ttl;
        self
    }

    /// Sets the maximum duration of a login, independent of the host's session library. Default:
    /// 30 days; zero for no limit.
    pub fn session_max_age(mut self, age: Duration) -> Self {
        self.session_max_age = Some(age);
        self
    }

    /// Sets the timeout of requests to Open Humans. Default: 15 seconds. Use the same value in all
    /// processes, because they wait for each other's token refreshes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Validates the settings.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] with the name of the invalid setting.
    pub fn build(self) -> Result<Settings, SettingsError> {
        if self.client_id.trim().is_empty() {
            return Err(SettingsError::Missing {
                name: "OPENHUMANS_CLIENT_ID",
                expected: EXPECTED_CLIENT_ID,
            });
        }
        check::client_secret(&self.client_secret)?;
        for secret in &self.webhook_secrets {
            check::webhook_secret(secret.expose())?;
        }
        for (name, key) in [
            ("OPENHUMANS_COOKIE_KEY", &self.cookie_key),
            ("OPENHUMANS_LEDGER_KEY", &self.ledger_key),
        ] {
            if let Some(key) = key {
                check::key(name, key.expose())?;
            }
        }
        let app_base_url = base_url(
            "OPENHUMANS_APP_BASE_URL",
            &self.app_base_url,
            EXPECTED_APP_BASE_URL,
        )?;
        let oh_base_url = base_url(
            "OPENHUMANS_OH_BASE_URL",
            &self.oh_base_url,
            "the URL of Open Humans, such as https://www.openhumans.org",
        )?;
        let mount = MountPath::new(&app_base_url, &self.mount_path).ok_or_else(|| {
            SettingsError::invalid(
                "the mount path",
                "it is not a plain path",
                "a path such as /openhumans",
            )
        })?;
        let redirect_uri = self.redirect_uri.unwrap_or_else(|| {
            let base = app_base_url.as_str().trim_end_matches('/');
            format!("{base}{}/complete", mount.as_str())
        });
        let redirect_uri = https_or_loopback(
            "OPENHUMANS_REDIRECT_URI",
            &redirect_uri,
            "the redirect URL registered with the project",
        )?;
        #[cfg(not(feature = "checkpoints"))]
        if self.ledger_signing_key.is_some() {
            return Err(SettingsError::invalid(
                "OPENHUMANS_LEDGER_SIGNING_KEY",
                "this application was built without signed checkpoints",
                "no value, or the feature `checkpoints` of oh-core",
            ));
        }
        #[cfg(feature = "checkpoints")]
        let ledger_signing_keys = match &self.ledger_signing_key {
            Some(keys) => check::signing_keys(keys.expose())?,
            None => Vec::new(),
        };
        let configured = self.store_keys.as_ref().map(KeyMaterial::expose);
        let secrets = std::iter::once(&self.client_secret).chain(&self.previous_client_secrets);
        let store_keys = store_keys(configured, secrets)?;
        let redirect = |name, url: Option<String>| match url {
            Some(url) => redirect_url(name, &url),
            None => Ok(mount.home()),
        };
        Ok(Settings {
            login_redirect_url: redirect("OPENHUMANS_LOGIN_REDIRECT_URL", self.login_redirect_url)?,
            logout_redirect_url: redirect(
                "OPENHUMANS_LOGOUT_REDIRECT_URL",
                self.logout_redirect_url,
            )?,
            client_id: self.client_id,
            client_secret: self.client_secret,
            app_base_url,
            oh_base_url,
            mount,
            redirect_uri,
            webhook_secrets: self.webhook_secrets,
            unsigned_webhooks: self.unsigned_webhooks,
            master_token: self.master_token,
            deauth_on_delete: self.deauth_on_delete,
            deletion: self.deletion,
            store_keys,
            cookie_key: self.cookie_key,
            ledger_key: self.ledger_key,
            #[cfg(feature = "checkpoints")]
            ledger_signing_keys,
            session_cache_ttl: self.session_cache_ttl,
            session_max_age: self.session_max_age.filter(|age| !age.is_zero()),
            timeout: self.timeout,
        })
    }
}
