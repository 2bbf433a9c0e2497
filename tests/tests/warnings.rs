//! Warnings about an application that is configured or assembled incorrectly.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use actix_session::SessionMiddleware;
use actix_session::storage::CookieSessionStore;
use actix_web::cookie::Key;
use actix_web::test::init_service;
use actix_web::web;
use axum::Router;
use oh_core::deauth::{Departure, MemoryInbox};
use oh_core::store::MemoryStore;
use oh_core::{OpenHumans, OpenHumansBuilder, Settings, Timestamp};
use oh_pages::Pages;
use oh_test::Kit;
use tower_sessions::SessionManagerLayer;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// The log of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The warnings that contain a text.
    fn warnings(&self, text: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = log.lines().map(str::trim_start);
        lines
            .filter(|line| line.contains(" WARN ") && line.contains(text))
            .map(str::to_owned)
            .collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// An application with a webhook secret only.
fn builder(app_base_url: &str) -> OpenHumansBuilder {
    let settings = Settings::builder("id", "secret", app_base_url);
    let settings = settings.webhook_secret("abcdefghijklmnop").build();
    OpenHumans::builder(settings.unwrap())
}

/// A public application with everything that it needs.
fn complete() -> OpenHumans {
    builder("https://app.example")
        .token_store(MemoryStore::new())
        .deauth_inbox(MemoryInbox::new())
        .deauth_handler(|_: Departure| async { Ok(()) })
        .build()
        .unwrap()
}

#[test]
fn build_warns_about_missing_collaborators_depending_on_the_url() {
    for (app_base_url, expected) in [
        ("https://app.example", [1, 1, 1]),
        // On loopback, storage in memory is no mistake.
        ("http://localhost:8000", [0, 0, 1]),
    ] {
        let (log, _guard) = Log::capture();
        builder(app_base_url).build().unwrap();
        let counts = ["token_store", "deauth_inbox", "deauth_handler"]
            .map(|method| log.warnings(&format!("OpenHumansBuilder::{method}")).len());
        assert_eq!(counts, expected, "{app_base_url}");
    }
    let (log, _guard) = Log::capture();
    complete();
    assert_eq!(log.warnings(""), [""; 0]);
}

#[test]
fn build_warns_about_missing_webhook_secret() {
    let (log, _guard) = Log::capture();
    let settings = Settings::builder("id", "secret", "http://localhost:8000");
    OpenHumans::builder(settings.build().unwrap())
        .build()
        .unwrap();
    assert_eq!(log.warnings("OPENHUMANS_WEBHOOK_SECRET").len(), 1);
}

#[test]
fn build_warns_about_redirect_uri_with_another_origin() {
    let (log, _guard) = Log::capture();
    let settings = Settings::builder("id", "secret", "http://localhost:8000")
        .redirect_uri("http://127.0.0.1:8000/openhumans/complete");
    OpenHumans::builder(settings.build().unwrap())
        .build()
        .unwrap();
    let warnings = log.warnings("OPENHUMANS_REDIRECT_URI");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let text = "localhost and 127.0.0.1 are different";
    assert!(warnings[0].contains(text), "{warnings:?}");
}

async fn deauthorize(openhumans: &OpenHumans, member: &str) {
    let accepted = oh_tests::webhook::deauthorize(openhumans, member, Timestamp::now());
    let _ = accepted.await.unwrap();
}

#[tokio::test]
async fn event_without_worker_is_warned_about_once() {
    let (log, _guard) = Log::capture();
    let openhumans = complete();
    deauthorize(&openhumans, "00000001").await;
    deauthorize(&openhumans, "00000002").await;
    assert_eq!(log.warnings("no worker runs in this process").len(), 1);
}

#[tokio::test]
async fn event_with_worker_causes_no_warning() {
    let (log, _guard) = Log::capture();
    let openhumans = complete();
    let background = openhumans.start_background();
    // The worker has started once it sends heartbeats.
    while openhumans.heartbeats().await.unwrap().worker.is_none() {
        tokio::task::yield_now().await;
    }
    deauthorize(&openhumans, "00000001").await;
    while openhumans.inbox().stats().await.unwrap().done == 0 {
        tokio::task::yield_now().await;
    }
    background.stop().await;
    assert_eq!(log.warnings("no worker"), [""; 0]);
}

fn axum_app(openhumans: &OpenHumans, nested_at: &str) -> Router {
    Router::new()
        .nest(nested_at, oh_axum::router(openhumans))
        .layer(SessionManagerLayer::new(
            tower_sessions::MemoryStore::default(),
        ))
}

#[tokio::test]
async fn axum_routes_outside_of_mount_path_are_warned_about_once() {
    let (log, _guard) = Log::capture();
    let kit = Kit::start().await.unwrap();

    let app = axum_app(&kit.openhumans().build().unwrap(), "/openhumans");
    let response = kit.axum(&app).get("/openhumans/login/").await;
    assert_eq!(response.status(), 303);
    assert_eq!(log.warnings("mount path"), [""; 0]);

    let app = axum_app(&kit.openhumans().build().unwrap(), "/oh");
    for path in ["/oh/login?next=/topsecret", "/oh/complete", "/oh/login"] {
        kit.axum(&app).get(path).await;
    }
    let warnings = log.warnings("mount path");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in ["/oh/login", "/openhumans", "SettingsBuilder::mount_path"] {
        assert!(warnings[0].contains(part), "{part}: {warnings:?}");
    }
    // A query can contain anything.
    assert!(!warnings[0].contains("topsecret"), "{warnings:?}");
}

#[actix_web::test]
async fn actix_routes_outside_of_mount_path_are_warned_about() {
    let (log, _guard) = Log::capture();
    let kit = Kit::start().await.unwrap();
    for (scope, login, count) in [
        ("", "/openhumans/login", 0),
        ("/a", "/a/openhumans/login", 1),
    ] {
        let openhumans = kit.openhumans().build().unwrap();
        let scope = web::scope(scope).configure(oh_actix::configure(&openhumans));
        let sessions = SessionMiddleware::new(CookieSessionStore::default(), Key::generate());
        let app = init_service(actix_web::App::new().service(scope).wrap(sessions)).await;
        assert_eq!(kit.actix(&app).get(login).await.status(), 303);
        assert_eq!(log.warnings("mount path").len(), count);
    }
}

#[tokio::test]
async fn webhook_and_readiness_work_without_session_layer() {
    let kit = Kit::start().await.unwrap();
    let openhumans = kit.openhumans().build().unwrap();
    let pages = oh_axum::with_session(Pages::new("Sleep study").router(&openhumans));
    let routes = oh_axum::router(&openhumans).merge(pages);
    let app = Router::new().nest("/openhumans", routes);
    let mut browser = kit.axum(&app);
    assert_eq!(browser.get("/openhumans/login").await.status(), 500);
    assert_eq!(browser.get("/openhumans/ready").await.status(), 200);
    let webhook = kit.webhook("01234567").signed();
    assert_eq!(browser.send(webhook).await.status(), 204);
}
