//! The answer to a request that goes no further.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;
use http::header;

use crate::convert;

/// The answer to a request that goes no further: a redirect to log in, a 401, a 503.
///
/// It is the core's answer as it stands, ready to be sent. A handler that wants to say it in its
/// own way takes `Result<Member, Rejection>` and looks at the status.
///
/// ```
/// use actix_web::{ResponseError, web};
/// use oh_actix::{Member, Rejection};
///
/// async fn greet(member: Result<Member, Rejection>) -> Result<String, Rejection> {
///     match member {
///         Ok(member) => Ok(format!("Welcome back, {}", member.id())),
///         Err(rejection) if rejection.status_code().is_server_error() => Err(rejection),
///         Err(_) => Ok("Welcome, whoever you are".to_owned()),
///     }
/// }
/// # web::get().to(greet);
/// ```
#[derive(Debug)]
pub struct Rejection(Box<http::Response<Bytes>>);

impl Rejection {
    /// The app was put together wrongly. Whoever runs it reads why in the log; whoever asked
    /// reads nothing of it.
    pub(crate) fn misconfigured(why: &str) -> Self {
        tracing::error!("{why}");
        Self::plain(http::StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The session did not take what it was to keep.
    pub(crate) fn session(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "the session cannot be used");
        Self::plain(http::StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn plain(status: http::StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        let mut response = http::Response::new(Bytes::from(format!("{reason}\n")));
        *response.status_mut() = status;
        let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        Self::from(response)
    }
}

impl From<http::Response<Bytes>> for Rejection {
    fn from(response: http::Response<Bytes>) -> Self {
        Self(Box::new(response))
    }
}

/// The request's head is not one in http 1.
impl From<http::Error> for Rejection {
    fn from(error: http::Error) -> Self {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            error,
            "the head of a request cannot be converted to the http crate's types"
        );
        Self::plain(http::StatusCode::BAD_REQUEST)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered with {}", self.0.status())
    }
}

impl std::error::Error for Rejection {}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        self.error_response().status()
    }

    fn error_response(&self) -> HttpResponse {
        convert::response(&self.0)
    }
}
