//! A transport with fixed responses.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use oh_core::transport::{Body, Transport, TransportError};
use url::Url;

/// Returns its responses in order, repeats the last response, and records the URLs of requests.
#[derive(Clone, Default)]
pub(crate) struct FixedResponses(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    responses: Vec<Response<Bytes>>,
    requests: Vec<Url>,
}

impl FixedResponses {
    pub(crate) fn new(responses: Vec<Response<Bytes>>) -> Self {
        Self(Arc::new(Mutex::new(State {
            responses,
            requests: Vec::new(),
        })))
    }

    /// The requested URLs in order.
    pub(crate) fn requests(&self) -> Vec<Url> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for FixedResponses {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        body.collect().await.map_err(TransportError::other)?;
        let mut state = self.lock();
        let url = Url::parse(&head.uri.to_string()).map_err(TransportError::other)?;
        let number = state.requests.len();
        state.requests.push(url);
        let responses = &state.responses;
        let response = responses.get(number).or(responses.last()).cloned();
        let response = response.unwrap_or_else(|| {
            let mut empty = Response::new(Bytes::new());
            *empty.status_mut() = StatusCode::BAD_REQUEST;
            empty
        });
        Ok(response.map(Body::full))
    }
}
