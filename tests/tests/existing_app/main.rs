//! An app that was there before: its routes, sessions, compression, CSRF protection, body limits
//! and its own 404 stay as they are when it mounts the routes of Open Humans, and those work
//! inside all of it.

#![allow(clippy::unwrap_used)]

mod actix_app;
mod axum_app;

use std::net::{SocketAddr, TcpListener};

use oh_core::{OpenHumans, Settings};
use oh_sandbox::Sandbox;
use oh_sandbox::webhook::sign;
use oh_tests::visitor::{From, Visitor};
use oh_tests::wire::{Answer, Request};

const SECRET: &str = "abcdefghijklmnop";

/// The most the app itself takes as a body; less than a webhook has.
pub(crate) const LIMIT: usize = 64;

type Start = fn(TcpListener, Option<OpenHumans>);

#[tokio::test]
async fn an_axum_app_keeps_what_it_had() {
    keeps_what_it_had(axum_app::start).await;
}

#[tokio::test]
async fn an_actix_app_keeps_what_it_had() {
    keeps_what_it_had(actix_app::start).await;
}

#[tokio::test]
async fn open_humans_works_in_an_axum_app() {
    works_inside(axum_app::start).await;
}

#[tokio::test]
async fn open_humans_works_in_an_actix_app() {
    works_inside(actix_app::start).await;
}

async fn keeps_what_it_had(start: Start) {
    let listener = listen();
    let without = listener.local_addr().unwrap();
    start(listener, None);
    let with = mounted(start).await;

    let before = own_answers(without).await;
    let after = own_answers(with.addr).await;
    assert_eq!(before, after);
}

/// Everything the app did by itself, checked and written down.
async fn own_answers(addr: SocketAddr) -> Vec<String> {
    let mut answers = Vec::new();
    let mut note = |label: &str, answer: &Answer| answers.push(written(label, answer));
    let mut anna = Visitor::new(addr);

    let answer = anna.get("/own").await;
    assert_eq!((answer.status, answer.text().len()), (200, 4000));
    assert_eq!(answer.header("content-encoding"), None);
    note("a page", &answer);

    let request = Request::get("/own").header("accept-encoding", "gzip");
    let answer = anna.send(request, From::AddressBar).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.body.len() < 1000);
    note("a page, compressed", &answer);

    for path in ["/nowhere", "/openhumans", "/openhumans/nowhere", "/own/"] {
        let answer = anna.get(path).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (404, "no such page here")
        );
        note(path, &answer);
    }
    let answer = anna.navigate("DELETE", "/own", From::SameOrigin).await;
    assert_eq!(answer.status, 405);
    note("a method the page does not have", &answer);

    for count in 1..=3 {
        let answer = anna.post("/count").await;
        assert_eq!(answer.text(), format!("{count}"), "the session counts");
        note("the session", &answer);
    }
    let answer = anna.navigate("POST", "/count", From::CrossSite).await;
    assert_eq!(answer.status, 403, "the CSRF protection holds");
    note("a form of another site", &answer);

    let fits = Request::post("/echo").body("a".repeat(LIMIT));
    let answer = anna.send(fits, From::SameOrigin).await;
    assert_eq!(answer.text().len(), LIMIT);
    note("a body", &answer);
    let too_long = Request::post("/echo").body("a".repeat(LIMIT + 1));
    let answer = anna.send(too_long, From::SameOrigin).await;
    assert_eq!(answer.status, 413, "the limit holds");
    note("a body that is too long", &answer);
    answers
}

/// All that is not by chance.
fn written(label: &str, answer: &Answer) -> String {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name != "date")
        .map(|(name, value)| match value.split_once(';') {
            Some((_, attributes)) if name == "set-cookie" => format!("{name}: {attributes}"),
            _ => format!("{name}: {value}"),
        })
        .collect();
    headers.sort();
    let body = answer.text();
    format!("{label}: {} {headers:?} {body}", answer.status)
}

async fn works_inside(start: Start) {
    let app = mounted(start).await;
    let mut anna = Visitor::new(app.addr);
    assert_eq!(anna.post("/count").await.text(), "1");

    // In, over the page that leads on; the app's session is the same and counts on.
    let answer = anna.get("/openhumans/login?next=/members").await;
    let back = app.sandbox.authorize("01026778", answer.location()).await;
    let back = back.unwrap();
    let callback = format!("{}?{}", back.path(), back.query().unwrap());
    let page = anna.get_from_elsewhere(&callback).await;
    assert_eq!(page.status, 200);
    let resumed = format!("{callback}&resume=1");
    let answer = anna.navigate("GET", &resumed, From::SameOrigin).await;
    assert_eq!((answer.status, answer.location()), (303, "/members"));
    assert_eq!(anna.get("/members").await.text(), "01026778");
    assert_eq!(anna.post("/count").await.text(), "2");

    // Out, through the app's CSRF protection; the session counts on.
    let answer = anna
        .navigate("POST", "/openhumans/logout", From::CrossSite)
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(anna.get("/members").await.text(), "01026778");
    assert_eq!(anna.post("/openhumans/logout").await.status, 303);
    let answer = anna.get("/members").await;
    assert_eq!(answer.location(), "/openhumans/login?next=/members");
    assert_eq!(anna.post("/count").await.text(), "3");

    // Our pages are compressed as the app's are.
    let request = Request::get("/openhumans/complete").header("accept-encoding", "gzip");
    let answer = anna.send(request, From::AddressBar).await;
    assert_eq!(
        (answer.status, answer.header("content-encoding")),
        (400, Some("gzip"))
    );

    // The webhook is longer than the app's own limit and comes without any cookie or origin.
    let sent = app.sandbox.leave("01026778", true).await;
    assert!(sent[0].accepted(), "{sent:?}");
    // And whatever the app does to bodies, the signature is over those that came.
    let body = sent[0].body.clone();
    let request = Request::post("/openhumans/deauth")
        .header("content-encoding", "gzip")
        .header("X-OpenHumans-Webhooks-Signature", sign(SECRET, &body))
        .body(body);
    assert_eq!(anna.send(request, From::AddressBar).await.status, 204);
    let stats = app.openhumans.inbox().stats().await.unwrap();
    assert_eq!(stats.pending, 1, "the same event");
}

struct Mounted {
    addr: SocketAddr,
    sandbox: Sandbox,
    openhumans: OpenHumans,
}

async fn mounted(start: Start) -> Mounted {
    let listener = listen();
    let addr = listener.local_addr().unwrap();
    let home = format!("http://localhost:{}", addr.port());
    let sandbox = Sandbox::builder()
        .redirect_uri(format!("{home}/openhumans/complete"))
        .webhook_url(format!("http://{addr}/openhumans/deauth"))
        .webhook_secret(SECRET)
        .member("01026778", Some("alice"))
        .start()
        .await
        .unwrap();
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), home)
        .oh_base_url(sandbox.url().as_str())
        .webhook_secret(SECRET)
        .build()
        .unwrap();
    let openhumans = OpenHumans::builder(settings).build().unwrap();
    start(listener, Some(openhumans.clone()));
    Mounted {
        addr,
        sandbox,
        openhumans,
    }
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}
