//! The kit with an actix-web application.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

use actix_session::SessionMiddleware;
use actix_session::storage::CookieSessionStore;
use actix_web::cookie::Key;
use actix_web::test::init_service;
use actix_web::{App, error, web};
use oh_actix::Member;
use oh_test::{ALICE, Kit, MemberLedger};

async fn home(member: Option<Member>) -> String {
    match member {
        Some(member) => member.id().to_string(),
        None => "nobody".to_owned(),
    }
}

async fn broken() -> Result<String, actix_web::Error> {
    Err(error::ErrorImATeapot("short and stout"))
}

#[actix_web::test]
async fn kit_runs_login_errors_and_departure() {
    let kit = Kit::start().await.unwrap();
    let openhumans = kit.openhumans().build().unwrap();
    let app = App::new()
        .configure(oh_actix::configure(&openhumans))
        .route("/", web::get().to(home))
        .route("/echo", web::post().to(async |body: String| body))
        .route("/broken", web::get().to(broken))
        .wrap(SessionMiddleware::new(
            CookieSessionStore::default(),
            Key::generate(),
        ));
    let app = init_service(app).await;

    let mut alice = kit.actix(&app).log_in(ALICE).await;
    assert_eq!(alice.get("/").await.text(), ALICE);
    assert!(alice.cookie("id").is_some());
    let mut stranger = kit.actix(&app);
    assert_eq!(stranger.get("/").await.text(), "nobody");
    let echoed = alice.post("/echo", [("night", "7½ h")]).await;
    assert_eq!(echoed.text(), "night=7%C2%BD+h");
    let response = alice.get("/broken").await;
    assert_eq!(
        (response.status().as_u16(), response.text().as_str()),
        (418, "short and stout")
    );
    assert_eq!(alice.get("/nowhere").await.status(), 404);

    assert_eq!(alice.leave(ALICE, true).await, [204]);
    kit.run_worker(&openhumans).await;
    MemberLedger::of(&openhumans, ALICE).await.assert_done();
    assert_eq!(alice.get("/").await.text(), "nobody");
}
