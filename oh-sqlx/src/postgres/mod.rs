//! [`PgStore`]: a PostgreSQL database, for several machines.
//!
//! PostgreSQL finds the tables through the connection's `search_path`, so they can be in a schema of
//! their own.
//!
//! # Deleted data
//!
//! PostgreSQL does not overwrite deleted rows: they stay in the table's files until a vacuum, and their
//! bytes even longer. Tokens are [encrypted](oh_core::store::EncryptedStore), so such rows are
//! unreadable. To remove all traces of the ids and usernames of erased members as well, call
//! [`PgStore::purge`], for example once a day. The write-ahead log, backups and replicas keep former
//! contents as long as you retain them.

mod accept;
mod connection;
mod inbox;
mod leases;
mod ledger;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oh_core::deauth::{
    Accepted, CheckpointOutcome, CheckpointQuery, Completion, DeauthEvent, DeauthInbox, EventId,
    EventQuery, EventRecord, InboxError, InboxStats, Lease, LeaseOutcome, LeasedEvent, LedgerLine,
    LedgerQuery, LockState, StoredCheckpoint,
};
use oh_core::store::{MemberRecord, PutOutcome, StoreError, TokenStore, Version};
use oh_core::{ProjectMemberId, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{Connection, Error as SqlError, FromRow, PgConnection, PgPool, Postgres};

use crate::batch::AcceptJob;
use crate::errors::{Failure, inbox_error, store_error, with_timeout};
use crate::rows::{CheckpointRow, EventRow, LedgerRow, MemberRow, StatsRow};
use crate::schema::{self, Migration, SchemaError};
use crate::statement::{Dialect, Execute, Statement};
use crate::statements;
use crate::writer::Writer;
use accept::AcceptBackend;
use connection::{Dedicated, Pooled};
use leases::{LeaseBackend, LeaseJob, Operation};

/// The migrations, for applications that run migrations themselves.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "members_and_inbox",
    sql: include_str!("../../migrations/postgres.sql"),
}];

const POSTGRES: Dialect = Dialect::Postgres;
/// How long a caller waits for the database.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// Makes the server stop statements for which no caller waits any more.
const SESSION_LIMITS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '4s'; \
    SET idle_in_transaction_session_timeout = '10s'";

/// Members' tokens and the deauthorization inbox in PostgreSQL. Cheap to clone.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use oh_core::store::TokenStore;
/// use oh_sqlx::PgStore;
///
/// let store = PgStore::connect("postgres://app@localhost/app").await?;
/// assert!(store.load(&"01026778".parse()?).await?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PgStore {
    pool: PgPool,
    accepts: Arc<Writer<AcceptBackend>>,
    leases: Arc<Writer<LeaseBackend>>,
}

impl PgStore {
    /// Connects with a new pool, and creates or migrates the tables.
    ///
    /// The URL has the form of sqlx and libpq: `postgres://user:password@host/database`. Statements time
    /// out after five seconds, waits for a lock after four.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached (the error names host, port and database), or a newer
    /// release created the tables.
    pub async fn connect(url: &str) -> Result<Self, SchemaError> {
        let options: PgConnectOptions = url.parse()?;
        // Without user and password.
        let place = format!(
            "{}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default()
        );
        let opened = Self::open(options).await;
        opened.map_err(|error| error.opening(|| place))
    }

    async fn open(options: PgConnectOptions) -> Result<Self, SchemaError> {
        let pool = PgPoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|conn, _| {
                Box::pin(async move {
                    sqlx::raw_sql(SESSION_LIMITS).execute(conn).await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        let store = Self::new(pool);
        store.migrate().await?;
        Ok(store)
    }

    /// Creates a store on the application's own pool. Changes nothing yet; see
    /// [`migrate`](Self::migrate).
    ///
    /// The store opens two more connections: webhooks and leases have threads and connections of their
    /// own, so that they are written even if the application's handlers block threads or hold the pool. These
    /// connections use the pool's connect options but not its `after_connect`, so a `search_path`
    /// belongs in the [options](sqlx::postgres::PgConnectOptions::options).
    ///
    /// Set the pool's `acquire_timeout` to a few seconds, so that a webhook fails before its sender
    /// stops waiting. Set `statement_timeout` and `idle_in_transaction_session_timeout`, so that the
    /// server stops abandoned work. The isolation level must be `READ COMMITTED`, PostgreSQL's default.
    /// The inbox flushes its commits even where `synchronous_commit` is off; member records do not.
    pub fn new(pool: PgPool) -> Self {
        Self::with(pool, true)
    }

    /// Returns a store for applications whose tokens are in another store:
    /// [`accept`](DeauthInbox::accept) then leaves `oh_members` unchanged, and the library destroys
    /// the tokens where they are.
    #[must_use]
    pub fn inbox_only(self) -> Self {
        Self::with(self.pool, false)
    }

    fn with(pool: PgPool, destroys_tokens: bool) -> Self {
        let accepts = AcceptBackend {
            conn: Dedicated::new(pool.clone()),
            destroys_tokens,
        };
        let leases = LeaseBackend(Dedicated::new(pool.clone()));
        Self {
            pool,
            accepts: Arc::new(Writer::new(accepts, CALL_TIMEOUT)),
            leases: Arc::new(Writer::new(leases, CALL_TIMEOUT)),
        }
    }

    /// The pool.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Creates or migrates the tables. Several processes can call it at the same time.
    ///
    /// # Errors
    ///
    /// When a newer release created the tables, or the database fails.
    pub async fn migrate(&self) -> Result<(), SchemaError> {
        // A migration may take long.
        let begin = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
        let mut tx = self.pool.begin_with(begin).await?;
        // "ohschema" in ASCII. Other processes wait here until the tables are migrated.
        sqlx::query("SELECT pg_advisory_xact_lock(8027793206578343265)")
            .execute(&mut *tx)
            .await?;
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
        let mut conn = self.pool.acquire().await?;
        schema::check(MIGRATIONS, schema_version(&mut conn).await?)
    }

    /// Rewrites the tables with tokens and member ids (`VACUUM FULL`), so that their files contain no
    /// deleted rows. The tables are locked meanwhile.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached, the user does not own the tables, or another session
    /// locked them for two seconds. The wait is short because other sessions wait behind it.
    pub async fn purge(&self) -> Result<(), StoreError> {
        let purged = async {
            let mut conn = self.pool.acquire().await?;
            // The settings last as long as the connection.
            conn.close_on_drop();
            for statement in [
                "SET statement_timeout = 0",
                "SET lock_timeout = '2s'",
                "VACUUM (FULL) oh_members",
                "VACUUM (FULL) oh_events",
            ] {
                sqlx::query(statement).execute(&mut *conn).await?;
            }
            Ok(())
        };
        purged.await.map_err(|e: SqlError| store_error(e.into()))
    }

    /// Calls `work` with a connection of the pool.
    async fn with_connection<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, SqlError>,
    ) -> Result<T, Failure> {
        with_timeout(CALL_TIMEOUT, async {
            let mut pooled = Pooled::acquire(&self.pool).await?;
            let result = work(&mut pooled.conn).await;
            pooled.release();
            result
        })
        .await
    }

    /// Calls `work` with a transaction, and commits it.
    async fn with_transaction<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, SqlError>,
    ) -> Result<T, Failure> {
        self.with_connection(async |conn| {
            let mut tx = conn.begin().await?;
            let output = work(&mut tx).await?;
            tx.commit().await?;
            Ok(output)
        })
        .await
    }

    async fn change_lease(
        &self,
        lease: &Lease,
        operation: Operation,
    ) -> Result<LeaseOutcome, InboxError> {
        let lease = lease.clone();
        let job = |reply| LeaseJob {
            lease,
            operation,
            reply,
        };
        self.leases.run(job).await.map_err(inbox_error)
    }

    async fn fetch_all<T>(&self, statement: Statement) -> Result<Vec<T>, Failure>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let query = statement.query_as::<Postgres, T>();
        self.with_connection(async |conn| query.fetch_all(conn).await)
            .await
    }

    async fn fetch_optional<T>(&self, statement: Statement) -> Result<Option<T>, Failure>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let query = statement.query_as::<Postgres, T>();
        self.with_connection(async |conn| query.fetch_optional(conn).await)
            .await
    }
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgStore(..)")
    }
}

/// The version of the tables; 0 without tables.
async fn schema_version(conn: &mut PgConnection) -> Result<i64, SchemaError> {
    let has_table: bool = sqlx::query_scalar("SELECT to_regclass('oh_schema') IS NOT NULL")
        .fetch_one(&mut *conn)
        .await?;
    if !has_table {
        return Ok(0);
    }
    let version: Option<i64> = sqlx::query_scalar("SELECT max(version)::bigint FROM oh_schema")
        .fetch_one(conn)
        .await?;
    Ok(version.unwrap_or(0))
}

#[async_trait]
impl TokenStore for PgStore {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        let statement = statements::load_member(POSTGRES, member);
        let row: Option<MemberRow> = self.fetch_optional(statement).await.map_err(store_error)?;
        let record = row.map(|row| row.record().map_err(StoreError::unreadable));
        record.transpose()
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        self.with_connection(async |conn| statements::put_member(conn, record, expected).await)
            .await
            .map_err(store_error)
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        self.with_connection(async |conn| statements::remove_member(conn, member, expected).await)
            .await
            .map_err(store_error)
    }

    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        let statement = statements::page_of_members(POSTGRES, after, limit);
        let rows: Vec<MemberRow> = self.fetch_all(statement).await.map_err(store_error)?;
        let records = rows.into_iter().map(MemberRow::record);
        records
            .map(|record| record.map_err(StoreError::unreadable))
            .collect()
    }
}

#[async_trait]
impl DeauthInbox for PgStore {
    async fn accept(&self, event: &DeauthEvent) -> Result<Accepted, InboxError> {
        let event = event.clone();
        self.accepts
            .run(|reply| AcceptJob { event, reply })
            .await
            .map_err(inbox_error)
    }

    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError> {
        self.with_transaction(async |conn| statements::quarantine(conn, event, note).await)
            .await
            .map_err(inbox_error)
    }

    async fn release(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        self.with_transaction(async |conn| statements::release(conn, event, now).await)
            .await
            .map_err(inbox_error)
    }

    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError> {
        let end_waits = async |conn: &mut PgConnection| inbox::end_waits(conn, now).await;
        while !self.with_connection(end_waits).await.map_err(inbox_error)? {}
        self.with_connection(async |conn| inbox::lease(conn, now, until, limit).await)
            .await
            .map_err(inbox_error)
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<LeaseOutcome, InboxError> {
        self.change_lease(lease, Operation::Renew(until)).await
    }

    async fn complete(
        &self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<LeaseOutcome, InboxError> {
        let operation = Operation::Complete(completion.clone(), now);
        self.change_lease(lease, operation).await
    }

    async fn mark_tokens_destroyed(
        &self,
        event: &DeauthEvent,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        let marked = self.with_transaction(async |conn| {
            statements::mark_tokens_destroyed(conn, &event.id, now).await
        });
        marked.await.map(drop).map_err(inbox_error)
    }

    async fn requeue(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        self.with_transaction(async |conn| statements::requeue(conn, event, now).await)
            .await
            .map_err(inbox_error)
    }

    async fn stats(&self) -> Result<InboxStats, InboxError> {
        let row: Option<StatsRow> = self
            .fetch_optional(statements::stats(POSTGRES))
            .await
            .map_err(inbox_error)?;
        Ok(row.map(StatsRow::stats).unwrap_or_default())
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let statement = statements::list_events(POSTGRES, query);
        let rows: Vec<EventRow> = self.fetch_all(statement).await.map_err(inbox_error)?;
        let records = rows.into_iter().map(EventRow::record);
        records
            .map(|record| record.map_err(InboxError::new))
            .collect()
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError> {
        // One worker at a time writes about an event, so its lines need no barrier.
        let mut last = None;
        if query.event.is_none() {
            let read = self.with_connection(async |conn| ledger::last_line(conn).await);
            last = read.await.map_err(inbox_error)?;
            if last.is_none() {
                return Ok(Vec::new());
            }
        }
        let statement = statements::list_ledger(POSTGRES, query, last);
        let rows: Vec<LedgerRow> = self.fetch_all(statement).await.map_err(inbox_error)?;
        let lines = rows.into_iter().map(LedgerRow::line);
        lines.map(|line| line.map_err(InboxError::new)).collect()
    }

    async fn store_checkpoint(
        &self,
        checkpoint: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError> {
        let insert = statements::insert_checkpoint(POSTGRES, checkpoint);
        let inserted = self
            .with_connection(async |conn| conn.execute(insert).await)
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
        let statement = statements::list_checkpoints(POSTGRES, query);
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
        let acquire = statements::acquire_lock(POSTGRES, name, holder, now, until);
        let note: Option<(String,)> = self.fetch_optional(acquire).await.map_err(inbox_error)?;
        Ok(note.map(|(note,)| note))
    }

    async fn update_lock(
        &self,
        name: &str,
        holder: &str,
        until: Timestamp,
        note: &str,
    ) -> Result<LeaseOutcome, InboxError> {
        self.with_connection(async |conn| {
            statements::update_lock(conn, name, holder, until, note).await
        })
        .await
        .map_err(inbox_error)
    }

    async fn lock_state(&self, name: &str, now: Timestamp) -> Result<LockState, InboxError> {
        let statement = statements::lock_state(POSTGRES, name, now);
        let state: Option<(bool, String)> =
            self.fetch_optional(statement).await.map_err(inbox_error)?;
        Ok(state.map_or_else(LockState::default, |(held, note)| LockState { held, note }))
    }
}
