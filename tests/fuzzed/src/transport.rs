//! An Open Humans that answers what it is told to.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use oh_core::transport::{Body, Transport, TransportError};
use url::Url;

/// Gives its answers in turn, the last again and again, and keeps where it was asked.
#[derive(Clone, Default)]
pub(crate) struct Canned(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers: Vec<Response<Bytes>>,
    asked: Vec<Url>,
}

impl Canned {
    pub(crate) fn new(answers: Vec<Response<Bytes>>) -> Self {
        Self(Arc::new(Mutex::new(State {
            answers,
            asked: Vec::new(),
        })))
    }

    /// The addresses that were asked, in order.
    pub(crate) fn asked(&self) -> Vec<Url> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for Canned {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        body.collect().await.map_err(TransportError::other)?;
        let mut state = self.lock();
        let url = Url::parse(&head.uri.to_string()).map_err(TransportError::other)?;
        let turn = state.asked.len();
        state.asked.push(url);
        let answers = &state.answers;
        let answer = answers.get(turn).or(answers.last()).cloned();
        let answer = answer.unwrap_or_else(|| {
            let mut nothing = Response::new(Bytes::new());
            *nothing.status_mut() = StatusCode::BAD_REQUEST;
            nothing
        });
        Ok(answer.map(Body::full))
    }
}
