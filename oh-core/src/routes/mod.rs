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
//! | `/logout` | GET, POST | GET shows a page with a button; POST logs out, on every device |
//! | `/deauth` | POST | Open Humans' webhook: a member has left |
//!
//! With the feature `pages`, and `Pages` given to the builder, there are also
//! the pages: see the module `pages`.
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

mod answer;
mod body;
mod deauth;
mod login;
mod origin;
mod page;
#[cfg(feature = "pages")]
mod pages;
mod require;

pub use answer::{ResponseBody, RouteOutcome};
pub use deauth::VerifiedWebhook;

use bytes::{Buf, Bytes};
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};

use crate::OpenHumans;
#[cfg(feature = "pages")]
use crate::pages::PageRoute;
use crate::session::SessionMember;
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
    /// One of the pages: see the module `pages`.
    #[cfg(feature = "pages")]
    Page(PageRoute),
}

impl Route {
    /// Those that are always there; [`OpenHumans::routes`] gives all that an app has. Each is
    /// mounted with and without a trailing slash, but for `/`, which is the mount path itself.
    pub const ALL: [Self; 4] = [Self::Login, Self::Complete, Self::Logout, Self::Deauth];

    /// The path under the mount path, without a trailing slash; a segment in braces stands for any.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Login => "/login",
            Self::Complete => "/complete",
            Self::Logout => "/logout",
            Self::Deauth => "/deauth",
            #[cfg(feature = "pages")]
            Self::Page(page) => page.path(),
        }
    }

    /// Whether it looks at the session. The webhook does not: it must be taken in also when
    /// sessions do not work.
    pub const fn uses_session(self) -> bool {
        match self {
            Self::Deauth => false,
            #[cfg(feature = "pages")]
            Self::Page(page) => page.uses_session(),
            _ => true,
        }
    }

    const fn methods(self) -> &'static [Method] {
        match self {
            Self::Login | Self::Logout => &[Method::GET, Method::POST],
            Self::Complete => &[Method::GET],
            Self::Deauth => &[Method::POST],
            #[cfg(feature = "pages")]
            Self::Page(page) => page.methods(),
        }
    }

    /// Whether HEAD is answered as GET is. A code is not used up for those who only look.
    fn answers_head(self) -> bool {
        self != Self::Complete && self.methods().contains(&Method::GET)
    }
}

impl OpenHumans {
    /// The routes to mount: those of [`Route::ALL`], and the pages' if the app has them.
    pub fn routes(&self) -> Vec<Route> {
        let routes = Route::ALL.into_iter();
        #[cfg(feature = "pages")]
        let routes = {
            let pages = self.inner.pages.iter();
            routes.chain(pages.flat_map(|pages| pages.routes().map(Route::Page)))
        };
        routes.collect()
    }

    /// Answers a request to one of the routes.
    ///
    /// `session` is what the host's session holds under [`SESSION_KEY`](crate::SESSION_KEY). The
    /// path is the one that came to the app, not one a router has shortened: the first request is
    /// held against the settings' mount path, and a warning logged if it does not fit. The
    /// body is read only by the routes that need one, up to a limit, and as raw as it is given.
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
        // The server leaves the body away.
        if request.method() == Method::HEAD && route.answers_head() {
            *request.method_mut() = Method::GET;
        }
        let check = &self.inner.mount_check;
        let mount = &self.inner.settings.mount;
        check.check(mount, route.path(), request.uri().path());
        let mut answer = if route.methods().contains(request.method()) {
            match route {
                Route::Login => login::login(self, &request.into_parts().0, session).await,
                Route::Complete => login::complete(self, &request.into_parts().0).await,
                Route::Logout => login::logout(self, &request.into_parts().0, session).await,
                Route::Deauth => RouteOutcome::keep(deauth::deauth(self, request).await),
                #[cfg(feature = "pages")]
                // On the heap: the other routes' futures would hold its place.
                Route::Page(page) => {
                    return Box::pin(pages::respond(self, page, request, session)).await;
                }
            }
        } else {
            RouteOutcome::keep(method_not_allowed(route))
        };
        private(&mut answer.response);
        answer
    }
}

/// No answer of these routes is for anyone but the one who asked, now.
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
    if route.answers_head() {
        allowed.insert(1, Method::HEAD.as_str());
    }
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
