//! A transport that records requests and responses.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use oh_core::transport::{Body, HttpClient, Transport, TransportError};

/// A request and its response.
pub(crate) struct Exchange {
    pub(crate) request: http::Request<Bytes>,
    pub(crate) response: http::Response<Bytes>,
}

/// Sends through the built-in client.
pub(crate) struct Recorder {
    client: HttpClient,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            client: HttpClient::new().unwrap(),
            exchanges: Mutex::default(),
        })
    }

    pub(crate) fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.exchanges.lock().unwrap())
    }
}

#[async_trait]
impl Transport for Recorder {
    async fn send(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map_err(TransportError::other)?
            .to_bytes();
        let sent = http::Request::from_parts(head.clone(), Body::full(body.clone()));
        let request = http::Request::from_parts(head, body);
        let (head, body) = self.client.send(sent).await?.into_parts();
        let body = body
            .collect()
            .await
            .map_err(TransportError::other)?
            .to_bytes();
        let response = http::Response::from_parts(head.clone(), Body::full(body.clone()));
        self.exchanges.lock().unwrap().push(Exchange {
            request,
            response: http::Response::from_parts(head, body),
        });
        Ok(response)
    }
}
