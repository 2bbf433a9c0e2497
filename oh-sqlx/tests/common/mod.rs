//! Databases for tests: a new SQLite file or PostgreSQL schema for each.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::str::FromStr;
use std::sync::Once;

use oh_core::store::Version;
use oh_sqlx::{PgStore, SqliteStore};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use tempfile::TempDir;

/// A folder with one SQLite file in it.
pub(crate) struct SqliteFile(TempDir);

impl SqliteFile {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("openhumans.sqlite")
    }

    /// Opens another pool on the file.
    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::connect(self.path()).await.unwrap()
    }
}

/// A schema in the database that `DATABASE_URL` names.
pub(crate) struct PgSchema {
    options: PgConnectOptions,
    name: String,
}

impl PgSchema {
    /// Returns `None` if no database is configured, see [`postgres_url`].
    pub(crate) async fn new() -> Option<Self> {
        let url = postgres_url()?;
        let options = PgConnectOptions::from_str(&url).expect("DATABASE_URL is a PostgreSQL URL");
        let name = format!("oh_test_{:x}", Version::fresh().get());
        let schema = Self { options, name };
        schema.run(&format!("CREATE SCHEMA {}", schema.name)).await;
        Some(schema)
    }

    async fn run(&self, sql: &str) {
        let pool = PgPoolOptions::new()
            .connect_with(self.options.clone())
            .await;
        let pool = pool.expect("DATABASE_URL can be reached");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Opens a pool on this schema.
    pub(crate) async fn pool(&self) -> PgPool {
        self.pool_of(8, &[]).await
    }

    /// Opens a pool with a number of connections and additional settings.
    pub(crate) async fn pool_of(&self, connections: u32, settings: &[(&str, &str)]) -> PgPool {
        let path = [("search_path", self.name())];
        let options = self.options.clone().options(path);
        PgPoolOptions::new()
            .max_connections(connections)
            .connect_with(options.options(settings.iter().copied()))
            .await
            .unwrap()
    }

    /// Opens another pool on the schema, with tables.
    pub(crate) async fn open(&self) -> PgStore {
        let store = PgStore::new(self.pool().await);
        store.migrate().await.unwrap();
        store
    }
}

impl Drop for PgSchema {
    fn drop(&mut self) {
        // A failed test may have left a transaction open.
        let sql = format!("SET lock_timeout = '5s'; DROP SCHEMA {} CASCADE", self.name);
        let options = self.options.clone();
        // `drop` cannot block in a runtime, so another thread does it.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
                let dropped = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await;
                pool.close().await;
                dropped.map(drop)
            })
        })
        .join();
        if !std::thread::panicking() {
            dropped.unwrap().unwrap();
        }
    }
}

/// Returns `DATABASE_URL`. Without it, prints a message and returns `None`, or panics in CI and with
/// `OH_REQUIRE_POSTGRES=1`.
pub(crate) fn postgres_url() -> Option<String> {
    static PRINTED: Once = Once::new();
    let url = std::env::var("DATABASE_URL")
        .ok()
        .filter(|url| url.starts_with("postgres"));
    if url.is_none() {
        let required = ["CI", "OH_REQUIRE_POSTGRES"].iter().any(|name| {
            std::env::var(name).is_ok_and(|v| !v.is_empty() && v != "0" && v != "false")
        });
        assert!(
            !required,
            "DATABASE_URL names no PostgreSQL, and its tests must run here"
        );
        PRINTED.call_once(|| {
            use std::io::Write;
            // Not through `eprintln!`, which the test harness captures.
            let _ = writeln!(
                std::io::stderr().lock(),
                "\n*** SKIPPED: tests on PostgreSQL. Set DATABASE_URL=postgres://… to run them. ***\n"
            );
        });
    }
    url
}
