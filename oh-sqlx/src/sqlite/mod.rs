//! [`SqliteStore`]: an SQLite file, for one machine.
//!
//! One thread commits the writes of a process in batches; several processes can share the file. Reads
//! go to the pool.
//!
//! # Deleted data
//!
//! The writing connection uses `secure_delete`, so SQLite overwrites deleted rows with zeros. Copies of
//! rows can remain in the free space of pages and in the write-ahead log until SQLite reuses them.
//! Tokens are [encrypted](oh_core::store::EncryptedStore), so such copies are unreadable. To remove
//! all traces of the ids and usernames of erased members as well, call [`SqliteStore::purge`]. Backups
//! and the file system may still have former contents of the file.
//!
//! When the last clone of a store is dropped, the log is written back into the file and truncated.

mod accept;
mod file;
mod inbox;
mod write;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use oh_core::deauth::{
    Accepted, CheckpointOutcome, CheckpointQuery, Completion, DeauthEvent, DeauthInbox, EventId,
    EventQuery, EventRecord, InboxError, InboxStats, Lease, LeaseOutcome, LeasedEvent, LedgerLine,
    LedgerQuery, LockState, StoredCheckpoint,
};
use oh_core::store::{MemberRecord, PutOutcome, StoreError, TokenStore, Version};
use oh_core::{ProjectMemberId, Timestamp};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Error as SqlError, FromRow, Sqlite, SqliteConnection, SqlitePool};

use crate::batch::AcceptJob;
use crate::errors::{Failure, inbox_error, store_error, with_timeout};
use crate::rows::{CheckpointRow, EventRow, LedgerRow, MemberRow, StatsRow};
use crate::schema::{self, Migration, SchemaError};
use crate::statement::{Dialect, Execute, Statement};
use crate::statements;
use crate::writer::Writer;
use write::{SqliteBackend, WriteJob};

/// The migrations, for applications that run migrations themselves.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "members_and_inbox",
    sql: include_str!("../../migrations/sqlite.sql"),
}];

const SQLITE: Dialect = Dialect::Sqlite;
/// How long a statement waits while another process writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a caller waits for the database.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Members' tokens and the deauthorization inbox in an SQLite file. Cheap to clone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("openhumans.sqlite");
/// use oh_core::store::TokenStore;
/// use oh_sqlx::SqliteStore;
///
/// let store = SqliteStore::connect(&path).await?;
/// assert!(store.load(&"01026778".parse()?).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore(Arc<Writer<SqliteBackend>>);

impl SqliteStore {
    /// Opens the file with a new pool, and creates or migrates the tables. A missing file is
    /// created, readable by its owner only.
    ///
    /// The connections use WAL mode, `synchronous=FULL` and `secure_delete`.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened (the error names it), or a newer release created the tables.
    pub async fn connect(path: impl AsRef<Path>) -> Result<Self, SchemaError> {
        let path = path.as_ref();
        let opened = Self::open(path).await;
        opened.map_err(|error| error.opening(|| path.display().to_string()))
    }

    async fn open(path: &Path) -> Result<Self, SchemaError> {
        create_private(path).map_err(|e| SchemaError::Database(e.into()))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            // Created above, and never again if it is deleted while it is in use.
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .pragma("secure_delete", "ON");
        // When several processes start at the same time, one of them turns WAL mode on, and SQLite
        // reports to the others that the file is busy without waiting for the timeout.
        let open = || {
            let pool = SqlitePoolOptions::new().acquire_timeout(CALL_TIMEOUT);
            pool.connect_with(options.clone())
        };
        let backoff = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(Duration::from_millis(5))
            .with_max_delay(Duration::from_millis(200))
            .without_max_times()
            .with_total_delay(Some(BUSY_TIMEOUT));
        let pool = open.retry(backoff).when(is_busy).await?;
        let store = Self::new(pool);
        store.migrate().await?;
        Ok(store)
    }

    /// Creates a store on the application's own pool. Opens and changes nothing yet; see
    /// [`migrate`](Self::migrate).
    ///
    /// The file should be in WAL mode, and the connections should have a `busy_timeout` of some seconds
    /// (sqlx's default is 5 s). The store writes through a separate connection with the options of the
    /// pool, `synchronous=FULL` and `secure_delete`.
    pub fn new(pool: SqlitePool) -> Self {
        Self::with(SqliteBackend::new(pool, true))
    }

    /// Returns a store for applications whose tokens are in another store:
    /// [`accept`](DeauthInbox::accept) then leaves `oh_members` unchanged, and the library destroys
    /// the tokens where they are.
    #[must_use]
    pub fn inbox_only(self) -> Self {
        Self::with(SqliteBackend::new(self.pool().clone(), false))
    }

    fn with(backend: SqliteBackend) -> Self {
        Self(Arc::new(Writer::new(backend, CALL_TIMEOUT)))
    }

    /// The pool.
    pub fn pool(&self) -> &SqlitePool {
        &self.0.backend().pool
    }

    /// Creates or migrates the tables. Several processes can call it at the same time.
    ///
    /// # Errors
    ///
    /// When a newer release created the tables, or the database fails.
    pub async fn migrate(&self) -> Result<(), SchemaError> {
        // IMMEDIATE makes other processes wait here until the tables are migrated.
        let mut tx = self.pool().begin_with("BEGIN IMMEDIATE").await?;
        let found = schema_version(&mut tx).await?;
        for migration in schema::pending(MIGRATIONS, found)? {
            sqlx::raw_sql(migration.sql).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Checks that the tables need no migration, for applications that run migrations themselves.
    ///
    /// # Errors
    ///
    /// When they do, when a newer release created them, or when the database fails.
    pub async fn check_schema(&self) -> Result<(), SchemaError> {
        let mut conn = self.pool().acquire().await?;
        schema::check(MIGRATIONS, schema_version(&mut conn).await?)
    }

    /// Rewrites the file (`VACUUM`) and truncates the log, so that neither contains deleted data.
    ///
    /// No process can write meanwhile, about one second for some hundred megabytes.
    ///
    /// # Errors
    ///
    /// When other connections prevent it or the database fails. Try again.
    pub async fn purge(&self) -> Result<(), StoreError> {
        let backend = self.0.backend();
        let failed = |error: SqlError| store_error(error.into());
        backend.vacuum().await.map_err(failed)?;
        match backend.truncate_log().await.map_err(failed)? {
            true => Ok(()),
            false => Err(StoreError::unavailable(
                "another connection is reading the write-ahead log",
            )),
        }
    }

    /// Queues a write and waits until it is committed.
    async fn write<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&mut SqliteConnection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, Failure> {
        self.0.run(|reply| WriteJob::new(work, reply)).await
    }

    async fn fetch_all<T>(&self, statement: Statement) -> Result<Vec<T>, Failure>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let query = statement.query_as::<Sqlite, T>();
        with_timeout(CALL_TIMEOUT, query.fetch_all(self.pool())).await
    }

    async fn fetch_optional<T>(&self, statement: Statement) -> Result<Option<T>, Failure>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let query = statement.query_as::<Sqlite, T>();
        with_timeout(CALL_TIMEOUT, query.fetch_optional(self.pool())).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore(..)")
    }
}

fn is_busy(error: &SqlError) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // The lowest byte of an extended code is the primary code.
    let code = code.and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// The version of the tables; 0 without tables.
async fn schema_version(conn: &mut SqliteConnection) -> Result<i64, SchemaError> {
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'oh_schema'",
    )
    .fetch_one(&mut *conn)
    .await?;
    if tables == 0 {
        return Ok(0);
    }
    let version: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM oh_schema")
        .fetch_one(conn)
        .await?;
    Ok(version.unwrap_or(0))
}

/// Creates the file with mode 0600. SQLite gives its other files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        let statement = statements::load_member(SQLITE, member);
        let row: Option<MemberRow> = self.fetch_optional(statement).await.map_err(store_error)?;
        let record = row.map(|row| row.record().map_err(StoreError::unreadable));
        record.transpose()
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        let record = record.clone();
        self.write(async move |conn| statements::put_member(conn, &record, expected).await)
            .await
            .map_err(store_error)
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        let member = member.clone();
        self.write(async move |conn| statements::remove_member(conn, &member, expected).await)
            .await
            .map_err(store_error)
    }

    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        let statement = statements::page_of_members(SQLITE, after, limit);
        let rows: Vec<MemberRow> = self.fetch_all(statement).await.map_err(store_error)?;
        let records = rows.into_iter().map(MemberRow::record);
        records
            .map(|record| record.map_err(StoreError::unreadable))
            .collect()
    }
}

#[async_trait]
impl DeauthInbox for SqliteStore {
    async fn accept(&self, event: &DeauthEvent) -> Result<Accepted, InboxError> {
        let event = event.clone();
        self.0
            .run(|reply| WriteJob::Accept(AcceptJob { event, reply }))
            .await
            .map_err(inbox_error)
    }

    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError> {
        let (event, note) = (event.clone(), note.to_owned());
        self.write(async move |conn| statements::quarantine(conn, &event, &note).await)
            .await
            .map_err(inbox_error)
    }

    async fn release(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        let event = event.clone();
        self.write(async move |conn| statements::release(conn, &event, now).await)
            .await
            .map_err(inbox_error)
    }

    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError> {
        // A read does not need the file's write lock, so idle workers do not disturb writers.
        let work = self.fetch_optional(inbox::has_work(now)).await;
        let (queued, mut waiting) = work.map_err(inbox_error)?.unwrap_or((false, false));
        if limit == 0 || !(queued || waiting) {
            return Ok(Vec::new());
        }
        while waiting {
            let ended = self.write(async move |conn| inbox::end_waits(conn, now).await);
            waiting = !ended.await.map_err(inbox_error)?;
        }
        self.write(async move |conn| inbox::lease(conn, now, until, limit).await)
            .await
            .map_err(inbox_error)
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<LeaseOutcome, InboxError> {
        let lease = lease.clone();
        self.write(async move |conn| statements::renew(conn, &lease, until).await)
            .await
            .map_err(inbox_error)
    }

    async fn complete(
        &self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<LeaseOutcome, InboxError> {
        let (lease, completion) = (lease.clone(), completion.clone());
        self.write(async move |conn| inbox::complete(conn, &lease, &completion, now).await)
            .await
            .map_err(inbox_error)
    }

    async fn mark_tokens_destroyed(
        &self,
        event: &DeauthEvent,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        let event = event.id.clone();
        self.write(async move |conn| statements::mark_tokens_destroyed(conn, &event, now).await)
            .await
            .map(drop)
            .map_err(inbox_error)
    }

    async fn requeue(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        let event = event.clone();
        self.write(async move |conn| statements::requeue(conn, &event, now).await)
            .await
            .map_err(inbox_error)
    }

    async fn stats(&self) -> Result<InboxStats, InboxError> {
        let row: Option<StatsRow> = self
            .fetch_optional(statements::stats(SQLITE))
            .await
            .map_err(inbox_error)?;
        Ok(row.map(StatsRow::stats).unwrap_or_default())
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let statement = statements::list_events(SQLITE, query);
        let rows: Vec<EventRow> = self.fetch_all(statement).await.map_err(inbox_error)?;
        let records = rows.into_iter().map(EventRow::record);
        records
            .map(|record| record.map_err(InboxError::new))
            .collect()
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError> {
        let statement = statements::list_ledger(SQLITE, query, None);
        let rows: Vec<LedgerRow> = self.fetch_all(statement).await.map_err(inbox_error)?;
        let lines = rows.into_iter().map(LedgerRow::line);
        lines.map(|line| line.map_err(InboxError::new)).collect()
    }

    async fn store_checkpoint(
        &self,
        checkpoint: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError> {
        let new = checkpoint.clone();
        let inserted = self
            .write(async move |conn| {
                conn.execute(statements::insert_checkpoint(SQLITE, &new))
                    .await
            })
            .await
            .map_err(inbox_error)?;
        if inserted > 0 {
            return Ok(CheckpointOutcome::Stored);
        }
        let query = statements::same_size(checkpoint);
        let stored = self.checkpoints(&query).await?;
        Ok(statements::existing_checkpoint(checkpoint, &stored))
    }

    async fn checkpoints(
        &self,
        query: &CheckpointQuery,
    ) -> Result<Vec<StoredCheckpoint>, InboxError> {
        let statement = statements::list_checkpoints(SQLITE, query);
        let rows: Vec<CheckpointRow> = self.fetch_all(statement).await.map_err(inbox_error)?;
        Ok(rows.into_iter().map(CheckpointRow::checkpoint).collect())
    }

    async fn acquire_lock(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, InboxError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        let note: Option<(String,)> = self
            .write(async move |conn| {
                let acquire = statements::acquire_lock(SQLITE, &name, &holder, now, until);
                acquire.query_as::<Sqlite, _>().fetch_optional(conn).await
            })
            .await
            .map_err(inbox_error)?;
        Ok(note.map(|(note,)| note))
    }

    async fn update_lock(
        &self,
        name: &str,
        holder: &str,
        until: Timestamp,
        note: &str,
    ) -> Result<LeaseOutcome, InboxError> {
        let [name, holder, note] = [name, holder, note].map(str::to_owned);
        self.write(async move |conn| {
            statements::update_lock(conn, &name, &holder, until, &note).await
        })
        .await
        .map_err(inbox_error)
    }

    async fn lock_state(&self, name: &str, now: Timestamp) -> Result<LockState, InboxError> {
        let statement = statements::lock_state(SQLITE, name, now);
        let state: Option<(bool, String)> =
            self.fetch_optional(statement).await.map_err(inbox_error)?;
        Ok(state.map_or_else(LockState::default, |(held, note)| LockState { held, note }))
    }
}

#[cfg(test)]
mod tests {
    use super::is_busy;
    use crate::errors::tests::database_error;

    #[test]
    fn is_busy_recognizes_busy_codes_only() {
        // Busy, busy during recovery, busy with an outdated snapshot.
        for code in ["5", "261", "517"] {
            assert!(is_busy(&database_error(code)), "{code}");
        }
        // Locked, full, cannot open, and a code of another database.
        for code in ["6", "13", "14", "HY000"] {
            assert!(!is_busy(&database_error(code)), "{code}");
        }
    }
}
