//! The response of an extractor or middleware function that rejects a request.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;
use http::header;

use crate::convert;

/// A response for a rejected request: a redirect to the login, or status 401, 500 or 503.
///
/// To respond differently, extract `Result<Member, Rejection>` and check the status.
///
/// ```
/// use actix_web::{ResponseError, web};
/// use oh_actix::{Member, Rejection};
///
/// async fn greet(member: Result<Member, Rejection>) -> Result<String, Rejection> {
///     match member {
///         Ok(member) => Ok(format!("Welcome back, {}", member.id())),
///         Err(rejection) if rejection.status_code().is_server_error() => Err(rejection),
///         Err(_) => Ok("Welcome, stranger".to_owned()),
///     }
/// }
/// # web::get().to(greet);
/// ```
#[derive(Debug)]
pub struct Rejection(Box<http::Response<Bytes>>);

impl Rejection {
    /// Returns status 500 for an application without [`configure`](crate::configure); only the log
    /// says so.
    pub(crate) fn misconfigured(reason: &str) -> Self {
        tracing::error!("{reason}");
        Self::plain(http::StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns status 500 for a session that could not be changed.
    pub(crate) fn session(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "failed to change the session");
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

impl From<http::Error> for Rejection {
    fn from(error: http::Error) -> Self {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "failed to convert the request head to http 1 types");
        Self::plain(http::StatusCode::BAD_REQUEST)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rejected with status {}", self.0.status())
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
