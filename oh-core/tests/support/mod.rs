//! An application without a framework, a browser without a window, and a store that can fail.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response};
use http_body_util::Full;
use oh_core::routes::Route;
use oh_core::store::{MemberRecord, MemoryStore, PutOutcome, StoreError, TokenStore, Version};
use oh_core::transport::BoxError;
use oh_core::webhook::{SIGNATURE_HEADER, verify};
use oh_core::{
    Clock, OpenHumans, OpenHumansBuilder, ProjectMemberId, SessionChange, SessionMember, Settings,
};
use oh_sandbox::Sandbox;
use url::Url;

pub(crate) const APP: &str = "https://app.example";
pub(crate) const ALICE: &str = "01026778";
pub(crate) const WEBHOOK_SECRET: &str = "abcdefghijklmnop";

pub(crate) fn alice() -> ProjectMemberId {
    ALICE.parse().unwrap()
}

pub(crate) async fn sandbox() -> Sandbox {
    Sandbox::builder()
        .redirect_uri(format!("{APP}/openhumans/complete"))
        .webhook_secret(WEBHOOK_SECRET)
        .member(ALICE, Some("alice"))
        .start()
        .await
        .unwrap()
}

pub(crate) fn settings(sandbox: &Sandbox) -> oh_core::SettingsBuilder {
    Settings::builder(sandbox.client_id(), sandbox.client_secret(), APP)
        .oh_base_url(sandbox.url().as_str())
        .master_token(sandbox.master_token())
        .webhook_secret(WEBHOOK_SECRET)
}

pub(crate) fn app(sandbox: &Sandbox) -> OpenHumansBuilder {
    OpenHumans::builder(settings(sandbox).build().unwrap())
}

/// Reports by a signed webhook that a member left at `left_at` and requested erasure.
pub(crate) async fn deauthorize(oh: &OpenHumans, left_at: oh_core::Timestamp) {
    let body = format!(
        r#"{{"project_member_id": "{ALICE}", "erasure_requested": true, "timestamp": "{left_at}"}}"#
    );
    let signature = oh_sandbox::webhook::sign(WEBHOOK_SECRET, &body);
    let headers = http::HeaderMap::from_iter([(SIGNATURE_HEADER, signature.parse().unwrap())]);
    let secret = oh_core::WebhookSecret::new(WEBHOOK_SECRET);
    let webhook = verify(&[secret], &headers, body.as_bytes()).unwrap();
    let _ = oh.deauthorize(&webhook).await.unwrap();
}

/// An application with default options against a sandbox.
pub(crate) async fn start() -> (Sandbox, OpenHumans) {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    (sandbox, oh)
}

pub(crate) fn clock() -> Clock {
    Clock::manual(oh_core::Timestamp::now())
}

/// The stored record of Alice.
pub(crate) async fn record(oh: &OpenHumans) -> MemberRecord {
    oh.token_store().load(&alice()).await.unwrap().unwrap()
}

/// The cookies and the session of one browser.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) session: Option<SessionMember>,
    /// How often the id of the session was renewed.
    pub(crate) renewals: u32,
}

impl Browser {
    pub(crate) async fn send(
        &mut self,
        oh: &OpenHumans,
        route: Route,
        request: http::request::Builder,
    ) -> Response<Bytes> {
        let request = request.body(Full::new(Bytes::new())).unwrap();
        self.send_body(oh, route, request).await
    }

    pub(crate) async fn send_body<B>(
        &mut self,
        oh: &OpenHumans,
        route: Route,
        mut request: Request<B>,
    ) -> Response<Bytes>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            let cookies = cookies.join("; ").parse().unwrap();
            request.headers_mut().insert(COOKIE, cookies);
        }
        let outcome = oh.respond(route, request, self.session.clone()).await;
        match outcome.session {
            SessionChange::Keep => {}
            SessionChange::LogIn(member) => {
                self.session = Some(member);
                self.renewals += 1;
            }
            SessionChange::LogOut => {
                self.session = None;
                self.renewals += 1;
            }
        }
        self.accept_cookies(&outcome.response);
        outcome.response
    }

    pub(crate) fn accept_cookies<B>(&mut self, response: &Response<B>) {
        for set in response.headers().get_all(SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub(crate) async fn get(
        &mut self,
        oh: &OpenHumans,
        route: Route,
        path: &str,
    ) -> Response<Bytes> {
        self.send(oh, route, Request::get(path)).await
    }

    /// Requests the login route and returns the authorization URL.
    pub(crate) async fn start_login(&mut self, oh: &OpenHumans, path: &str) -> Url {
        let response = self.get(oh, Route::Login, path).await;
        assert_eq!(response.status(), 303);
        location(&response).parse().unwrap()
    }

    /// Starts a login, authorizes it as Alice and returns the callback URL.
    pub(crate) async fn authorize(
        &mut self,
        oh: &OpenHumans,
        sandbox: &Sandbox,
        path: &str,
    ) -> Url {
        let url = self.start_login(oh, path).await;
        sandbox.authorize(ALICE, url).await.unwrap()
    }

    /// Requests the callback URL.
    pub(crate) async fn callback(&mut self, oh: &OpenHumans, url: &Url) -> Response<Bytes> {
        let path = &url[url::Position::BeforePath..];
        self.get(oh, Route::Complete, path).await
    }

    /// Logs in as Alice.
    pub(crate) async fn log_in(&mut self, oh: &OpenHumans, sandbox: &Sandbox) -> Response<Bytes> {
        let back = self.authorize(oh, sandbox, "/openhumans/login").await;
        self.callback(oh, &back).await
    }

    pub(crate) async fn log_out(&mut self, oh: &OpenHumans) -> Response<Bytes> {
        let request = Request::post("/openhumans/logout").header("sec-fetch-site", "same-origin");
        self.send(oh, Route::Logout, request).await
    }

    pub(crate) async fn is_logged_in(&self, oh: &OpenHumans) -> bool {
        oh.member(self.session.clone()).await.unwrap().is_some()
    }
}

pub(crate) fn location<B>(response: &Response<B>) -> &str {
    response.headers()[LOCATION].to_str().unwrap()
}

pub(crate) fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

type Change = Box<dyn FnOnce(Option<MemberRecord>) -> MemberRecord + Send>;

/// One process's connection to a store in memory.
#[derive(Default)]
pub(crate) struct FaultyStore {
    pub(crate) store: Arc<MemoryStore>,
    down: AtomicBool,
    pub(crate) loads: AtomicUsize,
    before_put: Mutex<Option<Change>>,
    /// The delay after the next write.
    pub(crate) write_delay: Mutex<Duration>,
}

impl FaultyStore {
    pub(crate) fn new(store: Arc<MemoryStore>) -> Self {
        Self {
            store,
            ..Self::default()
        }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Changes the member's record just before the next write of an authorized record without
    /// lease.
    pub(crate) fn before_put(
        &self,
        change: impl FnOnce(Option<MemberRecord>) -> MemberRecord + Send + 'static,
    ) {
        *self.before_put.lock().unwrap() = Some(Box::new(change));
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("down"));
        }
        Ok(())
    }
}

#[async_trait]
impl TokenStore for FaultyStore {
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
        let version = Some(record.version);
        assert_ne!(version, expected, "every write needs a new version");
        let change = if record.is_authorized() && record.refresh.is_none() {
            self.before_put.lock().unwrap().take()
        } else {
            None
        };
        if let Some(change) = change {
            let stored = self.store.load(&record.member).await?;
            let version = stored.as_ref().map(|stored| stored.version);
            let mut changed = change(stored);
            changed.version = Version::fresh();
            let put = self.store.put(&changed, version).await?;
            assert_eq!(put, PutOutcome::Stored);
        }
        let put = self.store.put(record, expected).await;
        let delay = std::mem::take(&mut *self.write_delay.lock().unwrap());
        tokio::time::sleep(delay).await;
        put
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        self.check()?;
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
