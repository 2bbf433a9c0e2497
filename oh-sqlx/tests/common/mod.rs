//! Databases for tests: an SQLite file or a PostgreSQL schema of its own for each.

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

    /// Another pool over the same file.
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
    /// `None` if there is no database; then it has been said, unless it must be there.
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

    /// A pool that sees this schema only.
    pub(crate) async fn pool(&self) -> PgPool {
        self.pool_of(8, &[]).await
    }

    /// As [`pool`](Self::pool), with so many connections and with these settings as well.
    pub(crate) async fn pool_of(&self, connections: u32, settings: &[(&str, &str)]) -> PgPool {
        let path = [("search_path", self.name())];
        let options = self.options.clone().options(path);
        PgPoolOptions::new()
            .max_connections(connections)
            .connect_with(options.options(settings.iter().copied()))
            .await
            .unwrap()
    }

    /// Another pool over the same tables.
    pub(crate) async fn open(&self) -> PgStore {
        let store = PgStore::new(self.pool().await);
        store.migrate().await.unwrap();
        store
    }
}

impl Drop for PgSchema {
    fn drop(&mut self) {
        // A test that failed may have left a transaction open.
        let sql = format!("SET lock_timeout = '5s'; DROP SCHEMA {} CASCADE", self.name);
        let options = self.options.clone();
        // Drop cannot wait inside a runtime, so it takes a thread with a runtime of its own.
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

/// `DATABASE_URL`, or `None` after saying that the tests are skipped.
///
/// Where they must not be skipped (in CI, or with `OH_REQUIRE_POSTGRES=1`) this panics.
pub(crate) fn postgres_url() -> Option<String> {
    static SAID: Once = Once::new();
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
        SAID.call_once(|| {
            use std::io::Write;
            // Past the test harness, which would swallow it.
            let _ = writeln!(
                std::io::stderr().lock(),
                "\n*** SKIPPED: tests on PostgreSQL. Set DATABASE_URL=postgres://… to run them. ***\n"
            );
        });
    }
    url
}
