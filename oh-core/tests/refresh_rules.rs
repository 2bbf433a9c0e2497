//! The rules of the refresh that take minutes or a store in trouble to see: against a server in a
//! few lines, on a clock that is moved by hand.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};
use http_body_util::BodyExt;
use oh_core::deauth::{DeauthInbox, Discovery, EventQuery, MemoryInbox};
use oh_core::store::{
    MemberRecord, MemoryStore, Put, RefreshLease, StoreError, TokenStore, Tokens, Version,
};
use oh_core::transport::{Body, Transport, TransportError};
use oh_core::{AccessToken, Clock, Error, OpenHumans, ProjectMemberId, Settings, Timestamp};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const LEASE: Duration = Duration::from_secs(25);
const MINUTE: Duration = Duration::from_secs(60);

fn alice() -> ProjectMemberId {
    "01026778".parse().unwrap()
}

/// What happens to a token request.
enum Fault {
    /// Waits for [`Server::release`], then goes on as if nothing were.
    Hold,
    /// The pair is rotated at once, the answer waits for [`Server::release`].
    HoldAnswer,
    /// The pair is rotated and the answer lost.
    LoseAnswer,
    /// Nothing but this status.
    Status(u16),
}

/// Rotates one member's pair: `r1` gives `a2` and `r2`, and so on.
struct Server {
    living: AtomicUsize,
    faults: Mutex<VecDeque<Fault>>,
    token_requests: watch::Sender<usize>,
    exchange_requests: AtomicUsize,
    released: Semaphore,
}

impl Server {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            living: AtomicUsize::new(1),
            faults: Mutex::default(),
            token_requests: watch::Sender::new(0),
            exchange_requests: AtomicUsize::new(0),
            released: Semaphore::new(0),
        })
    }

    fn then(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    fn release(&self) {
        self.released.add_permits(1);
    }

    fn token_requests(&self) -> usize {
        *self.token_requests.borrow()
    }

    async fn asked(&self, times: usize) {
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
            Some(Fault::Status(status)) => Ok(answer(status, "<h1>trouble</h1>".to_owned())),
        }
    }

    fn exchange_member(&self, request: &Request<Body>) -> Response<Body> {
        self.exchange_requests.fetch_add(1, Ordering::SeqCst);
        let living = format!("Bearer a{}", self.living.load(Ordering::SeqCst));
        if request.headers()["authorization"] != living.as_str() {
            return answer(401, r#"{"detail": "Invalid token."}"#.to_owned());
        }
        let member = alice();
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
struct Door {
    store: Arc<MemoryStore>,
    is_down: AtomicBool,
    loads: AtomicUsize,
    /// What someone else does to the record just before a new pair is written.
    before_keeping: Mutex<Option<Meanwhile>>,
    /// How long a write takes, after it has happened.
    slow: Mutex<Duration>,
}

impl Door {
    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("down"));
        }
        Ok(())
    }

    fn set_down(&self, down: bool) {
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
    ) -> Result<Put, StoreError> {
        self.check()?;
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

    async fn remove(&self, member: &ProjectMemberId, expected: Version) -> Result<Put, StoreError> {
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

async fn change_record(
    store: &MemoryStore,
    change: impl FnOnce(MemberRecord) -> MemberRecord + Send,
) {
    let old = store.load(&alice()).await.unwrap().unwrap();
    let expected = old.version;
    let mut new = change(old);
    new.version = Version::fresh();
    assert_eq!(store.put(&new, Some(expected)).await.unwrap(), Put::Done);
}

struct World {
    server: Arc<Server>,
    store: Arc<MemoryStore>,
    inbox: Arc<MemoryInbox>,
}

/// One process of the app.
struct Process {
    oh: OpenHumans,
    door: Arc<Door>,
}

impl World {
    /// A member whose access token has `left` to live by our clock.
    async fn new(left: Duration) -> Self {
        let store = Arc::new(MemoryStore::new());
        let tokens = Tokens::new("a1", "r1", NOW + left);
        let record = MemberRecord::authorized(alice(), tokens, NOW - MINUTE);
        assert_eq!(store.put(&record, None).await.unwrap(), Put::Done);
        Self {
            server: Server::new(),
            store,
            inbox: Arc::new(MemoryInbox::new()),
        }
    }

    fn process(&self, now: Timestamp) -> Process {
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
            .token_store(door.clone())
            .deauth_inbox(inbox)
            .clock(Clock::manual(now))
            .build()
            .unwrap();
        Process { oh, door }
    }

    async fn record(&self) -> MemberRecord {
        self.store.load(&alice()).await.unwrap().unwrap()
    }

    async fn stored(&self) -> String {
        let tokens = self.record().await.tokens.unwrap();
        tokens.access_token.expose().to_owned()
    }

    async fn discoveries(&self) -> Vec<Discovery> {
        let oh = self.process(NOW).oh;
        let events = oh.inbox().events(&EventQuery::first(10)).await.unwrap();
        events.iter().map(|event| event.discovery).collect()
    }
}

impl Process {
    fn ask(&self) -> tokio::task::JoinHandle<Result<AccessToken, Error>> {
        let oh = self.oh.clone();
        tokio::spawn(async move { oh.access_token(&alice()).await })
    }

    async fn token(&self) -> String {
        let token = self.ask().await.unwrap().unwrap();
        token.expose().to_owned()
    }

    /// The answer to one who asks while nothing is certain.
    async fn is_told_to_wait(&self) {
        let error = self.ask().await.unwrap().unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_costs_no_pair() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::Hold);
    let caller = process.ask();
    world.server.asked(1).await;
    process.door.set_down(true);
    world.server.release();
    let begun = Instant::now();
    // The caller is answered, and so are others, although the store is still away.
    assert_eq!(caller.await.unwrap().unwrap().expose(), "a2");
    assert!(begun.elapsed() < Duration::from_secs(5));
    tokio::time::sleep(Duration::from_secs(240)).await;
    assert_eq!(process.token().await, "a2");
    // Whoever shuts down waits for it.
    let stopping = tokio::spawn({
        let oh = process.oh.clone();
        async move { oh.refreshes_settled().await }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!stopping.is_finished());
    process.door.set_down(false);
    stopping.await.unwrap();
    assert_eq!(world.stored().await, "a2");
    assert!(!world.record().await.refresh_unanswered);
    assert_eq!(world.server.token_requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_ends_the_trying() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::Hold);
    let caller = process.ask();
    world.server.asked(1).await;
    process.door.set_down(true);
    world.server.release();
    assert!(caller.await.unwrap().is_ok());
    process.oh.refreshes_settled().await;
    // A time limit that bounds what a shutdown waits for.
    assert_eq!(world.stored().await, "a1");
}

#[tokio::test(start_paused = true)]
async fn a_new_pair_is_kept_although_the_record_changes_meanwhile() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    *process.door.before_keeping.lock().unwrap() = Some(Box::new(|mut record| {
        record.heard_at = NOW;
        record
    }));
    assert_eq!(process.token().await, "a2");
    assert_eq!(world.stored().await, "a2");
}

#[tokio::test(start_paused = true)]
async fn a_newer_login_is_not_overwritten() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::HoldAnswer);
    let caller = process.ask();
    world.server.asked(1).await;
    change_record(&world.store, |record| {
        let tokens = Tokens::new("of the login", "its refresh token", NOW + 60 * MINUTE);
        MemberRecord::authorized(record.member, tokens, NOW)
    })
    .await;
    world.server.release();
    assert_eq!(caller.await.unwrap().unwrap().expose(), "of the login");
    assert_eq!(world.stored().await, "of the login");
}

#[tokio::test(start_paused = true)]
async fn what_is_about_to_be_sent_is_written_down_first() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::Hold);
    let caller = process.ask();
    world.server.asked(1).await;
    let record = world.record().await;
    assert!(record.refresh_unanswered && record.refresh.is_some());
    world.server.release();
    assert!(caller.await.unwrap().is_ok());
    let record = world.record().await;
    assert!(!record.refresh_unanswered && record.refresh.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_process_reads_the_store_once_for_all_who_wait() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::Hold);
    let callers: Vec<_> = (0..1_000).map(|_| process.ask()).collect();
    world.server.asked(1).await;
    world.server.release();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().expose(), "a2");
    }
    // Each looks for itself whether there is need of a refresh; the refresh looks twice.
    let loads = process.door.loads.load(Ordering::SeqCst);
    assert!(loads <= 1_002, "{loads}");
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_do_not_use_a_token_twice() {
    for (ahead, behind) in [(30, 0), (299, 0), (0, 30), (0, 299)] {
        let world = World::new(Duration::ZERO).await;
        let one = world.process(NOW + Duration::from_secs(behind));
        let other = world.process(NOW + Duration::from_secs(ahead));
        world.server.then(Fault::HoldAnswer);
        let first = one.ask();
        world.server.asked(1).await;
        let second = other.ask();
        // As long as Open Humans may take.
        tokio::time::sleep(Duration::from_secs(14)).await;
        assert!(!second.is_finished(), "{ahead} {behind}");
        world.server.release();
        assert_eq!(first.await.unwrap().unwrap().expose(), "a2");
        assert_eq!(second.await.unwrap().unwrap().expose(), "a2");
        assert_eq!(world.server.token_requests(), 1, "{ahead} {behind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_died_holds_nobody_up_for_longer_than_its_lease() {
    // The second has a clock that was ten years ahead.
    for until in [NOW + LEASE, NOW + 10 * 365 * 24 * 60 * MINUTE] {
        let world = World::new(Duration::ZERO).await;
        change_record(&world.store, |mut record| {
            record.refresh = Some(RefreshLease::new("dead", until));
            record
        })
        .await;
        let begun = Instant::now();
        assert_eq!(world.process(NOW).token().await, "a2");
        let waited = begun.elapsed();
        assert!(
            LEASE <= waited && waited < LEASE + Duration::from_secs(1),
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_took_too_long_to_write_is_not_used() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    *process.door.slow.lock().unwrap() = Duration::from_secs(20);
    let caller = process.ask();
    tokio::time::sleep(Duration::from_secs(19)).await;
    // Another process may take this lease for run out any time now.
    assert_eq!(world.server.token_requests(), 0);
    let first = world.record().await.refresh.unwrap();
    world.server.then(Fault::Hold);
    world.server.asked(1).await;
    let second = world.record().await.refresh.unwrap();
    assert_ne!(first.holder, second.holder);
    world.server.release();
    assert_eq!(caller.await.unwrap().unwrap().expose(), "a2");
    assert!(!world.record().await.refresh_unanswered);
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_another_process_still_holds_is_not_lost() {
    let world = World::new(Duration::ZERO).await;
    let (one, other) = (world.process(NOW), world.process(NOW));
    world.server.then(Fault::Hold);
    let first = one.ask();
    world.server.asked(1).await;
    one.door.set_down(true);
    world.server.release();
    assert_eq!(first.await.unwrap().unwrap().expose(), "a2");
    // The other one can reach the store, and finds the lease run out and the token used up.
    other.is_told_to_wait().await;
    assert_eq!(world.server.token_requests(), 2);
    tokio::time::sleep(Duration::from_secs(290) - LEASE).await;
    other.is_told_to_wait().await;
    assert_eq!(world.server.token_requests(), 2);
    one.door.set_down(false);
    one.oh.refreshes_settled().await;
    assert_eq!(other.token().await, "a2");
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(world.discoveries().await, []);
    assert_eq!(world.stored().await, "a2");
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_nobody_can_be_holding_is_lost() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::LoseAnswer);
    process.is_told_to_wait().await;
    assert!(world.record().await.refresh_unanswered);
    process.is_told_to_wait().await;
    // So that another process does not take the next refusal for a departure.
    assert!(world.record().await.refresh_unanswered);
    tokio::time::sleep(5 * MINUTE).await;
    process.is_told_to_wait().await;
    assert_eq!(world.discoveries().await, []);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(world.discoveries().await, [Discovery::Lost]);
    let error = process.ask().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Deauthorized), "{error:?}");
    assert_eq!(world.server.token_requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_nothing_when_another_process_had_its_turn_meanwhile() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::Hold);
    let caller = process.ask();
    world.server.asked(1).await;
    // While our request was delayed, another process took the lease over, rotated, and died.
    change_record(&world.store, |mut record| {
        record.refresh = Some(RefreshLease::new("another", NOW));
        record
    })
    .await;
    world.server.living.store(2, Ordering::SeqCst);
    world.server.release();
    let error = caller.await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(world.discoveries().await, []);
    assert!(world.record().await.refresh_unanswered);
}

#[tokio::test(start_paused = true)]
async fn a_server_error_that_rotated_nothing_leaves_no_doubt() {
    for (status, left, asked, unanswered) in [
        // The access token is alive, so nothing was rotated.
        (500, 30, 1, false),
        // It has run out and cannot tell.
        (500, 0, 0, true),
        // A gateway that did not wait: it may still happen.
        (503, 30, 0, true),
        (504, 30, 0, true),
        // Not understood at all.
        (501, 0, 0, false),
    ] {
        let world = World::new(Duration::from_secs(left)).await;
        let process = world.process(NOW);
        world.server.then(Fault::Status(status));
        process.is_told_to_wait().await;
        assert_eq!(
            world.server.exchange_requests.load(Ordering::SeqCst),
            asked,
            "{status}"
        );
        let record = world.record().await;
        assert_eq!(record.refresh_unanswered, unanswered, "{status} {left}");
        assert!(record.refresh.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_access_token_that_works_speaks_against_a_refusal() {
    let world = World::new(Duration::from_secs(30)).await;
    change_record(&world.store, |mut record| {
        record.refresh_unanswered = true;
        // The server takes another refresh token, but this access token.
        record.tokens.as_mut().unwrap().refresh_token = "r9".into();
        record
    })
    .await;
    let process = world.process(NOW);
    process.is_told_to_wait().await;
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(world.discoveries().await, []);
    assert!(world.record().await.is_authorized());
}
