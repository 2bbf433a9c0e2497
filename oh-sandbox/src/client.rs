//! The HTTP client that sends webhooks, without TLS.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use url::Url;

/// The worker of the real server is killed after this time.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The limit of Python's `requests`.
const MAX_REDIRECTS: usize = 30;

/// An HTTP client. Clones share connections.
#[derive(Clone)]
pub(crate) struct Client(Hyper<HttpConnector, Full<Bytes>>);

impl Client {
    pub(crate) fn new() -> Self {
        Self(Hyper::builder(TokioExecutor::new()).build_http())
    }

    /// Sends a request and returns the response without its body, or `None` if there is no response
    /// before the timeout.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Option<Response<()>> {
        let sent = self.0.request(request.map(Full::new));
        let response = tokio::time::timeout(RESPONSE_TIMEOUT, sent)
            .await
            .ok()?
            .ok()?;
        Some(response.map(drop))
    }

    /// Sends a request and follows redirects like Python's `requests`: 301, 302 and 303 become a
    /// GET without a body, 307 and 308 repeat the request.
    pub(crate) async fn send_as_requests(&self, request: Request<Bytes>) -> Option<StatusCode> {
        tokio::time::timeout(RESPONSE_TIMEOUT, self.follow(request))
            .await
            .ok()?
    }

    async fn follow(&self, mut request: Request<Bytes>) -> Option<StatusCode> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(request.clone()).await?;
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|l| l.to_str().ok());
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Some(response.status());
            };
            let base = Url::parse(&request.uri().to_string()).ok()?;
            *request.uri_mut() = base.join(location).ok()?.as_str().parse().ok()?;
            if matches!(response.status().as_u16(), 301..=303) {
                *request.method_mut() = Method::GET;
                *request.body_mut() = Bytes::new();
                request.headers_mut().remove(CONTENT_TYPE);
                request.headers_mut().remove(CONTENT_LENGTH);
            }
        }
        None
    }
}
