//! The writes of a process, batch by batch.

use std::pin::Pin;

use oh_core::deauth::DeauthEvent;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{Connection, Error as SqlError, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use super::accept;
use super::file::DatabaseFile;
use crate::batch::AcceptJob;
use crate::errors::Failure;
use crate::writer::{Backend, Job, Reply};

/// A write of one caller.
pub(super) enum WriteJob {
    /// Adjacent events are accepted together.
    Accept(AcceptJob),
    Other(Box<dyn Operation>),
}

impl WriteJob {
    /// A job that calls `work`, possibly again after an error.
    pub(super) fn new<T, W>(work: W, reply: Reply<T>) -> Self
    where
        T: Send + 'static,
        W: AsyncFn(&mut SqliteConnection) -> Result<T, SqlError> + Send + 'static,
    {
        Self::Other(Box::new(Work { work, reply }))
    }

    fn event(&self) -> Option<&DeauthEvent> {
        match self {
            Self::Accept(job) => Some(&job.event),
            Self::Other(_) => None,
        }
    }
}

impl Job for WriteJob {
    fn reply(self, result: Result<(), Failure>) {
        match self {
            Self::Accept(job) => job.reply(result),
            Self::Other(operation) => operation.reply(result),
        }
    }
}

/// A write with an output of any type.
pub(super) trait Operation: Send {
    fn execute<'a>(
        &'a mut self,
        conn: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = Result<(), SqlError>> + 'a>>;

    fn reply(self: Box<Self>, result: Result<(), Failure>);
}

struct Work<T, W> {
    work: W,
    reply: Reply<T>,
}

impl<T, W> Operation for Work<T, W>
where
    T: Send,
    W: AsyncFn(&mut SqliteConnection) -> Result<T, SqlError> + Send,
{
    fn execute<'a>(
        &'a mut self,
        conn: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = Result<(), SqlError>> + 'a>> {
        Box::pin(async {
            let output = (self.work)(conn).await?;
            self.reply.set(output);
            Ok(())
        })
    }

    fn reply(self: Box<Self>, result: Result<(), Failure>) {
        self.reply.send(result);
    }
}

/// Writes to the file through one connection beside the pool, so that webhooks are stored even if the
/// application's handlers hold all connections of the pool.
pub(super) struct SqliteBackend {
    pub(super) pool: SqlitePool,
    /// Taken while it is in use. An error closes it: SQLite may have rolled the transaction back,
    /// which sqlx does not notice.
    conn: Mutex<Option<SqliteConnection>>,
    file: DatabaseFile,
    destroys_tokens: bool,
}

impl SqliteBackend {
    pub(super) fn new(pool: SqlitePool, destroys_tokens: bool) -> Self {
        Self {
            file: DatabaseFile::of(&pool),
            pool,
            conn: Mutex::new(None),
            destroys_tokens,
        }
    }

    /// Calls `work` with the connection, and checks that the path still names the file.
    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if self.pool.is_closed() {
            return Err(SqlError::PoolClosed);
        }
        let mut slot = self.conn.lock().await;
        let mut conn = match slot.take() {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let output = work(&mut conn).await?;
        self.file.check()?;
        *slot = Some(conn);
        Ok(output)
    }

    async fn connect(&self) -> Result<SqliteConnection, SqlError> {
        self.file.check()?;
        let options = SqliteConnectOptions::clone(&self.pool.connect_options());
        let options = options
            // An empty file in the place of a deleted one would lack the tables.
            .create_if_missing(false)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON");
        SqliteConnection::connect_with(&options).await
    }

    /// Rewrites the whole file.
    pub(super) async fn vacuum(&self) -> Result<(), SqlError> {
        self.write(async |conn| {
            sqlx::query("VACUUM").execute(conn).await?;
            Ok(())
        })
        .await
    }

    /// Writes the log back into the file and truncates the log. Returns false if another connection
    /// prevented it.
    pub(super) async fn truncate_log(&self) -> Result<bool, SqlError> {
        self.write(async |conn| {
            let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
                .fetch_one(conn)
                .await?;
            Ok(busy == 0)
        })
        .await
    }

    async fn execute_all(
        &self,
        conn: &mut SqliteConnection,
        mut jobs: &mut [WriteJob],
    ) -> Result<(), SqlError> {
        while let Some(job) = jobs.first_mut() {
            let mut executed = 1;
            if let WriteJob::Other(operation) = job {
                operation.execute(conn).await?;
            } else {
                let events: Vec<_> = jobs.iter().map_while(WriteJob::event).collect();
                let outcomes = accept::accept(conn, &events, self.destroys_tokens).await?;
                executed = outcomes.len();
                for (job, outcome) in jobs.iter_mut().zip(outcomes) {
                    if let WriteJob::Accept(job) = job {
                        job.reply.set(outcome);
                    }
                }
            }
            jobs = &mut jobs[executed..];
        }
        Ok(())
    }
}

impl Backend for SqliteBackend {
    type Job = WriteJob;

    const THREAD: &str = "oh-sqlite-writer";

    async fn commit(&self, jobs: &mut [WriteJob]) -> Result<(), SqlError> {
        self.write(async |conn| {
            let mut tx = conn.begin().await?;
            self.execute_all(&mut tx, jobs).await?;
            tx.commit().await
        })
        .await
    }

    /// Leaves all data in the file that people copy, rather than in the log beside it.
    async fn close(&self) {
        if let Err(error) = self.truncate_log().await
            && !matches!(error, SqlError::PoolClosed)
        {
            tracing::warn!(%error, "failed to truncate the write-ahead log");
        }
    }
}

#[cfg(test)]
mod tests {
    use oh_core::Timestamp;
    use oh_core::store::{MemberRecord, PutOutcome, TokenStore};
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;
    use crate::SqliteStore;

    #[tokio::test]
    async fn connection_flushes_commits_and_clears_deleted_rows_whatever_the_pool_does() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("openhumans.sqlite"))
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new().connect_with(options).await;
        let backend = SqliteBackend::new(pool.unwrap(), true);
        let pragmas = backend.write(async |conn| {
            let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
                .fetch_one(&mut *conn)
                .await?;
            let secure_delete: i64 = sqlx::query_scalar("PRAGMA secure_delete")
                .fetch_one(conn)
                .await?;
            Ok((synchronous, secure_delete))
        });
        let (full, on) = (2, 1);
        assert_eq!(pragmas.await.unwrap(), (full, on));
    }

    #[tokio::test]
    async fn store_writes_to_database_in_memory() {
        let pool = SqlitePoolOptions::new().min_connections(1);
        let store = SqliteStore::new(pool.connect("sqlite::memory:").await.unwrap());
        store.migrate().await.unwrap();
        let record = MemberRecord::tombstone("01234567".parse().unwrap(), Timestamp::now());
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
    }
}
