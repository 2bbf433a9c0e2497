//! The paths of the routes, as browsers, proxies and routers see them.

use std::sync::atomic::{AtomicBool, Ordering};

use url::Url;

/// The path of the application's base URL, and below it the path that the routes are mounted at.
#[derive(Clone, Debug)]
pub(crate) struct MountPath {
    /// Without a trailing slash: `/app`, or empty.
    prefix: String,
    /// Without a trailing slash: `/openhumans`.
    mount: String,
}

impl MountPath {
    /// Returns `None` if `mount_path` is not a plain path such as `/openhumans`.
    pub(crate) fn new(app_base_url: &Url, mount_path: &str) -> Option<Self> {
        let mount = mount_path.trim_end_matches('/');
        let is_plain = mount.starts_with('/')
            && !mount.contains("//")
            && mount
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b))
            && mount.split('/').all(|part| part != "." && part != "..");
        is_plain.then(|| Self {
            prefix: app_base_url.path().trim_end_matches('/').to_owned(),
            mount: mount.to_owned(),
        })
    }

    /// The mount path within the application, such as `/openhumans`.
    pub(crate) fn as_str(&self) -> &str {
        &self.mount
    }

    /// The root of the application, as browsers see it.
    pub(crate) fn home(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// A route, as browsers see it.
    pub(crate) fn route(&self, route: &str) -> String {
        format!(
            "{}{}/{}",
            self.prefix,
            self.mount,
            route.trim_start_matches('/')
        )
    }

    /// The path and query of a request, as the browser sent them. A proxy may have removed the
    /// prefix.
    pub(crate) fn browser_path(&self, path_and_query: &str) -> String {
        let rest = path_and_query.strip_prefix(&self.prefix);
        match rest {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => {
                path_and_query.to_owned()
            }
            _ => format!("{}{path_and_query}", self.prefix),
        }
    }

    fn is_route(&self, route: &str, request_path: &str) -> bool {
        self.browser_path(request_path.trim_end_matches('/')) == self.route(route)
    }
}

/// Compares the path of the first request with the configured mount path.
#[derive(Debug, Default)]
pub(crate) struct MountCheck(AtomicBool);

impl MountCheck {
    /// Logs a warning if the first request for `route` arrived at another path than configured,
    /// because links, forms and the redirect URI contain the configured path.
    pub(crate) fn check(&self, mount: &MountPath, route: &str, request_path: &str) {
        // Every request passes here, and a load is cheaper than a swap.
        if self.0.load(Ordering::Relaxed) || self.0.swap(true, Ordering::Relaxed) {
            return;
        }
        if !mount.is_route(route, request_path) {
            tracing::warn!(
                path = request_path,
                mount_path = mount.as_str(),
                "a request for an Open Humans route arrived outside of the mount path: mount the \
                 routes at Settings::mount_path() or change SettingsBuilder::mount_path (unless a \
                 proxy rewrites paths)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(app: &str, mount: &str) -> MountPath {
        MountPath::new(&app.parse().unwrap(), mount).unwrap()
    }

    #[test]
    fn route_matches_request_path_with_and_without_prefix() {
        let app = "https://app.example";
        let nested = "https://app.example/nights/";
        for (app, path, route, request, matches) in [
            (app, "/openhumans", "/login", "/openhumans/login", true),
            (app, "/openhumans", "/login", "/openhumans/login/", true),
            (app, "/a/b", "/deauth", "/a/b/deauth", true),
            (app, "/openhumans", "/login", "/login", false),
            (app, "/openhumans", "/login", "/oh/login", false),
            (app, "/openhumans", "/login", "/a/openhumans/login", false),
            (
                app,
                "/openhumans",
                "/login",
                "/openhumans/login/more",
                false,
            ),
            (nested, "/oh", "/login", "/nights/oh/login", true),
            (nested, "/oh", "/login", "/oh/login", true),
            (nested, "/oh", "/login", "/days/oh/login", false),
        ] {
            let mount = mount(app, path);
            assert_eq!(mount.is_route(route, request), matches, "{app} {request}");
        }
    }

    #[test]
    fn request_path_has_prefix_once_browser_path() {
        let mount = mount("https://example.org/app", "/oh");
        for (request, browser) in [
            ("/app/files", "/app/files"),
            ("/app", "/app"),
            ("/app?page=2", "/app?page=2"),
            ("/files", "/app/files"),
            ("/", "/app/"),
            ("/apples", "/app/apples"),
        ] {
            assert_eq!(mount.browser_path(request), browser);
        }
        assert_eq!(
            (mount.home(), mount.route("login")),
            ("/app/".into(), "/app/oh/login".into())
        );
    }

    #[test]
    fn mount_path_rejects_all_but_plain_paths() {
        let app = "https://app.example".parse().unwrap();
        for path in ["", "/", "oh", "//oh", "/a//b", "/a/../b", "/{id}", "/a?b"] {
            assert!(MountPath::new(&app, path).is_none(), "{path}");
        }
    }
}
