//! A mock transport that returns prepared responses and records requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;

use crate::rest::client::Client;
use crate::transport::{Body, Transport, TransportError};

type Respond = Box<dyn FnOnce() -> Result<http::Response<Body>, TransportError> + Send>;

#[derive(Default)]
pub(crate) struct MockTransport {
    responses: Mutex<VecDeque<Respond>>,
    requests: Mutex<Vec<http::Request<Bytes>>>,
}

impl MockTransport {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn client(self: &Arc<Self>) -> Client {
        Client::with_transport("https://oh.example", self.clone()).unwrap()
    }

    pub(crate) fn respond(self: &Arc<Self>, status: u16, body: impl Into<Bytes>) -> &Arc<Self> {
        let body = body.into();
        self.respond_with(move || {
            let mut response = http::Response::new(Body::full(body));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            Ok(response)
        })
    }

    pub(crate) fn respond_with(
        self: &Arc<Self>,
        response: impl FnOnce() -> Result<http::Response<Body>, TransportError> + Send + 'static,
    ) -> &Arc<Self> {
        self.responses.lock().unwrap().push_back(Box::new(response));
        self
    }

    /// Returns and clears the recorded requests.
    pub(crate) fn requests(&self) -> Vec<http::Request<Bytes>> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

#[async_trait]
impl Transport for MockTransport {
    async fn send(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(TransportError::other)?;
        let request = http::Request::from_parts(head, body.to_bytes());
        self.requests.lock().unwrap().push(request);
        let response = self.responses.lock().unwrap().pop_front();
        response.expect("no response was prepared")()
    }
}
