//! [`PgStore`]: a PostgreSQL database, for many machines.
//!
//! Tables are found through the connection's `search_path`, so they can live in a schema of their
//! own.
//!
//! # No trace of tokens
//!
//! PostgreSQL never overwrites: a deleted row version stays in the table's files until a vacuum,
//! and its bytes can outlast a plain one. [`PgStore::purge`] rewrites the tables that hold
//! tokens and ids (`VACUUM FULL`); run it from time to time, say once a day. They are small, but
//! locked meanwhile. The server's write-ahead log, its backups and replicas keep what was written
//! for as long as they are kept: for those, keep the tokens
//! [sealed](oh_core::store::EncryptedStore).

mod accept;
mod checkpoints;
mod inbox;
mod members;
mod own;
mod settle;
mod taken;

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
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::errors::{in_time, inbox_error, store_error};
use crate::schema::{self, Migration, SchemaError};
use crate::writer::Writer;
use accept::AcceptBackend;
use own::Own;
use settle::{Ending, Job, LeaseBackend};
use taken::Taken;

/// The schema, version by version, for an app that runs migrations itself.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "members_and_inbox",
        sql: include_str!("../../migrations/postgres/0001_members_and_inbox.sql"),
    },
    Migration {
        version: 2,
        name: "checkpoints",
        sql: include_str!("../../migrations/postgres/0002_checkpoints.sql"),
    },
];

/// How long a caller waits before hearing that the database does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(3);

/// What the server is told of that, or it would go on with what nobody waits for any more.
const LIMITS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '4s'; \
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
    /// Connects with a pool of its own and brings the tables up to date.
    ///
    /// The URL is sqlx's and libpq's: `postgres://user:password@host/database`. Statements have
    /// five seconds, and waiting for a lock four.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached, naming host, port and database, or its tables are of a
    /// newer release.
    pub async fn connect(url: &str) -> Result<Self, SchemaError> {
        let options: PgConnectOptions = url.parse()?;
        // All but the password, and who it is for.
        let place = format!(
            "{}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default()
        );
        let opening = Self::open(options).await;
        opening.map_err(|error| error.opening(|| place))
    }

    async fn open(options: PgConnectOptions) -> Result<Self, SchemaError> {
        let pool = PgPoolOptions::new()
            .acquire_timeout(ACQUIRE)
            .after_connect(|conn, _| {
                Box::pin(async move {
                    sqlx::raw_sql(LIMITS).execute(conn).await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        let store = Self::new(pool);
        store.migrate().await?;
        Ok(store)
    }

    /// Over the app's own pool. Nothing is changed yet; see [`migrate`](Self::migrate).
    ///
    /// Two connections come on top of the pool's: what must be written down whatever the app's
    /// handlers hold or block, webhooks and leases, goes over connections and threads of its own.
    /// They are made with the pool's connect options, and know nothing of its `after_connect`: a
    /// `search_path` belongs into the
    /// [options](sqlx::postgres::PgConnectOptions::options).
    ///
    /// Give the pool an `acquire_timeout` of a few seconds, so that a webhook is refused before
    /// its sender gives up, and its connections a `statement_timeout` and an
    /// `idle_in_transaction_session_timeout`, so that the server ends what nobody waits for any
    /// more. The isolation level must be PostgreSQL's default, `READ COMMITTED`. What the inbox
    /// writes is flushed even where `synchronous_commit` is off; members' records then are not.
    pub fn new(pool: PgPool) -> Self {
        Self::with(pool, true)
    }

    /// For an app whose tokens live elsewhere: [`accept`](DeauthInbox::accept) then leaves
    /// `oh_members` alone, and the library sees to the tokens in the store they are in.
    #[must_use]
    pub fn inbox_only(self) -> Self {
        Self::with(self.pool, false)
    }

    fn with(pool: PgPool, tokens_live_here: bool) -> Self {
        let accepts = AcceptBackend {
            own: Own::beside(pool.clone()),
            tokens_live_here,
        };
        let leases = LeaseBackend {
            own: Own::beside(pool.clone()),
        };
        Self {
            pool,
            accepts: Arc::new(Writer::new(accepts, PATIENCE)),
            leases: Arc::new(Writer::new(leases, PATIENCE)),
        }
    }

    /// The pool.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Brings the tables up to date. Does nothing where they are, and may be run by several
    /// processes at once.
    ///
    /// # Errors
    ///
    /// When the tables are of a newer release, or the database fails.
    pub async fn migrate(&self) -> Result<(), SchemaError> {
        // Making tables may take its time.
        let begin = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
        let mut tx = self.pool.begin_with(begin).await?;
        // "ohschema" in ASCII. Whoever comes second waits here, and then finds everything done.
        sqlx::query("SELECT pg_advisory_xact_lock(8027793206578343265)")
            .execute(&mut *tx)
            .await?;
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
        let mut conn = self.pool.acquire().await?;
        schema::check(MIGRATIONS, found_schema(&mut conn).await?)
    }

    /// Rewrites the tables that held tokens and member ids, so that their files hold no trace of
    /// those deleted. See the [module](self).
    ///
    /// # Errors
    ///
    /// When the database cannot be reached, the user does not own the tables, or others had them
    /// locked for two seconds (then try again: whoever comes after would have to wait as well).
    pub async fn purge(&self) -> Result<(), StoreError> {
        let purged = async {
            let mut conn = self.pool.acquire().await?;
            // What is set here is for this connection's life.
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
        purged.await.map_err(|e: sqlx::Error| store_error(e.into()))
    }
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgStore(..)")
    }
}

async fn found_schema(conn: &mut sqlx::PgConnection) -> Result<i64, SchemaError> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('oh_schema') IS NOT NULL")
        .fetch_one(&mut *conn)
        .await?;
    if !there {
        return Ok(0);
    }
    let found: Option<i64> = sqlx::query_scalar("SELECT max(version)::bigint FROM oh_schema")
        .fetch_one(conn)
        .await?;
    Ok(found.unwrap_or(0))
}

/// Does the work on a connection, and waits for it only so long.
macro_rules! ask {
    ($store:ident, $conn:ident => $work:expr) => {
        in_time(PATIENCE, async {
            let mut taken = Taken::from(&$store.pool).await?;
            let $conn = &mut *taken.conn;
            let done = $work.await;
            taken.release();
            done
        })
        .await
    };
}

#[async_trait]
impl TokenStore for PgStore {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        let row = ask!(self, conn => members::load(conn, member));
        row.map_err(store_error)?
            .map(|row| row.record().map_err(StoreError::unreadable))
            .transpose()
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        let put = ask!(self, conn => members::put(conn, record, expected));
        put.map_err(store_error)
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        let put = ask!(self, conn => members::remove(conn, member, expected));
        put.map_err(store_error)
    }

    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        let rows = ask!(self, conn => members::page(conn, after, limit));
        rows.map_err(store_error)?
            .into_iter()
            .map(|row| row.record().map_err(StoreError::unreadable))
            .collect()
    }
}

#[async_trait]
impl DeauthInbox for PgStore {
    async fn accept(&self, event: &DeauthEvent) -> Result<Accepted, InboxError> {
        self.accepts.run(event.clone()).await.map_err(inbox_error)
    }

    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError> {
        while !ask!(self, conn => inbox::put_back(conn, now)).map_err(inbox_error)? {}
        let leased = ask!(self, conn => inbox::lease(conn, now, until, limit));
        leased.map_err(inbox_error)
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<LeaseOutcome, InboxError> {
        let lease = lease.clone();
        let held = self.leases.run(Job::Extend { lease, until }).await;
        held.map_err(inbox_error)
    }

    async fn complete(
        &self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<LeaseOutcome, InboxError> {
        let ending = Ending {
            lease: lease.clone(),
            completion: completion.clone(),
            now,
        };
        let held = self.leases.run(Job::Settle(ending)).await;
        held.map_err(inbox_error)
    }

    async fn mark_tokens_destroyed(
        &self,
        event: &DeauthEvent,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        let noted = ask!(self, conn => inbox::mark_tokens_destroyed(conn, &event.id, now));
        noted.map_err(inbox_error)
    }

    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError> {
        let held = ask!(self, conn => inbox::quarantine(conn, event, note));
        held.map_err(inbox_error)
    }

    async fn release(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        let released = ask!(self, conn => inbox::release(conn, event, now));
        released.map_err(inbox_error)
    }

    async fn requeue(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        let requeued = ask!(self, conn => inbox::requeue(conn, event, now));
        requeued.map_err(inbox_error)
    }

    async fn stats(&self) -> Result<InboxStats, InboxError> {
        let row = ask!(self, conn => inbox::stats(conn));
        row.map(|row| row.stats()).map_err(inbox_error)
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let rows = ask!(self, conn => inbox::events(conn, query));
        rows.map_err(inbox_error)?
            .into_iter()
            .map(|row| row.record().map_err(InboxError::new))
            .collect()
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError> {
        let rows = ask!(self, conn => inbox::ledger(conn, query));
        rows.map_err(inbox_error)?
            .into_iter()
            .map(|row| row.line().map_err(InboxError::new))
            .collect()
    }

    async fn store_checkpoint(
        &self,
        checkpoint: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError> {
        let fate = ask!(self, conn => checkpoints::keep(conn, checkpoint));
        fate.map_err(inbox_error)
    }

    async fn checkpoints(
        &self,
        query: &CheckpointQuery,
    ) -> Result<Vec<StoredCheckpoint>, InboxError> {
        let rows = ask!(self, conn => checkpoints::list(conn, query));
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
        let note = ask!(self, conn => inbox::acquire_lock(conn, name, holder, now, until));
        note.map_err(inbox_error)
    }

    async fn update_lock(
        &self,
        name: &str,
        holder: &str,
        until: Timestamp,
        note: &str,
    ) -> Result<LeaseOutcome, InboxError> {
        let held = ask!(self, conn => inbox::update_lock(conn, name, holder, until, note));
        held.map_err(inbox_error)
    }

    async fn lock_state(&self, name: &str, now: Timestamp) -> Result<LockState, InboxError> {
        let state = ask!(self, conn => inbox::lock_state(conn, name, now));
        state.map_err(inbox_error)
    }
}

/// PostgreSQL's text holds every character but NUL. Where one comes from outside, in a username
/// or an error's message, the replacement character stands for it.
fn text(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}
