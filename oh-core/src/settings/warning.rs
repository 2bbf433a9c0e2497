//! Problems of the configuration that do not keep an application from starting.

use url::{Position, Url};

use super::Settings;

/// A likely mistake in the configuration.
///
/// [`OpenHumansBuilder::build`](crate::OpenHumansBuilder::build) logs these warnings, and
/// `oh doctor` prints the [warnings about settings](Settings::warnings).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Environment variables start with `OPENHUMANS_` but are unknown.
    #[error("unknown environment variables: {}; known variables: {}", unknown.join(", "), known.join(", "))]
    UnknownVariables {
        /// The unknown variables.
        unknown: Vec<String>,
        /// All known variables.
        known: Vec<&'static str>,
    },
    /// The redirect URI has another origin than the application, so that the browser does not send
    /// the login cookie with the callback.
    #[error(
        "OPENHUMANS_REDIRECT_URI has the origin {redirect_uri} and OPENHUMANS_APP_BASE_URL has \
         {app}: no login can complete; use the same origin in both{}",
        if *loopback { " (localhost and 127.0.0.1 are different origins)" } else { "" }
    )]
    RedirectOrigin {
        /// The origin of the redirect URI.
        redirect_uri: String,
        /// The origin of the application.
        app: String,
        /// Whether both are plain http and therefore on this machine.
        loopback: bool,
    },
    /// The path of the redirect URI is not the path of the route that completes logins.
    #[error(
        "OPENHUMANS_REDIRECT_URI has the path {redirect_uri}, but logins complete at {complete}: \
         use that path, or let a proxy rewrite it"
    )]
    RedirectPath {
        /// The path of the redirect URI.
        redirect_uri: String,
        /// The path of the route, as browsers see it.
        complete: String,
    },
    /// There is no webhook secret, so all webhooks are rejected.
    #[error(
        "OPENHUMANS_WEBHOOK_SECRET is not set: webhooks are rejected, and erasure requests remain \
         unknown"
    )]
    NoWebhookSecret,
    /// A public application stores tokens in memory.
    #[error(
        "tokens are stored in memory and lost when the process ends: set a store with \
         OpenHumansBuilder::token_store"
    )]
    TokensInMemory,
    /// A public application stores deauthorizations in memory.
    #[error(
        "deauthorizations are stored in memory and erasure requests lost when the process ends: \
         set an inbox with OpenHumansBuilder::deauth_inbox"
    )]
    InboxInMemory,
    /// The application has no `DeauthHandler`.
    #[error(
        "erasure requests delete only tokens: set a handler that deletes the member's data with \
         OpenHumansBuilder::deauth_handler"
    )]
    NoDeauthHandler,
}

impl Settings {
    /// Returns warnings about settings that are valid but do not work together.
    ///
    /// ```
    /// use oh_core::Settings;
    ///
    /// let settings = Settings::builder("client-id", "client-secret", "http://localhost:8000")
    ///     .webhook_secret("abcdefghijklmnop")
    ///     .redirect_uri("http://127.0.0.1:8000/openhumans/complete")
    ///     .build()?;
    /// let warning = settings.warnings()[0].to_string();
    /// assert!(warning.contains("localhost and 127.0.0.1 are different origins"));
    /// # Ok::<(), oh_core::SettingsError>(())
    /// ```
    pub fn warnings(&self) -> Vec<Warning> {
        let (redirect_uri, app) = (&self.redirect_uri, &self.app_base_url);
        let mut warnings = Vec::new();
        if redirect_uri.origin() != app.origin() {
            warnings.push(Warning::RedirectOrigin {
                redirect_uri: origin(redirect_uri),
                app: origin(app),
                loopback: redirect_uri.scheme() == "http" && app.scheme() == "http",
            });
        }
        let complete = self.route_path("complete");
        if redirect_uri.path().trim_end_matches('/') != complete {
            warnings.push(Warning::RedirectPath {
                redirect_uri: redirect_uri.path().to_owned(),
                complete,
            });
        }
        if self.webhook_secrets.is_empty() && !self.unsigned_webhooks {
            warnings.push(Warning::NoWebhookSecret);
        }
        warnings
    }
}

fn origin(url: &Url) -> String {
    url[..Position::BeforePath].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(app: &str, redirect_uri: &str) -> Vec<String> {
        let settings = Settings::builder("id", "secret", app)
            .webhook_secret("abcdefghijklmnop")
            .redirect_uri(redirect_uri)
            .build()
            .unwrap();
        settings
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn warnings_are_empty_when_redirect_uri_fits() {
        for (app, redirect_uri) in [
            (
                "https://app.example",
                "https://app.example/openhumans/complete",
            ),
            (
                "https://app.example/",
                "https://app.example:443/openhumans/complete/",
            ),
            (
                "https://app.example/a",
                "https://app.example/a/openhumans/complete",
            ),
        ] {
            assert_eq!(warnings(app, redirect_uri), [""; 0], "{app} {redirect_uri}");
        }
        let settings = Settings::builder("id", "secret", "https://app.example/a").mount_path("/oh");
        let settings = settings.build().unwrap();
        assert_eq!(settings.warnings(), [Warning::NoWebhookSecret]);
        let settings = Settings::builder("id", "secret", "https://app.example");
        let settings = settings.dangerously_accept_unsigned_webhooks().build();
        assert_eq!(settings.unwrap().warnings(), []);
    }

    #[test]
    fn warning_names_both_origins_when_redirect_uri_has_another() {
        let different = "localhost and 127.0.0.1 are different";
        for (app, origin, loopback) in [
            ("https://app.example", "https://www.app.example", false),
            ("http://localhost:8000", "http://127.0.0.1:8000", true),
            ("http://localhost:8000", "http://localhost:8001", true),
        ] {
            let warnings = warnings(app, &format!("{origin}/openhumans/complete"));
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            for part in [
                format!("OPENHUMANS_REDIRECT_URI has the origin {origin} "),
                format!("OPENHUMANS_APP_BASE_URL has {app}:"),
            ] {
                assert!(warnings[0].contains(&part), "{warnings:?}");
            }
            assert_eq!(warnings[0].contains(different), loopback, "{warnings:?}");
        }
    }

    #[test]
    fn warning_names_both_paths_when_redirect_uri_misses_the_route() {
        let warnings = warnings("https://app.example", "https://app.example/oh/complete");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("the path /oh/complete"),
            "{warnings:?}"
        );
        assert!(
            warnings[0].contains("at /openhumans/complete"),
            "{warnings:?}"
        );
    }
}
