//! Secrets appear neither in logs, errors and responses nor in the database.
//!
//! The test runs through the life of a member: login, refresh, upload, list, failures, departure. It
//! searches the log at level TRACE, including dependencies, all responses, all errors and the
//! content of the database for every secret: in plain text, URL-encoded, in JSON, in hexadecimal and
//! in base64 with any alignment.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use futures_util::StreamExt;
use oh_core::api::Upload;
use oh_core::deauth::EventState;
use oh_core::{Member, OpenHumans, ProjectMemberId, Settings};
use oh_pages::Pages;
use oh_sandbox::{Endpoint, Fault, Sandbox};
use oh_tests::cluster::skip;
use oh_tests::place::{Place, Pool, Store};
use oh_tests::visitor::Visitor;
use oh_tests::wire::RawResponse;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::net::TcpListener;
use tower_sessions::{MemoryStore, SessionManagerLayer};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

const ALICE: &str = "01026778";

/// The log of the process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

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

#[tokio::test(flavor = "multi_thread")]
async fn secrets_appear_in_no_log_error_response_or_database() {
    let logs = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(logs.clone())
        .init();
    check(&logs, Store::Sqlite, None).await;
    match std::env::var("DATABASE_URL") {
        Ok(url) => check(&logs, Store::Postgres, Some(&url)).await,
        Err(_) => {
            assert!(std::env::var_os("CI").is_none(), "DATABASE_URL is not set");
            skip("the search through PostgreSQL: set DATABASE_URL");
        }
    }
}

/// Runs through the life of a member and searches for secrets.
async fn check(logs: &Log, store: Store, database_url: Option<&str>) {
    let place = Place::fresh(store, "secrets", database_url).await.unwrap();
    let opened = place.open().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let home = format!("http://localhost:{}", address.port());
    let sandbox = Sandbox::builder()
        .redirect_uri(format!("{home}/openhumans/complete"))
        .webhook_url(format!("{home}/openhumans/deauth"))
        .member(ALICE, Some("alice"))
        .start()
        .await
        .unwrap();
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), &home)
        .oh_base_url(sandbox.url().as_str())
        .webhook_secret(sandbox.webhook_secret())
        .master_token(sandbox.master_token())
        .build()
        .unwrap();
    let oh = OpenHumans::builder(settings)
        .token_store(opened.store)
        .deauth_inbox(opened.inbox)
        .build()
        .unwrap();
    let background = oh.start_background();
    let pages = Pages::new("Secrets").staff(|_: &http::request::Parts, _: Option<&Member>| true);
    let pages = oh_axum::with_session(pages.router(&oh));
    let app = Router::new()
        .nest("/openhumans", oh_axum::router(&oh).merge(pages))
        .layer(oh_axum::layer(&oh))
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut secrets = vec![
        sandbox.client_secret().to_owned(),
        sandbox.webhook_secret(),
        sandbox.master_token().to_owned(),
    ];
    let mut responses: Vec<RawResponse> = Vec::new();
    let mut errors: Vec<String> = Vec::new();

    // Login.
    let mut visitor = Visitor::new(address);
    let begun = visitor.get("/openhumans/login").await;
    let back = sandbox.authorize(ALICE, begun.location()).await.unwrap();
    responses.push(begun);
    let code = back
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    secrets.push(code);
    let callback = &back[url::Position::BeforePath..];
    let answer = visitor.get(callback).await;
    assert_eq!(answer.status, 303);
    responses.push(answer);
    // A second use fails with an error page.
    let answer = visitor.get(callback).await;
    assert!((400..500).contains(&answer.status));
    responses.push(answer);
    let member: ProjectMemberId = ALICE.parse().unwrap();
    let tokens = async || {
        let record = oh.token_store().load(&member).await.unwrap().unwrap();
        record.tokens.unwrap()
    };
    let mut record_tokens = |tokens: &oh_core::store::Tokens| {
        secrets.push(tokens.access_token.expose().to_owned());
        secrets.push(tokens.refresh_token.expose().to_owned());
        errors.push(format!("{tokens:?}"));
    };
    let first = tokens().await;
    record_tokens(&first);

    // Refresh.
    oh.refreshed_access_token(&member, &first.access_token)
        .await
        .unwrap();
    let second = tokens().await;
    assert_ne!(first.access_token.expose(), second.access_token.expose());
    record_tokens(&second);

    // Upload, list, and the members with the master token in the URL.
    let client = oh.member_client(&member);
    client
        .upload(Upload::bytes("steps.csv", "1,2,3"))
        .await
        .unwrap();
    let files = client.exchange_member().await.unwrap().data;
    assert_eq!(files.len(), 1);
    let mut members = oh.project_client().unwrap().members();
    errors.push(format!("{:?}", members.try_next().await.unwrap().unwrap()));
    errors.push(format!("{:?} {files:?}", oh.settings()));

    // All pages, and then the same while Open Humans fails.
    let failures = [
        None,
        Some(Fault::Html500),
        Some(Fault::TruncatedJson),
        Some(Fault::NextLinkToOtherHost {
            host: "http://evil.example".parse().unwrap(),
        }),
        Some(Fault::Reset),
    ];
    let file = files[0].id;
    for failure in failures {
        sandbox.clear_faults();
        for endpoint in [Endpoint::ExchangeMember, Endpoint::Members, Endpoint::Token] {
            if let Some(fault) = &failure {
                sandbox.fault(endpoint, fault.clone());
            }
        }
        for path in [
            "",
            "/files",
            &format!("/files/{file}/edit"),
            &format!("/files/{file}/download"),
            "/staff",
            "/staff/events",
            "/openapi.json",
            "/ready",
            "/complete?code=wrong&state=wrong",
        ] {
            responses.push(visitor.get(&format!("/openhumans{path}")).await);
        }
        let quick = oh_core::api::RetryPolicy::none();
        let server = oh_core::api::Client::new(sandbox.url().as_str()).unwrap();
        let server = server.retries(quick);
        let mut members = server.project(sandbox.master_token()).members();
        while let Some(next) = members.next().await {
            if let Err(error) = next {
                errors.push(format!("{error} {error:?}"));
            }
        }
        let member = server.member(second.access_token.clone());
        if let Err(error) = member.exchange_member().await {
            errors.push(format!("{error} {error:?}"));
        }
    }
    sandbox.clear_faults();
    assert!(errors.len() >= 9, "too few errors: {errors:?}");

    // The departure, with the content of the database before and after.
    let mut stored = dump(&place, &opened.pool).await;
    assert!(contains(&stored, ALICE), "the database was not read");
    sandbox.leave(ALICE, true).await;
    // The background worker may be processing the event.
    background.stop().await;
    let worker = oh.worker(oh_core::deauth::WorkerSettings::default());
    worker.run_until_idle().await;
    let query = oh_core::deauth::EventQuery::first(10);
    let events = oh.inbox().events(&query).await.unwrap();
    assert_eq!(events[0].state, EventState::Done);
    responses.push(visitor.get("/openhumans/staff/ledger.jsonl").await);
    stored.extend(dump(&place, &opened.pool).await);

    let logged = logs.0.lock().unwrap().clone();
    assert!(
        contains(&logged, "a member logged in"),
        "nothing was logged"
    );
    assert!(
        contains(&logged, "TRACE"),
        "the dependencies logged nothing"
    );
    if let Some(at) = find(&logged, ALICE) {
        let line = logged[..at].rsplit(|b| *b == b'\n').next().unwrap();
        let line = String::from_utf8_lossy(line);
        panic!("the member's id was logged after: {line}");
    }
    let mut shown = Vec::new();
    for answer in &responses {
        shown.extend(format!("{} {:?}\n", answer.status, answer.headers).into_bytes());
        shown.extend_from_slice(&answer.body);
        shown.push(b'\n');
    }
    let errors = errors.join("\n").into_bytes();
    for (what, bytes) in [
        ("logged", &logged),
        ("in a response", &shown),
        ("in an error", &errors),
        ("in the database", &stored),
    ] {
        for secret in &secrets {
            for form in forms(secret) {
                if let Some(at) = find(bytes, &form) {
                    let line = bytes[..at].rsplit(|b| *b == b'\n').next().unwrap();
                    let line = String::from_utf8_lossy(line);
                    panic!("with {store:?} a secret is {what} as {form:.6}…, after: {line:.300}");
                }
            }
        }
    }
    drop(oh);
    if store == Store::Postgres {
        place.remove().await.unwrap();
    }
}

/// The forms of a secret: plain, URL-encoded, in JSON, in hexadecimal, and in base64 with each of
/// the three alignments.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![
        secret.to_owned(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        secret.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        serde_json::to_string(secret)
            .unwrap()
            .trim_matches('"')
            .to_owned(),
        secret.replace('/', "\\/"),
        hex::encode(secret),
        hex::encode_upper(secret),
    ];
    for before in 0..3 {
        let aligned = [&b"\0\0"[..before], secret.as_bytes()].concat();
        // Only the characters that encode nothing but the secret.
        let from = (before * 8).div_ceil(6);
        let to = aligned.len() * 8 / 6;
        for text in [
            STANDARD_NO_PAD.encode(&aligned),
            URL_SAFE_NO_PAD.encode(&aligned),
        ] {
            forms.push(text[from..to].to_owned());
        }
    }
    forms
}

/// The content of the database.
async fn dump(place: &Place, pool: &Pool) -> Vec<u8> {
    match (place, pool) {
        (Place::Sqlite { file, .. }, _) => ["", "-wal", "-shm"]
            .iter()
            .filter_map(|part| {
                let mut path = file.clone().into_os_string();
                path.push(part);
                std::fs::read(path).ok()
            })
            .flatten()
            .collect(),
        (_, Pool::Postgres(pool)) => tables(pool).await,
        (_, Pool::Sqlite(_)) => unreachable!("PostgreSQL is no file"),
    }
}

async fn tables(pool: &PgPool) -> Vec<u8> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(names.len() >= 4, "{names:?}");
    let mut all = Vec::new();
    for name in names {
        let sql = format!("SELECT row_to_json(t)::text FROM \"{name}\" AS t");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(pool)
            .await
            .unwrap();
        all.extend(rows.join("\n").into_bytes());
    }
    all
}

#[test]
fn secret_is_found_in_each_form() {
    let secret = "a+b/c=d?e\"f-0123456789";
    for text in [
        format!("token={secret}"),
        format!(
            "?x=1&token={}",
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>()
        ),
        serde_json::json!({ "token": secret }).to_string(),
        hex::encode(format!("x{secret}y")),
        STANDARD_NO_PAD.encode(format!("id:{secret}")),
        STANDARD_NO_PAD.encode(format!("i:{secret}:more")),
        URL_SAFE_NO_PAD.encode(format!(":{secret}:more")),
    ] {
        let found = forms(secret)
            .iter()
            .any(|form| find(text.as_bytes(), form).is_some());
        assert!(found, "{text}");
    }
}

fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())
}

fn contains(bytes: &[u8], text: &str) -> bool {
    find(bytes, text).is_some()
}
