//! What the app must say once: who it is to Open Humans, and where it lives.
//!
//! From a builder, or from the environment under the names django-open-humans uses, so that a
//! team moving over keeps its environment. Each variable may also be given as `NAME_FILE`, the
//! path of a file that holds the value (as container secrets are).
//!
//! | variable | wanted |
//! |---|---|
//! | `OPENHUMANS_CLIENT_ID` | the project's OAuth2 client id |
//! | `OPENHUMANS_CLIENT_SECRET` | its client secret, as first shown, not the hash |
//! | `OPENHUMANS_APP_BASE_URL` | the app's public address, such as `https://app.example` |
//! | `OPENHUMANS_OH_BASE_URL` | Open Humans' address; default `https://www.openhumans.org` |
//! | `OPENHUMANS_REDIRECT_URI` | default: the app's address, the mount path, `/complete` |
//! | `OPENHUMANS_WEBHOOK_SECRET` | the webhook secret; a comma-separated list while rotating |
//! | `OPENHUMANS_MASTER_TOKEN` | the project's master access token |
//! | `OPENHUMANS_LOGIN_REDIRECT_URL` | where a login without a return path ends; default `/` |
//! | `OPENHUMANS_LOGOUT_REDIRECT_URL` | where a logout ends; default `/` |
//! | `OPENHUMANS_DEAUTH_ON_DELETE` | whether `disconnect` removes the member at Open Humans; default `true` |
//! | `OPENHUMANS_DELETE_ON_ERASURE` | delete data when erasure was asked for; default `true` |
//! | `OPENHUMANS_DELETE_ON_DEAUTH` | delete data when it was not; default `false` |
//! | `OPENHUMANS_DELETE_ON_UNKNOWN` | delete data when nobody knows; default `false` |
//! | `OPENHUMANS_COOKIE_KEY` | seals the login cookie; default: derived from the client secret |
//! | `OPENHUMANS_LEDGER_KEY` | pseudonyms in the ledger; default: derived from the client secret |
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

use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

use crate::secret::{ClientSecret, KeyMaterial, MasterToken, WebhookSecret};

const OH_BASE_URL: &str = "https://www.openhumans.org";
const MOUNT_PATH: &str = "/openhumans";

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
    pub(crate) cookie_key: Option<KeyMaterial>,
    pub(crate) ledger_key: Option<KeyMaterial>,
    pub(crate) session_check: Duration,
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

/// A setting that is missing or cannot be used. Names the setting, never its value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A required setting is absent or empty.
    #[error("{name} is not set: wanted is {wanted}")]
    Missing {
        /// The environment variable's name.
        name: &'static str,
        /// What belongs there.
        wanted: &'static str,
    },
    /// The value cannot be used.
    #[error("{name} cannot be used: {why}; wanted is {wanted}")]
    Invalid {
        /// The environment variable's name.
        name: &'static str,
        /// What is wrong with it.
        why: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// Both `NAME` and `NAME_FILE` are set.
    #[error("{name} and {name}_FILE are both set: give one")]
    Both {
        /// The environment variable's name.
        name: &'static str,
    },
    /// The file that `NAME_FILE` names cannot be read.
    #[error("{name}_FILE names {}, which cannot be read", path.display())]
    File {
        /// The environment variable's name.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Settings {
    /// Starts from the three values that have no default.
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
            login_redirect_url: "/".into(),
            logout_redirect_url: "/".into(),
            deauth_on_delete: true,
            deletion: DeletionPolicy::default(),
            cookie_key: None,
            ledger_key: None,
            session_check: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
        }
    }

    /// Reads the environment; see the module's table.
    ///
    /// # Errors
    ///
    /// When a variable is missing or cannot be used, naming it.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::builder_from_env()?.build()
    }

    /// Reads the environment, and leaves the result open for changes in code.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn builder_from_env() -> Result<SettingsBuilder, SettingsError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// As [`builder_from_env`](Self::builder_from_env), from any source of named values.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<SettingsBuilder, SettingsError> {
        let env = Environment(lookup);
        let mut builder = Self::builder(
            env.required("OPENHUMANS_CLIENT_ID", WANTED_CLIENT_ID)?,
            env.required("OPENHUMANS_CLIENT_SECRET", WANTED_CLIENT_SECRET)?,
            env.required("OPENHUMANS_APP_BASE_URL", WANTED_APP_BASE_URL)?,
        );
        if let Some(url) = env.get("OPENHUMANS_OH_BASE_URL")? {
            builder.oh_base_url = url;
        }
        builder.redirect_uri = env.get("OPENHUMANS_REDIRECT_URI")?;
        if let Some(list) = env.get("OPENHUMANS_WEBHOOK_SECRET")? {
            builder.webhook_secrets = list
                .split(',')
                .map(|s| WebhookSecret::new(s.trim()))
                .collect();
        }
        builder.master_token = env.get("OPENHUMANS_MASTER_TOKEN")?.map(MasterToken::new);
        if let Some(url) = env.get("OPENHUMANS_LOGIN_REDIRECT_URL")? {
            builder.login_redirect_url = url;
        }
        if let Some(url) = env.get("OPENHUMANS_LOGOUT_REDIRECT_URL")? {
            builder.logout_redirect_url = url;
        }
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
        builder.cookie_key = env.get("OPENHUMANS_COOKIE_KEY")?.map(KeyMaterial::new);
        builder.ledger_key = env.get("OPENHUMANS_LEDGER_KEY")?.map(KeyMaterial::new);
        Ok(builder)
    }

    /// The project's OAuth2 client id.
    pub fn client_id(&self) -> &str {
        &self.client_id
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

/// Collects [`Settings`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SettingsBuilder {
    client_id: String,
    client_secret: ClientSecret,
    app_base_url: String,
    oh_base_url: String,
    mount_path: String,
    redirect_uri: Option<String>,
    webhook_secrets: Vec<WebhookSecret>,
    unsigned_webhooks: bool,
    master_token: Option<MasterToken>,
    login_redirect_url: String,
    logout_redirect_url: String,
    deauth_on_delete: bool,
    deletion: DeletionPolicy,
    cookie_key: Option<KeyMaterial>,
    ledger_key: Option<KeyMaterial>,
    session_check: Duration,
    timeout: Duration,
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

    /// Where a login without a return path of its own ends. Default `/`.
    pub fn login_redirect_url(mut self, url: impl Into<String>) -> Self {
        self.login_redirect_url = url.into();
        self
    }

    /// Where a logout ends. Default `/`.
    pub fn logout_redirect_url(mut self, url: impl Into<String>) -> Self {
        self.logout_redirect_url = url.into();
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

    /// How long a process may go on believing a session before it asks the token store whether
    /// the member is still there. A deauthorization seen by this process counts at once; one seen
    /// by another process counts within this time. Default 5 s; zero asks every time.
    pub fn session_check(mut self, every: Duration) -> Self {
        self.session_check = every;
        self
    }

    /// How long to wait for an answer of Open Humans. Default 15 s.
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
                wanted: WANTED_CLIENT_ID,
            });
        }
        check_client_secret(&self.client_secret)?;
        let app_base_url = base_url(
            "OPENHUMANS_APP_BASE_URL",
            &self.app_base_url,
            WANTED_APP_BASE_URL,
        )?;
        let oh_base_url = base_url(
            "OPENHUMANS_OH_BASE_URL",
            &self.oh_base_url,
            WANTED_OH_BASE_URL,
        )?;
        let mount_path = mount_path(&self.mount_path)?;
        let redirect_uri = match &self.redirect_uri {
            Some(url) => https_or_loopback("OPENHUMANS_REDIRECT_URI", url, WANTED_REDIRECT_URI)?,
            None => {
                let base = app_base_url.as_str().trim_end_matches('/');
                let url = format!("{base}{mount_path}/complete");
                https_or_loopback("OPENHUMANS_REDIRECT_URI", &url, WANTED_REDIRECT_URI)?
            }
        };
        for secret in &self.webhook_secrets {
            let text = secret.expose();
            if !(16..=64).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(SettingsError::Invalid {
                    name: "OPENHUMANS_WEBHOOK_SECRET",
                    why: "a secret is empty, too short, too long or not printable ASCII".into(),
                    wanted: "16 to 64 ASCII characters, or several such separated by commas",
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
                    wanted: "32 random characters or more",
                });
            }
        }
        let redirect = |name, url: String| {
            if is_redirect_target(&url) {
                Ok(url)
            } else {
                Err(SettingsError::Invalid {
                    name,
                    why: "it is neither a path nor an http address".into(),
                    wanted: "a path of the app such as /home, or a whole https URL",
                })
            }
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
            cookie_key: self.cookie_key,
            ledger_key: self.ledger_key,
            session_check: self.session_check,
            timeout: self.timeout,
        })
    }
}

const WANTED_CLIENT_ID: &str = "the OAuth2 client id from the project's page at Open Humans";
const WANTED_CLIENT_SECRET: &str =
    "the OAuth2 client secret, as Open Humans showed it when the project was made";
const WANTED_APP_BASE_URL: &str = "the app's public address, such as https://app.example";
const WANTED_OH_BASE_URL: &str = "the address of Open Humans, such as https://www.openhumans.org";
const WANTED_REDIRECT_URI: &str = "the redirect URL registered with the project";

/// Reads variables that may also be given as files.
pub(crate) struct Environment<F>(pub(crate) F);

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    /// The value of `NAME`, or the contents of the file `NAME_FILE` names. Empty counts as absent.
    fn get(&self, name: &'static str) -> Result<Option<String>, SettingsError> {
        let present = |name: &str| (self.0)(name).filter(|value| !value.trim().is_empty());
        match (present(name), present(&format!("{name}_FILE"))) {
            (Some(_), Some(_)) => Err(SettingsError::Both { name }),
            (Some(value), None) => Ok(Some(value.trim().to_owned())),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
                Err(source) => Err(SettingsError::File {
                    name,
                    path: path.into(),
                    source,
                }),
            },
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn required(
        &self,
        name: &'static str,
        wanted: &'static str,
    ) -> Result<String, SettingsError> {
        self.get(name)?
            .ok_or(SettingsError::Missing { name, wanted })
    }
}

fn parse_bool(name: &'static str, text: &str) -> Result<bool, SettingsError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(SettingsError::Invalid {
            name,
            why: "it is neither true nor false".into(),
            wanted: "true or false",
        }),
    }
}

fn check_client_secret(secret: &ClientSecret) -> Result<(), SettingsError> {
    let name = "OPENHUMANS_CLIENT_SECRET";
    let text = secret.expose();
    if text.trim().is_empty() {
        return Err(SettingsError::Missing {
            name,
            wanted: WANTED_CLIENT_SECRET,
        });
    }
    let looks_hashed = ["pbkdf2_", "argon2", "bcrypt", "scrypt$"]
        .iter()
        .any(|p| text.starts_with(p));
    if looks_hashed {
        return Err(SettingsError::Invalid {
            name,
            why: "it is a password hash: Open Humans' project page shows the stored hash of the \
                  secret, which never works as the secret"
                .into(),
            wanted: WANTED_CLIENT_SECRET,
        });
    }
    Ok(())
}

/// An address without credentials, query and fragment.
fn base_url(name: &'static str, text: &str, wanted: &'static str) -> Result<Url, SettingsError> {
    let url = https_or_loopback(name, text, wanted)?;
    if url.query().is_some() {
        let why = "it has a query".into();
        return Err(SettingsError::Invalid { name, why, wanted });
    }
    Ok(url)
}

fn https_or_loopback(
    name: &'static str,
    text: &str,
    wanted: &'static str,
) -> Result<Url, SettingsError> {
    let invalid = |why: &str| SettingsError::Invalid {
        name,
        why: why.to_owned(),
        wanted,
    };
    let url = Url::parse(text).map_err(|e| invalid(&format!("it is not a URL ({e})")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it has credentials in it"));
    }
    if url.fragment().is_some() {
        return Err(invalid("it has a fragment"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(invalid(
            "plain http would send secrets in the clear; only loopback may",
        )),
        _ => Err(invalid("it is not an https address")),
    }
}

/// Whether a URL's host is this machine itself.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

fn mount_path(text: &str) -> Result<String, SettingsError> {
    let path = text.trim_end_matches('/');
    let ok = path.is_empty()
        || path.starts_with('/')
            && !path.contains("//")
            && path
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b))
            && path.split('/').all(|part| part != "." && part != "..");
    if ok {
        Ok(path.to_owned())
    } else {
        Err(SettingsError::Invalid {
            name: "the mount path",
            why: "it is not a plain path".into(),
            wanted: "a path such as /openhumans",
        })
    }
}

fn is_redirect_target(text: &str) -> bool {
    crate::login::ReturnPath::parse(text).is_ok()
        || Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let map: HashMap<String, String> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Settings::from_lookup(|name| map.get(name).cloned())?.build()
    }

    const GOOD: [(&str, &str); 3] = [
        ("OPENHUMANS_CLIENT_ID", "id"),
        ("OPENHUMANS_CLIENT_SECRET", "secret"),
        ("OPENHUMANS_APP_BASE_URL", "https://app.example/"),
    ];

    fn with(extra: &[(&'static str, &'static str)]) -> Result<Settings, SettingsError> {
        let mut pairs = GOOD.to_vec();
        pairs.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
        pairs.extend_from_slice(extra);
        read(&pairs)
    }

    #[test]
    fn three_values_are_enough() {
        let settings = with(&[]).unwrap();
        assert_eq!(
            settings.redirect_uri().as_str(),
            "https://app.example/openhumans/complete"
        );
        assert_eq!(
            settings.oh_base_url().as_str(),
            "https://www.openhumans.org/"
        );
        assert!(settings.deauth_on_delete);
        assert_eq!(settings.deletion(), DeletionPolicy::default());
    }

    #[test]
    fn an_error_names_the_setting_and_never_its_value() {
        for (name, bad) in [
            ("OPENHUMANS_CLIENT_ID", " "),
            ("OPENHUMANS_CLIENT_SECRET", "pbkdf2_sha256$260000$topsecret"),
            ("OPENHUMANS_APP_BASE_URL", "http://topsecret.example"),
            (
                "OPENHUMANS_APP_BASE_URL",
                "https://user:topsecret@app.example",
            ),
            ("OPENHUMANS_APP_BASE_URL", "topsecret"),
            ("OPENHUMANS_OH_BASE_URL", "ftp://topsecret.example"),
            ("OPENHUMANS_WEBHOOK_SECRET", "topsecret"),
            ("OPENHUMANS_WEBHOOK_SECRET", "abcdefghijklmnop,,"),
            ("OPENHUMANS_LOGIN_REDIRECT_URL", "javascript:topsecret()"),
            ("OPENHUMANS_DELETE_ON_DEAUTH", "topsecret"),
            ("OPENHUMANS_COOKIE_KEY", "topsecret"),
            ("OPENHUMANS_MASTER_TOKEN_FILE", "/nonexistent/file"),
        ] {
            let error = with(&[(name, bad)]).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(name.trim_end_matches("_FILE")), "{text}");
            assert!(!text.contains("topsecret"), "{text}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback() {
        for url in [
            "http://localhost:8000",
            "http://127.0.0.2",
            "http://[::1]:1",
            "http://a.localhost",
        ] {
            assert!(
                with(&[(
                    "OPENHUMANS_APP_BASE_URL",
                    Box::leak(url.to_owned().into_boxed_str())
                )])
                .is_ok()
            );
        }
        assert!(with(&[("OPENHUMANS_APP_BASE_URL", "http://localhost.evil.example")]).is_err());
    }

    #[test]
    fn secrets_may_come_from_a_file_but_not_from_two_places() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abcdefghijklmnop\n").unwrap();
        let path: &'static str =
            Box::leak(file.path().to_str().unwrap().to_owned().into_boxed_str());
        let settings = with(&[("OPENHUMANS_WEBHOOK_SECRET_FILE", path)]).unwrap();
        assert_eq!(settings.webhook_secrets()[0].expose(), "abcdefghijklmnop");
        let both = with(&[
            ("OPENHUMANS_WEBHOOK_SECRET_FILE", path),
            ("OPENHUMANS_WEBHOOK_SECRET", "abcdefghijklmnop"),
        ]);
        assert!(matches!(
            both,
            Err(SettingsError::Both {
                name: "OPENHUMANS_WEBHOOK_SECRET"
            })
        ));
    }

    #[test]
    fn several_webhook_secrets_while_rotating() {
        let settings = with(&[(
            "OPENHUMANS_WEBHOOK_SECRET",
            "abcdefghijklmnop, ponmlkjihgfedcba",
        )])
        .unwrap();
        assert_eq!(settings.webhook_secrets().len(), 2);
    }
}
