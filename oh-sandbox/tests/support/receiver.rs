//! A server that receives webhooks and responds with configured statuses.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use tokio::sync::watch;
use url::Url;

/// A received webhook request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) signature: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: String,
}

#[derive(Clone, Default)]
struct Log {
    arrived: Arc<watch::Sender<usize>>,
    received: Arc<Mutex<Vec<Received>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
}

/// A server for webhooks.
pub(crate) struct Receiver {
    pub(crate) url: Url,
    log: Log,
}

impl Receiver {
    /// Responds with these statuses in order, then with 200. Redirects point to `/elsewhere`.
    pub(crate) async fn responding(statuses: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let url = format!(
            "http://{}/deauth",
            listener.local_addr().expect("an address")
        );
        let log = Log::default();
        log.statuses.lock().expect("a lock").extend(statuses);
        let app = Router::new().fallback(receive).with_state(log.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            url: Url::parse(&url).expect("a URL"),
            log,
        }
    }

    /// Waits until this number of requests has arrived.
    pub(crate) async fn wait_for(&self, requests: usize) {
        let mut arrived = self.log.arrived.subscribe();
        arrived
            .wait_for(|&count| count >= requests)
            .await
            .expect("the receiver is there");
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.log.received.lock().expect("a lock").clone()
    }
}

async fn receive(
    State(log): State<Log>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    log.received.lock().expect("a lock").push(Received {
        method,
        path: uri.path().to_owned(),
        signature: header(oh_sandbox::webhook::SIGNATURE_HEADER),
        content_type: header("content-type"),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    log.arrived.send_modify(|count| *count += 1);
    let status = log
        .statuses
        .lock()
        .expect("a lock")
        .pop_front()
        .unwrap_or(200);
    let status = StatusCode::from_u16(status).expect("a status");
    if status.is_redirection() {
        return (status, [(header::LOCATION, "/elsewhere")]).into_response();
    }
    status.into_response()
}
