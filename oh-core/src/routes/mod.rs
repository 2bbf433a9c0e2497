//! The routes, written once for every framework.
//!
//! An adapter takes a request apart, asks the host's session who is logged in, and calls
//! [`OpenHumans::respond`]. It gets back an answer and what to do to the session. It decides
//! nothing: what is a 405, what is too large, who is sent where is all decided here.
//!
//! | route | methods | does |
//! |---|---|---|
//! | `/login` | GET, POST | sends the person to Open Humans; `next` says where to come back to |
//! | `/complete` | GET | where Open Humans sends the person back: logs in |
//! | `/logout` | POST | logs out, on every device |
//! | `/deauth` | POST | Open Humans' webhook: a member has left |
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
//! let answer = oh.respond(Route::Login, request, None).await;
//! assert_eq!(answer.response.status(), 303);
//! # Ok(()) }
//! ```

mod body;
mod deauth;
mod login;
mod origin;
mod page;
mod require;

pub use deauth::VerifiedWebhook;

use bytes::{Buf, Bytes};
use http::header::{self, HeaderValue};
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
    /// `/complete`: the redirect URI.
    Complete,
    /// `/logout`
    Logout,
    /// `/deauth`: the webhook URL.
    Deauth,
}

impl Route {
    /// All of them. Each is mounted with and without a trailing slash.
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

    /// Whether it looks at the session. The webhook does not: it must be taken in also when
    /// sessions do not work.
    pub const fn uses_session(self) -> bool {
        !matches!(self, Self::Deauth)
    }

    const fn methods(self) -> &'static [Method] {
        match self {
            Self::Login => &[Method::GET, Method::POST],
            Self::Complete => &[Method::GET],
            Self::Logout | Self::Deauth => &[Method::POST],
        }
    }
}

/// What a route answers.
#[derive(Debug)]
pub struct Answer {
    /// To the browser, or to Open Humans.
    pub response: Response<Bytes>,
    /// To the host's session.
    pub session: SessionChange,
}

impl Answer {
    fn keep(response: Response<Bytes>) -> Self {
        Self {
            response,
            session: SessionChange::Keep,
        }
    }
}

impl OpenHumans {
    /// Answers a request to one of the routes.
    ///
    /// `session` is what the host's session holds under [`SESSION_KEY`](crate::SESSION_KEY). The
    /// body is read only by the routes that need one, up to a limit, and as raw as it is given.
    pub async fn respond<B>(
        &self,
        route: Route,
        request: Request<B>,
        session: Option<SessionMember>,
    ) -> Answer
    where
        B: http_body::Body,
        B::Data: Buf,
        B::Error: Into<BoxError>,
    {
        let mut answer = if route.methods().contains(request.method()) {
            match route {
                Route::Login => login::login(self, &request.into_parts().0, session).await,
                Route::Complete => login::complete(&self.inner, &request.into_parts().0).await,
                Route::Logout => login::logout(self, &request.into_parts().0, session).await,
                Route::Deauth => Answer::keep(deauth::deauth(self, request).await),
            }
        } else {
            Answer::keep(method_not_allowed(route))
        };
        private(&mut answer.response);
        answer
    }
}

/// No answer of these routes is for anyone but the one who asked, now.
fn private(response: &mut Response<Bytes>) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
}

fn method_not_allowed(route: Route) -> Response<Bytes> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    let allowed: Vec<&str> = route.methods().iter().map(Method::as_str).collect();
    if let Ok(allowed) = allowed.join(", ").parse() {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// An answer for programs: one line.
fn plain(status: StatusCode, line: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(line.as_bytes()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Sends a browser elsewhere with a GET.
fn see_other(to: &str) -> Response<Bytes> {
    match HeaderValue::from_str(to) {
        Ok(location) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Err(_) => {
            tracing::error!("the address to redirect to does not fit a header");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the app gave an address that cannot be used\n",
            )
        }
    }
}
