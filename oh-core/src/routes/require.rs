//! The response to requests that need a member.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{origin, plain, see_other};
use crate::OpenHumans;
use crate::login::ReturnPath;
use crate::store::StoreError;

const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

impl OpenHumans {
    /// Returns the response to a request without a logged-in [`member`](Self::member).
    ///
    /// `uri` must contain the path that the application received, not one that a router shortened.
    /// `error` is the error of the token store, if it failed.
    ///
    /// The response redirects navigating browsers to the login, with the path to return to. It is
    /// 401 for other clients, and 503 if the token store failed.
    pub fn unauthenticated_response(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        error: Option<&StoreError>,
    ) -> Response<Bytes> {
        let mut response = if let Some(error) = error {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "failed to load the session's member");
            plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "the session cannot be checked\n",
            )
        } else if origin::is_navigation(headers) {
            see_other(&self.login_path(method, uri))
        } else {
            let mut response = Response::new(Bytes::from_static(b"{\"error\":\"not_logged_in\"}"));
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        };
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn login_path(&self, method: &Method, uri: &Uri) -> String {
        let login = self.inner.settings.route_path("login");
        if method != Method::GET && method != Method::HEAD {
            return login;
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = self.inner.settings.mount.browser_path(path);
        match ReturnPath::parse(&path) {
            Ok(path) => {
                format!(
                    "{login}?next={}",
                    utf8_percent_encode(path.as_str(), QUERY_VALUE)
                )
            }
            Err(_) => login,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn the_way_back_has_the_prefix_of_the_apps_address_once() {
        let settings = Settings::builder("id", "secret", "https://example.org/app");
        let oh = OpenHumans::builder(settings.build().unwrap())
            .build()
            .unwrap();
        let mut browser = HeaderMap::new();
        browser.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        for (came, back) in [
            // A proxy has left it.
            ("/app/files", "/app/files"),
            ("/app", "/app"),
            ("/app?page=2", "/app%3Fpage%3D2"),
            // A proxy has taken it off.
            ("/files", "/app/files"),
            ("/", "/app/"),
            ("/apples", "/app/apples"),
        ] {
            let uri = came.parse().unwrap();
            let answer = oh.unauthenticated_response(&Method::GET, &uri, &browser, None);
            let login = format!("/app/openhumans/login?next={back}");
            assert_eq!(answer.headers()[header::LOCATION], login, "{came}");
        }
    }
}
