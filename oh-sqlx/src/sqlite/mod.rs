//! [`SqliteStore`]: one file, for one machine.
//!
//! Writes of one process go through one task that commits what has gathered as one transaction
//! ([group commit](crate)); several processes may share the file. Reads go straight to the pool.
//!
//! # No trace of tokens
//!
//! The connection that writes has `secure_delete` on, so SQLite overwrites with zeros what a
//! statement deletes. Copies can stay all the same: in the free space of pages, from when rows were
//! moved, and in the write-ahead log. So about a second after a member's record was removed or its
//! tokens destroyed the store begins to move its table of tokens to a second one and back, a
//! thousand rows at a time with pauses in between: the table that is left is cleared as a whole. Then
//! the log is cut. With a few thousand members that is done at once, with
//! a million in some minutes; then no trace of the tokens is in the files. (While another process
//! reads without pause the log cannot be cut; it is tried again, and nothing more is added to it.)
//! [`SqliteStore::purge`] rewrites the whole file at once, and with it every trace of
//! the ids and names of members whose erasure is done. What the file system or a backup keeps of a file's
//! former content is beyond any database: for that, keep the tokens
//! [sealed](oh_core::store::EncryptedStore).

mod accept;
mod checkpoints;
mod file;
mod inbox;
mod members;
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
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::errors::{in_time, inbox_error, store_error};
use crate::schema::{self, Migration, SchemaError};
use crate::writer::{Failure, Writer};
use write::{Job, Op, Outcome, SqliteBackend};

/// The schema, version by version, for an app that runs migrations itself.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "members_and_inbox",
        sql: include_str!("../../migrations/sqlite/0001_members_and_inbox.sql"),
    },
    Migration {
        version: 2,
        name: "checkpoints",
        sql: include_str!("../../migrations/sqlite/0002_checkpoints.sql"),
    },
];

/// How long a statement may wait for another process to finish writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a caller waits before hearing that the database does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// Opens the file, made if it is not there (readable by its owner only), with a pool of its
    /// own, and brings the tables up to date.
    ///
    /// Journal in WAL mode, every commit flushed (`synchronous=FULL`), `secure_delete` on.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, naming it, or its tables are of a newer release.
    pub async fn connect(path: impl AsRef<Path>) -> Result<Self, SchemaError> {
        let path = path.as_ref();
        let opening = Self::open(path).await;
        opening.map_err(|error| error.opening(|| path.display().to_string()))
    }

    async fn open(path: &Path) -> Result<Self, SchemaError> {
        create_private(path).map_err(|e| SchemaError::Database(e.into()))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            // Made above; and never again, should it be deleted while it is in use.
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .pragma("secure_delete", "ON");
        // Where several processes start together, one turns WAL mode on. SQLite tells the others that
        // the file is busy without waiting.
        let open = || {
            let pool = SqlitePoolOptions::new().acquire_timeout(PATIENCE);
            pool.connect_with(options.clone())
        };
        let patient = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(Duration::from_millis(5))
            .with_max_delay(Duration::from_millis(200))
            .without_max_times()
            .with_total_delay(Some(BUSY_TIMEOUT));
        let pool = open.retry(patient).when(is_busy).await?;
        let store = Self::new(pool);
        store.migrate().await?;
        Ok(store)
    }

    /// Over the app's own pool. Nothing is opened or changed yet; see [`migrate`](Self::migrate).
    ///
    /// The file should be in WAL mode, and its connections should wait when another process
    /// writes (sqlx's default `busy_timeout` of 5 s is good). What the store writes goes over a
    /// connection of its own, made as the pool makes its own, with `synchronous=FULL` and
    /// `secure_delete=ON`.
    pub fn new(pool: SqlitePool) -> Self {
        Self(Arc::new(Writer::new(
            SqliteBackend::new(pool, true),
            PATIENCE,
        )))
    }

    /// For an app whose tokens live elsewhere: [`accept`](DeauthInbox::accept) then leaves
    /// the members' tables alone, and the library sees to the tokens in the store they are in.
    #[must_use]
    pub fn inbox_only(self) -> Self {
        let pool = self.pool().clone();
        Self(Arc::new(Writer::new(
            SqliteBackend::new(pool, false),
            PATIENCE,
        )))
    }

    /// The pool.
    pub fn pool(&self) -> &SqlitePool {
        &self.0.backend().pool
    }

    /// Brings the tables up to date. Does nothing where they are, and may be run by several
    /// processes at once.
    ///
    /// # Errors
    ///
    /// When the tables are of a newer release, or the database fails.
    pub async fn migrate(&self) -> Result<(), SchemaError> {
        // IMMEDIATE: whoever comes second waits here, and then finds everything done.
        let mut tx = self.pool().begin_with("BEGIN IMMEDIATE").await?;
        let found = found_schema(&mut tx).await?;
        for migration in schema::pending(MIGRATIONS, found)? {
            sqlx::raw_sql(migration.sql).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Whether the tables are those this release works with, for an app that runs migrations
    /// itself.
    ///
    /// # Errors
    ///
    /// When they are not, or the database fails.
    pub async fn check_schema(&self) -> Result<(), SchemaError> {
        let mut conn = self.pool().acquire().await?;
        schema::check(MIGRATIONS, found_schema(&mut conn).await?)
    }

    /// Rewrites the whole file (`VACUUM`) and cuts the log, so that nothing deleted is left in
    /// either. See the [module](self): of tokens this happens by itself.
    ///
    /// Nobody else can write meanwhile, which takes about a second for every few hundred megabytes.
    ///
    /// # Errors
    ///
    /// When another process kept reading or writing all the time. Try again.
    pub async fn purge(&self) -> Result<(), StoreError> {
        let backend = self.0.backend();
        backend.vacuum().await.map_err(|e| store_error(e.into()))?;
        let cut = backend.checkpoint(BUSY_TIMEOUT).await;
        match cut.map_err(|e| store_error(e.into()))? {
            true => Ok(()),
            false => Err(StoreError::unavailable(
                "the write-ahead log is being read by another connection",
            )),
        }
    }

    async fn write(&self, op: Op) -> Result<Outcome, Failure> {
        self.0.run(Job::Op(op)).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore(..)")
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // The lowest byte says it; the others, what for.
    let code = code.and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

async fn found_schema(conn: &mut sqlx::SqliteConnection) -> Result<i64, SchemaError> {
    let there: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'oh_schema'",
    )
    .fetch_one(&mut *conn)
    .await?;
    if there == 0 {
        return Ok(0);
    }
    let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM oh_schema")
        .fetch_one(conn)
        .await?;
    Ok(found.unwrap_or(0))
}

/// SQLite gives its other files the permissions of the first.
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

/// The outcome that belongs to the operation; the backend gives no other.
macro_rules! expect {
    ($outcome:expr, $variant:ident) => {
        match $outcome {
            Outcome::$variant(it) => Ok(it),
            _ => Err(Failure::Died),
        }
    };
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        let row = in_time(PATIENCE, members::load(self.pool(), member)).await;
        row.map_err(store_error)?
            .map(|row| row.record().map_err(StoreError::unreadable))
            .transpose()
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        let op = Op::Put {
            record: record.clone(),
            expected,
        };
        let outcome = self.write(op).await.map_err(store_error)?;
        expect!(outcome, Put).map_err(store_error)
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        let op = Op::Remove {
            member: member.clone(),
            expected,
        };
        let outcome = self.write(op).await.map_err(store_error)?;
        expect!(outcome, Put).map_err(store_error)
    }

    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        let rows = in_time(PATIENCE, members::page(self.pool(), after, limit)).await;
        rows.map_err(store_error)?
            .into_iter()
            .map(|row| row.record().map_err(StoreError::unreadable))
            .collect()
    }
}

#[async_trait]
impl DeauthInbox for SqliteStore {
    async fn accept(&self, event: &DeauthEvent) -> Result<Accepted, InboxError> {
        let job = Job::Accept(event.clone());
        let outcome = self.0.run(job).await.map_err(inbox_error)?;
        expect!(outcome, Accepted).map_err(inbox_error)
    }

    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError> {
        // Looking costs nothing; writing takes the file's one lock. Idle workers only look.
        let work = in_time(PATIENCE, inbox::is_there_work(self.pool(), now)).await;
        let (waiting, mut returning) = work.map_err(inbox_error)?;
        if limit == 0 || !(waiting || returning) {
            return Ok(Vec::new());
        }
        while returning {
            let outcome = self.write(Op::PutBack { now }).await.map_err(inbox_error)?;
            let all = expect!(outcome, PutBack).map_err(inbox_error)?;
            returning = !all;
        }
        let outcome = self
            .write(Op::Lease { now, until, limit })
            .await
            .map_err(inbox_error)?;
        expect!(outcome, LeasedEvent).map_err(inbox_error)
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<LeaseOutcome, InboxError> {
        let op = Op::Extend {
            lease: lease.clone(),
            until,
        };
        let outcome = self.write(op).await.map_err(inbox_error)?;
        expect!(outcome, LeaseOutcome).map_err(inbox_error)
    }

    async fn complete(
        &self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<LeaseOutcome, InboxError> {
        let op = Op::Settle {
            lease: lease.clone(),
            completion: completion.clone(),
            now,
        };
        let outcome = self.write(op).await.map_err(inbox_error)?;
        expect!(outcome, LeaseOutcome).map_err(inbox_error)
    }

    async fn mark_tokens_destroyed(
        &self,
        event: &DeauthEvent,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        let event = event.id.clone();
        let outcome = self.write(Op::TokensDestroyed { event, now }).await;
        expect!(outcome.map_err(inbox_error)?, Recorded).map_err(inbox_error)
    }

    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError> {
        let op = Op::Hold {
            event: event.clone(),
            note: note.to_owned(),
        };
        let outcome = self.write(op).await.map_err(inbox_error)?;
        expect!(outcome, Accepted).map_err(inbox_error)
    }

    async fn release(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        let event = event.clone();
        let outcome = self.write(Op::Release { event, now }).await;
        expect!(outcome.map_err(inbox_error)?, Requeued).map_err(inbox_error)
    }

    async fn requeue(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        let op = Op::Requeue {
            event: event.clone(),
            now,
        };
        let outcome = self.write(op).await.map_err(inbox_error)?;
        expect!(outcome, Requeued).map_err(inbox_error)
    }

    async fn stats(&self) -> Result<InboxStats, InboxError> {
        let row = in_time(PATIENCE, inbox::stats(self.pool())).await;
        row.map(|row| row.stats()).map_err(inbox_error)
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let rows = in_time(PATIENCE, inbox::events(self.pool(), query)).await;
        rows.map_err(inbox_error)?
            .into_iter()
            .map(|row| row.record().map_err(InboxError::new))
            .collect()
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError> {
        let rows = in_time(PATIENCE, inbox::ledger(self.pool(), query)).await;
        rows.map_err(inbox_error)?
            .into_iter()
            .map(|row| row.line().map_err(InboxError::new))
            .collect()
    }

    async fn store_checkpoint(
        &self,
        checkpoint: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError> {
        let op = Op::KeepCheckpoint(checkpoint.clone());
        let outcome = self.write(op).await.map_err(inbox_error)?;
        expect!(outcome, Checkpoint).map_err(inbox_error)
    }

    async fn checkpoints(
        &self,
        query: &CheckpointQuery,
    ) -> Result<Vec<StoredCheckpoint>, InboxError> {
        let rows = in_time(PATIENCE, checkpoints::list(self.pool(), query)).await;
        let rows = rows.map_err(inbox_error)?.into_iter();
        Ok(rows.map(|row| row.checkpoint()).collect())
    }

    async fn acquire_lock(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, InboxError> {
        let op = Op::AcquireLock {
            name: name.to_owned(),
            holder: holder.to_owned(),
            now,
            until,
        };
        let outcome = self.write(op).await.map_err(inbox_error)?;
        expect!(outcome, Lock).map_err(inbox_error)
    }

    async fn update_lock(
        &self,
        name: &str,
        holder: &str,
        until: Timestamp,
        note: &str,
    ) -> Result<LeaseOutcome, InboxError> {
        let op = Op::RenewLock {
            name: name.to_owned(),
            holder: holder.to_owned(),
            until,
            note: note.to_owned(),
        };
        let outcome = self.write(op).await.map_err(inbox_error)?;
        expect!(outcome, LeaseOutcome).map_err(inbox_error)
    }

    async fn lock_state(&self, name: &str, now: Timestamp) -> Result<LockState, InboxError> {
        let state = in_time(PATIENCE, inbox::lock_state(self.pool(), name, now)).await;
        state.map_err(inbox_error)
    }
}

#[cfg(test)]
mod tests {
    use super::is_busy;
    use crate::errors::tests::said;

    #[test]
    fn a_busy_file_is_told_from_other_trouble() {
        // Busy, while it is recovered, in an old snapshot.
        for code in ["5", "261", "517"] {
            assert!(is_busy(&said(code)), "{code}");
        }
        // Locked within, full, not opened; and what is no number.
        for code in ["6", "13", "14", "HY000"] {
            assert!(!is_busy(&said(code)), "{code}");
        }
    }
}
