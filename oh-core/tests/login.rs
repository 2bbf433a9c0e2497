//! The login, the callback, the logout and the sessions, against the sandbox.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use http::{HeaderMap, Request};
use oh_core::deauth::{
    DeauthHandler, DeauthInbox, Departure, ErasureRequest, EventQuery, EventState, MemoryInbox,
    WorkerSettings,
};
use oh_core::login::{AuthorizedMember, LoginAccepted, LoginHandler, LoginRejected, LoginRequest};
use oh_core::routes::Route;
use oh_core::store::{MemberRecord, MemoryStore, PutOutcome, TokenStore};
use oh_core::transport::{Body, BoxError, Transport, TransportError};
use oh_core::{OpenHumans, SessionMember, Settings, Timestamp};
use oh_sandbox::{Endpoint, Fault};
use support::*;
use tokio::sync::{Semaphore, watch};

const LOGIN: &str = "/openhumans/login";
const YEAR: Duration = Duration::from_secs(366 * 24 * 3_600);

#[tokio::test]
async fn login_creates_session_and_returns_to_requested_path() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    let path = "/openhumans/login?next=%2Ffiles%3Fpage%3D2";
    let url = browser.start_login(&oh, path).await;
    assert_eq!(url.origin(), sandbox.url().origin());
    let query = url.query().unwrap();
    for parameter in [
        "response_type=code",
        "code_challenge_method=S256",
        "code_challenge=",
        "state=",
    ] {
        assert!(query.contains(parameter), "{query}");
    }
    let back = sandbox.authorize(ALICE, url).await.unwrap();
    let response = browser.callback(&oh, &back).await;
    assert_eq!(response.status(), 303);
    assert_eq!(location(&response), "/files?page=2");
    assert_eq!(browser.renewals, 1);
    let member = oh.member(browser.session.clone()).await.unwrap().unwrap();
    assert_eq!(member.id().as_str(), ALICE);
    assert_eq!(member.username(), Some("alice"));
    assert!(record(&oh).await.is_authorized());
    assert!(oh.access_token(member.id()).await.is_ok());
}

#[tokio::test]
async fn login_ignores_return_path_to_another_site() {
    let (sandbox, oh) = start().await;
    for next in [
        "//evil.example",
        "/%5Cevil.example",
        "https:evil.example",
        "/%09/evil.example",
    ] {
        let mut browser = Browser::default();
        let path = format!("{LOGIN}?next={next}");
        let back = browser.authorize(&oh, &sandbox, &path).await;
        assert_eq!(location(&browser.callback(&oh, &back).await), "/");
    }
}

#[tokio::test]
async fn login_completes_in_two_tabs() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    let one = browser.authorize(&oh, &sandbox, "/openhumans/login?next=/one");
    let one = one.await;
    let two = browser.authorize(&oh, &sandbox, "/openhumans/login?next=/two");
    let two = two.await;
    assert_eq!(location(&browser.callback(&oh, &two).await), "/two");
    assert_eq!(location(&browser.callback(&oh, &one).await), "/one");
}

#[tokio::test]
async fn callback_works_once_and_only_in_its_browser() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    let back = browser.authorize(&oh, &sandbox, LOGIN).await;

    let mut other = Browser::default();
    let response = other.callback(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("No login was started in this browser"));
    // A pending login of the other browser does not help.
    other.start_login(&oh, LOGIN).await;
    let response = other.callback(&oh, &back).await;
    assert!(text(&response).contains("started in another browser"));
    assert!(other.session.is_none());

    let mut copy = browser.clone();
    assert_eq!(browser.callback(&oh, &back).await.status(), 303);
    let response = browser.callback(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("already completed"));
    // A copy of the cookie from before the callback does not help.
    assert_eq!(copy.callback(&oh, &back).await.status(), 400);
    assert!(copy.session.is_none());
    // Another process recognizes the used login by the cookie.
    let process = app(&sandbox).build().unwrap();
    let response = browser.callback(&process, &back).await;
    assert!(text(&response).contains("already completed"));
    assert_eq!(sandbox.token_requests(), 1);
}

#[tokio::test]
async fn callback_rejects_incomplete_query_and_unknown_state() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    let back = browser.authorize(&oh, &sandbox, LOGIN).await;
    let query = back.query().unwrap();
    for (query, words) in [
        ("code=abc".to_owned(), "incomplete"),
        (String::new(), "incomplete"),
        (query.replace("code=", "cod="), "incomplete"),
        (format!("{query}&code=another"), "incomplete"),
        ("code=abc&state=x".to_owned(), "started in another browser"),
    ] {
        let path = format!("/openhumans/complete?{query}");
        let response = browser.get(&oh, Route::Complete, &path).await;
        assert_eq!(response.status(), 400, "{query}");
        let page = text(&response);
        assert!(page.contains(words), "{query}: {page}");
        assert!(page.contains("Try again"));
    }
    assert_eq!(sandbox.token_requests(), 0);
}

#[tokio::test]
async fn callback_keeps_return_path_when_login_has_expired() {
    let sandbox = sandbox().await;
    let clock = clock();
    let oh = app(&sandbox).clock(clock.clone()).build().unwrap();
    let mut browser = Browser::default();
    let path = "/openhumans/login?next=/files";
    let back = browser.authorize(&oh, &sandbox, path).await;
    clock.advance(Duration::from_secs(31 * 60));
    let response = browser.callback(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("took too long"));
    assert!(text(&response).contains("next=%2Ffiles"));
}

#[tokio::test]
async fn callback_reports_expired_code() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    let back = browser.authorize(&oh, &sandbox, LOGIN).await;
    sandbox.expire_codes();
    let response = browser.callback(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("no longer accepts"));
}

#[tokio::test]
async fn login_can_be_repeated_after_member_denied_access() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    let url = browser.start_login(&oh, LOGIN).await;
    let back = sandbox.refuse(url).await.unwrap();
    let response = browser.callback(&oh, &back).await;
    assert_eq!(response.status(), 403);
    assert!(text(&response).contains("You did not authorize"));
    assert!(browser.session.is_none());
    assert_eq!(browser.log_in(&oh, &sandbox).await.status(), 303);
}

#[tokio::test]
async fn callback_distinguishes_errors_of_open_humans_and_of_credentials() {
    let (sandbox, oh) = start().await;
    let html = |status| Fault::page(status);
    let json = |text| Fault::json(401, text);
    for (endpoint, fault, status, words) in [
        (Endpoint::Token, Fault::Html500, 502, "unreachable"),
        (Endpoint::Token, html(200), 502, "unreachable"),
        (Endpoint::Token, html(400), 502, "unreachable"),
        (Endpoint::Token, Fault::TruncatedJson, 502, "unreachable"),
        (Endpoint::Token, Fault::Reset, 502, "unreachable"),
        (
            Endpoint::Token,
            json(r#"{"error": "invalid_client"}"#),
            500,
            "not set up",
        ),
        (
            Endpoint::Token,
            json(r#"{"error": "invalid_grant"}"#),
            400,
            "took too long",
        ),
        (Endpoint::ExchangeMember, html(404), 502, "unreachable"),
    ] {
        let mut browser = Browser::default();
        sandbox.fault_next(endpoint, 1, fault.clone());
        let response = browser.log_in(&oh, &sandbox).await;
        assert_eq!(response.status(), status, "{fault:?}");
        assert!(text(&response).contains(words), "{fault:?}");
        assert!(text(&response).contains("Try again"), "{fault:?}");
        assert!(browser.session.is_none());
    }
    let settings = Settings::builder(sandbox.client_id(), "wrong", APP);
    let settings = settings.oh_base_url(sandbox.url().as_str());
    let oh = OpenHumans::builder(settings.build().unwrap());
    let oh = oh.build().unwrap();
    let response = Browser::default().log_in(&oh, &sandbox).await;
    assert_eq!(response.status(), 500);
    assert!(text(&response).contains("not your fault"));
}

struct Unreachable;

#[async_trait]
impl Transport for Unreachable {
    async fn send(&self, _: Request<Body>) -> Result<http::Response<Body>, TransportError> {
        Err(TransportError::connect("connection refused"))
    }
}

#[tokio::test]
async fn callback_reports_slow_and_unreachable_open_humans() {
    let sandbox = sandbox().await;
    let settings = settings(&sandbox).timeout(Duration::from_millis(200));
    let slow = OpenHumans::builder(settings.build().unwrap());
    let slow = slow.build().unwrap();
    sandbox.fault(Endpoint::Token, Fault::Hang);
    let response = Browser::default().log_in(&slow, &sandbox).await;
    assert_eq!(response.status(), 504);
    assert!(text(&response).contains("slow"));
    let unreachable = app(&sandbox).transport(Unreachable).build().unwrap();
    let response = Browser::default().log_in(&unreachable, &sandbox).await;
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn login_of_inactive_project_stops_at_open_humans() {
    let (sandbox, oh) = start().await;
    sandbox.set_active(false);
    let url = Browser::default().start_login(&oh, LOGIN).await;
    assert!(sandbox.authorize(ALICE, url).await.is_err());
}

/// Decides by the context. The header `user` is the context of a login at the route.
struct ContextHandler;

#[async_trait]
impl LoginHandler for ContextHandler {
    async fn logged_in(&self, login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        match login.context.as_deref() {
            Some("user 42") if login.return_to.is_some() => Ok(LoginAccepted::new()),
            Some("user 42") => Ok(LoginAccepted::redirect_to("/users/42")),
            _ => Err(LoginRejected::new("We are full & closed.")),
        }
    }

    async fn context(&self, head: &http::request::Parts) -> Option<String> {
        let user = head.headers.get("user")?.to_str().ok()?;
        Some(format!("user {user}"))
    }
}

#[tokio::test]
async fn login_handler_receives_context_and_can_reject() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).login_handler(ContextHandler);
    let oh = oh.build().unwrap();
    let mut browser = Browser::default();
    let mut start = |context: &str| {
        let request = LoginRequest::new().context(context).unwrap();
        let response = oh.start_login(request, &HeaderMap::new());
        browser.accept_cookies(&response);
        location(&response).to_owned()
    };
    let (full, connect) = (start("full"), start("user 42"));
    assert!(
        browser
            .cookies
            .values()
            .all(|value| !value.contains("full"))
    );

    let back = sandbox.authorize(ALICE, full).await.unwrap();
    let response = browser.callback(&oh, &back).await;
    assert_eq!(response.status(), 403);
    assert!(text(&response).contains("We are full &amp; closed."));
    // Nothing is stored about a rejected member.
    assert!(oh.token_store().load(&alice()).await.unwrap().is_none());
    assert!(browser.session.is_none());

    let back = sandbox.authorize(ALICE, connect).await.unwrap();
    assert_eq!(location(&browser.callback(&oh, &back).await), "/users/42");
}

#[tokio::test]
async fn login_route_takes_context_from_handler_if_it_fits() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).login_handler(ContextHandler);
    let oh = oh.build().unwrap();
    let too_long = "4".repeat(2_000);
    for (user, status) in [(None, 403), (Some("42"), 303), (Some(&*too_long), 403)] {
        let mut browser = Browser::default();
        let mut request = Request::get("/openhumans/login?next=/openhumans/files");
        if let Some(user) = user {
            request = request.header("user", user);
        }
        let redirect = browser.send(&oh, Route::Login, request).await;
        let url: url::Url = location(&redirect).parse().unwrap();
        let back = sandbox.authorize(ALICE, url).await.unwrap();
        let response = browser.callback(&oh, &back).await;
        assert_eq!(response.status(), status);
        if status == 303 {
            assert_eq!(location(&response), "/openhumans/files");
        }
    }
}

#[tokio::test]
async fn login_and_logout_need_confirmation_when_another_site_leads_to_them() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let request = Request::get("/openhumans/login?next=/files").header(name, value);
        let response = browser.send(&oh, Route::Login, request).await;
        assert_eq!(response.status(), 200);
        assert!(text(&response).contains("<button"));
        assert!(text(&response).contains("next=%2Ffiles"));
        assert!(browser.cookies.is_empty());
    }
    browser.log_in(&oh, &sandbox).await;
    for (name, value) in [("sec-fetch-site", "same-site"), ("origin", "null")] {
        let request = Request::post("/openhumans/logout").header(name, value);
        let response = browser.send(&oh, Route::Logout, request).await;
        assert_eq!(response.status(), 403);
        assert!(browser.session.is_some());
    }
    let response = browser.log_out(&oh).await;
    assert_eq!(response.status(), 303);
    assert_eq!(location(&response), "/");
    assert!(browser.session.is_none());
}

#[tokio::test]
async fn callback_repeats_request_for_strict_session_cookies() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    let back = browser.authorize(&oh, &sandbox, LOGIN).await;
    let path = &back[url::Position::BeforePath..];
    let cross_site = Request::get(path).header("sec-fetch-site", "cross-site");
    let response = browser.send(&oh, Route::Complete, cross_site).await;
    assert_eq!(response.status(), 200);
    let (_, rest) = text(&response).split_once("0;url=").unwrap();
    let url = rest.split('"').next().unwrap().replace("&amp;", "&");
    assert!(url.starts_with("/openhumans/complete?"), "{url}");
    let same_origin = Request::get(&url).header("sec-fetch-site", "same-origin");
    let response = browser.send(&oh, Route::Complete, same_origin).await;
    assert_eq!(response.status(), 303);
    assert!(browser.session.is_some());
}

#[tokio::test]
async fn login_is_skipped_only_for_members_who_confirm() {
    let (sandbox, oh) = start().await;
    let visitor = Browser::default();
    let mut member = Browser::default();
    member.log_in(&oh, &sandbox).await;
    for (browser, path, is_skipped) in [
        (&visitor, "/openhumans/login?next=%2Ffiles", false),
        (&visitor, "/openhumans/login?resume=1&next=%2Ffiles", false),
        // To connect another account, or to approve again.
        (&member, "/openhumans/login?next=%2Ffiles", false),
        (&member, "/openhumans/login?resume=1&next=%2Ffiles", true),
    ] {
        let request = Request::post(path).header("sec-fetch-site", "same-origin");
        let response = browser.clone().send(&oh, Route::Login, request).await;
        assert_eq!(response.status(), 303);
        let target = location(&response);
        assert_eq!(target == "/files", is_skipped, "{path} {target}");
        let is_redirect = target.starts_with(sandbox.url().as_str());
        assert_eq!(is_redirect, !is_skipped, "{path} {target}");
    }
}

/// Browsers apply `form-action` to the redirects of a form, too.
#[tokio::test]
async fn login_pages_allow_forms_that_redirect_to_open_humans() {
    let settings = Settings::builder("id", "secret", APP).oh_base_url("https://oh.example");
    let oh = OpenHumans::builder(settings.build().unwrap());
    let oh = oh.build().unwrap();
    let cross_site = Request::get(LOGIN).header("sec-fetch-site", "cross-site");
    let confirmation = Browser::default().send(&oh, Route::Login, cross_site).await;
    let path = "/openhumans/complete?code=c&state=s";
    let failure = Browser::default().get(&oh, Route::Complete, path).await;
    for page in [confirmation, failure] {
        assert!(text(&page).contains("<form method=\"post\""));
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        let mut parts = policy.split("; ");
        let forms = parts.find(|part| part.starts_with("form-action"));
        assert_eq!(forms, Some("form-action 'self' https://oh.example"));
    }
}

#[tokio::test]
async fn routes_reject_other_methods() {
    let (_sandbox, oh) = start().await;
    for (route, allowed) in [
        (Route::Login, "GET, HEAD, POST"),
        (Route::Complete, "GET"),
        (Route::Logout, "GET, HEAD, POST"),
        (Route::Deauth, "POST"),
    ] {
        let request = Request::put(format!("/openhumans{}", route.path()));
        let response = Browser::default().send(&oh, route, request).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], allowed);
    }
}

#[tokio::test]
async fn deauthorization_ends_sessions_and_pending_logins() {
    let (sandbox, oh) = start().await;
    let (mut laptop, mut phone) = (Browser::default(), Browser::default());
    laptop.log_in(&oh, &sandbox).await;
    phone.log_in(&oh, &sandbox).await;
    assert!(laptop.is_logged_in(&oh).await && phone.is_logged_in(&oh).await);

    // A third login has its code when the member is deauthorized.
    let mut late = Browser::default();
    let back = late.authorize(&oh, &sandbox, LOGIN).await;
    deauthorize(&oh, oh.clock().now() + Duration::from_secs(5)).await;
    assert!(!laptop.is_logged_in(&oh).await && !phone.is_logged_in(&oh).await);

    assert_eq!(late.callback(&oh, &back).await.status(), 409);
    assert!(late.session.is_none());
    assert!(!record(&oh).await.is_authorized());

    // A new authorization does not revive old sessions.
    assert_eq!(phone.log_in(&oh, &sandbox).await.status(), 303);
    assert!(phone.is_logged_in(&oh).await && !laptop.is_logged_in(&oh).await);
}

#[tokio::test]
async fn login_fails_when_member_is_deauthorized_during_the_write() {
    let sandbox = sandbox().await;
    let store = Arc::new(FaultyStore::default());
    let handlers = Handlers::new(0, 1);
    let oh = app(&sandbox)
        .token_store(store.clone())
        .login_handler(handlers.clone())
        .build()
        .unwrap();
    store.before_put(|_| MemberRecord::tombstone(alice(), Timestamp::now()));
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&oh, &sandbox).await.status(), 409);
    assert!(browser.session.is_none());
    assert!(handlers.calls().is_empty());
    assert!(!record(&oh).await.is_authorized());
}

#[tokio::test]
async fn login_ignores_deauthorization_far_in_the_future() {
    let sandbox = sandbox().await;
    let store = Arc::new(MemoryStore::new());
    let left = MemberRecord::tombstone(alice(), Timestamp::now() + YEAR);
    let put = store.put(&left, None).await.unwrap();
    assert_eq!(put, PutOutcome::Stored);
    let oh = app(&sandbox).token_store(store).build().unwrap();
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&oh, &sandbox).await.status(), 303);
    assert!(browser.is_logged_in(&oh).await);
}

#[tokio::test]
async fn authorization_is_dated_to_the_start_of_the_login() {
    let sandbox = sandbox().await;
    let clock = clock();
    let oh = app(&sandbox).clock(clock.clone()).build().unwrap();
    let mut browser = Browser::default();
    let back = browser.authorize(&oh, &sandbox, LOGIN).await;
    // A code is valid for half an hour. It must not override requests made in that time.
    let minutes = Duration::from_secs(20 * 60);
    clock.advance(minutes);
    assert_eq!(browser.callback(&oh, &back).await.status(), 303);
    assert!(record(&oh).await.authorized_at <= Timestamp::now() - minutes);
}

#[tokio::test]
async fn deauthorization_and_logout_take_effect_despite_session_cache() {
    let sandbox = sandbox().await;
    let settings = settings(&sandbox).session_cache_ttl(Duration::from_secs(3_600));
    let oh = OpenHumans::builder(settings.build().unwrap());
    let oh = oh.build().unwrap();
    let (mut laptop, mut phone) = (Browser::default(), Browser::default());
    laptop.log_in(&oh, &sandbox).await;
    phone.log_in(&oh, &sandbox).await;
    let copy = laptop.clone();
    assert!(copy.is_logged_in(&oh).await && phone.is_logged_in(&oh).await);

    laptop.log_out(&oh).await;
    assert!(laptop.session.is_none());
    assert!(!copy.is_logged_in(&oh).await && !phone.is_logged_in(&oh).await);
    // A logout is no deauthorization.
    assert!(oh.access_token(&alice()).await.is_ok());

    // A later login is valid, and the old copy cannot end it.
    laptop.log_in(&oh, &sandbox).await;
    copy.clone().log_out(&oh).await;
    assert!(laptop.is_logged_in(&oh).await);

    let disconnected = oh.disconnect(&alice(), ErasureRequest::NotRequested).await;
    disconnected.unwrap();
    assert!(!laptop.is_logged_in(&oh).await);
}

#[tokio::test]
async fn logout_reports_failing_store_and_clears_this_session() {
    let sandbox = sandbox().await;
    let store = Arc::new(FaultyStore::default());
    let oh = app(&sandbox).token_store(store.clone()).build().unwrap();
    let mut browser = Browser::default();
    browser.log_in(&oh, &sandbox).await;
    store.set_down(true);
    let response = browser.log_out(&oh).await;
    assert_eq!(response.status(), 503);
    assert!(text(&response).contains("This browser is logged out"));
    assert!(browser.session.is_none());
}

#[tokio::test]
async fn session_ends_at_maximum_age() {
    let sandbox = sandbox().await;
    let day = Duration::from_secs(24 * 3_600);
    for (max_age, days, is_valid) in [
        (None, 29, true),
        (None, 30, false),
        (Some(day), 1, false),
        (Some(Duration::ZERO), 3_000, true),
    ] {
        let mut settings = settings(&sandbox);
        if let Some(max_age) = max_age {
            settings = settings.session_max_age(max_age);
        }
        let clock = clock();
        let oh = OpenHumans::builder(settings.build().unwrap()).clock(clock.clone());
        let oh = oh.build().unwrap();
        let mut browser = Browser::default();
        browser.log_in(&oh, &sandbox).await;
        clock.advance(day * days);
        let is_logged_in = browser.is_logged_in(&oh).await;
        assert_eq!(is_logged_in, is_valid, "{max_age:?} {days}");
        // An expired session cannot end others.
        if !is_valid {
            let before = record(&oh).await.epoch;
            browser.log_out(&oh).await;
            assert_eq!(record(&oh).await.epoch, before);
        }
    }
}

#[tokio::test]
async fn session_is_rejected_when_it_starts_far_in_the_future() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    browser.log_in(&oh, &sandbox).await;
    let session = browser.session.unwrap();
    let logged_in_at = session.logged_in_at + YEAR;
    let ahead = SessionMember::new(session.member, session.epoch, logged_in_at);
    assert!(oh.member(Some(ahead)).await.unwrap().is_none());
}

/// A login handler and a deauthorization handler that record their calls and wait for permits.
#[derive(Clone)]
struct Handlers(Arc<State>);

struct State {
    calls: watch::Sender<Vec<&'static str>>,
    erasures: Semaphore,
    logins: Semaphore,
}

impl Handlers {
    fn new(erasures: usize, logins: usize) -> Self {
        Self(Arc::new(State {
            calls: watch::Sender::default(),
            erasures: Semaphore::new(erasures),
            logins: Semaphore::new(logins),
        }))
    }

    fn record(&self, call: &'static str) {
        self.0.calls.send_modify(|calls| calls.push(call));
    }

    fn calls(&self) -> Vec<&'static str> {
        self.0.calls.borrow().clone()
    }

    async fn wait_for(&self, call: &str, times: usize) {
        let mut calls = self.0.calls.subscribe();
        let reached = |calls: &Vec<&str>| calls.iter().filter(|c| **c == call).count() >= times;
        calls.wait_for(reached).await.unwrap();
    }
}

#[async_trait]
impl DeauthHandler for Handlers {
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError> {
        assert!(departure.delete_data);
        self.record("erasure started");
        self.0.erasures.acquire().await.unwrap().forget();
        self.record("erased");
        Ok(())
    }
}

#[async_trait]
impl LoginHandler for Handlers {
    async fn logged_in(&self, _: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        self.record("login started");
        self.0.logins.acquire().await.unwrap().forget();
        self.record("rows created");
        Ok(LoginAccepted::new())
    }
}

#[tokio::test]
async fn login_waits_for_handler_of_earlier_deauthorization() {
    let sandbox = sandbox().await;
    let handlers = Handlers::new(0, 2);
    let inbox: Arc<dyn DeauthInbox> = Arc::new(MemoryInbox::new());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let process = || {
        app(&sandbox)
            .deauth_inbox(inbox.clone())
            .token_store(store.clone())
            .login_handler(handlers.clone())
            .deauth_handler(handlers.clone())
            .build()
            .unwrap()
    };
    let (oh, other) = (process(), process());
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&oh, &sandbox).await.status(), 303);
    let disconnected = other.disconnect(&alice(), ErasureRequest::Requested).await;
    disconnected.unwrap();
    let background = other.start_background();
    handlers.wait_for("erasure started", 1).await;

    let (response, ()) = tokio::join!(browser.log_in(&oh, &sandbox), async {
        sandbox.wait_for(Endpoint::ExchangeMember, 2).await;
        handlers.0.erasures.add_permits(1);
    });
    assert_eq!(response.status(), 303);
    let login = ["login started", "rows created"];
    let erasure = ["erasure started", "erased"];
    assert_eq!(handlers.calls(), [login, erasure, login].concat());
    assert!(oh.access_token(&alice()).await.is_ok());
    background.stop().await;
}

#[tokio::test]
async fn login_fails_while_handler_of_earlier_deauthorization_runs() {
    let sandbox = sandbox().await;
    let handlers = Handlers::new(0, 1);
    let settings = settings(&sandbox).timeout(Duration::from_millis(300));
    let oh = OpenHumans::builder(settings.build().unwrap())
        .login_handler(handlers.clone())
        .deauth_handler(handlers.clone())
        .build()
        .unwrap();
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&oh, &sandbox).await.status(), 303);
    let disconnected = oh.disconnect(&alice(), ErasureRequest::Requested).await;
    disconnected.unwrap();
    let background = oh.start_background();
    handlers.wait_for("erasure started", 1).await;

    browser.session = None;
    let left = record(&oh).await;
    let response = browser.log_in(&oh, &sandbox).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "60");
    assert!(text(&response).contains("still deleting your data"));
    assert!(browser.session.is_none());
    // The member was not authorized for a moment, which other jobs of the application might see.
    assert_eq!(record(&oh).await.version, left.version);
    let calls = ["login started", "rows created", "erasure started"];
    assert_eq!(handlers.calls(), calls);

    handlers.0.erasures.add_permits(1);
    handlers.0.logins.add_permits(1);
    oh.worker(WorkerSettings::default()).run_until_idle().await;
    assert_eq!(browser.log_in(&oh, &sandbox).await.status(), 303);
    background.stop().await;
}

#[tokio::test]
async fn login_fails_when_event_is_leased_during_the_write() {
    let sandbox = sandbox().await;
    let settings = settings(&sandbox).timeout(Duration::from_millis(300));
    let store = Arc::new(FaultyStore::default());
    let inbox = Arc::new(MemoryInbox::new());
    let handlers = Handlers::new(0, 1);
    let oh = OpenHumans::builder(settings.build().unwrap())
        .token_store(store.clone())
        .deauth_inbox(inbox.clone())
        .login_handler(handlers.clone())
        .build()
        .unwrap();
    let disconnected = oh.disconnect(&alice(), ErasureRequest::Requested).await;
    disconnected.unwrap();
    let left = record(&oh).await;
    store.before_put(move |stored| {
        let now = Timestamp::now();
        let until = now + Duration::from_secs(60);
        let leased = inbox.lease(now, until, 10).now_or_never();
        assert_eq!(leased.unwrap().unwrap().len(), 1);
        stored.unwrap()
    });
    let response = Browser::default().log_in(&oh, &sandbox).await;
    assert_eq!(response.status(), 503);
    assert!(handlers.calls().is_empty());
    let record = record(&oh).await;
    assert!(!record.is_authorized());
    assert_eq!(record.deauthorized_at, left.deauthorized_at);
}

#[tokio::test]
async fn login_submits_second_event_when_member_is_deauthorized_during_handler() {
    let sandbox = sandbox().await;
    let handlers = Handlers::new(2, 0);
    let oh = app(&sandbox)
        .login_handler(handlers.clone())
        .deauth_handler(handlers.clone())
        .build()
        .unwrap();
    let background = oh.start_background();
    let mut browser = Browser::default();
    let (response, ()) = tokio::join!(browser.log_in(&oh, &sandbox), async {
        handlers.wait_for("login started", 1).await;
        let left_at = Timestamp::now() + Duration::from_secs(5);
        deauthorize(&oh, left_at).await;
        handlers.wait_for("erased", 1).await;
        handlers.0.logins.add_permits(1);
    });
    assert_eq!(response.status(), 409);
    assert!(browser.session.is_none());
    handlers.wait_for("erased", 2).await;
    let erasure = ["erasure started", "erased"];
    let expected = [
        &["login started"],
        &erasure[..],
        &["rows created"],
        &erasure[..],
    ];
    assert_eq!(handlers.calls(), expected.concat());
    oh.worker(WorkerSettings::default()).run_until_idle().await;
    let done = EventQuery::first(10).state(EventState::Done);
    assert_eq!(oh.inbox().events(&done).await.unwrap().len(), 2);
    background.stop().await;
}
