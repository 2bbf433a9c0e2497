//! The kit with an axum application.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use oh_axum::Member;
use oh_core::OpenHumans;
use oh_core::deauth::{Departure, Step};
use oh_sandbox::{Endpoint, Fault};
use oh_test::{ALICE, BOB, Kit, MemberLedger, NAMELESS};
use tower_sessions::cookie::SameSite;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

fn app(openhumans: &OpenHumans) -> Router {
    app_with(openhumans, SameSite::Strict)
}

fn app_with(openhumans: &OpenHumans, same_site: SameSite) -> Router {
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_same_site(same_site);
    Router::new()
        .route("/", get(home))
        .route("/count", axum::routing::post(count))
        .nest("/openhumans", oh_axum::router(openhumans))
        .layer(oh_axum::layer(openhumans))
        .layer(sessions)
}

async fn home(member: Option<Member>) -> String {
    match member {
        Some(member) => format!("{} {:?}", member.id(), member.username()),
        None => "nobody".to_owned(),
    }
}

async fn count(session: Session) -> String {
    let count = session.get::<u32>("count").await.unwrap().unwrap_or(0) + 1;
    session.insert("count", count).await.unwrap();
    count.to_string()
}

#[tokio::test]
async fn browsers_have_separate_sessions() {
    let kit = Kit::start().await.unwrap();
    let app = app(&kit.openhumans().build().unwrap());
    let mut alice = kit.axum(&app).log_in(ALICE).await;
    let mut nameless = kit.axum(&app).log_in(NAMELESS).await;
    assert_eq!(alice.get("/").await.text(), r#"01026778 Some("alice")"#);
    assert_eq!(nameless.get("/").await.text(), "15546131 None");
    assert_eq!(kit.axum(&app).get("/").await.text(), "nobody");
    // Each login exchanged one code.
    assert_eq!(kit.sandbox().token_requests(), 2);

    let nothing: [(&str, &str); 0] = [];
    assert_eq!(
        alice.post("/openhumans/logout", nothing).await.status(),
        303
    );
    assert_eq!(alice.get("/").await.text(), "nobody");
    assert_eq!(nameless.get("/").await.text(), "15546131 None");
    nameless.clear_cookies();
    assert_eq!(nameless.get("/").await.text(), "nobody");
}

#[tokio::test]
async fn callback_keeps_session_with_strict_and_lax_cookies() {
    let kit = Kit::start().await.unwrap();
    let openhumans = kit.openhumans().build().unwrap();
    for (same_site, requests) in [(SameSite::Strict, 1), (SameSite::Lax, 1)] {
        let app = app_with(&openhumans, same_site);
        let mut alice = kit.axum(&app);
        let nothing: [(&str, &str); 0] = [];
        assert_eq!(alice.post("/count", nothing).await.text(), "1");
        let mut alice = alice.log_in(ALICE).await;
        assert_eq!(
            alice.post("/count", nothing).await.text(),
            "2",
            "one session"
        );
        kit.sandbox().wait_for(Endpoint::Token, requests).await;
    }
}

#[tokio::test]
async fn denied_authorization_shows_retry_and_logs_nobody_in() {
    let kit = Kit::start().await.unwrap();
    let app = app(&kit.openhumans().build().unwrap());
    let mut alice = kit.axum(&app);
    let redirect = alice.get("/openhumans/login?next=/nights").await;
    let response = alice.refuse(&redirect).await;
    assert!(response.text().contains("Try again"), "{response}");
    assert_eq!(alice.get("/").await.text(), "nobody");
    // A second attempt succeeds.
    let redirect = alice.get("/openhumans/login?next=/nights").await;
    let response = alice.authorize(ALICE, &redirect).await;
    assert_eq!(response.location(), "/nights");
}

#[tokio::test]
#[should_panic(expected = "the application returned 502")]
async fn log_in_panics_with_response_when_login_fails() {
    let kit = Kit::start().await.unwrap();
    let app = app(&kit.openhumans().build().unwrap());
    kit.sandbox().fault(Endpoint::Token, Fault::Html500);
    let _ = kit.axum(&app).log_in(ALICE).await;
}

#[tokio::test]
async fn advance_moves_application_and_sandbox() {
    let kit = Kit::builder()
        .settings(|settings| settings.session_max_age(Duration::from_secs(48 * 3_600)))
        .start()
        .await
        .unwrap();
    let openhumans = kit.openhumans().build().unwrap();
    let app = app(&openhumans);
    let mut alice = kit.axum(&app).log_in(ALICE).await;
    let member = ALICE.parse().unwrap();
    let first = openhumans.access_token(&member).await.unwrap();
    kit.advance(Duration::from_secs(11 * 3_600));
    let second = openhumans.access_token(&member).await.unwrap();
    assert_ne!(first.expose(), second.expose(), "the token was refreshed");
    let who = openhumans.member_client(&member).project_member_id().await;
    assert_eq!(who.unwrap(), member);
    assert_eq!(alice.get("/").await.text(), r#"01026778 Some("alice")"#);
    kit.advance(Duration::from_secs(40 * 3_600));
    assert_eq!(alice.get("/").await.text(), "nobody", "the session expired");
}

#[tokio::test]
async fn run_worker_retries_failed_event_after_backoff() {
    let kit = Kit::start().await.unwrap();
    let succeeds = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&succeeds);
    let openhumans = kit
        .openhumans()
        .deauth_handler(move |_: Departure| {
            let succeeds = switch.load(Ordering::SeqCst);
            async move {
                succeeds
                    .then_some(())
                    .ok_or_else(|| "the disk is full".into())
            }
        })
        .build()
        .unwrap();
    let app = app(&openhumans);
    let mut alice = kit.axum(&app).log_in(ALICE).await;
    let statuses = alice.leave(BOB, true).await;
    assert!(statuses.is_empty(), "bob had not joined: {statuses:?}");
    MemberLedger::of(&openhumans, ALICE).await.assert_empty();

    assert_eq!(alice.leave(ALICE, true).await, [204]);
    MemberLedger::of(&openhumans, ALICE).await.assert_pending();
    assert_eq!(alice.get("/").await.text(), "nobody");

    kit.run_worker(&openhumans).await;
    MemberLedger::of(&openhumans, ALICE).await.assert_failed();
    succeeds.store(true, Ordering::SeqCst);
    kit.run_worker(&openhumans).await;
    MemberLedger::of(&openhumans, ALICE).await.assert_failed();
    kit.advance(Duration::from_secs(3_600));
    kit.run_worker(&openhumans).await;
    let ledger = MemberLedger::of(&openhumans, ALICE).await;
    ledger.assert_done();
    let tried = ledger
        .steps()
        .iter()
        .filter(|step| **step == Step::Tried)
        .count();
    assert_eq!(tried, 2);
    assert!(ledger.to_string().contains("the disk is full"), "{ledger}");

    // The member returns.
    let mut alice = kit.axum(&app).log_in(ALICE).await;
    assert_eq!(alice.get("/").await.text(), r#"01026778 Some("alice")"#);
}

#[tokio::test]
#[should_panic(expected = "the last step is not Done")]
async fn assert_done_panics_when_worker_has_not_run() {
    let kit = Kit::start().await.unwrap();
    let openhumans = kit.openhumans().build().unwrap();
    let app = app(&openhumans);
    let alice = kit.axum(&app).log_in(ALICE).await;
    alice.leave(ALICE, true).await;
    MemberLedger::of(&openhumans, ALICE).await.assert_done();
}

#[tokio::test]
async fn leave_sends_unsigned_webhook_when_signed_one_is_rejected() {
    let kit = Kit::builder()
        .settings(|settings| settings.mount_path("/oh"))
        .start()
        .await
        .unwrap();
    let other = Kit::builder()
        .sandbox(|sandbox| sandbox.webhook_secret("the-secret-of-another-app"))
        .settings(|settings| settings.mount_path("/oh"))
        .start()
        .await
        .unwrap();
    let openhumans = other.openhumans().build().unwrap();
    let app = Router::new()
        .nest("/oh", oh_axum::router(&openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    kit.sandbox().join(ALICE);
    assert_eq!(kit.axum(&app).leave(ALICE, true).await, [401, 401]);

    let mut browser = other.axum(&app);
    let webhook = other.webhook(ALICE);
    let response = browser.send(webhook.clone().unsigned()).await;
    assert_eq!(response.text(), "the signature is missing\n");
    let response = browser.send(webhook.clone().signed_with("no")).await;
    assert_eq!(response.text(), "the signature does not match\n");
    MemberLedger::of(&openhumans, ALICE).await.assert_empty();
    assert_eq!(browser.send(webhook.signed()).await.status(), 204);
    MemberLedger::of(&openhumans, ALICE).await.assert_pending();
}
