//! `oh doctor` and what it says of databases, none of which it changes.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "database")]

use std::path::Path;
use std::process::Command;

use oh_core::Timestamp;
use oh_core::store::{EncryptedStore, Keyring, MemberRecord, PutOutcome, TokenStore, Tokens};
use oh_sqlx::{PgStore, SqliteStore};
use serde_json::Value;

const OLD: &str = "2025:P_7ioYd1Xv0J3jEZ4tYv-1nB0qk5cJmJdT2xTn3yQ_I";
const NEW: &str = "2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";

/// What is said of the database and the tokens in it: `state: text`.
fn examine(database: &str, keys: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_oh"))
        .env_clear()
        .env("OPENHUMANS_STORE_KEYS", keys)
        .args(["doctor", "--json", "--no-app", "--database", database])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    let of_it = checks.filter(|found| {
        let check = found["check"].as_str().unwrap();
        ["database", "departures", "tokens"].contains(&check)
    });
    let line = |found: &Value| {
        let text = |name: &str| found[name].as_str().unwrap().to_owned();
        format!("{} {}: {}", text("state"), text("check"), text("said"))
    };
    let lines: Vec<String> = of_it.map(line).collect();
    assert!(!lines.is_empty(), "{report}");
    lines
}

#[track_caller]
fn says(lines: &[String], wanted: &str) {
    let there = lines.iter().any(|line| line.contains(wanted));
    assert!(there, "{wanted:?} is not among {lines:#?}");
}

async fn add(store: &impl TokenStore, id: &str) {
    let now = Timestamp::now();
    let record = MemberRecord::authorized(id.parse().unwrap(), Tokens::new("a", "r", now), now);
    assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
}

async fn every_state_of_the_tokens_is_told<S>(store: S, database: &str)
where
    S: TokenStore + Clone,
{
    let lines = examine(database, NEW);
    says(
        &lines,
        "fine database: it opens, and its tables are up to date",
    );
    says(&lines, "fine departures: none to be acted on");
    says(
        &lines,
        "fine tokens: no member has any in the tables of oh-sqlx; a store of the app's own is not",
    );

    let old = EncryptedStore::new(store.clone(), Keyring::parse(OLD).unwrap());
    add(&old, "00000001").await;
    add(&old, "00000002").await;
    says(
        &examine(database, OLD),
        "fine tokens: those of all 2 members are sealed with the key 2025",
    );
    let rotating = format!("{NEW},{OLD}");
    says(
        &examine(database, &rotating),
        "warning tokens: some are still sealed with older keys (2 with 2025)",
    );
    says(
        &examine(database, NEW),
        "wrong tokens: those of 2 members are sealed with the key 2025, which is not in",
    );

    let keys = Keyring::parse(&rotating).unwrap();
    let done = EncryptedStore::new(store.clone(), keys)
        .reencrypt_all()
        .await
        .unwrap();
    assert_eq!(done.reencrypted, 2);
    says(
        &examine(database, &rotating),
        "fine tokens: those of all 2 members are sealed with the key 2026; older keys may be taken off",
    );

    add(&store, "00000003").await;
    says(
        &examine(database, NEW),
        "wrong tokens: those of 1 member of 3 are not sealed",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sqlite_file_is_examined_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sqlite");
    let database = path.to_str().unwrap();
    says(
        &examine(database, NEW),
        &format!("wrong database: {database} cannot be opened"),
    );
    assert!(!path.exists(), "it was made");

    std::fs::write(&path, "").unwrap();
    says(
        &examine(database, NEW),
        "warning database: it opens, and the tables of oh-sqlx are not there yet",
    );
    assert_eq!(
        std::fs::metadata(&path).unwrap().len(),
        0,
        "nothing was written"
    );
    std::fs::remove_file(&path).unwrap();

    let store = SqliteStore::connect(&path).await.unwrap();
    every_state_of_the_tokens_is_told(store.clone(), database).await;

    let newer = "INSERT INTO oh_schema (version) VALUES (99)";
    sqlx::query(newer).execute(store.pool()).await.unwrap();
    says(
        &examine(database, NEW),
        "wrong database: the tables are at schema 99",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_readers_wait_for_writers_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sqlite");
    let store = SqliteStore::connect(&path).await.unwrap();
    store.pool().close().await;
    drop(store);
    // Its other files go when the last connection does.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Delete);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    pool.close().await;
    let lines = examine(path.to_str().unwrap(), NEW);
    says(&lines, "warning database: its journal is in mode delete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_database_is_examined() {
    let Some(own) = OwnDatabase::make().await else {
        return;
    };
    let (database, name) = (own.url.clone(), own.name.clone());
    says(
        &examine(&database, NEW),
        "warning database: it opens, and the tables of oh-sqlx are not there yet",
    );
    let store = PgStore::connect(&database).await.unwrap();
    every_state_of_the_tokens_is_told(store.clone(), &database).await;
    store.pool().close().await;
    own.drop().await;

    // What PostgreSQL says, and not where in its source it says so.
    let lines = examine(&database, NEW);
    let wanted = format!("database \"{name}\" does not exist");
    assert!(
        lines.iter().any(|line| line.ends_with(&wanted)),
        "{wanted:?} does not end any of {lines:#?}"
    );

    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let lines = examine(&format!("postgres://app:topsecret@{nobody}/app"), NEW);
    says(&lines, "wrong database: PostgreSQL is not reached");
    assert!(!format!("{lines:?}").contains("topsecret"), "{lines:?}");
}

/// A new database on the server that `DATABASE_URL` names.
struct OwnDatabase {
    server: sqlx::PgPool,
    name: String,
    url: String,
}

impl OwnDatabase {
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    async fn make() -> Option<Self> {
        let Ok(url) = std::env::var("DATABASE_URL") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI=true needs DATABASE_URL"
            );
            eprintln!("SKIPPED: set DATABASE_URL to a PostgreSQL server");
            return None;
        };
        let name = format!("oh_doctor_{}", std::process::id());
        let mut own = url::Url::parse(&url).unwrap();
        own.set_path(&name);
        let made = Self {
            server: sqlx::PgPool::connect(&url).await.unwrap(),
            name,
            url: own.into(),
        };
        made.tell("CREATE DATABASE").await;
        Some(made)
    }

    async fn drop(self) {
        self.tell("DROP DATABASE").await;
    }

    async fn tell(&self, what: &str) {
        let told = sqlx::AssertSqlSafe(format!("{what} {}", self.name));
        sqlx::query(told).execute(&self.server).await.unwrap();
    }
}

#[test]
fn the_path_that_is_wrong_is_named() {
    let lines = examine(Path::new("/nonexistent/app.sqlite").to_str().unwrap(), NEW);
    says(&lines, "/nonexistent/app.sqlite");
}
