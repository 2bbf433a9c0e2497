//! The answer to a request that goes no further.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};

/// The answer to a request that goes no further: a redirect to log in, a 401, a 503.
///
/// It is the core's answer as it stands, ready to be sent. A handler that wants to say it in its
/// own way takes `Result<Member, Rejection>` and looks at the status.
///
/// ```
/// use oh_axum::{Member, Rejection};
///
/// async fn greet(member: Result<Member, Rejection>) -> Result<String, Rejection> {
///     match member {
///         Ok(member) => Ok(format!("Welcome back, {}", member.id())),
///         Err(rejection) if rejection.status().is_server_error() => Err(rejection),
///         Err(_) => Ok("Welcome, whoever you are".to_owned()),
///     }
/// }
/// # fn takes<T, S>(_: impl axum::handler::Handler<T, S>) {}
/// # takes::<_, ()>(greet);
/// ```
#[derive(Debug)]
pub struct Rejection(Box<http::Response<Bytes>>);

impl Rejection {
    /// The status it will be sent with.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The answer, for a stack whose bodies are not axum's.
    pub fn into_inner(self) -> http::Response<Bytes> {
        *self.0
    }

    /// The app was put together wrongly. Whoever runs it reads why in the log; whoever asked
    /// reads nothing of it.
    pub(crate) fn misconfigured(why: &str) -> Self {
        tracing::error!("{why}");
        Self::internal()
    }

    /// The host's session could not be read or changed.
    pub(crate) fn session(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "the session cannot be used");
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
