//! The application's own data about members, and its erasure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use oh_core::ProjectMemberId;
use oh_core::deauth::{DeauthHandler, Departure};
use oh_core::transport::BoxError;
use sqlx::SqlitePool;

/// The diaries of all members, in the same database as the tables of `oh-sqlx`.
#[derive(Clone)]
pub(crate) struct Diary {
    pool: SqlitePool,
    failing: Arc<AtomicBool>,
}

impl Diary {
    pub(crate) async fn new(pool: SqlitePool) -> Result<Self, sqlx::Error> {
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS diary (id INTEGER PRIMARY KEY, member TEXT NOT NULL, \
             entry TEXT NOT NULL)",
        )
        .execute(&pool)
        .await?;
        Ok(Self {
            pool,
            failing: Arc::default(),
        })
    }

    pub(crate) async fn write(
        &self,
        member: &ProjectMemberId,
        entry: &str,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO diary (member, entry) VALUES ($1, $2)")
            .bind(member.as_str())
            .bind(entry)
            .execute(&self.pool)
            .await
            .map(drop)
    }

    pub(crate) async fn read(&self, member: &ProjectMemberId) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT entry FROM diary WHERE member = $1 ORDER BY id")
            .bind(member.as_str())
            .fetch_all(&self.pool)
            .await
    }

    /// Returns the number of entries and of members.
    pub(crate) async fn count(&self) -> Result<(i64, i64), sqlx::Error> {
        sqlx::query_as("SELECT count(*), count(DISTINCT member) FROM diary")
            .fetch_one(&self.pool)
            .await
    }

    /// Returns whether erasures fail on purpose.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::SeqCst)
    }

    pub(crate) fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }
}

#[async_trait]
impl DeauthHandler for Diary {
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError> {
        if !departure.delete_data {
            // Without an erasure request the diary stays, in case the member returns.
            return Ok(());
        }
        if self.is_failing() {
            return Err("erasures are set to fail on the first page".into());
        }
        // The worker may call the handler again, so it must succeed when the rows are already deleted.
        sqlx::query("DELETE FROM diary WHERE member = $1")
            .bind(departure.event.member.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
