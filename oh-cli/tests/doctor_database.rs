//! The database checks of `oh doctor`, which change nothing.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "database")]

use std::process::Command;

use oh_core::Timestamp;
use oh_core::store::{EncryptedStore, Keyring, MemberRecord, PutOutcome, TokenStore, Tokens};
use oh_sqlx::{PgStore, SqliteStore};
use serde_json::Value;

const OLD_KEY: &str = "2025:P_7ioYd1Xv0J3jEZ4tYv-1nB0qk5cJmJdT2xTn3yQ_I";
const NEW_KEY: &str = "2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";

/// Returns the findings about the database as lines of the form `state check: message`.
fn findings(database: &str, keys: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_oh"))
        .env_clear()
        .env("OPENHUMANS_STORE_KEYS", keys)
        .args(["doctor", "--json", "--no-app", "--database", database])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    let line = |finding: &Value| {
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        format!("{} {}: {}", text("state"), text("check"), text("message"))
    };
    let about_database = checks.filter(|finding| {
        let check = finding["check"].as_str().unwrap();
        ["database", "deauthorizations", "tokens"].contains(&check)
    });
    about_database.map(line).collect()
}

#[track_caller]
fn assert_finding(database: &str, keys: &str, text: &str) {
    let lines = findings(database, keys);
    let found = lines.iter().any(|line| line.contains(text));
    assert!(found, "{text:?} is missing: {lines:#?}");
}

async fn add(store: &impl TokenStore, id: &str) {
    let now = Timestamp::now();
    let record = MemberRecord::authorized(id.parse().unwrap(), Tokens::new("a", "r", now), now);
    assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
}

async fn assert_findings_for_tokens<S>(store: S, database: &str)
where
    S: TokenStore + Clone,
{
    for text in [
        "ok database: it opens, and its tables are up to date",
        "ok deauthorizations: none pending",
        "ok tokens: none in the tables of oh-sqlx",
    ] {
        assert_finding(database, NEW_KEY, text);
    }
    let old = EncryptedStore::new(store.clone(), Keyring::parse(OLD_KEY).unwrap());
    add(&old, "00000001").await;
    add(&old, "00000002").await;
    let rotating = format!("{NEW_KEY},{OLD_KEY}");
    for (keys, text) in [
        (OLD_KEY, "ok tokens: encrypted for 2 members with key 2025"),
        (
            &rotating,
            "warning tokens: some are encrypted with older keys (2 with 2025)",
        ),
        (
            NEW_KEY,
            "error tokens: encrypted for 2 members with key 2025, which OPENHUMANS_STORE_KEYS does \
             not contain",
        ),
    ] {
        assert_finding(database, keys, text);
    }
    let keys = Keyring::parse(&rotating).unwrap();
    let report = EncryptedStore::new(store.clone(), keys)
        .reencrypt_all()
        .await;
    assert_eq!(report.unwrap().reencrypted, 2);
    let text = "ok tokens: encrypted for 2 members with key 2026. You can remove the older keys";
    assert_finding(database, &rotating, text);
    add(&store, "00000003").await;
    let text = "error tokens: unencrypted for 1 member of 3";
    assert_finding(database, NEW_KEY, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_file_is_checked_without_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sqlite");
    let database = path.to_str().unwrap();
    let text = format!("error database: could not open {database}: ");
    assert_finding(database, NEW_KEY, &text);
    assert!(!path.exists(), "the file was created");

    std::fs::write(&path, "").unwrap();
    let text = "warning database: it opens, but has no tables of oh-sqlx yet";
    assert_finding(database, NEW_KEY, text);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    std::fs::remove_file(&path).unwrap();

    let store = SqliteStore::connect(&path).await.unwrap();
    assert_findings_for_tokens(store.clone(), database).await;

    let newer = "INSERT INTO oh_schema (version) VALUES (99)";
    sqlx::query(newer).execute(store.pool()).await.unwrap();
    let lines = findings(database, NEW_KEY);
    let error = lines
        .iter()
        .find(|line| line.starts_with("error database: "));
    assert!(error.is_some_and(|line| line.contains("99")), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_journal_mode_other_than_wal_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sqlite");
    let store = SqliteStore::connect(&path).await.unwrap();
    store.pool().close().await;
    drop(store);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Delete);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    pool.close().await;
    let text = "warning database: its journal mode is delete";
    assert_finding(path.to_str().unwrap(), NEW_KEY, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_database_is_checked() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let (url, name) = (database.url.clone(), database.name.clone());
    let text = "warning database: it opens, but has no tables of oh-sqlx yet";
    assert_finding(&url, NEW_KEY, text);
    let store = PgStore::connect(&url).await.unwrap();
    assert_findings_for_tokens(store.clone(), &url).await;
    store.pool().close().await;
    database.drop().await;

    // Without the line of PostgreSQL's source code.
    let lines = findings(&url, NEW_KEY);
    let message = format!("database \"{name}\" does not exist");
    let found = lines.iter().any(|line| line.ends_with(&message));
    assert!(found, "{message:?} does not end a line of {lines:#?}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unused = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("postgres://app:topsecret@{unused}/app");
    let lines = findings(&url, NEW_KEY);
    assert!(lines[0].starts_with("error database: "), "{lines:?}");
    assert!(!format!("{lines:?}").contains("topsecret"), "{lines:?}");
}

/// A new database on the server that `DATABASE_URL` names.
struct TestDatabase {
    server: sqlx::PgPool,
    name: String,
    url: String,
}

impl TestDatabase {
    #[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
    async fn create() -> Option<Self> {
        let Ok(url) = std::env::var("DATABASE_URL") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI=true requires DATABASE_URL"
            );
            eprintln!("SKIPPED: set DATABASE_URL to a PostgreSQL server");
            return None;
        };
        let name = format!("oh_doctor_{}", std::process::id());
        let mut own = url::Url::parse(&url).unwrap();
        own.set_path(&name);
        let database = Self {
            server: sqlx::PgPool::connect(&url).await.unwrap(),
            name,
            url: own.into(),
        };
        database.execute("CREATE DATABASE").await;
        Some(database)
    }

    async fn drop(self) {
        self.execute("DROP DATABASE").await;
    }

    async fn execute(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(format!("{statement} {}", self.name));
        sqlx::query(statement).execute(&self.server).await.unwrap();
    }
}
