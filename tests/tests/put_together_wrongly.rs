//! An app that is put together wrongly says so, and names what to change.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use actix_session::SessionMiddleware;
use actix_session::storage::CookieSessionStore;
use actix_web::cookie::Key;
use actix_web::test::init_service;
use actix_web::web;
use axum::Router;
use oh_core::OpenHumans;
use oh_pages::Pages;
use oh_test::Kit;
use tower_sessions::{MemoryStore, SessionManagerLayer};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// What is logged in this thread.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    fn listen() -> (Self, DefaultGuard) {
        let logs = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(logs.clone())
            .finish();
        (logs, tracing::subscriber::set_default(subscriber))
    }

    /// The lines about one thing.
    fn about(&self, what: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn axum_app(openhumans: &OpenHumans, nested_at: &str) -> Router {
    Router::new()
        .nest(nested_at, oh_axum::router(openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()))
}

#[tokio::test]
async fn routes_that_are_not_at_the_mount_path_are_said_to_be_elsewhere_once() {
    let (logs, _listening) = Logs::listen();
    let kit = Kit::start().await.unwrap();

    let fine = axum_app(&kit.openhumans().build().unwrap(), "/openhumans");
    assert_eq!(
        kit.axum(&fine).get("/openhumans/login/").await.status(),
        303
    );
    assert!(
        logs.about("mount path").is_empty(),
        "{logs:?}",
        logs = logs.about("")
    );

    let elsewhere = axum_app(&kit.openhumans().build().unwrap(), "/oh");
    for path in ["/oh/login?next=/topsecret", "/oh/complete", "/oh/login"] {
        kit.axum(&elsewhere).get(path).await;
    }
    let said = logs.about("mount path");
    assert_eq!(said.len(), 1, "{said:?}");
    for part in [
        "/oh/login",
        "/openhumans",
        "SettingsBuilder::mount_path",
        "WARN",
    ] {
        assert!(said[0].contains(part), "{part}: {said:?}");
    }
    assert!(
        !said[0].contains("topsecret"),
        "a query may be anyone's: {said:?}"
    );
}

#[actix_web::test]
async fn so_they_are_in_actix() {
    let (logs, _listening) = Logs::listen();
    let kit = Kit::start().await.unwrap();
    for (around, login, warnings) in [
        ("", "/openhumans/login", 0),
        ("/a", "/a/openhumans/login", 1),
    ] {
        let openhumans = kit.openhumans().build().unwrap();
        let scope = web::scope(around).configure(oh_actix::configure(&openhumans));
        let sessions = SessionMiddleware::new(CookieSessionStore::default(), Key::generate());
        let app = init_service(actix_web::App::new().service(scope).wrap(sessions)).await;
        assert_eq!(kit.actix(&app).get(login).await.status(), 303);
        let said = logs.about("mount path");
        assert_eq!(said.len(), warnings, "{said:?}");
    }
}

#[tokio::test]
async fn without_a_session_layer_the_webhook_is_taken_in_all_the_same() {
    let kit = Kit::start().await.unwrap();
    let openhumans = kit.openhumans().build().unwrap();
    let pages = oh_axum::with_session(Pages::new("Sleep study").router(&openhumans));
    let routes = oh_axum::router(&openhumans).merge(pages);
    let app = Router::new().nest("/openhumans", routes);
    let mut browser = kit.axum(&app);
    assert_eq!(browser.get("/openhumans/login").await.status(), 500);
    assert_eq!(browser.get("/openhumans/ready").await.status(), 200);
    let left = kit.webhook("01234567").signed();
    assert_eq!(browser.send(left).await.status(), 204);
}

#[tokio::test]
async fn a_redirect_uri_elsewhere_is_said_when_the_handle_is_built() {
    let (logs, _listening) = Logs::listen();
    let kit = Kit::builder()
        .app_base_url("http://localhost:8000")
        .settings(|settings| settings.redirect_uri("http://127.0.0.1:8000/openhumans/complete"))
        .start()
        .await
        .unwrap();
    kit.openhumans().build().unwrap();
    let said = logs.about("OPENHUMANS_REDIRECT_URI");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("WARN"), "{said:?}");
    assert!(
        said[0].contains("localhost and 127.0.0.1 are different"),
        "{said:?}"
    );
}
