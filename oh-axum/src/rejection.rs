//! The response of an extractor or layer that rejects a request.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};

/// A response for a rejected request: a redirect to the login, or status 401, 500 or 503.
///
/// To respond differently, extract `Result<Member, Rejection>` and check the status.
///
/// ```
/// use oh_axum::{Member, Rejection};
///
/// async fn greet(member: Result<Member, Rejection>) -> Result<String, Rejection> {
///     match member {
///         Ok(member) => Ok(format!("Welcome back, {}", member.id())),
///         Err(rejection) if rejection.status().is_server_error() => Err(rejection),
///         Err(_) => Ok("Welcome, stranger".to_owned()),
///     }
/// }
/// # fn takes<T, S>(_: impl axum::handler::Handler<T, S>) {}
/// # takes::<_, ()>(greet);
/// ```
#[derive(Debug)]
pub struct Rejection(Box<http::Response<Bytes>>);

impl Rejection {
    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Returns the response, for tower stacks with other body types than axum's.
    pub fn into_inner(self) -> http::Response<Bytes> {
        *self.0
    }

    /// Returns status 500 for an application with a missing layer; only the log says which.
    pub(crate) fn misconfigured(reason: &str) -> Self {
        tracing::error!("{reason}");
        Self::internal()
    }

    /// Returns status 500 for a session that could not be read or changed.
    pub(crate) fn session(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "failed to read or change the session");
        Self::internal()
    }

    fn internal() -> Self {
        let mut response = http::Response::new(Bytes::from_static(b"Internal Server Error\n"));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
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

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.map(axum::body::Body::from)
    }
}
