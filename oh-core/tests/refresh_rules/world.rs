//! What the rules are held against: a server that rotates pairs, a store that all processes share, and
//! processes on clocks that are moved by hand.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};
use http_body_util::BodyExt;
use oh_core::deauth::{DeauthInbox, Discovery, EventQuery, MemoryInbox};
use oh_core::store::{
    MemberRecord, MemoryStore, PutOutcome, StoreError, TokenStore, Tokens, Version,
};
use oh_core::transport::{Body, Transport, TransportError};
use oh_core::{AccessToken, Clock, Error, OpenHumans, ProjectMemberId, Settings, Timestamp};
use tokio::sync::{Semaphore, watch};

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
pub(crate) const LEASE: Duration = Duration::from_secs(25);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn alice() -> ProjectMemberId {
    "01026778".parse().unwrap()
}

/// What happens to a token request.
pub(crate) enum Fault {
    /// Waits for [`Server::release`], then goes on as if nothing were.
    Hold,
    /// The pair is rotated at once, the answer waits for [`Server::release`].
    HoldAnswer,
    /// The pair is rotated and the answer lost.
    LoseAnswer,
    /// Nothing but this status.
    Status(u16),
    /// The client id and secret are not accepted.
    InvalidClient,
}

/// Rotates one member's pair: `r1` gives `a2` and `r2`, and so on.
pub(crate) struct Server {
    pub(crate) living: AtomicUsize,
    faults: Mutex<VecDeque<Fault>>,
    token_requests: watch::Sender<usize>,
    pub(crate) exchange_requests: AtomicUsize,
    /// Whose the living access token is said to be.
    pub(crate) says_it_is: Mutex<ProjectMemberId>,
    released: Semaphore,
}

impl Server {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            living: AtomicUsize::new(1),
            faults: Mutex::default(),
            token_requests: watch::Sender::new(0),
            exchange_requests: AtomicUsize::new(0),
            says_it_is: Mutex::new(alice()),
            released: Semaphore::new(0),
        })
    }

    pub(crate) fn then(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }

    pub(crate) fn token_requests(&self) -> usize {
        *self.token_requests.borrow()
    }

    pub(crate) async fn asked(&self, times: usize) {
        let mut requests = self.token_requests.subscribe();
        requests.wait_for(|seen| *seen >= times).await.unwrap();
    }

    async fn held(&self) {
        self.released.acquire().await.unwrap().forget();
    }

    fn rotate(&self, form: &str) -> Result<Response<Body>, TransportError> {
        let living = self.living.load(Ordering::SeqCst);
        if !form.contains(&format!("refresh_token=r{living}")) {
            return Ok(answer(401, r#"{"error": "invalid_grant"}"#.to_owned()));
        }
        let next = living + 1;
        self.living.store(next, Ordering::SeqCst);
        Ok(answer(
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
                self.held().await;
                self.rotate(form)
            }
            Some(Fault::HoldAnswer) => {
                let answer = self.rotate(form);
                self.held().await;
                answer
            }
            Some(Fault::LoseAnswer) => {
                let _ = self.rotate(form);
                Err(TransportError::other("the connection was reset"))
            }
            Some(Fault::InvalidClient) => {
                Ok(answer(401, r#"{"error": "invalid_client"}"#.to_owned()))
            }
            Some(Fault::Status(status)) => Ok(answer(status, "<h1>trouble</h1>".to_owned())),
        }
    }

    fn exchange_member(&self, request: &Request<Body>) -> Response<Body> {
        self.exchange_requests.fetch_add(1, Ordering::SeqCst);
        let living = format!("Bearer a{}", self.living.load(Ordering::SeqCst));
        if request.headers()["authorization"] != living.as_str() {
            return answer(401, r#"{"detail": "Invalid token."}"#.to_owned());
        }
        let member = self.says_it_is.lock().unwrap().clone();
        answer(
            200,
            format!(
                r#"{{"created": "2024-01-01T00:00:00Z", "project_member_id": "{member}",
                    "sources_shared": [], "data": [], "count": 0, "next": null, "previous": null}}"#
            ),
        )
    }
}

fn answer(status: u16, json: String) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::full(json))
        .unwrap()
}

struct Wire(Arc<Server>);

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        if request.uri().path() == "/oauth2/token/" {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            return self.0.token(std::str::from_utf8(&body).unwrap()).await;
        }
        Ok(self.0.exchange_member(&request))
    }
}

type Meanwhile = Box<dyn FnOnce(MemberRecord) -> MemberRecord + Send>;

/// One process's way to the store that all share.
pub(crate) struct Door {
    store: Arc<MemoryStore>,
    is_down: AtomicBool,
    pub(crate) loads: AtomicUsize,
    /// What someone else does to the record just before a new pair is written.
    pub(crate) before_keeping: Mutex<Option<Meanwhile>>,
    /// How long a write takes, after it has happened.
    pub(crate) slow: Mutex<Duration>,
}

impl Door {
    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("down"));
        }
        Ok(())
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.is_down.store(down, Ordering::SeqCst);
    }
}

#[async_trait]
impl TokenStore for Door {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        self.check()?;
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.store.load(member).await
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        self.check()?;
        // Or whoever has read the record before would not see that it has changed.
        let version = Some(record.version);
        assert_ne!(version, expected, "every write brings a new version");
        let keeps = record.is_authorized() && record.refresh.is_none();
        let meanwhile = if keeps {
            self.before_keeping.lock().unwrap().take()
        } else {
            None
        };
        if let Some(change) = meanwhile {
            change_record(&self.store, change).await;
        }
        let put = self.store.put(record, expected).await;
        let slow = std::mem::take(&mut *self.slow.lock().unwrap());
        tokio::time::sleep(slow).await;
        put
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        self.store.remove(member, expected).await
    }

    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        self.store.page(after, limit).await
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

pub(crate) struct World {
    pub(crate) server: Arc<Server>,
    pub(crate) store: Arc<MemoryStore>,
    inbox: Arc<MemoryInbox>,
}

/// One process of the app.
pub(crate) struct Process {
    pub(crate) oh: OpenHumans,
    pub(crate) door: Arc<Door>,
}

impl World {
    /// A member whose access token has `left` to live by our clock.
    pub(crate) async fn new(left: Duration) -> Self {
        let store = Arc::new(MemoryStore::new());
        let tokens = Tokens::new("a1", "r1", NOW + left);
        let record = MemberRecord::authorized(alice(), tokens, NOW - MINUTE);
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
        Self {
            server: Server::new(),
            store,
            inbox: Arc::new(MemoryInbox::new()),
        }
    }

    /// Has a process ask for a token, and its refresh wait at Open Humans until it is released.
    pub(crate) async fn held(
        &self,
        process: &Process,
    ) -> tokio::task::JoinHandle<Result<AccessToken, Error>> {
        self.server.then(Fault::Hold);
        let caller = process.ask();
        self.server.asked(1).await;
        caller
    }

    pub(crate) fn process(&self, now: Timestamp) -> Process {
        let settings = Settings::builder("id", "secret", "https://app.example")
            .oh_base_url("https://oh.example")
            .webhook_secret("abcdefghijklmnop")
            .build()
            .unwrap();
        let door = Arc::new(Door {
            store: self.store.clone(),
            is_down: AtomicBool::new(false),
            loads: AtomicUsize::new(0),
            before_keeping: Mutex::default(),
            slow: Mutex::default(),
        });
        let inbox: Arc<dyn DeauthInbox> = self.inbox.clone();
        let oh = OpenHumans::builder(settings)
            .transport(Wire(self.server.clone()))
            .unencrypted_token_store(door.clone())
            .deauth_inbox(inbox)
            .clock(Clock::manual(now))
            .build()
            .unwrap();
        Process { oh, door }
    }

    pub(crate) async fn record(&self) -> MemberRecord {
        self.store.load(&alice()).await.unwrap().unwrap()
    }

    pub(crate) async fn stored(&self) -> String {
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
    pub(crate) fn ask(&self) -> tokio::task::JoinHandle<Result<AccessToken, Error>> {
        let oh = self.oh.clone();
        tokio::spawn(async move { oh.access_token(&alice()).await })
    }

    pub(crate) async fn token(&self) -> String {
        let token = self.ask().await.unwrap().unwrap();
        token.expose().to_owned()
    }

    /// The answer to one who asks while nothing is certain.
    pub(crate) async fn is_told_to_wait(&self) {
        let error = self.ask().await.unwrap().unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
    }
}
