//! The HTTP routes of a login, a logout and the deauthorization webhook.
//!
//! An adapter for a framework passes each request, with the member of the host's session, to
//! [`OpenHumans::respond`] and receives a [`RouteOutcome`]: the response, and the change to apply to
//! the session. The adapter itself decides nothing.
//!
//! | route | methods | purpose |
//! |---|---|---|
//! | `/login` | GET, POST | redirects to Open Humans; `next` is the path to return to |
//! | `/complete` | GET | the redirect URI: completes the login |
//! | `/logout` | GET, POST | GET shows a page with a button; POST ends the member's sessions |
//! | `/deauth` | POST | the deauthorization webhook |
//!
//! Pages for members and staff are in the crate `oh-pages`. It also replaces the built-in pages of
//! these routes through [`LoginPages`](crate::login::LoginPages).
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Empty;
//! use oh_core::routes::Route;
//! use oh_core::{OpenHumans, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::builder("id", "secret", "https://app.example").build()?;
//! let oh = OpenHumans::builder(settings).build()?;
//!
//! let request = http::Request::get("/openhumans/login?next=/files").body(Empty::<Bytes>::new())?;
//! let outcome = oh.respond(Route::Login, request, None).await;
//! assert_eq!(outcome.response.status(), 303);
//! # Ok(()) }
//! ```

mod body;
mod deauth;
mod login;
mod origin;
mod plain_page;
mod require;

pub use deauth::VerifiedWebhook;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};

use crate::OpenHumans;
use crate::session::{SessionChange, SessionMember};
use crate::transport::BoxError;

/// One of the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// `/login`
    Login,
    /// `/complete`, the redirect URI.
    Complete,
    /// `/logout`
    Logout,
    /// `/deauth`, the webhook URL.
    Deauth,
}

impl Route {
    /// All routes. Mount each with and without a trailing slash.
    pub const ALL: [Self; 4] = [Self::Login, Self::Complete, Self::Logout, Self::Deauth];

    /// The path under the mount path, without a trailing slash.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Login => "/login",
            Self::Complete => "/complete",
            Self::Logout => "/logout",
            Self::Deauth => "/deauth",
        }
    }

    /// Whether the route reads the session. The webhook does not, so it works while the session
    /// store is down.
    pub const fn uses_session(self) -> bool {
        !matches!(self, Self::Deauth)
    }

    const fn methods(self) -> &'static [Method] {
        match self {
            Self::Login | Self::Logout => &[Method::GET, Method::POST],
            Self::Complete => &[Method::GET],
            Self::Deauth => &[Method::POST],
        }
    }

    /// Whether HEAD is handled as GET. A HEAD request must not use up an authorization code.
    fn supports_head(self) -> bool {
        self != Self::Complete && self.methods().contains(&Method::GET)
    }
}

/// The result of a request to a route.
#[derive(Debug)]
pub struct RouteOutcome {
    /// The response to send.
    pub response: Response<Bytes>,
    /// The change to apply to the host's session.
    pub session: SessionChange,
}

impl RouteOutcome {
    fn keep(response: Response<Bytes>) -> Self {
        Self::new(response, SessionChange::Keep)
    }

    fn new(response: Response<Bytes>, session: SessionChange) -> Self {
        Self { response, session }
    }
}

/// Reads the member of the host's session when it is needed.
///
/// An adapter inserts one into the extensions of each request to a service that finds the session
/// that way, such as `oh-pages`. The service returns a [`SessionChange`] in the extensions of its
/// response.
pub type SessionReader = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Option<SessionMember>, BoxError>> + Send>>
        + Send
        + Sync,
>;

impl OpenHumans {
    /// Handles a request to one of the routes.
    ///
    /// `session` is the value that the host's session stores under
    /// [`SESSION_KEY`](crate::SESSION_KEY). The URI of `request` must be the one that the
    /// application received, not one that a router shortened; the first request is compared with
    /// the mount path of the settings, and a mismatch is logged. The body is read only by routes that
    /// need one, and up to a limit.
    pub async fn respond<B>(
        &self,
        route: Route,
        mut request: Request<B>,
        session: Option<SessionMember>,
    ) -> RouteOutcome
    where
        B: http_body::Body,
        B::Data: Buf,
        B::Error: Into<BoxError>,
    {
        // The server omits the body.
        if request.method() == Method::HEAD && route.supports_head() {
            *request.method_mut() = Method::GET;
        }
        let check = &self.inner.mount_check;
        let mount = &self.inner.settings.mount;
        check.check(mount, route.path(), request.uri().path());
        let mut outcome = if route.methods().contains(request.method()) {
            match route {
                Route::Login => login::login(self, &request.into_parts().0, session).await,
                Route::Complete => login::complete(self, &request.into_parts().0).await,
                Route::Logout => login::logout(self, &request.into_parts().0, session).await,
                Route::Deauth => RouteOutcome::keep(deauth::deauth(self, request).await),
            }
        } else {
            RouteOutcome::keep(method_not_allowed(route))
        };
        private(&mut outcome.response);
        outcome
    }

    /// Whether a request comes from a page of this application, the address bar, or a program that
    /// is not a browser. Reject POST requests for which this is false.
    pub fn is_same_origin(&self, headers: &HeaderMap) -> bool {
        let app = &self.inner.settings.app_base_url;
        origin::of(headers, app) == origin::RequestOrigin::SameOrigin
    }
}

/// Marks a response as intended for one person and one moment.
fn private<T>(response: &mut Response<T>) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
}

fn method_not_allowed(route: Route) -> Response<Bytes> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    let mut allowed: Vec<&str> = route.methods().iter().map(Method::as_str).collect();
    if route.supports_head() {
        allowed.insert(1, Method::HEAD.as_str());
    }
    if let Ok(allowed) = allowed.join(", ").parse() {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// A response of one line, for programs.
fn plain(status: StatusCode, line: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(line.as_bytes()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Redirects a browser, which follows with GET.
fn see_other(to: &str) -> Response<Bytes> {
    match HeaderValue::from_str(to) {
        Ok(location) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Err(_) => {
            tracing::error!("the redirect URL is not a valid header value");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the redirect URL is invalid\n",
            )
        }
    }
}
