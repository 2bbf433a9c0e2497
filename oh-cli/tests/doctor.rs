//! `oh doctor` with a correct app, and with each kind of misconfiguration.

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
const OTHER_SECRET: &str = "ponmlkjihgfedcba";
const STORE_KEYS: &str = "2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";

// From the documentation of Go's golang.org/x/mod/sumdb/note.
const SIGNING_KEY: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const VERIFYING_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

/// A running app and its Open Humans server.
struct App {
    url: String,
    sandbox: Sandbox,
    inbox: Arc<MemoryInbox>,
}

/// Returns the URL of a port that no program listens at.
fn unused_url(host: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{host}:{}", listener.local_addr().unwrap().port())
}

impl App {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let sandbox = Sandbox::builder()
            .redirect_uri(format!("{url}/openhumans/complete"))
            .webhook_url(format!("{url}/openhumans/deauth"))
            .webhook_secret(SECRET)
            .start()
            .await
            .unwrap();
        let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), &url)
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
            .route("/other/deauth", post(async || "accepted"))
            .layer(SessionManagerLayer::new(MemoryStore::default()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            url,
            sandbox,
            inbox,
        }
    }

    /// Returns the command with a correct environment, in which some of the variables
    /// `OPENHUMANS_<name>` are changed. An empty value removes one.
    fn command(&self, changes: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oh"));
        let ledger_key = "k".repeat(32);
        command
            .env_clear()
            .envs([
                ("OPENHUMANS_OH_BASE_URL", self.sandbox.url().as_str()),
                ("OPENHUMANS_CLIENT_ID", self.sandbox.client_id()),
                ("OPENHUMANS_CLIENT_SECRET", self.sandbox.client_secret()),
                ("OPENHUMANS_APP_BASE_URL", &self.url),
                ("OPENHUMANS_WEBHOOK_SECRET", SECRET),
                ("OPENHUMANS_MASTER_TOKEN", self.sandbox.master_token()),
                ("OPENHUMANS_LEDGER_KEY", &ledger_key),
                ("OPENHUMANS_STORE_KEYS", STORE_KEYS),
                ("OPENHUMANS_LEDGER_SIGNING_KEY", SIGNING_KEY),
            ])
            .stdin(Stdio::null());
        for change in changes.split_ascii_whitespace() {
            let (name, value) = change.split_once('=').unwrap();
            let name = format!("OPENHUMANS_{name}");
            match value {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        command.arg("doctor");
        command
    }

    /// Runs the checks.
    async fn check(&self, changes: &str, args: &[&str]) -> Checks {
        let mut command = self.command(changes);
        command.arg("--json").args(args);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        Checks::new(&output.await.unwrap())
    }
}

struct Checks {
    code: i32,
    report: Value,
}

impl Checks {
    fn new(output: &Output) -> Self {
        let printed = String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap();
        for secret in [
            "sandbox-client-secret",
            "sandbox-master-token",
            SECRET,
            OTHER_SECRET,
            "tLZ4",
            "AYEKFALVFGyN",
        ] {
            assert!(!printed.contains(secret), "a secret was printed: {printed}");
        }
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{printed}"));
        Self {
            code: output.status.code().unwrap(),
            report,
        }
    }

    /// Asserts a finding, given as `<check> <state> <part of the message>`.
    #[track_caller]
    fn assert(&self, expected: &str) {
        let checks = self.report["checks"].as_array().unwrap();
        let found = checks.iter().any(|found| {
            let [check, state, message] =
                ["check", "state", "message"].map(|field| found[field].as_str().unwrap());
            let text = expected.strip_prefix(&format!("{check} {state} "));
            text.is_some_and(|text| message.contains(text))
        });
        let report = &self.report;
        assert!(found, "{expected:?} is missing: {report:#}");
        assert_eq!(self.code, i32::from(report["ok"] == false), "{report:#}");
    }
}

#[tokio::test]
async fn correct_app_passes_all_checks_and_is_not_changed() {
    let app = App::start().await;
    let member = app.sandbox.populate(1).remove(0);
    let checks = app.check("", &[]).await;
    assert_eq!(checks.code, 0, "{}", checks.report);
    for expected in [
        "Open Humans ok responds",
        "clock ok agrees",
        "credentials ok Open Humans accepts the client id and secret",
        "master token ok expires 24 hours after",
        "redirect URI ok /openhumans/complete",
        "webhook ok accepts OPENHUMANS_WEBHOOK_SECRET",
        "store keys ok 2026 encrypts",
        "ledger key ok set",
        &format!("ledger ok {VERIFYING_KEY}"),
        "database warning not checked",
    ] {
        checks.assert(expected);
    }
    assert!(app.sandbox.is_joined(&member));
    assert_eq!(app.sandbox.stats().tokens.succeeded, 0);
    assert_eq!(app.sandbox.count(Endpoint::RemoveMembers), 0);
    let events = app.inbox.events(&EventQuery::default()).await.unwrap();
    assert!(events.is_empty());
    let lines = app.inbox.ledger(&LedgerQuery::default()).await.unwrap();
    assert!(lines.is_empty());
}

#[tokio::test]
async fn text_output_has_one_line_per_check() {
    let app = App::start().await;
    let mut command = app.command("");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    for start in [
        "ok       credentials: ",
        "ok       webhook: ",
        "warning  database: ",
    ] {
        let found = printed.lines().any(|line| line.starts_with(start));
        assert!(found, "{start}: {printed}");
    }
}

#[tokio::test]
async fn misconfiguration_is_reported() {
    let app = App::start().await;
    let other_host = app.url.replace("localhost", "127.0.0.1") + "/openhumans/complete";
    let (no_app, no_server) = (unused_url("localhost"), unused_url("127.0.0.1"));
    let table = [
        ("CLIENT_SECRET=another", "", "credentials error rejects"),
        ("CLIENT_ID=another", "", "credentials error rejects"),
        (
            "CLIENT_SECRET=pbkdf2_sha256$260000$x$y",
            "",
            "settings error password hash | credentials skipped settings",
        ),
        ("MASTER_TOKEN=another", "", "master token error rejects"),
        ("MASTER_TOKEN=", "", "master token ok not set"),
        (
            &format!("WEBHOOK_SECRET={OTHER_SECRET}"),
            "",
            "webhook error does not accept OPENHUMANS_WEBHOOK_SECRET",
        ),
        (
            &format!("WEBHOOK_SECRET={OTHER_SECRET},{SECRET}"),
            "",
            "webhook error secret 1 of 2 | webhook ok secret 2 of 2",
        ),
        ("WEBHOOK_SECRET=", "", "webhook error is not set"),
        (
            "",
            "--mount-path /oh",
            "webhook error not from the webhook route (404 | \
             redirect URI error not from the route that completes logins (404",
        ),
        // A route that accepts anything is not the right one.
        (
            "",
            "--mount-path /other",
            "webhook error not from the webhook route (200",
        ),
        (
            &format!("APP_BASE_URL={no_app}"),
            "",
            "webhook error the app does not respond | redirect URI error the app does not respond",
        ),
        (
            &format!("APP_BASE_URL={no_app}"),
            "--no-app",
            "webhook skipped --no-app",
        ),
        (
            &format!("REDIRECT_URI={other_host} MASTERTOKEN=x LEDGER_KEY="),
            "",
            "settings error localhost and 127.0.0.1 are different | \
             environment warning unknown environment variables: | \
             ledger key warning OPENHUMANS_LEDGER_KEY is not set",
        ),
        (
            "STORE_KEYS=2026:short",
            "",
            "store keys error OPENHUMANS_STORE_KEYS",
        ),
        (
            "STORE_KEYS=",
            "",
            "store keys ok derived from the client secret",
        ),
        (
            "CLIENT_ID=",
            "",
            "settings error OPENHUMANS_CLIENT_ID is not set",
        ),
        (
            &format!("OH_BASE_URL={no_server}"),
            "",
            "Open Humans error could not connect | credentials skipped connection",
        ),
        // The app itself is not an Open Humans server.
        (
            &format!("OH_BASE_URL={}", app.url),
            "",
            "Open Humans error responds with 404",
        ),
        (
            "LEDGER_SIGNING_KEY=",
            "--no-app",
            "ledger warning not signed",
        ),
        (
            "LEDGER_SIGNING_KEY=\u{a0}",
            "--no-app",
            "ledger warning OPENHUMANS_LEDGER_SIGNING_KEY",
        ),
        (
            "LEDGER_SIGNING_KEY= CLIENT_ID=",
            "--no-app",
            "ledger warning oh ledger keygen",
        ),
        (
            "LEDGER_SIGNING_KEY=topsecret",
            "--no-app",
            "settings error OPENHUMANS_LEDGER_SIGNING_KEY | ledger skipped settings",
        ),
    ];
    for (changes, args, expected) in table {
        let args: Vec<&str> = args.split_ascii_whitespace().collect();
        let checks = app.check(changes, &args).await;
        for expected in expected.split(" | ") {
            checks.assert(expected);
        }
    }
    let events = app.inbox.events(&EventQuery::default()).await.unwrap();
    assert!(events.is_empty(), "{events:?}");
}

#[tokio::test]
async fn server_errors_are_warnings_and_expired_master_token_is_an_error() {
    let app = App::start().await;
    app.sandbox.fault(Endpoint::Token, Fault::Html500);
    let expired = Fault::json(401, r#"{"detail": "Expired token."}"#);
    app.sandbox.fault_next(Endpoint::Project, 1, expired);
    let checks = app.check("", &[]).await;
    checks.assert("credentials warning could not be checked");
    checks.assert("master token error it has expired");
}

#[tokio::test]
async fn signing_key_is_read_from_file() {
    let app = App::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("signing.key");
    std::fs::write(&file, format!("{SIGNING_KEY}\n")).unwrap();
    let file = file.to_str().unwrap();
    let changes = format!("LEDGER_SIGNING_KEY= LEDGER_SIGNING_KEY_FILE={file}");
    let checks = app.check(&changes, &["--no-app"]).await;
    checks.assert(&format!("ledger ok --key {VERIFYING_KEY}"));
}

#[tokio::test]
async fn requests_to_app_identify_doctor() {
    use axum::http::header::USER_AGENT;
    use axum::http::{HeaderMap, StatusCode};

    let (sender, mut agents) = tokio::sync::mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let deauth = post(move |headers: HeaderMap| {
        sender.send(headers[USER_AGENT].clone()).unwrap();
        std::future::ready(StatusCode::BAD_REQUEST)
    });
    let router = Router::new().route("/openhumans/deauth", deauth);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let app = App::start().await;
    let checks = app.check(&format!("APP_BASE_URL={url}"), &[]).await;
    checks.assert("webhook ok accepts OPENHUMANS_WEBHOOK_SECRET");
    let agent = agents.try_recv().unwrap();
    assert!(agent.as_bytes().starts_with(b"oh-doctor/"), "{agent:?}");
}
