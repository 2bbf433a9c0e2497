//! Logging in against the sandbox: the way in, and every way it can fail.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::Request;
use oh_core::deauth::{
    DeauthHandler, DeauthInbox, Departure, ErasureRequest, EventQuery, EventState, MemoryInbox,
};
use oh_core::login::{AuthorizedMember, LoginAccepted, LoginHandler, LoginRejected, LoginRequest};
use oh_core::routes::Route;
use oh_core::store::{MemberRecord, MemoryStore, PutOutcome, StoreError, TokenStore, Version};
use oh_core::transport::{Body, BoxError, Transport, TransportError};
use oh_core::{OpenHumans, ProjectMemberId, SessionMember, Timestamp};
use oh_sandbox::{Endpoint, Fault};
use support::*;
use tokio::sync::{Semaphore, watch};

#[tokio::test]
async fn a_member_logs_in_and_is_back_at_the_page_asked_for() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    let url = browser
        .begin(&oh, "/openhumans/login?next=%2Ffiles%3Fpage%3D2")
        .await;
    assert_eq!(url.origin(), sandbox.url().origin());
    let query = url.query().unwrap();
    for wanted in [
        "response_type=code",
        "code_challenge_method=S256",
        "code_challenge=",
        "state=",
    ] {
        assert!(query.contains(wanted), "{query}");
    }
    let back = sandbox.authorize(ALICE, url).await.unwrap();
    let response = browser.come_back(&oh, &back).await;
    assert_eq!(
        (response.status().as_u16(), location(&response)),
        (303, "/files?page=2")
    );
    assert_eq!(browser.renewals, 1);
    let member = oh.member(browser.session.clone()).await.unwrap().unwrap();
    assert_eq!(
        (member.id().as_str(), member.username()),
        (ALICE, Some("alice"))
    );
    let record = oh.token_store().load(member.id()).await.unwrap().unwrap();
    assert!(record.is_authorized());
    assert!(oh.access_token(member.id()).await.is_ok());
}

#[tokio::test]
async fn a_way_out_of_the_app_is_not_followed() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    for evil in [
        "//evil.example",
        "/%5Cevil.example",
        "https:evil.example",
        "/%09/evil.example",
    ] {
        let mut browser = Browser::default();
        let url = browser
            .begin(&oh, &format!("/openhumans/login?next={evil}"))
            .await;
        let back = sandbox.authorize(ALICE, url).await.unwrap();
        assert_eq!(location(&browser.come_back(&oh, &back).await), "/");
    }
}

#[tokio::test]
async fn two_tabs_log_in_at_once() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    let one = browser.begin(&oh, "/openhumans/login?next=/one").await;
    let two = browser.begin(&oh, "/openhumans/login?next=/two").await;
    let back_two = sandbox.authorize(ALICE, two).await.unwrap();
    let back_one = sandbox.authorize(ALICE, one).await.unwrap();
    assert_eq!(location(&browser.come_back(&oh, &back_two).await), "/two");
    assert_eq!(location(&browser.come_back(&oh, &back_one).await), "/one");
}

#[tokio::test]
async fn a_callback_works_once_and_in_its_own_browser_only() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    let url = browser.begin(&oh, "/openhumans/login").await;
    let back = sandbox.authorize(ALICE, url).await.unwrap();

    let mut other = Browser::default();
    let response = other.come_back(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("No login was started in this browser"));
    // A browser with a login of its own is no better.
    other.begin(&oh, "/openhumans/login").await;
    let response = other.come_back(&oh, &back).await;
    assert!(text(&response).contains("started in another browser"));
    assert!(other.session.is_none());

    let thief = browser.clone();
    assert_eq!(browser.come_back(&oh, &back).await.status(), 303);
    let response = browser.come_back(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("already completed"));
    // Even with the cookie as it was before, the code is used up.
    let mut thief = thief;
    let response = thief.come_back(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(thief.session.is_none());
    assert_eq!(sandbox.token_requests(), 1);
}

#[tokio::test]
async fn a_state_of_somebodys_making_is_refused() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    let url = browser.begin(&oh, "/openhumans/login").await;
    let back = sandbox.authorize(ALICE, url).await.unwrap();
    for (query, words) in [
        ("code=abc".to_owned(), "incomplete"),
        (String::new(), "incomplete"),
        (back.query().unwrap().replace("code=", "cod="), "incomplete"),
        (
            format!("{}&code=another", back.query().unwrap()),
            "incomplete",
        ),
        (
            "code=abc&state=made-up".to_owned(),
            "started in another browser",
        ),
    ] {
        let path = format!("/openhumans/complete?{query}");
        let response = browser.get(&oh, Route::Complete, &path).await;
        assert_eq!(response.status(), 400, "{query}");
        assert!(
            text(&response).contains(words),
            "{query}: {}",
            text(&response)
        );
        assert!(text(&response).contains("Try again"));
    }
    assert_eq!(sandbox.token_requests(), 0);
}

#[tokio::test]
async fn a_login_that_takes_too_long_has_to_begin_again() {
    let sandbox = sandbox().await;
    let clock = clock();
    let oh = app(&sandbox).clock(clock.clone()).build().unwrap();
    let mut browser = Browser::default();
    let url = browser.begin(&oh, "/openhumans/login?next=/files").await;
    let back = sandbox.authorize(ALICE, url).await.unwrap();
    clock.advance(Duration::from_secs(31 * 60));
    let response = browser.come_back(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("took too long"));
    // The way back is not lost.
    assert!(text(&response).contains("next=%2Ffiles"));
}

#[tokio::test]
async fn an_expired_code_says_so() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    let url = browser.begin(&oh, "/openhumans/login").await;
    let back = sandbox.authorize(ALICE, url).await.unwrap();
    sandbox.expire_codes();
    let response = browser.come_back(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("no longer accepts"));
}

#[tokio::test]
async fn a_member_may_refuse_and_try_again() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    let url = browser.begin(&oh, "/openhumans/login").await;
    let back = sandbox.refuse(url).await.unwrap();
    let response = browser.come_back(&oh, &back).await;
    assert_eq!(response.status(), 403);
    assert!(text(&response).contains("You did not authorize"));
    assert!(browser.session.is_none());
    assert_eq!(browser.log_in(&oh, &sandbox, ALICE).await.status(), 303);
}

#[tokio::test]
async fn what_is_wrong_with_open_humans_or_our_credentials_is_told_apart() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let html = |status| Fault::page(status);
    for (endpoint, fault, status, words) in [
        (Endpoint::Token, Fault::Html500, 502, "unreachable"),
        (Endpoint::Token, html(200), 502, "unreachable"),
        (Endpoint::Token, html(400), 502, "unreachable"),
        (Endpoint::Token, Fault::TruncatedJson, 502, "unreachable"),
        (Endpoint::Token, Fault::Reset, 502, "unreachable"),
        (
            Endpoint::Token,
            Fault::json(401, r#"{"error": "invalid_client"}"#),
            500,
            "not set up",
        ),
        (
            Endpoint::Token,
            Fault::json(401, r#"{"error": "invalid_grant"}"#),
            400,
            "took too long",
        ),
        (Endpoint::ExchangeMember, html(404), 502, "unreachable"),
    ] {
        let mut browser = Browser::default();
        sandbox.fault_next(endpoint, 1, fault.clone());
        let response = browser.log_in(&oh, &sandbox, ALICE).await;
        assert_eq!(response.status(), status, "{fault:?}");
        assert!(text(&response).contains(words), "{fault:?}");
        assert!(text(&response).contains("Try again"), "{fault:?}");
        assert!(browser.session.is_none());
    }
}

#[tokio::test]
async fn a_wrong_client_secret_is_the_apps_fault() {
    let sandbox = sandbox().await;
    let settings = oh_core::Settings::builder(sandbox.client_id(), "wrong", APP)
        .oh_base_url(sandbox.url().as_str())
        .build()
        .unwrap();
    let oh = oh_core::OpenHumans::builder(settings).build().unwrap();
    let response = Browser::default().log_in(&oh, &sandbox, ALICE).await;
    assert_eq!(response.status(), 500);
    assert!(text(&response).contains("not your fault"));
}

#[tokio::test]
async fn open_humans_may_be_slow_or_down() {
    let sandbox = sandbox().await;
    let settings = settings(&sandbox)
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let oh = oh_core::OpenHumans::builder(settings).build().unwrap();
    sandbox.fault(Endpoint::Token, Fault::Hang);
    let response = Browser::default().log_in(&oh, &sandbox, ALICE).await;
    assert_eq!(response.status(), 504);
    assert!(text(&response).contains("slow"));

    struct Down;
    #[async_trait]
    impl Transport for Down {
        async fn send(&self, _: Request<Body>) -> Result<http::Response<Body>, TransportError> {
            Err(TransportError::connect("connection refused"))
        }
    }
    let oh = app(&sandbox).transport(Down).build().unwrap();
    let response = Browser::default().log_in(&oh, &sandbox, ALICE).await;
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn an_inactive_project_is_explained_at_open_humans() {
    // Open Humans does not send the member back at all; what we send is right all the same.
    let sandbox = sandbox().await;
    sandbox.set_active(false);
    let oh = app(&sandbox).build().unwrap();
    let url = Browser::default().begin(&oh, "/openhumans/login").await;
    assert!(sandbox.authorize(ALICE, url).await.is_err());
}

struct Door;

#[async_trait]
impl LoginHandler for Door {
    async fn logged_in(&self, login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        match login.context.as_deref() {
            Some("user 42") => Ok(LoginAccepted::redirect_to("/users/42")),
            Some("full") => Err(LoginRejected::new("We are full & closed.")),
            _ => Ok(LoginAccepted::new()),
        }
    }
}

#[tokio::test]
async fn the_app_is_told_its_context_and_may_refuse() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).login_handler(Door).build().unwrap();
    let mut browser = Browser::default();
    let mut begin = |context: &str| {
        let request = LoginRequest::new().context(context).unwrap();
        let response = oh.start_login(request, &http::HeaderMap::new());
        let set = response.headers()["set-cookie"].to_str().unwrap();
        let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
        assert!(!value.contains(context));
        browser.cookies.insert(name.to_owned(), value.to_owned());
        location(&response).to_owned()
    };
    let (full, connect) = (begin("full"), begin("user 42"));

    let back = sandbox.authorize(ALICE, full).await.unwrap();
    let response = browser.come_back(&oh, &back).await;
    assert_eq!(response.status(), 403);
    assert!(text(&response).contains("We are full &amp; closed."));
    // Nothing is kept of someone the app does not want, here or there.
    assert!(oh.token_store().load(&alice()).await.unwrap().is_none());
    assert!(browser.session.is_none());

    let back = sandbox.authorize(ALICE, connect).await.unwrap();
    assert_eq!(location(&browser.come_back(&oh, &back).await), "/users/42");
}

#[tokio::test]
async fn another_site_cannot_log_anyone_in_or_out() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    for from in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let request = Request::get("/openhumans/login?next=/files").header(from.0, from.1);
        let response = browser.send(&oh, Route::Login, request).await;
        assert_eq!(response.status(), 200);
        assert!(text(&response).contains("<button"));
        assert!(text(&response).contains("next=%2Ffiles"));
        assert!(browser.cookies.is_empty());
    }
    browser.log_in(&oh, &sandbox, ALICE).await;
    for from in [("sec-fetch-site", "same-site"), ("origin", "null")] {
        let request = Request::post("/openhumans/logout").header(from.0, from.1);
        assert_eq!(
            browser.send(&oh, Route::Logout, request).await.status(),
            403
        );
        assert!(browser.session.is_some());
    }
    let own = Request::post("/openhumans/logout").header("sec-fetch-site", "same-origin");
    let response = browser.send(&oh, Route::Logout, own).await;
    assert_eq!(
        (response.status().as_u16(), location(&response)),
        (303, "/")
    );
    assert!(browser.session.is_none());
}

#[tokio::test]
async fn a_strict_session_cookie_gets_a_second_request() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    let url = browser.begin(&oh, "/openhumans/login").await;
    let back = sandbox.authorize(ALICE, url).await.unwrap();
    let path = format!("{}?{}", back.path(), back.query().unwrap());
    let cross = Request::get(&path).header("sec-fetch-site", "cross-site");
    let response = browser.send(&oh, Route::Complete, cross).await;
    assert_eq!(response.status(), 200);
    let page = text(&response).to_owned();
    let after = page
        .split("0;url=")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let again = after.replace("&amp;", "&");
    assert!(again.starts_with("/openhumans/complete?"), "{again}");
    let own = Request::get(&again).header("sec-fetch-site", "same-origin");
    assert_eq!(browser.send(&oh, Route::Complete, own).await.status(), 303);
    assert!(browser.session.is_some());
}

#[tokio::test]
async fn the_button_page_leads_on_when_the_person_was_logged_in_all_along() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    browser.log_in(&oh, &sandbox, ALICE).await;
    let press = Request::post("/openhumans/login?resume=1&next=%2Ffiles")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(
        location(&browser.send(&oh, Route::Login, press).await),
        "/files"
    );
}

#[tokio::test]
async fn leaving_ends_every_session_and_nothing_in_flight_undoes_it() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let (mut laptop, mut phone) = (Browser::default(), Browser::default());
    laptop.log_in(&oh, &sandbox, ALICE).await;
    phone.log_in(&oh, &sandbox, ALICE).await;
    assert!(oh.member(laptop.session.clone()).await.unwrap().is_some());
    assert!(oh.member(phone.session.clone()).await.unwrap().is_some());

    // A third login has got its code when the member leaves.
    let mut late = Browser::default();
    let url = late.begin(&oh, "/openhumans/login").await;
    let back = sandbox.authorize(ALICE, url).await.unwrap();
    let record = oh.token_store().load(&alice()).await.unwrap().unwrap();
    let _ = oh
        .deauthorizer()
        .report_missing(&record)
        .await
        .unwrap()
        .unwrap();
    assert!(oh.member(laptop.session.clone()).await.unwrap().is_none());
    assert!(oh.member(phone.session.clone()).await.unwrap().is_none());

    let response = late.come_back(&oh, &back).await;
    assert_eq!(response.status(), 409);
    assert!(late.session.is_none());
    assert!(
        !oh.token_store()
            .load(&alice())
            .await
            .unwrap()
            .unwrap()
            .is_authorized()
    );

    // Coming back is a new authorization; the old sessions stay ended.
    assert_eq!(phone.log_in(&oh, &sandbox, ALICE).await.status(), 303);
    assert!(oh.member(phone.session.clone()).await.unwrap().is_some());
    assert!(oh.member(laptop.session.clone()).await.unwrap().is_none());
}

#[tokio::test]
async fn only_the_right_methods() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
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

/// An app with users of its own, and a header that says which one is there.
struct OwnUsers;

#[async_trait]
impl LoginHandler for OwnUsers {
    async fn logged_in(&self, login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        match login.context.as_deref() {
            Some("user 42") => Ok(LoginAccepted::new()),
            _ => Err(LoginRejected::new("Log in here first.")),
        }
    }

    async fn context(&self, head: &http::request::Parts) -> Option<String> {
        let user = head.headers.get("user")?.to_str().ok()?;
        Some(format!("user {user}"))
    }
}

#[tokio::test]
async fn a_login_that_begins_at_the_route_knows_the_apps_own_user() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).login_handler(OwnUsers).build().unwrap();
    let too_long = "4".repeat(2_000);
    for (user, status) in [(None, 403), (Some("42"), 303), (Some(&*too_long), 403)] {
        let mut browser = Browser::default();
        let mut request = Request::get("/openhumans/login?next=/openhumans/files");
        if let Some(user) = user {
            request = request.header("user", user);
        }
        let away = browser.send(&oh, Route::Login, request).await;
        let url: url::Url = location(&away).parse().unwrap();
        let back = sandbox.authorize(ALICE, url).await.unwrap();
        let response = browser.come_back(&oh, &back).await;
        assert_eq!(response.status(), status);
        if status == 303 {
            assert_eq!(location(&response), "/openhumans/files");
        }
    }
}

/// A store in which someone else changes the record just before a write, or that is away.
#[derive(Default)]
struct Contested {
    store: MemoryStore,
    before_put: Mutex<Option<Box<dyn FnOnce() -> MemberRecord + Send>>>,
    is_down: AtomicBool,
}

impl Contested {
    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("down"));
        }
        Ok(())
    }
}

#[async_trait]
impl TokenStore for Contested {
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
        let change = self.before_put.lock().unwrap().take();
        if let Some(change) = change {
            let stored = self.store.load(&record.member).await?;
            let put = self.store.put(&change(), stored.map(|r| r.version)).await?;
            assert_eq!(put, PutOutcome::Stored);
        }
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
        self.store.page(after, limit).await
    }
}

#[tokio::test]
async fn a_login_does_not_go_on_when_the_member_leaves_as_it_is_written_down() {
    let sandbox = sandbox().await;
    let store = Arc::new(Contested::default());
    let handlers = Handlers::new(0, 1);
    let oh = app(&sandbox)
        .token_store(store.clone())
        .login_handler(handlers.clone())
        .build()
        .unwrap();
    let leaves = || MemberRecord::tombstone(alice(), Timestamp::now());
    *store.before_put.lock().unwrap() = Some(Box::new(leaves));
    let mut browser = Browser::default();
    let response = browser.log_in(&oh, &sandbox, ALICE).await;
    assert_eq!(response.status(), 409);
    assert!(browser.session.is_none());
    assert!(handlers.all().is_empty());
    let record = store.load(&alice()).await.unwrap().unwrap();
    assert!(!record.is_authorized());
}

#[tokio::test]
async fn a_departure_of_a_wrong_clock_keeps_nobody_out() {
    let sandbox = sandbox().await;
    let store = Arc::new(MemoryStore::new());
    let year = Duration::from_secs(366 * 24 * 3_600);
    let left = MemberRecord::tombstone(alice(), Timestamp::now() + year);
    assert_eq!(store.put(&left, None).await.unwrap(), PutOutcome::Stored);
    let oh = app(&sandbox).token_store(store).build().unwrap();
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&oh, &sandbox, ALICE).await.status(), 303);
    assert!(oh.member(browser.session).await.unwrap().is_some());
}

#[tokio::test]
async fn a_login_that_was_used_is_refused_by_every_process() {
    let sandbox = sandbox().await;
    let (one, other) = (
        app(&sandbox).build().unwrap(),
        app(&sandbox).build().unwrap(),
    );
    let mut browser = Browser::default();
    let url = browser.begin(&one, "/openhumans/login").await;
    let back = sandbox.authorize(ALICE, url).await.unwrap();
    assert_eq!(browser.come_back(&one, &back).await.status(), 303);
    // The other process knows the used login by its cookie only.
    let response = browser.come_back(&other, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("already completed"));
    assert_eq!(sandbox.token_requests(), 1);
}

#[tokio::test]
async fn an_authorization_counts_from_when_the_login_began() {
    let sandbox = sandbox().await;
    let clock = clock();
    let oh = app(&sandbox).clock(clock.clone()).build().unwrap();
    let mut browser = Browser::default();
    let url = browser.begin(&oh, "/openhumans/login").await;
    let back = sandbox.authorize(ALICE, url).await.unwrap();
    // A code is good for half an hour. What the member wishes meanwhile is not undone by it.
    let minutes = Duration::from_secs(20 * 60);
    clock.advance(minutes);
    assert_eq!(browser.come_back(&oh, &back).await.status(), 303);
    let record = oh.token_store().load(&alice()).await.unwrap().unwrap();
    assert!(record.authorized_at <= Timestamp::now() - minutes);
}

#[tokio::test]
async fn leaving_is_seen_at_once_although_sessions_are_believed_for_a_while() {
    let sandbox = sandbox().await;
    let settings = settings(&sandbox).session_cache_ttl(Duration::from_secs(3_600));
    let oh = OpenHumans::builder(settings.build().unwrap())
        .build()
        .unwrap();
    let mut browser = Browser::default();
    browser.log_in(&oh, &sandbox, ALICE).await;
    for _ in 0..2 {
        assert!(oh.member(browser.session.clone()).await.unwrap().is_some());
    }
    oh.disconnect(&alice(), ErasureRequest::NotRequested)
        .await
        .unwrap();
    assert!(oh.member(browser.session.clone()).await.unwrap().is_none());
}

fn log_out() -> http::request::Builder {
    Request::post("/openhumans/logout").header("sec-fetch-site", "same-origin")
}

#[tokio::test]
async fn logging_out_ends_every_copy_of_a_session() {
    let sandbox = sandbox().await;
    let settings = settings(&sandbox).session_cache_ttl(Duration::from_secs(3_600));
    let oh = OpenHumans::builder(settings.build().unwrap())
        .build()
        .unwrap();
    let (mut laptop, mut phone) = (Browser::default(), Browser::default());
    laptop.log_in(&oh, &sandbox, ALICE).await;
    phone.log_in(&oh, &sandbox, ALICE).await;
    let copied = laptop.session.clone();
    assert!(oh.member(copied.clone()).await.unwrap().is_some());
    assert!(oh.member(phone.session.clone()).await.unwrap().is_some());

    laptop.send(&oh, Route::Logout, log_out()).await;
    assert!(laptop.session.is_none());
    assert!(oh.member(copied.clone()).await.unwrap().is_none());
    assert!(oh.member(phone.session.clone()).await.unwrap().is_none());
    // The authorization stays: this was a logout, not a departure.
    assert!(oh.access_token(&alice()).await.is_ok());

    // A login after that counts, and nobody with the old cookie can end it.
    laptop.log_in(&oh, &sandbox, ALICE).await;
    let mut thief = Browser {
        session: copied,
        ..Browser::default()
    };
    thief.send(&oh, Route::Logout, log_out()).await;
    assert!(oh.member(laptop.session.clone()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_logout_that_the_store_does_not_take_is_said_and_done_here() {
    let sandbox = sandbox().await;
    let store = Arc::new(Contested::default());
    let oh = app(&sandbox).token_store(store.clone()).build().unwrap();
    let mut browser = Browser::default();
    browser.log_in(&oh, &sandbox, ALICE).await;
    store.is_down.store(true, Ordering::SeqCst);
    let response = browser.send(&oh, Route::Logout, log_out()).await;
    assert_eq!(response.status(), 503);
    assert!(text(&response).contains("This browser is logged out"));
    assert!(browser.session.is_none());
}

#[tokio::test]
async fn a_session_ends_at_its_greatest_age() {
    let sandbox = sandbox().await;
    let day = Duration::from_secs(24 * 3_600);
    for (age, days, lasts) in [
        (None, 29, true),
        (None, 30, false),
        (Some(day), 1, false),
        (Some(Duration::ZERO), 3_000, true),
    ] {
        let mut settings = settings(&sandbox);
        if let Some(age) = age {
            settings = settings.session_max_age(age);
        }
        let clock = clock();
        let oh = OpenHumans::builder(settings.build().unwrap())
            .clock(clock.clone())
            .build()
            .unwrap();
        let mut browser = Browser::default();
        browser.log_in(&oh, &sandbox, ALICE).await;
        clock.advance(day * days);
        let member = oh.member(browser.session.clone()).await.unwrap();
        assert_eq!(member.is_some(), lasts, "{age:?} {days}");
        // One that is over cannot end the others.
        if !lasts {
            let before = oh.token_store().load(&alice()).await.unwrap().unwrap();
            browser.send(&oh, Route::Logout, log_out()).await;
            let after = oh.token_store().load(&alice()).await.unwrap().unwrap();
            assert_eq!(before.epoch, after.epoch);
        }
    }
}

#[tokio::test]
async fn a_session_of_a_wrong_clock_does_not_last_for_ever() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    browser.log_in(&oh, &sandbox, ALICE).await;
    let session = browser.session.unwrap();
    let year = Duration::from_secs(366 * 24 * 3_600);
    let begun = session.logged_in_at + year;
    let ahead = SessionMember::new(session.member, session.epoch, begun);
    assert!(oh.member(Some(ahead)).await.unwrap().is_none());
}

/// A handler of leaving and one of coming, and the order of what they did.
#[derive(Clone)]
struct Handlers(Arc<State>);

struct State {
    done: watch::Sender<Vec<&'static str>>,
    deletes: Semaphore,
    welcomes: Semaphore,
}

impl Handlers {
    fn new(deletes: usize, welcomes: usize) -> Self {
        Self(Arc::new(State {
            done: watch::Sender::default(),
            deletes: Semaphore::new(deletes),
            welcomes: Semaphore::new(welcomes),
        }))
    }

    fn note(&self, what: &'static str) {
        self.0.done.send_modify(|done| done.push(what));
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.done.borrow().clone()
    }

    async fn wait_for(&self, what: &str, times: usize) {
        let mut done = self.0.done.subscribe();
        let seen = |done: &Vec<&str>| done.iter().filter(|one| **one == what).count() >= times;
        done.wait_for(seen).await.unwrap();
    }
}

#[async_trait]
impl DeauthHandler for Handlers {
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError> {
        assert!(departure.delete_data);
        self.note("deleting");
        self.0.deletes.acquire().await.unwrap().forget();
        self.note("deleted");
        Ok(())
    }
}

#[async_trait]
impl LoginHandler for Handlers {
    async fn logged_in(&self, _: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        self.note("coming");
        self.0.welcomes.acquire().await.unwrap().forget();
        self.note("made rows");
        Ok(LoginAccepted::new())
    }
}

#[tokio::test]
async fn a_login_waits_for_the_handler_of_an_earlier_departure() {
    let sandbox = sandbox().await;
    let handlers = Handlers::new(0, 2);
    let inbox: Arc<dyn DeauthInbox> = Arc::new(MemoryInbox::new());
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let process = |handlers: &Handlers| {
        app(&sandbox)
            .deauth_inbox(inbox.clone())
            .token_store(store.clone())
            .login_handler(handlers.clone())
            .deauth_handler(handlers.clone())
            .build()
            .unwrap()
    };
    // Worker and login in two processes.
    let (oh, worker) = (process(&handlers), process(&handlers));
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&oh, &sandbox, ALICE).await.status(), 303);
    worker
        .disconnect(&alice(), ErasureRequest::Requested)
        .await
        .unwrap();
    let running = worker.worker().spawn();
    handlers.wait_for("deleting", 1).await;

    let (response, ()) = tokio::join!(browser.log_in(&oh, &sandbox, ALICE), async {
        sandbox.wait_for(Endpoint::ExchangeMember, 2).await;
        handlers.0.deletes.add_permits(1);
    });
    assert_eq!(response.status(), 303);
    assert_eq!(
        handlers.all(),
        [
            "coming",
            "made rows",
            "deleting",
            "deleted",
            "coming",
            "made rows"
        ]
    );
    assert!(oh.access_token(&alice()).await.is_ok());
    running.stop().await;
}

#[tokio::test]
async fn a_login_is_refused_while_the_handler_of_an_earlier_departure_goes_on() {
    let sandbox = sandbox().await;
    let handlers = Handlers::new(0, 1);
    let settings = settings(&sandbox).timeout(Duration::from_millis(300));
    let oh = OpenHumans::builder(settings.build().unwrap())
        .login_handler(handlers.clone())
        .deauth_handler(handlers.clone())
        .build()
        .unwrap();
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&oh, &sandbox, ALICE).await.status(), 303);
    oh.disconnect(&alice(), ErasureRequest::Requested)
        .await
        .unwrap();
    let running = oh.worker().spawn();
    handlers.wait_for("deleting", 1).await;

    browser.session = None;
    let left = oh.token_store().load(&alice()).await.unwrap().unwrap();
    let response = browser.log_in(&oh, &sandbox, ALICE).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "60");
    assert!(text(&response).contains("still deleting your data"));
    assert!(browser.session.is_none());
    // Nor was the member authorized for a moment: the app may have jobs that look at that.
    let record = oh.token_store().load(&alice()).await.unwrap().unwrap();
    assert_eq!(record.version, left.version);
    assert_eq!(handlers.all(), ["coming", "made rows", "deleting"]);

    handlers.0.deletes.add_permits(1);
    handlers.0.welcomes.add_permits(1);
    running.drain().await;
    assert_eq!(browser.log_in(&oh, &sandbox, ALICE).await.status(), 303);
    running.stop().await;
}

#[tokio::test]
async fn a_lease_taken_as_the_login_is_written_down_is_seen() {
    let sandbox = sandbox().await;
    let settings = settings(&sandbox).timeout(Duration::from_millis(300));
    let store = Arc::new(Contested::default());
    let inbox = Arc::new(MemoryInbox::new());
    let handlers = Handlers::new(0, 1);
    let oh = OpenHumans::builder(settings.build().unwrap())
        .token_store(store.clone())
        .deauth_inbox(inbox.clone())
        .login_handler(handlers.clone())
        .build()
        .unwrap();
    oh.disconnect(&alice(), ErasureRequest::Requested)
        .await
        .unwrap();
    let left = store.load(&alice()).await.unwrap().unwrap();
    *store.before_put.lock().unwrap() = Some(Box::new({
        let (inbox, left) = (inbox.clone(), left.clone());
        move || {
            let now = Timestamp::now();
            let until = now + Duration::from_secs(60);
            let taken = futures_util::FutureExt::now_or_never(async {
                use oh_core::deauth::DeauthInbox;
                inbox.lease(now, until, 10).await
            });
            assert_eq!(taken.unwrap().unwrap().len(), 1);
            left
        }
    }));
    let mut browser = Browser::default();
    let response = browser.log_in(&oh, &sandbox, ALICE).await;
    assert_eq!(response.status(), 503);
    assert!(handlers.all().is_empty());
    let record = store.load(&alice()).await.unwrap().unwrap();
    assert!(!record.is_authorized());
    assert_eq!(record.deauthorized_at, left.deauthorized_at);
}

#[tokio::test]
async fn what_a_login_made_goes_when_the_member_leaves_meanwhile() {
    let sandbox = sandbox().await;
    let handlers = Handlers::new(2, 0);
    let oh = app(&sandbox)
        .login_handler(handlers.clone())
        .deauth_handler(handlers.clone())
        .build()
        .unwrap();
    let running = oh.worker().spawn();
    let mut browser = Browser::default();
    let (response, ()) = tokio::join!(browser.log_in(&oh, &sandbox, ALICE), async {
        handlers.wait_for("coming", 1).await;
        let left_at = Timestamp::now() + Duration::from_secs(5);
        let (member, wish) = (alice(), ErasureRequest::Requested);
        let told = oh.deauthorizer().report_webhook(&member, wish, left_at);
        let _ = told.await.unwrap();
        handlers.wait_for("deleted", 1).await;
        handlers.0.welcomes.add_permits(1);
    });
    assert_eq!(response.status(), 409);
    assert!(browser.session.is_none());
    handlers.wait_for("deleted", 2).await;
    assert_eq!(
        handlers.all(),
        [
            "coming",
            "deleting",
            "deleted",
            "made rows",
            "deleting",
            "deleted"
        ]
    );
    running.drain().await;
    let done = EventQuery::first(10).state(EventState::Done);
    assert_eq!(oh.inbox().events(&done).await.unwrap().len(), 2);
    running.stop().await;
}
