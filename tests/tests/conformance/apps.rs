//! The same small application in both frameworks, with the routes and a sandbox.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use oh_core::store::{MemberRecord, MemoryStore, PutOutcome, StoreError, TokenStore, Version};
use oh_core::{
    Clock, OpenHumans, OpenHumansBuilder, ProjectMemberId, Settings, SettingsBuilder, Timestamp,
};
use oh_pages::Pages;
use oh_sandbox::Sandbox;
use oh_tests::visitor::Visitor;
use oh_tests::wire::{self, RawResponse, Request};

use crate::transcript::Transcript;
use crate::{actix_app, axum_app};

/// The webhook secret of the sandbox and the application.
pub(crate) const SECRET: &str = "abcdefghijklmnop";

/// A second valid webhook secret, as during rotation.
pub(crate) const OTHER_SECRET: &str = "ponmlkjihgfedcba";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SameSite {
    Strict,
    Lax,
}

/// The configuration of both applications.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) same_site: SameSite,
    /// The application's base URL, if it differs from the address that it listens on.
    pub(crate) public: Option<&'static str>,
    pub(crate) settings: fn(SettingsBuilder) -> SettingsBuilder,
    pub(crate) build: fn(OpenHumansBuilder) -> OpenHumansBuilder,
    /// The pages, if the application has any.
    pub(crate) pages: Option<fn() -> Pages>,
    /// Adds a header in actix-web, to test that the suite detects a difference.
    pub(crate) differ: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            same_site: SameSite::Strict,
            public: None,
            settings: |settings| settings,
            build: |builder| builder,
            pages: None,
            differ: false,
        }
    }
}

/// The parts that each framework's application is built from.
pub(crate) struct Parts {
    pub(crate) openhumans: OpenHumans,
    pub(crate) pages: Option<Pages>,
    pub(crate) listener: TcpListener,
    pub(crate) same_site: SameSite,
    pub(crate) differ: bool,
}

/// A running application and its sandbox.
pub(crate) struct App {
    pub(crate) addr: SocketAddr,
    pub(crate) host: String,
    pub(crate) sandbox: Sandbox,
    pub(crate) openhumans: OpenHumans,
    pub(crate) clock: Clock,
    pub(crate) store: Arc<Switchable>,
    pub(crate) transcript: Transcript,
}

impl App {
    /// Creates a visitor without cookies.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::new(self.addr)
    }

    /// Sends a request without cookies, and records the response.
    pub(crate) async fn send(&mut self, label: &str, request: &Request) -> RawResponse {
        let response = wire::send(self.addr, &self.host, request).await;
        self.note(
            label,
            response.unwrap_or_else(|error| panic!("{label}: {error}")),
        )
    }

    /// Records a response.
    pub(crate) fn note(&mut self, label: &str, response: RawResponse) -> RawResponse {
        self.transcript.note(label, &response);
        response
    }

    /// Returns the path and query of a URL of this application.
    pub(crate) fn local(&self, url: &str) -> String {
        let base = self.openhumans.settings().app_base_url().as_str();
        let path = url.strip_prefix(base.trim_end_matches('/')).unwrap_or(url);
        assert!(path.starts_with('/'), "not of this app: {url}");
        path.to_owned()
    }

    /// Starts a login, allows it at the sandbox, and returns the path of the callback.
    pub(crate) async fn authorize(
        &mut self,
        visitor: &mut Visitor,
        login: &str,
        member: &str,
    ) -> String {
        let response = visitor.get(login).await;
        let response = self.note(&format!("GET {login}"), response);
        let back = self.sandbox.authorize(member, response.location()).await;
        self.local(back.expect("the sandbox sends back").as_str())
    }

    /// Requests the callback as a browser does after the redirect from Open Humans, and follows the page
    /// that repeats the request from the same site. Returns the response that completes the login.
    pub(crate) async fn callback(&mut self, visitor: &mut Visitor, callback: &str) -> RawResponse {
        let response = visitor.get_cross_site(callback).await;
        let response = self.note("the callback, from another site", response);
        if response.status != 200 {
            return response;
        }
        let text = response.text();
        let (_, url) = text.split_once("0;url=").expect("a page that redirects");
        let url = url.split('"').next().unwrap_or_default();
        let path = url.replace("&amp;", "&");
        let response = visitor
            .navigate("GET", &path, oh_tests::visitor::Initiator::SameOrigin)
            .await;
        self.note("the callback, once more", response)
    }

    /// Logs a member in.
    pub(crate) async fn log_in(&mut self, visitor: &mut Visitor, member: &str) -> RawResponse {
        let callback = self.authorize(visitor, "/openhumans/login", member).await;
        let response = self.callback(visitor, &callback).await;
        assert_eq!(response.status, 303, "{response:?}");
        response
    }

    /// Returns the number of pending events.
    pub(crate) async fn events(&self) -> u64 {
        let stats = self.openhumans.inbox().stats().await;
        stats.expect("the inbox is in memory").pending
    }
}

/// Runs a scenario with both applications at the same time, and compares their responses.
pub(crate) async fn both(plan: Plan, scenario: impl AsyncFn(&mut App)) {
    let (mut axum, mut actix) = pair(plan).await;
    tokio::join!(scenario(&mut axum), scenario(&mut actix));
    assert!(axum.transcript.len() > 0, "a scenario without an exchange");
    let differences = axum.transcript.differences(&actix.transcript);
    assert!(
        differences.is_empty(),
        "axum and actix differ:\n{}",
        differences.join("\n")
    );
}

/// Starts both applications.
pub(crate) async fn pair(plan: Plan) -> (App, App) {
    // Both applications have the same clock, so that their responses can be compared.
    let now = Timestamp::now();
    let (axum, parts) = prepare(&plan, now).await;
    axum_app::start(parts);
    let (actix, parts) = prepare(&plan, now).await;
    actix_app::start(parts);
    (axum, actix)
}

async fn prepare(plan: &Plan, now: Timestamp) -> (App, Parts) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let host = format!("localhost:{}", addr.port());
    let base = match plan.public {
        Some(public) => public.to_owned(),
        None => format!("http://{host}"),
    };
    let sandbox = Sandbox::builder()
        .redirect_uri(format!("{base}/openhumans/complete"))
        .webhook_url(format!(
            "http://127.0.0.1:{}/openhumans/deauth",
            addr.port()
        ))
        .webhook_secret(SECRET)
        .member("01026778", Some("alice"))
        .member("00169953", Some("bob"))
        .start()
        .await
        .expect("the sandbox starts");
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), base.as_str())
        .oh_base_url(sandbox.url().as_str())
        .webhook_secret(OTHER_SECRET)
        .webhook_secret(SECRET);
    let settings = (plan.settings)(settings).build().expect("good settings");
    let clock = Clock::manual(now);
    let store = Arc::new(Switchable::default());
    let builder = OpenHumans::builder(settings)
        .token_store(Arc::clone(&store) as Arc<dyn TokenStore>)
        .clock(clock.clone());
    let pages = plan.pages.map(|pages| pages());
    let builder = match &pages {
        Some(pages) => builder.login_pages(pages.clone()),
        None => builder,
    };
    let openhumans = (plan.build)(builder).build().expect("a handle");
    let app = App {
        addr,
        host,
        transcript: Transcript::new(&base, sandbox.url().as_str()),
        sandbox,
        openhumans: openhumans.clone(),
        clock,
        store,
    };
    let parts = Parts {
        openhumans,
        pages,
        listener,
        same_site: plan.same_site,
        differ: plan.differ,
    };
    (app, parts)
}

/// A token store that can become unavailable.
#[derive(Default)]
pub(crate) struct Switchable {
    store: MemoryStore,
    down: AtomicBool,
}

impl Switchable {
    pub(crate) fn switch_off(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("switched off"));
        }
        Ok(())
    }
}

#[async_trait]
impl TokenStore for Switchable {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        self.check()?;
        self.store.load(member).await
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        self.check()?;
        self.store.put(record, expected).await
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
        self.check()?;
        self.store.page(after, limit).await
    }
}
