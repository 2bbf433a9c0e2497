//! Whether the routes are where the settings say: seen by the first request.
//!
//! The settings' mount path goes into links, forms and the redirect URI. Where an app mounts the
//! routes elsewhere, these lead nowhere, and nothing says why.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::Settings;

/// Looks at one request, and at no more.
#[derive(Debug, Default)]
pub(crate) struct MountCheck(AtomicBool);

impl MountCheck {
    /// Logs where the routes are, and where they should be, if that is not the same. `route` is the
    /// path of one under the mount path, `path` the one that a request for it came by.
    pub(crate) fn see(&self, settings: &Settings, route: &str, path: &str) {
        // Every request passes here: reading is cheaper than writing.
        if self.0.load(Ordering::Relaxed) || self.0.swap(true, Ordering::Relaxed) {
            return;
        }
        if !is_under(settings, route, path) {
            let mount_path = settings.mount_path();
            tracing::warn!(
                path,
                mount_path,
                "a request for one of Open Humans' routes came by a path that is not under the mount \
                 path: links and logins will lead nowhere. Mount the routes at \
                 Settings::mount_path(), or give SettingsBuilder::mount_path where they are. (If a \
                 proxy changes paths on the way here, all may be well.)"
            );
        }
    }
}

/// Whether a request to `route` came by the path it should come by. A proxy may have taken the
/// path of the app's address off, or left it.
fn is_under(settings: &Settings, route: &str, path: &str) -> bool {
    let prefix = settings.app_base_url().path().trim_end_matches('/');
    let whole = format!("{}{route}", settings.mount_path());
    let matches = |path: &str| {
        let (whole, path) = (whole.trim_end_matches('/'), path.trim_end_matches('/'));
        let (mut wanted, mut found) = (whole.split('/'), path.split('/'));
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(wanted), Some(found)) if wanted.starts_with('{') || wanted == found => {}
                _ => return false,
            }
        }
    };
    matches(path) || path.strip_prefix(prefix).is_some_and(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(app: &str, mount: &str, route: &str, path: &str) -> bool {
        let settings = Settings::builder("id", "secret", app).mount_path(mount);
        is_under(&settings.build().unwrap(), route, path)
    }

    #[test]
    fn a_path_under_the_mount_path_fits() {
        let app = "https://app.example";
        assert!(fits(app, "/openhumans", "/login", "/openhumans/login"));
        assert!(fits(app, "/openhumans", "/login", "/openhumans/login/"));
        assert!(fits(app, "/a/b", "/deauth", "/a/b/deauth"));
        assert!(!fits(app, "/openhumans", "/login", "/login"));
        assert!(!fits(app, "/openhumans", "/login", "/oh/login"));
        assert!(!fits(app, "/openhumans", "/login", "/a/openhumans/login"));
        assert!(!fits(
            app,
            "/openhumans",
            "/login",
            "/openhumans/login/more"
        ));
    }

    #[test]
    fn the_path_of_the_apps_address_may_be_there_or_not() {
        let app = "https://app.example/nights/";
        assert!(fits(app, "/oh", "/login", "/nights/oh/login"));
        assert!(fits(app, "/oh", "/login", "/oh/login"));
        assert!(!fits(app, "/oh", "/login", "/days/oh/login"));
    }

    #[test]
    fn braces_stand_for_any_segment() {
        let app = "https://app.example";
        let edit = "/files/{id}/edit";
        assert!(fits(app, "/oh", edit, "/oh/files/7/edit"));
        assert!(!fits(app, "/oh", edit, "/files/7/edit"));
        let home = "/";
        assert!(fits(app, "/oh", home, "/oh"));
        assert!(fits(app, "/oh", home, "/oh/"));
        assert!(!fits(app, "/oh", home, "/"));
    }
}
