//! The kit at work on an axum app.

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
async fn members_log_in_each_in_their_own_browser() {
    let kit = Kit::start().await.unwrap();
    let app = app(&kit.openhumans().build().unwrap());
    let mut alice = kit.axum(&app).log_in(ALICE).await;
    let mut nameless = kit.axum(&app).log_in(NAMELESS).await;
    assert_eq!(alice.get("/").await.text(), r#"01026778 Some("alice")"#);
    assert_eq!(nameless.get("/").await.text(), "15546131 None");
    assert_eq!(kit.axum(&app).get("/").await.text(), "nobody");
    // It went through Open Humans, once each.
    assert_eq!(kit.sandbox().token_requests(), 2);

    let nothing: [(&str, &str); 0] = [];
    assert_eq!(
        alice.post("/openhumans/logout", nothing).await.status(),
        303
    );
    assert_eq!(alice.get("/").await.text(), "nobody");
    assert_eq!(nameless.get("/").await.text(), "15546131 None");
    nameless.forget_cookies();
    assert_eq!(nameless.get("/").await.text(), "nobody");
}

#[tokio::test]
async fn cookies_that_are_strict_stay_behind_on_the_way_back() {
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
async fn someone_who_refuses_is_told_so_and_is_nobody() {
    let kit = Kit::start().await.unwrap();
    let app = app(&kit.openhumans().build().unwrap());
    let mut alice = kit.axum(&app);
    let answer = alice.get("/openhumans/login?next=/nights").await;
    let answer = alice.refuse(&answer).await;
    assert!(answer.text().contains("Try again"), "{answer}");
    assert_eq!(alice.get("/").await.text(), "nobody");
    // And another time does not.
    let answer = alice.get("/openhumans/login?next=/nights").await;
    let answer = alice.authorize(ALICE, &answer).await;
    assert_eq!(answer.location(), "/nights");
}

#[tokio::test]
#[should_panic(expected = "was not logged in: the app answered 502")]
async fn a_login_that_fails_says_why() {
    let kit = Kit::start().await.unwrap();
    let app = app(&kit.openhumans().build().unwrap());
    kit.sandbox().fault(Endpoint::Token, Fault::Html500);
    let _ = kit.axum(&app).log_in(ALICE).await;
}

#[tokio::test]
async fn the_clock_moves_the_app_and_the_sandbox_alike() {
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
    assert_ne!(first.expose(), second.expose(), "it was refreshed in time");
    let who = openhumans.member_client(&member).project_member_id().await;
    assert_eq!(who.unwrap(), member);
    assert_eq!(alice.get("/").await.text(), r#"01026778 Some("alice")"#);
    kit.advance(Duration::from_secs(40 * 3_600));
    assert_eq!(
        alice.get("/").await.text(),
        "nobody",
        "the session is too old"
    );
}

#[tokio::test]
async fn what_fails_is_tried_again_when_the_clock_has_moved() {
    let kit = Kit::start().await.unwrap();
    let works = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&works);
    let openhumans = kit
        .openhumans()
        .deauth_handler(move |_: Departure| {
            let works = switch.load(Ordering::SeqCst);
            async move { works.then_some(()).ok_or_else(|| "the disk is full".into()) }
        })
        .build()
        .unwrap();
    let app = app(&openhumans);
    let mut alice = kit.axum(&app).log_in(ALICE).await;
    let told = alice.leave(BOB, true).await;
    assert!(told.is_empty(), "bob takes no part: {told:?}");
    MemberLedger::of(&openhumans, ALICE).await.assert_empty();

    assert_eq!(alice.leave(ALICE, true).await, [204]);
    MemberLedger::of(&openhumans, ALICE).await.assert_pending();
    assert_eq!(alice.get("/").await.text(), "nobody");

    kit.run_worker(&openhumans).await;
    MemberLedger::of(&openhumans, ALICE).await.assert_failed();
    works.store(true, Ordering::SeqCst);
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

    // And back again.
    let mut alice = kit.axum(&app).log_in(ALICE).await;
    assert_eq!(alice.get("/").await.text(), r#"01026778 Some("alice")"#);
}

#[tokio::test]
#[should_panic(expected = "the last step is not Done")]
async fn a_departure_that_nobody_acted_on_is_not_done() {
    let kit = Kit::start().await.unwrap();
    let openhumans = kit.openhumans().build().unwrap();
    let app = app(&openhumans);
    let alice = kit.axum(&app).log_in(ALICE).await;
    alice.leave(ALICE, true).await;
    MemberLedger::of(&openhumans, ALICE).await.assert_done();
}

#[tokio::test]
async fn a_webhook_that_is_refused_comes_once_more_unsigned() {
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

    let mut anyone = other.axum(&app);
    let webhook = other.webhook(ALICE);
    let answer = anyone.send(webhook.clone().unsigned()).await;
    assert_eq!(answer.text(), "the signature is missing\n");
    let answer = anyone.send(webhook.clone().signed_with("no")).await;
    assert_eq!(answer.text(), "the signature does not match\n");
    MemberLedger::of(&openhumans, ALICE).await.assert_empty();
    assert_eq!(anyone.send(webhook.signed()).await.status(), 204);
    MemberLedger::of(&openhumans, ALICE).await.assert_pending();
}
