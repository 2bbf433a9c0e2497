//! The pages of the login routes.

use bytes::Bytes;
use http::{HeaderMap, Response};

use super::LoginFailure;
use crate::Settings;

/// A page that a login route shows.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum LoginPage<'a> {
    /// A login failed.
    Failed {
        /// The reason.
        failure: &'a LoginFailure,
        /// Where a form posts to start the login again.
        retry_url: &'a str,
    },
    /// Another site sent the browser to the login route, so the person must confirm the login.
    ConfirmLogin {
        /// Where a form posts to start the login.
        login_url: &'a str,
    },
    /// The browser requested the logout route with GET, so the person must confirm it.
    ConfirmLogout {
        /// Where a form posts to log out.
        logout_url: &'a str,
    },
}

/// Renders the pages of the login routes in place of the built-in ones.
///
/// Set it with [`OpenHumansBuilder::login_pages`](crate::OpenHumansBuilder::login_pages).
pub trait LoginPages: Send + Sync + 'static {
    /// Renders `page` for a request with `headers`. The route sets the status.
    fn render(
        &self,
        page: &LoginPage<'_>,
        headers: &HeaderMap,
        settings: &Settings,
    ) -> Response<Bytes>;
}
