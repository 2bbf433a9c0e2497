//! The writes of a process, one batch at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oh_core::deauth::{
    Accepted, CheckpointOutcome, Completion, DeauthEvent, EventId, Lease, LeaseOutcome,
    LeasedEvent, StoredCheckpoint,
};
use oh_core::store::{MemberRecord, PutOutcome, Version};
use oh_core::{ProjectMemberId, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{Connection, Error as SqlError, SqliteConnection, SqlitePool};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::file::DatabaseFile;
use super::{accept, checkpoints, inbox, members};
use crate::writer::Backend;

/// After tokens were deleted, the file is cleared of their traces this much later, so that many
/// deletions share it.
const TIDY_AFTER: Duration = Duration::from_secs(1);
/// Between two pieces it rests for so many times as long as a piece took: others write meanwhile.
const TIDY_PAUSE: u32 = 4;
/// A log that is longer, in pages, is written back before more is added to it.
const LONG_LOG: i64 = 4_000;
/// How long cutting the log may keep others from writing while it waits for those who read.
const TIDY_WAIT: Duration = Duration::from_millis(50);

/// What callers hand in.
pub(super) enum Job {
    /// Done together with those next to it.
    Accept(DeauthEvent),
    Op(Op),
}

impl Job {
    fn event(&self) -> Option<&DeauthEvent> {
        match self {
            Self::Accept(event) => Some(event),
            Self::Op(_) => None,
        }
    }
}

/// One write.
pub(super) enum Op {
    Put {
        record: MemberRecord,
        expected: Option<Version>,
    },
    Remove {
        member: ProjectMemberId,
        expected: Version,
    },
    Lease {
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    },
    PutBack {
        now: Timestamp,
    },
    Extend {
        lease: Lease,
        until: Timestamp,
    },
    Settle {
        lease: Lease,
        completion: Completion,
        now: Timestamp,
    },
    TokensDestroyed {
        event: EventId,
        now: Timestamp,
    },
    Requeue {
        event: EventId,
        now: Timestamp,
    },
    Hold {
        event: DeauthEvent,
        note: String,
    },
    Release {
        event: EventId,
        now: Timestamp,
    },
    AcquireLock {
        name: String,
        holder: String,
        now: Timestamp,
        until: Timestamp,
    },
    RenewLock {
        name: String,
        holder: String,
        until: Timestamp,
        note: String,
    },
    KeepCheckpoint(StoredCheckpoint),
}

/// What became of it.
pub(super) enum Outcome {
    Put(PutOutcome),
    Accepted(Accepted),
    LeasedEvent(Vec<LeasedEvent>),
    LeaseOutcome(LeaseOutcome),
    Recorded(()),
    PutBack(bool),
    Requeued(bool),
    Lock(Option<String>),
    Checkpoint(CheckpointOutcome),
}

/// Writes to the file, over one connection of its own: an app whose handlers hold all connections
/// of the pool does not keep the webhook from being written down.
pub(super) struct SqliteBackend {
    pub(super) pool: SqlitePool,
    /// Taken while it is used. Whatever fails on it closes it: after an error SQLite may have rolled
    /// the transaction back by itself, which nobody tells sqlx.
    conn: AsyncMutex<Option<SqliteConnection>>,
    file: DatabaseFile,
    tokens_live_here: bool,
    /// When the file is to be tidied, if it is.
    tidy_at: Mutex<Option<Instant>>,
}

impl SqliteBackend {
    pub(super) fn new(pool: SqlitePool, tokens_live_here: bool) -> Self {
        Self {
            file: DatabaseFile::of(&pool),
            pool,
            conn: AsyncMutex::new(None),
            tokens_live_here,
            // Another process may have died before it tidied up: the first to write sees to that.
            tidy_at: Mutex::new(Some(Instant::now() + TIDY_AFTER)),
        }
    }

    fn when_to_tidy(&self) -> MutexGuard<'_, Option<Instant>> {
        self.tidy_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work on the connection that writes, and makes sure that what was written is in the
    /// file that others find.
    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if self.pool.is_closed() {
            return Err(SqlError::PoolClosed);
        }
        let mut place = self.conn.lock().await;
        let mut conn = match place.take() {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let done = work(&mut conn).await?;
        self.file.check()?;
        *place = Some(conn);
        Ok(done)
    }

    /// A connection that flushes what it commits and clears what it deletes.
    async fn connect(&self) -> Result<SqliteConnection, SqlError> {
        self.file.check()?;
        let options = SqliteConnectOptions::clone(&self.pool.connect_options());
        let options = options
            // Its tables were made before: an empty file in its place is not it.
            .create_if_missing(false)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON");
        SqliteConnection::connect_with(&options).await
    }

    /// Moves a piece of the tokens. False if there is no need to.
    async fn move_tokens(&self) -> Result<bool, SqlError> {
        self.write(async |conn| {
            let mut tx = conn.begin().await?;
            let moved = members::move_tokens(&mut tx).await?;
            tx.commit().await?;
            Ok(moved)
        })
        .await
    }

    /// Rewrites the whole file.
    pub(super) async fn vacuum(&self) -> Result<(), SqlError> {
        self.write(async |conn| {
            sqlx::query("VACUUM").execute(conn).await?;
            Ok(())
        })
        .await
    }

    /// Writes the log back into the file as far as nobody reads it. Gives how much is left of it.
    async fn shorten_log(&self) -> Result<i64, SqlError> {
        self.write(async |conn| {
            let (_, log, written): (i64, i64, i64) =
                sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)")
                    .fetch_one(conn)
                    .await?;
            Ok(log - written)
        })
        .await
    }

    /// Writes the log back into the file and cuts it to nothing. False if someone was in the way.
    pub(super) async fn checkpoint(&self, wait: Duration) -> Result<bool, SqlError> {
        self.write(async |conn| {
            let before: i64 = sqlx::query_scalar("PRAGMA busy_timeout")
                .fetch_one(&mut *conn)
                .await?;
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            set_busy_timeout(conn, wait).await?;
            let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
                .fetch_one(&mut *conn)
                .await?;
            set_busy_timeout(conn, before).await?;
            Ok(busy == 0)
        })
        .await
    }

    /// One piece of tidying. Gives when there is to be another.
    async fn tidy_up(&self) -> Result<Option<Duration>, SqlError> {
        if self.shorten_log().await? > LONG_LOG {
            // Someone reads what was there long ago. To go on would make the log longer and longer.
            return Ok(Some(TIDY_AFTER));
        }
        let began = Instant::now();
        if self.move_tokens().await? {
            return Ok(Some(TIDY_PAUSE * began.elapsed()));
        }
        let cut = self.checkpoint(TIDY_WAIT).await?;
        Ok((!cut).then_some(TIDY_AFTER))
    }
}

/// Does one write. Sets `traces` if tokens were deleted.
async fn run(conn: &mut SqliteConnection, op: &Op, traces: &mut bool) -> Result<Outcome, SqlError> {
    Ok(match op {
        Op::Put { record, expected } => {
            *traces |= record.tokens.is_none() && expected.is_some();
            Outcome::Put(members::put(conn, record, *expected).await?)
        }
        Op::Remove { member, expected } => {
            *traces = true;
            Outcome::Put(members::remove(conn, member, *expected).await?)
        }
        Op::Lease { now, until, limit } => {
            Outcome::LeasedEvent(inbox::lease(conn, *now, *until, *limit).await?)
        }
        Op::PutBack { now } => Outcome::PutBack(inbox::put_back(conn, *now).await?),
        Op::Extend { lease, until } => {
            Outcome::LeaseOutcome(inbox::renew(conn, lease, *until).await?)
        }
        Op::Settle {
            lease,
            completion,
            now,
        } => Outcome::LeaseOutcome(inbox::complete(conn, lease, completion, *now).await?),
        Op::TokensDestroyed { event, now } => {
            Outcome::Recorded(inbox::mark_tokens_destroyed(conn, event, *now).await?)
        }
        Op::Requeue { event, now } => Outcome::Requeued(inbox::requeue(conn, event, *now).await?),
        Op::Hold { event, note } => Outcome::Accepted(inbox::quarantine(conn, event, note).await?),
        Op::Release { event, now } => Outcome::Requeued(inbox::release(conn, event, *now).await?),
        Op::AcquireLock {
            name,
            holder,
            now,
            until,
        } => Outcome::Lock(inbox::acquire_lock(conn, name, holder, *now, *until).await?),
        Op::RenewLock {
            name,
            holder,
            until,
            note,
        } => Outcome::LeaseOutcome(inbox::update_lock(conn, name, holder, *until, note).await?),
        Op::KeepCheckpoint(checkpoint) => {
            Outcome::Checkpoint(checkpoints::keep(conn, checkpoint).await?)
        }
    })
}

async fn set_busy_timeout(conn: &mut SqliteConnection, millis: i64) -> Result<(), SqlError> {
    // A PRAGMA takes no parameters; this is a number of ours.
    let sql = format!("PRAGMA busy_timeout = {millis}");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}

impl Backend for SqliteBackend {
    type Job = Job;
    type Outcome = Outcome;

    const THREAD: &str = "oh-sqlite-writer";

    async fn commit(&self, jobs: &[Job]) -> Result<Vec<Outcome>, SqlError> {
        self.write(async |conn| {
            let mut tx = conn.begin().await?;
            let (outcomes, traces) = self.run_all(&mut tx, jobs).await?;
            if traces {
                members::note_traces(&mut tx).await?;
                // Before the commit: nobody may be there to do it afterwards.
                let mut at = self.when_to_tidy();
                at.get_or_insert(Instant::now() + TIDY_AFTER);
            }
            tx.commit().await?;
            Ok(outcomes)
        })
        .await
    }

    fn tidy_at(&self) -> Option<Instant> {
        *self.when_to_tidy()
    }

    async fn tidy(&self) {
        let next = self.tidy_up().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "deleted tokens could not be cleared from the file; later");
            Some(20 * TIDY_AFTER)
        });
        *self.when_to_tidy() = next.map(|pause| Instant::now() + pause);
    }
}

impl SqliteBackend {
    /// Does the writes in their order. Also tells whether tokens were deleted.
    async fn run_all(
        &self,
        conn: &mut SqliteConnection,
        mut jobs: &[Job],
    ) -> Result<(Vec<Outcome>, bool), SqlError> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        let mut traces = false;
        while let [job, rest @ ..] = jobs {
            jobs = match job {
                Job::Op(op) => {
                    outcomes.push(run(conn, op, &mut traces).await?);
                    rest
                }
                Job::Accept(_) => {
                    let events: Vec<_> = jobs.iter().map_while(Job::event).collect();
                    let (accepted, deleted) =
                        accept::accept(conn, &events, self.tokens_live_here).await?;
                    traces |= deleted;
                    outcomes.extend(accepted.into_iter().map(Outcome::Accepted));
                    &jobs[events.len()..]
                }
            };
        }
        Ok((outcomes, traces))
    }
}

#[cfg(test)]
mod tests;
