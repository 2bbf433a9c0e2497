//! Requests to Open Humans and to the app.

use std::time::Duration;

use axum::body::to_bytes;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use oh_core::transport::{Body, HttpClient, Transport};

use crate::error::with_sources;

/// How long a response may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest response body that is read, in bytes.
const MAX_BODY_SIZE: usize = 64 * 1024;

/// Identifies the requests in the app's log.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("oh-doctor/", env!("CARGO_PKG_VERSION")));

pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// Sends a request, and returns the response or the reason why there is none.
pub(super) async fn send(
    transport: &HttpClient,
    request: axum::http::Result<Request<Body>>,
) -> Result<Response, String> {
    let mut request = request.map_err(|error| error.to_string())?;
    request.headers_mut().insert(USER_AGENT, AGENT);
    let exchange = async {
        let response = transport.send(request).await;
        let (head, body) = response.map_err(|error| with_sources(&error))?.into_parts();
        let body = to_bytes(axum::body::Body::new(body), MAX_BODY_SIZE).await;
        let body = body.map_err(|error| with_sources(&error))?;
        Ok(Response {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    let timed_out = |_| format!("no response within {} s", RESPONSE_TIMEOUT.as_secs());
    tokio::time::timeout(RESPONSE_TIMEOUT, exchange)
        .await
        .map_err(timed_out)?
}
