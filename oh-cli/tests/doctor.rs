//! `oh doctor` against an app that is set up right, and against all that can be wrong with one.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use oh_core::deauth::{DeauthInbox, EventQuery, LedgerQuery, MemoryInbox};
use oh_core::{OpenHumans, Settings};
use oh_sandbox::{Endpoint, Fault, Sandbox};
use serde_json::Value;
use tokio::net::TcpListener;
use tower_sessions::{MemoryStore, SessionManagerLayer};

const SECRET: &str = "abcdefghijklmnop";
const OTHER: &str = "ponmlkjihgfedcba";

/// A running app, and its Open Humans.
struct App {
    home: String,
    sandbox: Sandbox,
    inbox: Arc<MemoryInbox>,
}

impl App {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let home = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let sandbox = Sandbox::builder()
            .redirect_uri(format!("{home}/openhumans/complete"))
            .webhook_url(format!("{home}/openhumans/deauth"))
            .webhook_secret(SECRET)
            .start()
            .await
            .unwrap();
        let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), &home)
            .oh_base_url(sandbox.url().as_str())
            .webhook_secret(SECRET)
            .build()
            .unwrap();
        let inbox = Arc::new(MemoryInbox::new());
        let openhumans = OpenHumans::builder(settings)
            .deauth_inbox(Arc::clone(&inbox))
            .build()
            .unwrap();
        let app = Router::new()
            .nest("/openhumans", oh_axum::router(&openhumans))
            .route("/another/deauth", post(async || "taken"))
            .layer(SessionManagerLayer::new(MemoryStore::default()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            home,
            sandbox,
            inbox,
        }
    }

    /// An environment in which nothing is wrong.
    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OPENHUMANS_OH_BASE_URL", self.sandbox.url().to_string()),
            ("OPENHUMANS_CLIENT_ID", self.sandbox.client_id().to_owned()),
            (
                "OPENHUMANS_CLIENT_SECRET",
                self.sandbox.client_secret().to_owned(),
            ),
            ("OPENHUMANS_APP_BASE_URL", self.home.clone()),
            ("OPENHUMANS_WEBHOOK_SECRET", SECRET.to_owned()),
            (
                "OPENHUMANS_MASTER_TOKEN",
                self.sandbox.master_token().to_owned(),
            ),
            ("OPENHUMANS_LEDGER_KEY", "k".repeat(32)),
            ("OPENHUMANS_STORE_KEYS", KEYS.to_owned()),
            ("OPENHUMANS_LEDGER_SIGNING_KEY", SIGNING.to_owned()),
        ]
    }

    /// Runs it with some of that changed, and with these arguments; an empty value takes one away.
    async fn examine(&self, changes: &[(&'static str, &str)], args: &[&str]) -> Examined {
        let mut environment = self.environment();
        for (name, value) in changes {
            environment.retain(|(known, _)| known != name);
            if !value.is_empty() {
                environment.push((name, (*value).to_owned()));
            }
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_oh"));
        command
            .env_clear()
            .envs(environment)
            .args(["doctor", "--json"])
            .args(args)
            .stdin(Stdio::null());
        let running = tokio::task::spawn_blocking(move || command.output().unwrap());
        Examined::new(&running.await.unwrap())
    }
}

const KEYS: &str = "2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";

// From the documentation of Go's golang.org/x/mod/sumdb/note.
const SIGNING: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const VERIFYING: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

struct Examined {
    code: i32,
    report: Value,
}

impl Examined {
    fn new(output: &Output) -> Self {
        let said = String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap();
        for secret in [
            "sandbox-client-secret",
            "sandbox-master-token",
            SECRET,
            OTHER,
            "tLZ4",
            "AYEKFALVFGyN",
        ] {
            assert!(!said.contains(secret), "a secret was printed: {said}");
        }
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        Self {
            code: output.status.code().unwrap(),
            report,
        }
    }

    /// What was said about something, with how it is.
    fn about(&self, check: &str) -> Vec<(String, String)> {
        let checks = self.report["checks"].as_array().unwrap();
        let checks = checks.iter().filter(|found| found["check"] == check);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        checks
            .map(|found| (text(&found["state"]), text(&found["said"])))
            .collect()
    }

    #[track_caller]
    fn is(&self, check: &str, state: &str, said: &str) {
        let found = self.about(check);
        let there = found
            .iter()
            .any(|(is, text)| is == state && text.contains(said));
        assert!(there, "{check} is not {state} with {said:?}: {found:?}");
        assert_eq!(
            self.code,
            i32::from(self.report["ok"] == false),
            "{}",
            self.report
        );
        if state == "wrong" {
            assert_eq!(self.code, 1);
        }
    }
}

#[tokio::test]
async fn an_app_that_is_set_up_right_is_fine_and_nothing_has_happened_to_it() {
    let app = App::start().await;
    let id = app.sandbox.populate(1).remove(0);
    let examined = app.examine(&[], &[]).await;
    assert_eq!(examined.code, 0, "{}", examined.report);
    examined.is("Open Humans", "fine", "answers");
    examined.is("clock", "fine", "agrees");
    examined.is("credentials", "fine", "takes the client id and secret");
    examined.is("master token", "fine", "dies 24 hours after");
    examined.is("redirect URI", "fine", "/openhumans/complete");
    examined.is("webhook", "fine", "knows OPENHUMANS_WEBHOOK_SECRET");
    examined.is("store keys", "fine", "2026 seals");
    examined.is("ledger key", "fine", "set");
    examined.is("ledger", "fine", VERIFYING);
    examined.is("database", "warning", "none was named");

    // Nobody has left, nothing was given out, nothing is kept.
    assert!(app.sandbox.is_joined(&id));
    assert_eq!(app.sandbox.stats().tokens.succeeded, 0);
    assert_eq!(app.sandbox.count(Endpoint::RemoveMembers), 0);
    assert!(
        app.inbox
            .events(&EventQuery::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        app.inbox
            .ledger(&LedgerQuery::default())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn without_json_it_says_a_line_each() {
    let app = App::start().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_oh"));
    command.env_clear().envs(app.environment()).arg("doctor");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    for line in [
        "fine     credentials: ",
        "fine     webhook: ",
        "warning  database: none",
    ] {
        assert!(
            said.lines().any(|said| said.starts_with(line)),
            "{line}: {said}"
        );
    }
}

#[tokio::test]
async fn wrong_credentials_are_told_from_right_ones() {
    let app = App::start().await;
    for change in [
        ("OPENHUMANS_CLIENT_SECRET", "another"),
        ("OPENHUMANS_CLIENT_ID", "another"),
    ] {
        let examined = app.examine(&[change], &[]).await;
        examined.is("credentials", "wrong", "does not take");
    }
    let hash = ("OPENHUMANS_CLIENT_SECRET", "pbkdf2_sha256$260000$x$y");
    let examined = app.examine(&[hash], &[]).await;
    examined.is("settings", "wrong", "stored hash");
    examined.is("credentials", "skipped", "settings");
    app.sandbox.fault(Endpoint::Token, Fault::Html500);
    let examined = app.examine(&[], &[]).await;
    examined.is("credentials", "warning", "could not be tried");
}

#[tokio::test]
async fn a_master_token_that_is_dead_is_told_from_none() {
    let app = App::start().await;
    let examined = app
        .examine(&[("OPENHUMANS_MASTER_TOKEN", "another")], &[])
        .await;
    examined.is("master token", "wrong", "does not know");
    let expired = Fault::json(401, r#"{"detail": "Expired token."}"#);
    app.sandbox.fault_next(Endpoint::Project, 1, expired);
    let examined = app.examine(&[], &[]).await;
    examined.is("master token", "wrong", "it has expired");
    let examined = app.examine(&[("OPENHUMANS_MASTER_TOKEN", "")], &[]).await;
    examined.is("master token", "fine", "there is none");
    assert_eq!(examined.code, 0);
}

#[tokio::test]
async fn the_webhook_is_held_to_the_secret_of_the_app() {
    let app = App::start().await;
    let examined = app
        .examine(&[("OPENHUMANS_WEBHOOK_SECRET", OTHER)], &[])
        .await;
    examined.is(
        "webhook",
        "wrong",
        "does not know OPENHUMANS_WEBHOOK_SECRET",
    );
    let both = format!("{OTHER},{SECRET}");
    let examined = app
        .examine(&[("OPENHUMANS_WEBHOOK_SECRET", &both)], &[])
        .await;
    examined.is("webhook", "wrong", "secret 1 of the 2");
    examined.is("webhook", "fine", "secret 2 of the 2");
    let examined = app.examine(&[("OPENHUMANS_WEBHOOK_SECRET", "")], &[]).await;
    examined.is("webhook", "wrong", "is not set");
    let inbox = app.inbox.events(&EventQuery::default()).await.unwrap();
    assert!(inbox.is_empty(), "{inbox:?}");
}

#[tokio::test]
async fn an_app_that_is_elsewhere_or_away_is_noticed() {
    let app = App::start().await;
    let examined = app.examine(&[], &["--mount-path", "/oh"]).await;
    examined.is("webhook", "wrong", "not the route for the webhook (404");
    examined.is(
        "redirect URI",
        "wrong",
        "not the route that completes logins (404",
    );
    // A route that takes anything is not the right one, either.
    let examined = app.examine(&[], &["--mount-path", "/another"]).await;
    examined.is("webhook", "wrong", "not the route for the webhook (200");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let away = format!("http://localhost:{port}");
    let examined = app
        .examine(&[("OPENHUMANS_APP_BASE_URL", &away)], &[])
        .await;
    examined.is("webhook", "wrong", "the app does not answer");
    examined.is("redirect URI", "wrong", "the app does not answer");
    let examined = app
        .examine(&[("OPENHUMANS_APP_BASE_URL", &away)], &["--no-app"])
        .await;
    examined.is("webhook", "skipped", "not to be asked");
    assert_eq!(examined.code, 0);
}

#[tokio::test]
async fn settings_that_do_not_fit_are_said_and_misspelt_ones_too() {
    let app = App::start().await;
    let elsewhere = app.home.replace("localhost", "127.0.0.1") + "/openhumans/complete";
    let changes = [
        ("OPENHUMANS_REDIRECT_URI", elsewhere.as_str()),
        ("OPENHUMANS_MASTERTOKEN", "x"),
        ("OPENHUMANS_LEDGER_KEY", ""),
    ];
    let examined = app.examine(&changes, &[]).await;
    examined.is("settings", "wrong", "localhost and 127.0.0.1 are different");
    examined.is("environment", "warning", "unknown environment variables: ");
    examined.is("ledger key", "warning", "OPENHUMANS_LEDGER_KEY is not set");
    let short = [("OPENHUMANS_STORE_KEYS", "2026:short")];
    let examined = app.examine(&short, &[]).await;
    examined.is(
        "store keys",
        "wrong",
        "OPENHUMANS_STORE_KEYS cannot be used",
    );
    let examined = app.examine(&[("OPENHUMANS_STORE_KEYS", "")], &[]).await;
    examined.is("store keys", "fine", "derived from the client secret");
    let examined = app.examine(&[("OPENHUMANS_CLIENT_ID", "")], &[]).await;
    examined.is("settings", "wrong", "OPENHUMANS_CLIENT_ID is not set");
}

#[tokio::test]
async fn an_open_humans_that_is_away_or_is_none_is_noticed() {
    let app = App::start().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let examined = app.examine(&[("OPENHUMANS_OH_BASE_URL", &away)], &[]).await;
    examined.is("Open Humans", "wrong", "is not reached");
    examined.is("credentials", "skipped", "reached first");
    // The app itself is there, and no Open Humans.
    let examined = app
        .examine(&[("OPENHUMANS_OH_BASE_URL", &app.home)], &[])
        .await;
    examined.is("Open Humans", "wrong", "answers 404");
}

#[tokio::test]
async fn a_ledger_that_is_not_sealed_is_warned_of() {
    let app = App::start().await;
    let name = "OPENHUMANS_LEDGER_SIGNING_KEY";
    // Also where the settings are wrong, and where the variable is there and empty.
    for changes in [
        &[(name, "")][..],
        &[(name, " ")],
        &[(name, ""), ("OPENHUMANS_CLIENT_ID", "")],
    ] {
        let examined = app.examine(changes, &["--no-app"]).await;
        examined.is("ledger", "warning", "not sealed");
        examined.is(
            "ledger",
            "warning",
            "OPENHUMANS_LEDGER_SIGNING_KEY, which `oh ledger keygen` makes",
        );
    }
    let examined = app.examine(&[(name, "topsecret")], &["--no-app"]).await;
    examined.is("settings", "wrong", name);
    examined.is("ledger", "skipped", "settings");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signing.key");
    std::fs::write(&file, format!("{SIGNING}\n")).unwrap();
    let changes = [
        (name, ""),
        ("OPENHUMANS_LEDGER_SIGNING_KEY_FILE", file.to_str().unwrap()),
    ];
    let examined = app.examine(&changes, &["--no-app"]).await;
    examined.is("ledger", "fine", &format!("--key {VERIFYING}"));
}

#[tokio::test]
async fn the_app_can_tell_who_asks() {
    use axum::http::header::USER_AGENT;
    use axum::http::{HeaderMap, StatusCode};

    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    // As the routes answer what is signed with the right secret, and names nobody.
    let deauth = post(move |headers: HeaderMap| {
        tell.send(headers[USER_AGENT].clone()).unwrap();
        std::future::ready(StatusCode::BAD_REQUEST)
    });
    let router = Router::new().route("/openhumans/deauth", deauth);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let app = App::start().await;
    let examined = app
        .examine(&[("OPENHUMANS_APP_BASE_URL", &home)], &[])
        .await;
    examined.is("webhook", "fine", "knows OPENHUMANS_WEBHOOK_SECRET");
    let agent = told.try_recv().unwrap();
    assert!(
        agent.to_str().unwrap().starts_with("oh-doctor/"),
        "{agent:?}"
    );
}
