//! An existing application that adds Open Humans: its routes, sessions, compression, CSRF protection,
//! body limits and 404 page do not change, and the Open Humans routes work inside of its middleware.

#![allow(clippy::unwrap_used)]

mod actix_app;
mod axum_app;

use std::net::{SocketAddr, TcpListener};

use oh_core::{OpenHumans, Settings};
use oh_sandbox::Sandbox;
use oh_sandbox::webhook::sign;
use oh_tests::visitor::{Initiator, Visitor};
use oh_tests::wire::{RawResponse, Request};

const SECRET: &str = "abcdefghijklmnop";

/// The body limit of the application, which is less than the size of a webhook.
pub(crate) const BODY_LIMIT: usize = 64;

type Start = fn(TcpListener, Option<OpenHumans>);

#[tokio::test]
async fn axum_app_behavior_is_unchanged() {
    assert_unchanged(axum_app::start).await;
}

#[tokio::test]
async fn actix_app_behavior_is_unchanged() {
    assert_unchanged(actix_app::start).await;
}

#[tokio::test]
async fn axum_app_supports_login_logout_and_webhook() {
    assert_login_logout_webhook(axum_app::start).await;
}

#[tokio::test]
async fn actix_app_supports_login_logout_and_webhook() {
    assert_login_logout_webhook(actix_app::start).await;
}

async fn assert_unchanged(start: Start) {
    let listener = listen();
    let without = listener.local_addr().unwrap();
    start(listener, None);
    let with = mounted(start).await;

    let before = responses(without).await;
    let after = responses(with.addr).await;
    assert_eq!(before, after);
}

/// Returns the responses of the application's own routes.
async fn responses(addr: SocketAddr) -> Vec<String> {
    let mut transcript = Vec::new();
    let mut record =
        |label: &str, response: &RawResponse| transcript.push(format_response(label, response));
    let mut anna = Visitor::new(addr);

    let response = anna.get("/own").await;
    assert_eq!((response.status, response.text().len()), (200, 4000));
    assert_eq!(response.header("content-encoding"), None);
    record("a page", &response);

    let request = Request::get("/own").header("accept-encoding", "gzip");
    let response = anna.send(request, Initiator::AddressBar).await;
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert!(response.body.len() < 1000);
    record("a page, compressed", &response);

    for path in ["/nowhere", "/openhumans", "/openhumans/nowhere", "/own/"] {
        let response = anna.get(path).await;
        assert_eq!(
            (response.status, response.text().as_str()),
            (404, "no such page here")
        );
        record(path, &response);
    }
    let response = anna.navigate("DELETE", "/own", Initiator::SameOrigin).await;
    assert_eq!(response.status, 405);
    record("an unsupported method", &response);

    for count in 1..=3 {
        let response = anna.post("/count").await;
        assert_eq!(response.text(), format!("{count}"), "session counter");
        record("the session", &response);
    }
    let response = anna.navigate("POST", "/count", Initiator::CrossSite).await;
    assert_eq!(response.status, 403, "CSRF protection");
    record("a cross-site form", &response);

    let at_limit = Request::post("/echo").body("a".repeat(BODY_LIMIT));
    let response = anna.send(at_limit, Initiator::SameOrigin).await;
    assert_eq!(response.text().len(), BODY_LIMIT);
    record("a body", &response);
    let over_limit = Request::post("/echo").body("a".repeat(BODY_LIMIT + 1));
    let response = anna.send(over_limit, Initiator::SameOrigin).await;
    assert_eq!(response.status, 413, "body limit");
    record("a body over the limit", &response);
    transcript
}

/// Formats a response without its variable parts.
fn format_response(label: &str, response: &RawResponse) -> String {
    let mut headers: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| name != "date")
        .map(|(name, value)| match value.split_once(';') {
            Some((_, attributes)) if name == "set-cookie" => format!("{name}: {attributes}"),
            _ => format!("{name}: {value}"),
        })
        .collect();
    headers.sort();
    let body = response.text();
    format!("{label}: {} {headers:?} {body}", response.status)
}

async fn assert_login_logout_webhook(start: Start) {
    let app = mounted(start).await;
    let mut anna = Visitor::new(app.addr);
    assert_eq!(anna.post("/count").await.text(), "1");

    // Log in with the same-site continuation. The application's session is preserved.
    let response = anna.get("/openhumans/login?next=/members").await;
    let callback_url = app.sandbox.authorize("01026778", response.location()).await;
    let callback_url = callback_url.unwrap();
    let callback = format!("{}?{}", callback_url.path(), callback_url.query().unwrap());
    let page = anna.get_cross_site(&callback).await;
    assert_eq!(page.status, 200);
    let resumed = format!("{callback}&resume=1");
    let response = anna.navigate("GET", &resumed, Initiator::SameOrigin).await;
    assert_eq!((response.status, response.location()), (303, "/members"));
    assert_eq!(anna.get("/members").await.text(), "01026778");
    assert_eq!(anna.post("/count").await.text(), "2");

    // Log out through the application's CSRF protection. The session is preserved.
    let response = anna
        .navigate("POST", "/openhumans/logout", Initiator::CrossSite)
        .await;
    assert_eq!(response.status, 403);
    assert_eq!(anna.get("/members").await.text(), "01026778");
    assert_eq!(anna.post("/openhumans/logout").await.status, 303);
    let response = anna.get("/members").await;
    assert_eq!(response.location(), "/openhumans/login?next=/members");
    assert_eq!(anna.post("/count").await.text(), "3");

    // The application's compression applies to the Open Humans pages.
    let request = Request::get("/openhumans/complete").header("accept-encoding", "gzip");
    let response = anna.send(request, Initiator::AddressBar).await;
    assert_eq!(
        (response.status, response.header("content-encoding")),
        (400, Some("gzip"))
    );

    // The webhook is larger than the application's limit and has neither cookies nor origin.
    let sent = app.sandbox.leave("01026778", true).await;
    assert!(sent[0].accepted(), "{sent:?}");
    // The signature is verified over the raw body, before any decompression.
    let body = sent[0].body.clone();
    let request = Request::post("/openhumans/deauth")
        .header("content-encoding", "gzip")
        .header("X-OpenHumans-Webhooks-Signature", sign(SECRET, &body))
        .body(body);
    assert_eq!(anna.send(request, Initiator::AddressBar).await.status, 204);
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
    let base_url = format!("http://localhost:{}", addr.port());
    let sandbox = Sandbox::builder()
        .redirect_uri(format!("{base_url}/openhumans/complete"))
        .webhook_url(format!("http://{addr}/openhumans/deauth"))
        .webhook_secret(SECRET)
        .member("01026778", Some("alice"))
        .start()
        .await
        .unwrap();
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), base_url)
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
