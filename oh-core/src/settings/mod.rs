//! Settings of the application and its project at Open Humans.
//!
//! They come from a [builder](Settings::builder) or from environment variables, which have the
//! names of django-open-humans. Each variable can also be set as `NAME_FILE`, the path of a file
//! that contains the value, as container secrets are.
//!
//! | variable | value |
//! |---|---|
//! | `OPENHUMANS_CLIENT_ID` | the project's OAuth2 client id |
//! | `OPENHUMANS_CLIENT_SECRET` | the project's client secret as first shown, not its hash |
//! | `OPENHUMANS_APP_BASE_URL` | the application's public URL, such as `https://app.example` |
//! | `OPENHUMANS_OH_BASE_URL` | the URL of Open Humans; default `https://www.openhumans.org` |
//! | `OPENHUMANS_REDIRECT_URI` | the redirect URI; default: application URL, mount path, `/complete` |
//! | `OPENHUMANS_WEBHOOK_SECRET` | the webhook secret, or a comma-separated list while you rotate it; write a comma within a secret as `\,` |
//! | `OPENHUMANS_MASTER_TOKEN` | the project's master access token |
//! | `OPENHUMANS_LOGIN_REDIRECT_URL` | the target of a login without a return path; default: the application's root |
//! | `OPENHUMANS_LOGOUT_REDIRECT_URL` | the target of a logout; default: the application's root |
//! | `OPENHUMANS_DEAUTH_ON_DELETE` | whether `disconnect` removes the member at Open Humans; default `true` |
//! | `OPENHUMANS_DELETE_ON_ERASURE` | whether to delete data if erasure was requested; default `true` |
//! | `OPENHUMANS_DELETE_ON_DEAUTH` | whether to delete data if erasure was not requested; default `false` |
//! | `OPENHUMANS_DELETE_ON_UNKNOWN` | whether to delete data if it is unknown; default `false` |
//! | `OPENHUMANS_SESSION_MAX_AGE` | the duration of a login in seconds; default 2592000 (30 days), `0` for no limit |
//! | `OPENHUMANS_STORE_KEYS` | encrypts stored tokens: `id:key` with 32 random bytes in base64, or a comma-separated list of which the first key encrypts and all decrypt; default: derived from the client secret |
//! | `OPENHUMANS_PREVIOUS_CLIENT_SECRET` | previous client secrets, whose derived keys still decrypt stored tokens; a list like that of webhook secrets |
//! | `OPENHUMANS_COOKIE_KEY` | encrypts the login cookie; default: derived from the client secret |
//! | `OPENHUMANS_LEDGER_KEY` | the key of the ledger's pseudonyms; default: derived from the client secret |
//! | `OPENHUMANS_LEDGER_SIGNING_KEY` | signs checkpoints of the ledger, from `oh ledger keygen`; a comma-separated list while you rotate it; default: no checkpoints |
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
mod environment;
mod error;
mod store_keys;
#[cfg(test)]
mod tests;
mod variable;
mod warning;

use std::time::Duration;

use url::Url;

pub use builder::SettingsBuilder;
pub use environment::unknown_variables;
pub use error::SettingsError;
pub use store_keys::store_keys_from_env;
pub use warning::Warning;

#[cfg(feature = "checkpoints")]
use crate::ledger::SigningKey;
use crate::mount::MountPath;
use crate::store::Keyring;
use crate::{ClientSecret, KeyMaterial, MasterToken, WebhookSecret};

/// Validated settings of the application and its project.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) client_id: String,
    pub(crate) client_secret: ClientSecret,
    pub(crate) app_base_url: Url,
    pub(crate) oh_base_url: Url,
    pub(crate) mount: MountPath,
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
    #[cfg(feature = "checkpoints")]
    pub(crate) ledger_signing_keys: Vec<SigningKey>,
    pub(crate) session_cache_ttl: Duration,
    pub(crate) session_max_age: Option<Duration>,
    pub(crate) timeout: Duration,
}

/// Whether to delete a member's data after a deauthorization, depending on the erasure request.
///
/// The names and defaults come from django-open-humans. The result is passed to the
/// application's `DeauthHandler` with each event. Tokens are always deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionPolicy {
    /// Erasure was requested: `OPENHUMANS_DELETE_ON_ERASURE`, default true.
    pub on_erasure: bool,
    /// Erasure was not requested: `OPENHUMANS_DELETE_ON_DEAUTH`, default false.
    pub on_deauth: bool,
    /// It is unknown whether erasure was requested: `OPENHUMANS_DELETE_ON_UNKNOWN`, default false.
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
    /// Creates a builder from the three required values.
    ///
    /// Tokens belong to the client that they were issued to. Do not run a copy of an application's
    /// database under the client id of another project: Open Humans rejects the refresh tokens as
    /// it does for members who have left, and the copy would treat all members as deauthorized.
    pub fn builder(
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
        app_base_url: impl Into<String>,
    ) -> SettingsBuilder {
        SettingsBuilder::new(
            client_id.into(),
            ClientSecret::new(client_secret),
            app_base_url.into(),
        )
    }

    /// Returns the project's OAuth2 client id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns the project's OAuth2 client secret.
    pub fn client_secret(&self) -> &ClientSecret {
        &self.client_secret
    }

    /// Returns the project's master access token.
    pub fn master_token(&self) -> Option<&MasterToken> {
        self.master_token.as_ref()
    }

    /// Returns the application's public URL.
    pub fn app_base_url(&self) -> &Url {
        &self.app_base_url
    }

    /// Returns the URL of Open Humans.
    pub fn oh_base_url(&self) -> &Url {
        &self.oh_base_url
    }

    /// Returns where browsers are redirected after a logout, as a path or a URL.
    pub fn logout_redirect_url(&self) -> &str {
        &self.logout_redirect_url
    }

    /// Returns the path at which to mount the routes within the application, such as
    /// `/openhumans`.
    pub fn mount_path(&self) -> &str {
        self.mount.as_str()
    }

    /// Returns the path of a route as browsers see it, such as `/app/openhumans/login` for `login`
    /// if the application's URL is `https://example.org/app`.
    pub fn route_path(&self, route: &str) -> String {
        self.mount.route(route)
    }

    /// Returns the redirect URI. Register exactly this text with the project at Open Humans.
    pub fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    /// Returns the secrets that webhooks can be signed with.
    pub fn webhook_secrets(&self) -> &[WebhookSecret] {
        &self.webhook_secrets
    }

    /// Returns the keys that encrypt stored tokens: the keys in `OPENHUMANS_STORE_KEYS`, the key
    /// derived from the client secret, and the keys derived from previous client secrets. The first
    /// key encrypts, all decrypt.
    pub fn store_keys(&self) -> Keyring {
        self.store_keys.clone()
    }

    /// Returns the keys that sign checkpoints of the ledger.
    #[cfg(feature = "checkpoints")]
    pub fn ledger_signing_keys(&self) -> &[SigningKey] {
        &self.ledger_signing_keys
    }

    /// Returns the deletion policy.
    pub fn deletion(&self) -> DeletionPolicy {
        self.deletion
    }

    /// Whether browsers reach the application over https, so that its cookies must be `Secure`.
    pub(crate) fn is_https(&self) -> bool {
        self.app_base_url.scheme() == "https"
    }
}
