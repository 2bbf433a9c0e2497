//! The application's tables: rows about members, and the calls of the handler.

use std::collections::HashSet;
use std::sync::Arc;

use oh_core::deauth::Departure;
use oh_tests::place::Pool;
use sqlx::Connection;
use tokio::sync::Mutex;

use crate::Result;

#[derive(Clone)]
pub(crate) struct Rows {
    pool: Pool,
    /// One connection, because SQLite has one writer at a time and many waiting connections could time
    /// out.
    writing: Arc<Mutex<()>>,
}

impl From<Pool> for Rows {
    fn from(pool: Pool) -> Self {
        let writing = Arc::default();
        Self { pool, writing }
    }
}

/// Runs the same statements on either database.
macro_rules! on {
    ($rows:expr, $pool:ident => $work:expr) => {
        match &$rows.pool {
            Pool::Sqlite($pool) => $work,
            Pool::Postgres($pool) => $work,
        }
    };
}

impl Rows {
    pub(crate) async fn create(&self) -> Result {
        on!(self, pool => {
            sqlx::raw_sql(
                "CREATE TABLE app_rows (member TEXT NOT NULL, row_text TEXT NOT NULL); \
                 CREATE INDEX app_rows_member ON app_rows (member); \
                 CREATE TABLE app_calls (event TEXT NOT NULL, attempt INT NOT NULL, \
                 after_done INT NOT NULL);",
            )
            .execute(pool)
            .await?;
        });
        Ok(())
    }

    /// Two rows about a member.
    pub(crate) async fn add(&self, member: &str) -> Result {
        let _writing = self.writing.lock().await;
        on!(self, pool => {
            sqlx::query("INSERT INTO app_rows VALUES ($1, 'a diary'), ($1, 'a picture')")
                .bind(member)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Records a call of the handler and, if requested, deletes the member's rows, in one commit.
    pub(crate) async fn handle(&self, departure: &Departure, after_done: bool) -> Result {
        let _writing = self.writing.lock().await;
        on!(self, pool => {
            // If a commit fails on a full disk, SQLite rolls back without sqlx noticing, so the
            // connection is closed.
            let mut conn = pool.acquire().await?.detach();
            let mut tx = conn.begin().await?;
            sqlx::query("INSERT INTO app_calls VALUES ($1, $2, $3)")
                .bind(departure.event.id.as_str())
                .bind(i32::try_from(departure.attempt)?)
                .bind(i32::from(after_done))
                .execute(&mut *tx)
                .await?;
            if departure.delete_data {
                sqlx::query("DELETE FROM app_rows WHERE member = $1")
                    .bind(departure.event.member.as_str())
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            conn.close().await?;
        });
        Ok(())
    }

    /// Returns the members with rows.
    pub(crate) async fn members(&self) -> Result<HashSet<String>> {
        let members: Vec<String> = on!(self, pool => {
            sqlx::query_scalar("SELECT DISTINCT member FROM app_rows")
                .fetch_all(pool)
                .await?
        });
        Ok(members.into_iter().collect())
    }

    /// Counts the calls of the handler, and those after success was recorded.
    pub(crate) async fn calls(&self) -> Result<(i64, i64)> {
        let counts = on!(self, pool => {
            sqlx::query_as("SELECT count(*), coalesce(sum(after_done), 0) FROM app_calls")
                .fetch_one(pool)
                .await?
        });
        Ok(counts)
    }
}
