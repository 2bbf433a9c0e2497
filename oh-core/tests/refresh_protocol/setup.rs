//! A server that rotates pairs, a store that all processes share, and processes with manual clocks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};
use http_body_util::BodyExt;
use oh_core::deauth::{DeauthInbox, Discovery, EventQuery, MemoryInbox};
use oh_core::store::{MemberRecord, MemoryStore, PutOutcome, TokenStore, Tokens, Version};
use oh_core::transport::{Body, Transport, TransportError};
use oh_core::{AccessToken, Clock, Error, OpenHumans, ProjectMemberId, Settings, Timestamp};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::support::{FaultyStore, alice};

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
pub(crate) const LEASE: Duration = Duration::from_secs(25);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A fault of the next token request.
pub(crate) enum Fault {
    /// Waits for [`Server::release`], then continues normally.
    Hold,
    /// Rotates the pair immediately; the response waits for [`Server::release`].
    HoldResponse,
    /// Rotates the pair and loses the response.
    LoseResponse,
    /// Responds with this status.
    Status(u16),
    /// Rejects the client id and secret.
    InvalidClient,
}

/// Rotates the pair of one member: `r1` returns `a2` and `r2`, and so on.
pub(crate) struct Server {
    pub(crate) current_pair: AtomicUsize,
    faults: Mutex<VecDeque<Fault>>,
    token_requests: watch::Sender<usize>,
    pub(crate) exchange_requests: AtomicUsize,
    /// The member that the current access token belongs to.
    pub(crate) identity: Mutex<ProjectMemberId>,
    released: Semaphore,
}

impl Server {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            current_pair: AtomicUsize::new(1),
            faults: Mutex::default(),
            token_requests: watch::Sender::new(0),
            exchange_requests: AtomicUsize::new(0),
            identity: Mutex::new(alice()),
            released: Semaphore::new(0),
        })
    }

    pub(crate) fn fault_next(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }

    pub(crate) fn token_requests(&self) -> usize {
        *self.token_requests.borrow()
    }

    pub(crate) async fn wait_for_requests(&self, times: usize) {
        let mut requests = self.token_requests.subscribe();
        requests.wait_for(|seen| *seen >= times).await.unwrap();
    }

    async fn wait_for_release(&self) {
        self.released.acquire().await.unwrap().forget();
    }

    fn rotate(&self, form: &str) -> Result<Response<Body>, TransportError> {
        let current = self.current_pair.load(Ordering::SeqCst);
        if !form.contains(&format!("refresh_token=r{current}")) {
            return Ok(response(401, r#"{"error": "invalid_grant"}"#.to_owned()));
        }
        let next = current + 1;
        self.current_pair.store(next, Ordering::SeqCst);
        Ok(response(
            200,
            format!(
                r#"{{"access_token": "a{next}", "refresh_token": "r{next}", "expires_in": 36000,
                    "token_type": "Bearer"}}"#
            ),
        ))
    }

    async fn token(&self, form: &str) -> Result<Response<Body>, TransportError> {
        let fault = self.faults.lock().unwrap().pop_front();
        self.token_requests.send_modify(|seen| *seen += 1);
        match fault {
            None => self.rotate(form),
            Some(Fault::Hold) => {
                self.wait_for_release().await;
                self.rotate(form)
            }
            Some(Fault::HoldResponse) => {
                let response = self.rotate(form);
                self.wait_for_release().await;
                response
            }
            Some(Fault::LoseResponse) => {
                let _ = self.rotate(form);
                Err(TransportError::other("the connection was reset"))
            }
            Some(Fault::InvalidClient) => {
                Ok(response(401, r#"{"error": "invalid_client"}"#.to_owned()))
            }
            Some(Fault::Status(status)) => Ok(response(status, "<h1>trouble</h1>".to_owned())),
        }
    }

    fn exchange_member(&self, request: &Request<Body>) -> Response<Body> {
        self.exchange_requests.fetch_add(1, Ordering::SeqCst);
        let current = format!("Bearer a{}", self.current_pair.load(Ordering::SeqCst));
        if request.headers()["authorization"] != current.as_str() {
            return response(401, r#"{"detail": "Invalid token."}"#.to_owned());
        }
        let member = self.identity.lock().unwrap().clone();
        response(
            200,
            format!(
                r#"{{"created": "2024-01-01T00:00:00Z", "project_member_id": "{member}",
                    "sources_shared": [], "data": [], "count": 0, "next": null, "previous": null}}"#
            ),
        )
    }
}

fn response(status: u16, json: String) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::full(json))
        .unwrap()
}

struct ServerTransport(Arc<Server>);

#[async_trait]
impl Transport for ServerTransport {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        if request.uri().path() == "/oauth2/token/" {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            return self.0.token(std::str::from_utf8(&body).unwrap()).await;
        }
        Ok(self.0.exchange_member(&request))
    }
}

pub(crate) async fn change_record(
    store: &MemoryStore,
    change: impl FnOnce(MemberRecord) -> MemberRecord + Send,
) {
    let old = store.load(&alice()).await.unwrap().unwrap();
    let expected = old.version;
    let mut new = change(old);
    new.version = Version::fresh();
    assert_eq!(
        store.put(&new, Some(expected)).await.unwrap(),
        PutOutcome::Stored
    );
}

pub(crate) struct Setup {
    pub(crate) server: Arc<Server>,
    pub(crate) store: Arc<MemoryStore>,
    inbox: Arc<MemoryInbox>,
}

/// One process of the application.
pub(crate) struct Process {
    pub(crate) oh: OpenHumans,
    pub(crate) store: Arc<FaultyStore>,
}

impl Setup {
    /// A member whose access token is valid for `validity`.
    pub(crate) async fn new(validity: Duration) -> Self {
        let store = Arc::new(MemoryStore::new());
        let tokens = Tokens::new("a1", "r1", NOW + validity);
        let record = MemberRecord::authorized(alice(), tokens, NOW - MINUTE);
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
        Self {
            server: Server::new(),
            store,
            inbox: Arc::new(MemoryInbox::new()),
        }
    }

    /// Starts a refresh whose token request waits for [`Server::release`].
    pub(crate) async fn start_held_refresh(
        &self,
        process: &Process,
    ) -> JoinHandle<Result<AccessToken, Error>> {
        self.server.fault_next(Fault::Hold);
        let caller = process.request_token();
        self.server.wait_for_requests(1).await;
        caller
    }

    pub(crate) fn process(&self, now: Timestamp) -> Process {
        let settings = Settings::builder("id", "secret", "https://app.example")
            .oh_base_url("https://oh.example")
            .webhook_secret("abcdefghijklmnop")
            .build()
            .unwrap();
        let store = Arc::new(FaultyStore::new(self.store.clone()));
        let inbox: Arc<dyn DeauthInbox> = self.inbox.clone();
        let oh = OpenHumans::builder(settings)
            .transport(ServerTransport(self.server.clone()))
            .unencrypted_token_store(store.clone())
            .deauth_inbox(inbox)
            .clock(Clock::manual(now))
            .build()
            .unwrap();
        Process { oh, store }
    }

    pub(crate) async fn record(&self) -> MemberRecord {
        self.store.load(&alice()).await.unwrap().unwrap()
    }

    pub(crate) async fn stored_token(&self) -> String {
        let tokens = self.record().await.tokens.unwrap();
        tokens.access_token.expose().to_owned()
    }

    pub(crate) async fn discoveries(&self) -> Vec<Discovery> {
        let oh = self.process(NOW).oh;
        let events = oh.inbox().events(&EventQuery::first(10)).await.unwrap();
        events.iter().map(|event| event.discovery).collect()
    }
}

impl Process {
    pub(crate) fn request_token(&self) -> JoinHandle<Result<AccessToken, Error>> {
        let oh = self.oh.clone();
        tokio::spawn(async move { oh.access_token(&alice()).await })
    }

    pub(crate) async fn token(&self) -> String {
        let token = self.request_token().await.unwrap().unwrap();
        token.expose().to_owned()
    }

    /// Requests a token and expects an error that can be retried.
    pub(crate) async fn fails_temporarily(&self) {
        let error = self.request_token().await.unwrap().unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
    }
}
