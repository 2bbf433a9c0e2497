//! Logging in against the sandbox: the way in, and every way it can fail.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use async_trait::async_trait;
use http::Request;
use oh_core::login::{LoggedIn, LoginHandler, LoginRequest, Refusal, Welcome};
use oh_core::routes::Route;
use oh_core::transport::{Body, Transport, TransportError};
use oh_sandbox::{Endpoint, Fault};
use support::*;

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
    assert!(text(&response).contains("No login is under way here"));
    // A browser with a login of its own is no better.
    other.begin(&oh, "/openhumans/login").await;
    let response = other.come_back(&oh, &back).await;
    assert!(text(&response).contains("not from this browser"));
    assert!(other.session.is_none());

    let thief = browser.clone();
    assert_eq!(browser.come_back(&oh, &back).await.status(), 303);
    let response = browser.come_back(&oh, &back).await;
    assert_eq!(response.status(), 400);
    assert!(text(&response).contains("completed before"));
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
        ("code=abc&state=made-up".to_owned(), "not from this browser"),
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
    assert!(text(&response).contains("You chose not to authorize"));
    assert!(browser.session.is_none());
    assert_eq!(browser.log_in(&oh, &sandbox, ALICE).await.status(), 303);
}

#[tokio::test]
async fn what_is_wrong_with_open_humans_or_our_credentials_is_told_apart() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let html = |status| Fault::page(status);
    for (endpoint, fault, status, words) in [
        (Endpoint::Token, Fault::Html500, 502, "cannot be reached"),
        (Endpoint::Token, html(200), 502, "cannot be reached"),
        (Endpoint::Token, html(400), 502, "cannot be reached"),
        (
            Endpoint::Token,
            Fault::TruncatedJson,
            502,
            "cannot be reached",
        ),
        (Endpoint::Token, Fault::Reset, 502, "cannot be reached"),
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
        (
            Endpoint::ExchangeMember,
            html(404),
            502,
            "cannot be reached",
        ),
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
    async fn logged_in(&self, login: &LoggedIn) -> Result<Welcome, Refusal> {
        match login.context.as_deref() {
            Some("user 42") => Ok(Welcome::to("/users/42")),
            Some("full") => Err(Refusal::new("We are full & closed.")),
            _ => Ok(Welcome::new()),
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
        .report_found(&record)
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
        (Route::Login, "GET, POST"),
        (Route::Complete, "GET"),
        (Route::Logout, "POST"),
        (Route::Deauth, "POST"),
    ] {
        let request = Request::put(format!("/openhumans{}", route.path()));
        let response = Browser::default().send(&oh, route, request).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], allowed);
    }
}
