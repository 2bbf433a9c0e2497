//! No token in the logs, at any level, and none in a database that is encrypted.
//!
//! One whole life of a member: login, refresh, upload, download, leaving. Everything the process
//! logs at TRACE, dependencies included, is searched for every secret that was used, and so are
//! the raw bytes of the SQLite file with its log.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use oh_core::api::Upload;
use oh_core::deauth::EventState;
use oh_core::store::{Keyring, SealedStore};
use oh_core::{OpenHumans, ProjectMemberId, Settings};
use oh_sandbox::Sandbox;
use oh_sqlx::SqliteStore;
use oh_tests::visitor::Visitor;
use tokio::net::TcpListener;
use tower_sessions::{MemoryStore, SessionManagerLayer};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

const ALICE: &str = "01026778";
const KEYS: &str = "2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";

/// All that is logged.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

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

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_or_kept_in_the_clear() {
    let logs = Logs::default();
    tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(logs.clone())
        .init();
    let mut secrets = Vec::new();

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("openhumans.sqlite");
    let store = SqliteStore::connect(&file).await.unwrap();
    let sealed = SealedStore::new(store.clone(), Keyring::parse(KEYS).unwrap());
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
        .token_store(sealed)
        .deauth_inbox(store.clone())
        .build()
        .unwrap();
    let background = oh.start_background();
    let app = Router::new()
        .nest("/openhumans", oh_axum::router(&oh))
        .layer(oh_axum::layer(&oh))
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    secrets.push(sandbox.client_secret().to_owned());
    secrets.push(sandbox.webhook_secret());
    secrets.push(sandbox.master_token().to_owned());
    secrets.push(KEYS.split(':').nth(1).unwrap().to_owned());

    // Login.
    let mut visitor = Visitor::new(address);
    let to = visitor.get("/openhumans/login").await.location().to_owned();
    let back = sandbox.authorize(ALICE, &to).await.unwrap();
    let code = back
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    secrets.push(code);
    let answer = visitor.get(&back[url::Position::BeforePath..]).await;
    assert_eq!(answer.status, 303);
    let member: ProjectMemberId = ALICE.parse().unwrap();
    let tokens = async || {
        oh.token_store()
            .load(&member)
            .await
            .unwrap()
            .unwrap()
            .tokens
            .unwrap()
    };
    let mut note = |tokens: &oh_core::store::Tokens| {
        secrets.push(tokens.access_token.expose().to_owned());
        secrets.push(tokens.refresh_token.expose().to_owned());
    };
    let first = tokens().await;
    note(&first);

    // Refresh.
    oh.refreshed_access_token(&member, &first.access_token)
        .await
        .unwrap();
    let second = tokens().await;
    assert_ne!(first.access_token.expose(), second.access_token.expose());
    note(&second);

    // Upload, list, and the members with the master token in the address.
    let client = oh.member_client(&member);
    client
        .upload(Upload::bytes("steps.csv", "1,2,3"))
        .await
        .unwrap();
    let files = client.exchange_member().await.unwrap().data;
    assert_eq!(files.len(), 1);
    let mut members = oh.project_client().unwrap().members();
    assert!(members.try_next().await.unwrap().is_some());

    for part in ["", "-wal", "-shm"] {
        let mut path = file.clone().into_os_string();
        path.push(part);
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        for secret in &secrets {
            assert!(
                !contains(&bytes, secret),
                "a secret is in the database file {part}"
            );
        }
    }

    // Leaving.
    sandbox.leave(ALICE, true).await;
    background.worker.drain().await;
    let query = oh_core::deauth::EventQuery::first(10);
    let events = oh.inbox().events(&query).await.unwrap();
    assert_eq!(events[0].state, EventState::Done);
    background.stop().await;

    let logged = logs.0.lock().unwrap();
    assert!(
        contains(&logged, "a member has logged in"),
        "nothing was logged"
    );
    assert!(
        contains(&logged, "TRACE"),
        "the dependencies were not heard"
    );
    for secret in &secrets {
        if let Some(at) = logged
            .windows(secret.len())
            .position(|w| w == secret.as_bytes())
        {
            let line = logged[..at].rsplit(|b| *b == b'\n').next().unwrap();
            panic!(
                "a secret was logged after: {}",
                String::from_utf8_lossy(line)
            );
        }
    }
    assert!(!contains(&logged, ALICE), "the member's id was logged");
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
