//! What can be used as it is, and yet is hardly meant.

use url::{Position, Url};

use super::Settings;

/// A setting that does not fit another. The app starts with it, and logs it when it does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsWarning {
    /// The redirect URI is at another address than the app, so that the browser, on its way back
    /// from Open Humans, does not bring along the cookie that the login began with.
    #[error(
        "OPENHUMANS_REDIRECT_URI is at {redirect_uri}, OPENHUMANS_APP_BASE_URL at {app}: members \
         who come back from Open Humans are not known there, and no login is completed. Give both \
         the same address{}",
        if *loopback { ": to a browser, localhost and 127.0.0.1 are two" } else { "" }
    )]
    RedirectAddress {
        /// Scheme, host and port of the redirect URI.
        redirect_uri: String,
        /// Those of the app.
        app: String,
        /// Whether both are this machine, by two names.
        loopback: bool,
    },
    /// The redirect URI leads to a path where the route that completes logins is not.
    #[error(
        "OPENHUMANS_REDIRECT_URI has the path {redirect_uri}, but logins are completed at \
         {complete}: give it that path, or have a proxy lead from one to the other"
    )]
    RedirectPath {
        /// The path of the redirect URI.
        redirect_uri: String,
        /// Where the route is, as a browser sees it.
        complete: String,
    },
}

impl Settings {
    /// What does not fit together, though each value by itself can be used.
    /// [`OpenHumansBuilder::build`](crate::OpenHumansBuilder::build) logs these.
    ///
    /// ```
    /// use oh_core::Settings;
    ///
    /// let settings = Settings::builder("client-id", "client-secret", "http://localhost:8000")
    ///     .redirect_uri("http://127.0.0.1:8000/openhumans/complete")
    ///     .build()?;
    /// let said = settings.warnings()[0].to_string();
    /// assert!(said.contains("localhost and 127.0.0.1 are two"), "{said}");
    /// # Ok::<(), oh_core::SettingsError>(())
    /// ```
    pub fn warnings(&self) -> Vec<SettingsWarning> {
        let (redirect_uri, app) = (&self.redirect_uri, &self.app_base_url);
        let mut warnings = Vec::new();
        if redirect_uri.origin() != app.origin() {
            warnings.push(SettingsWarning::RedirectAddress {
                redirect_uri: address(redirect_uri),
                app: address(app),
                loopback: redirect_uri.scheme() == "http" && app.scheme() == "http",
            });
        }
        let complete = self.route_path("complete");
        if redirect_uri.path().trim_end_matches('/') != complete {
            warnings.push(SettingsWarning::RedirectPath {
                redirect_uri: redirect_uri.path().to_owned(),
                complete,
            });
        }
        warnings
    }
}

fn address(url: &Url) -> String {
    url[..Position::BeforePath].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(app: &str, redirect_uri: &str) -> Vec<String> {
        let settings = Settings::builder("id", "secret", app)
            .redirect_uri(redirect_uri)
            .build()
            .unwrap();
        let warnings = settings.warnings();
        warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_fits_is_not_warned_of() {
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
        let settings = Settings::builder("id", "secret", "https://app.example/a");
        let settings = settings.mount_path("/oh").build().unwrap();
        assert_eq!(settings.warnings(), []);
    }

    #[test]
    fn a_redirect_uri_on_another_host_is_warned_of() {
        let said = warnings(
            "https://app.example",
            "https://www.app.example/openhumans/complete",
        );
        assert_eq!(said.len(), 1, "{said:?}");
        for part in [
            "OPENHUMANS_REDIRECT_URI is at https://www.app.example,",
            "OPENHUMANS_APP_BASE_URL at https://app.example:",
        ] {
            assert!(said[0].contains(part), "{said:?}");
        }
        assert!(!said[0].contains("localhost"), "{said:?}");
    }

    #[test]
    fn this_machine_by_two_names_or_ports_is_warned_of() {
        let app = "http://localhost:8000";
        let said = warnings(app, "http://127.0.0.1:8000/openhumans/complete");
        assert!(said[0].contains("localhost and 127.0.0.1 are two"));
        let said = warnings(app, "http://localhost:8001/openhumans/complete");
        assert!(said[0].contains("http://localhost:8001"), "{said:?}");
    }

    #[test]
    fn a_redirect_uri_that_leads_past_the_route_is_warned_of() {
        let said = warnings("https://app.example", "https://app.example/oh/complete");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("the path /oh/complete"), "{said:?}");
        assert!(said[0].contains("at /openhumans/complete"), "{said:?}");
    }
}
