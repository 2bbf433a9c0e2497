//! What the app must say once: who it is to Open Humans, and where it lives.
//!
//! From a builder, or from the environment under the names django-open-humans uses, so that a
//! team moving over keeps its environment. Each variable may also be given as `NAME_FILE`, the
//! path of a file that holds the value (as container secrets are).
//!
//! | variable | expected |
//! |---|---|
//! | `OPENHUMANS_CLIENT_ID` | the project's OAuth2 client id |
//! | `OPENHUMANS_CLIENT_SECRET` | its client secret, as first shown, not the hash |
//! | `OPENHUMANS_APP_BASE_URL` | the app's public address, such as `https://app.example` |
//! | `OPENHUMANS_OH_BASE_URL` | Open Humans' address; default `https://www.openhumans.org` |
//! | `OPENHUMANS_REDIRECT_URI` | default: the app's address, the mount path, `/complete` |
//! | `OPENHUMANS_WEBHOOK_SECRET` | the webhook secret; a comma-separated list while rotating. A comma that belongs to a secret is written `\,` |
//! | `OPENHUMANS_MASTER_TOKEN` | the project's master access token |
//! | `OPENHUMANS_LOGIN_REDIRECT_URL` | where a login without a return path ends; default: the app's root |
//! | `OPENHUMANS_LOGOUT_REDIRECT_URL` | where a logout ends; default: the app's root |
//! | `OPENHUMANS_DEAUTH_ON_DELETE` | whether `disconnect` removes the member at Open Humans; default `true` |
//! | `OPENHUMANS_DELETE_ON_ERASURE` | delete data when erasure was asked for; default `true` |
//! | `OPENHUMANS_DELETE_ON_DEAUTH` | delete data when it was not; default `false` |
//! | `OPENHUMANS_DELETE_ON_UNKNOWN` | delete data when nobody knows; default `false` |
//! | `OPENHUMANS_SESSION_MAX_AGE` | how long a login lasts, in seconds; default 2592000 (30 days), `0` for no end |
//! | `OPENHUMANS_STORE_KEYS` | encrypts stored tokens: `id:key`, the key 32 random bytes in base64; several separated by commas, of which the first encrypts and all decrypt; default: derived from the client secret |
//! | `OPENHUMANS_PREVIOUS_CLIENT_SECRET` | client secrets that the project had before, so that tokens encrypted with a key derived from them decrypt; a list as above |
//! | `OPENHUMANS_COOKIE_KEY` | seals the login cookie; default: derived from the client secret |
//! | `OPENHUMANS_LEDGER_KEY` | pseudonyms in the ledger; default: derived from the client secret |
//! | `OPENHUMANS_LEDGER_SIGNING_KEY` | seals the ledger, as `oh ledger keygen` prints it; several separated by commas while rotating; default: the ledger is not sealed |
//!
//! ```
//! use oh_core::Settings;
//!
//! let settings = Settings::builder("client-id", "client-secret", "https://app.example")
//!     .webhook_secret("abcdefghijklmnop")
//!     .build()?;
//! assert_eq!(settings.redirect_uri().as_str(), "https://app.example/openhumans/complete");
//! # Ok::<(), oh_core::SettingsError>(())
//! ```

mod builder;
mod check;
#[cfg(test)]
mod tests;
mod variables;
mod warning;

use std::time::Duration;

use url::Url;

pub use builder::SettingsBuilder;
use check::{EXPECTED_APP_BASE_URL, EXPECTED_CLIENT_ID, EXPECTED_CLIENT_SECRET};
pub use variables::{UnknownVariable, unknown_variables};
pub use warning::SettingsWarning;

use crate::environment::{Environment, SettingsError, parse_bool, parse_seconds};
use crate::ledger::SigningKey;
use crate::store::Keyring;
use crate::{ClientSecret, KeyMaterial, MasterToken, WebhookSecret};

const OH_BASE_URL: &str = "https://www.openhumans.org";
const MOUNT_PATH: &str = "/openhumans";
const SESSION_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What the library needs to know about the app and its project. Checked when built.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) client_id: String,
    pub(crate) client_secret: ClientSecret,
    pub(crate) app_base_url: Url,
    pub(crate) oh_base_url: Url,
    pub(crate) mount_path: String,
    pub(crate) redirect_uri: Url,
    pub(crate) webhook_secrets: Vec<WebhookSecret>,
    pub(crate) unsigned_webhooks: bool,
    pub(crate) master_token: Option<MasterToken>,
    pub(crate) login_redirect_url: String,
    pub(crate) logout_redirect_url: String,
    pub(crate) deauth_on_delete: bool,
    pub(crate) deletion: DeletionPolicy,
    pub(crate) store_keys: Keyring,
    pub(crate) cookie_key: Option<KeyMaterial>,
    pub(crate) ledger_key: Option<KeyMaterial>,
    pub(crate) ledger_signing_keys: Vec<SigningKey>,
    pub(crate) session_cache_ttl: Duration,
    pub(crate) session_max_age: Option<Duration>,
    pub(crate) timeout: Duration,
}

/// Whether a member's data should go, by what is known of the member's wish.
///
/// Names and defaults are django-open-humans'. The answer reaches the app's `DeauthHandler` with
/// each event; tokens go in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionPolicy {
    /// Erasure was asked for: `OPENHUMANS_DELETE_ON_ERASURE`, default true.
    pub on_erasure: bool,
    /// The member left and did not ask for it: `OPENHUMANS_DELETE_ON_DEAUTH`, default false.
    pub on_deauth: bool,
    /// The member was found to have left, and the wish is not known:
    /// `OPENHUMANS_DELETE_ON_UNKNOWN`, default false.
    pub on_unknown: bool,
}

impl Default for DeletionPolicy {
    fn default() -> Self {
        Self {
            on_erasure: true,
            on_deauth: false,
            on_unknown: false,
        }
    }
}

impl Settings {
    /// Starts from the three values that have no default.
    ///
    /// Tokens belong to the client they were issued to. A copy of an app's database must not run
    /// under the client id of another project: Open Humans refuses to refresh its tokens as it
    /// does those of members who have left, and as such they would be treated.
    pub fn builder(
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
        app_base_url: impl Into<String>,
    ) -> SettingsBuilder {
        SettingsBuilder {
            client_id: client_id.into(),
            client_secret: ClientSecret::new(client_secret),
            app_base_url: app_base_url.into(),
            oh_base_url: OH_BASE_URL.into(),
            mount_path: MOUNT_PATH.into(),
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
            session_max_age: Some(SESSION_MAX_AGE),
            timeout: Duration::from_secs(15),
        }
    }

    /// Reads the environment; see the module's table.
    ///
    /// # Errors
    ///
    /// When a variable is missing or cannot be used, naming it.
    pub fn from_env() -> Result<Self, SettingsError> {
        variables::warn_of_unknown();
        Self::from_lookup(|name| std::env::var(name).ok())?.build()
    }

    /// As [`from_env`](Self::from_env), from any source of named values.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<SettingsBuilder, SettingsError> {
        let env = Environment(lookup);
        let mut builder = Self::builder(
            env.required("OPENHUMANS_CLIENT_ID", EXPECTED_CLIENT_ID)?,
            env.required("OPENHUMANS_CLIENT_SECRET", EXPECTED_CLIENT_SECRET)?,
            env.required("OPENHUMANS_APP_BASE_URL", EXPECTED_APP_BASE_URL)?,
        );
        if let Some(url) = env.get("OPENHUMANS_OH_BASE_URL")? {
            builder.oh_base_url = url;
        }
        builder.redirect_uri = env.get("OPENHUMANS_REDIRECT_URI")?;
        if let Some(list) = env.get("OPENHUMANS_WEBHOOK_SECRET")? {
            builder.webhook_secrets = secrets(&list).map(WebhookSecret::new).collect();
        }
        builder.master_token = env.get("OPENHUMANS_MASTER_TOKEN")?.map(MasterToken::new);
        builder.login_redirect_url = env.get("OPENHUMANS_LOGIN_REDIRECT_URL")?;
        builder.logout_redirect_url = env.get("OPENHUMANS_LOGOUT_REDIRECT_URL")?;
        for (name, flag) in [
            ("OPENHUMANS_DEAUTH_ON_DELETE", &mut builder.deauth_on_delete),
            (
                "OPENHUMANS_DELETE_ON_ERASURE",
                &mut builder.deletion.on_erasure,
            ),
            (
                "OPENHUMANS_DELETE_ON_DEAUTH",
                &mut builder.deletion.on_deauth,
            ),
            (
                "OPENHUMANS_DELETE_ON_UNKNOWN",
                &mut builder.deletion.on_unknown,
            ),
        ] {
            if let Some(text) = env.get(name)? {
                *flag = parse_bool(name, &text)?;
            }
        }
        if let Some(text) = env.get("OPENHUMANS_SESSION_MAX_AGE")? {
            let age = parse_seconds("OPENHUMANS_SESSION_MAX_AGE", &text)?;
            builder.session_max_age = (!age.is_zero()).then_some(age);
        }
        if let Some(list) = env.get("OPENHUMANS_PREVIOUS_CLIENT_SECRET")? {
            builder.previous_client_secrets = secrets(&list).map(ClientSecret::new).collect();
        }
        builder.store_keys = env.get("OPENHUMANS_STORE_KEYS")?.map(KeyMaterial::new);
        builder.cookie_key = env.get("OPENHUMANS_COOKIE_KEY")?.map(KeyMaterial::new);
        builder.ledger_key = env.get("OPENHUMANS_LEDGER_KEY")?.map(KeyMaterial::new);
        builder.ledger_signing_key = env
            .get("OPENHUMANS_LEDGER_SIGNING_KEY")?
            .map(KeyMaterial::new);
        Ok(builder)
    }

    /// The project's OAuth2 client id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The project's OAuth2 client secret.
    pub fn client_secret(&self) -> &ClientSecret {
        &self.client_secret
    }

    /// The project's master token, if the app has it.
    pub fn master_token(&self) -> Option<&MasterToken> {
        self.master_token.as_ref()
    }

    /// The app's public address.
    pub fn app_base_url(&self) -> &Url {
        &self.app_base_url
    }

    /// Open Humans' address.
    pub fn oh_base_url(&self) -> &Url {
        &self.oh_base_url
    }

    /// The path the routes are mounted under, such as `/openhumans`.
    pub fn mount_path(&self) -> &str {
        &self.mount_path
    }

    /// The redirect URI, to be registered with the project at Open Humans letter for letter.
    pub fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    /// The secrets the webhook may be signed with.
    pub fn webhook_secrets(&self) -> &[WebhookSecret] {
        &self.webhook_secrets
    }

    /// The keys that encrypt stored tokens: `OPENHUMANS_STORE_KEYS`, then the key that is derived from
    /// the client secret, then those from previous client secrets. The first one encrypts.
    pub fn store_keys(&self) -> Keyring {
        self.store_keys.clone()
    }

    /// The keys that the ledger is sealed with; none if it is not.
    pub fn ledger_signing_keys(&self) -> &[SigningKey] {
        &self.ledger_signing_keys
    }

    /// What to delete, by what is known of the member's wish.
    pub fn deletion(&self) -> DeletionPolicy {
        self.deletion
    }

    /// Whether the app is reached over https, so that its cookies must be `Secure`.
    pub(crate) fn is_https(&self) -> bool {
        self.app_base_url.scheme() == "https"
    }

    /// The path a browser sees for a route, the app's own path prefix included.
    pub(crate) fn route_path(&self, route: &str) -> String {
        let prefix = self.app_base_url.path().trim_end_matches('/');
        format!("{prefix}{}/{route}", self.mount_path)
    }
}

/// The entries of a list whose commas of their own are written `\,`.
pub(crate) fn secrets(list: &str) -> impl Iterator<Item = String> {
    let mut entries = vec![String::new()];
    let mut rest = list.chars().peekable();
    while let Some(c) = rest.next() {
        let entry = entries.last_mut().expect("there is always one");
        match c {
            '\\' if rest.peek() == Some(&',') => entry.extend(rest.next()),
            ',' => entries.push(String::new()),
            c => entry.push(c),
        }
    }
    entries.into_iter().map(|entry| entry.trim().to_owned())
}
