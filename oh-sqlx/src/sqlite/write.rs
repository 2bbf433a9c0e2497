//! The writes of a process, one batch at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oh_core::deauth::{Accepted, DeauthEvent, EventId, Held, Lease, Leased, Settlement, Step};
use oh_core::store::{MemberRecord, Put, Version};
use oh_core::{ProjectMemberId, Timestamp};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Error as SqlError, Sqlite, SqliteConnection, SqlitePool};
use tokio::time::Instant;

use super::{accept, inbox, members};
use crate::writer::Backend;

/// After tokens were deleted, the file is cleared of their traces this much later, so that many
/// deletions share it.
const TIDY_AFTER: Duration = Duration::from_secs(1);
/// And not again for so many times as long as it took.
const TIDY_PAUSE: u32 = 20;
/// How long that may keep others from writing while it waits for those who read.
const TIDY_WAIT: Duration = Duration::from_millis(200);

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
        settlement: Settlement,
        now: Timestamp,
    },
    Record {
        event: EventId,
        step: Step,
        now: Timestamp,
    },
    Requeue {
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
}

/// What became of it.
pub(super) enum Outcome {
    Put(Put),
    Accepted(Accepted),
    Leased(Vec<Leased>),
    Held(Held),
    Recorded(()),
    PutBack(bool),
    Requeued(bool),
    Lock(Option<String>),
}

/// Writes to the file.
pub(super) struct SqliteBackend {
    pub(super) pool: SqlitePool,
    tokens_live_here: bool,
    tidy: Mutex<Tidy>,
}

/// What there is to tidy.
struct Tidy {
    /// When, if there is something.
    at: Option<Instant>,
    /// The table of tokens is to be rewritten first. If not, only the log is left to be cut.
    rewrite: bool,
    /// Not before.
    rested: Instant,
}

impl SqliteBackend {
    pub(super) fn new(pool: SqlitePool, tokens_live_here: bool) -> Self {
        let at = Instant::now() + TIDY_AFTER;
        // Another process may have died before it tidied up: the first to write sees to that.
        let tidy = Tidy {
            at: Some(at),
            rewrite: tokens_live_here,
            rested: at,
        };
        Self {
            pool,
            tokens_live_here,
            tidy: Mutex::new(tidy),
        }
    }

    fn to_tidy(&self) -> MutexGuard<'_, Tidy> {
        self.tidy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that flushes what it commits and clears what it deletes.
    async fn writing(&self) -> Result<PoolConnection<Sqlite>, SqlError> {
        let mut conn = self.pool.acquire().await?;
        sqlx::raw_sql("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")
            .execute(&mut *conn)
            .await?;
        Ok(conn)
    }

    async fn rewrite_tokens(&self) -> Result<(), SqlError> {
        let mut conn = self.writing().await?;
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        members::rewrite_tokens(&mut tx).await?;
        tx.commit().await
    }

    /// Rewrites the whole file.
    pub(super) async fn vacuum(&self) -> Result<(), SqlError> {
        let mut conn = self.writing().await?;
        sqlx::query("VACUUM").execute(&mut *conn).await?;
        Ok(())
    }

    /// Writes the log back into the file and cuts it to nothing. False if someone was in the way.
    pub(super) async fn checkpoint(&self, wait: Duration) -> Result<bool, SqlError> {
        let mut conn = self.pool.acquire().await?;
        let before: i64 = sqlx::query_scalar("PRAGMA busy_timeout")
            .fetch_one(&mut *conn)
            .await?;
        set_busy_timeout(
            &mut conn,
            i64::try_from(wait.as_millis()).unwrap_or(i64::MAX),
        )
        .await?;
        let done = sqlx::query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *conn)
            .await;
        set_busy_timeout(&mut conn, before).await?;
        let (busy, _, _) = done?;
        Ok(busy == 0)
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
            Outcome::Leased(inbox::lease(conn, *now, *until, *limit).await?)
        }
        Op::PutBack { now } => Outcome::PutBack(inbox::put_back(conn, *now).await?),
        Op::Extend { lease, until } => Outcome::Held(inbox::extend(conn, lease, *until).await?),
        Op::Settle {
            lease,
            settlement,
            now,
        } => Outcome::Held(inbox::settle(conn, lease, settlement, *now).await?),
        Op::Record { event, step, now } => {
            Outcome::Recorded(inbox::line(conn, event, *step, *now, None).await?)
        }
        Op::Requeue { event, now } => Outcome::Requeued(inbox::requeue(conn, event, *now).await?),
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
        } => Outcome::Held(inbox::update_lock(conn, name, holder, *until, note).await?),
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

    async fn commit(&self, mut jobs: &[Job]) -> Result<Vec<Outcome>, SqlError> {
        let mut conn = self.writing().await?;
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        let mut outcomes = Vec::with_capacity(jobs.len());
        let mut traces = false;
        while let [job, rest @ ..] = jobs {
            jobs = match job {
                Job::Op(op) => {
                    outcomes.push(run(&mut tx, op, &mut traces).await?);
                    rest
                }
                Job::Accept(_) => {
                    let events: Vec<_> = jobs.iter().map_while(Job::event).collect();
                    let (accepted, deleted) =
                        accept::accept(&mut tx, &events, self.tokens_live_here).await?;
                    traces |= deleted;
                    outcomes.extend(accepted.into_iter().map(Outcome::Accepted));
                    &jobs[events.len()..]
                }
            };
        }
        if traces {
            // Noted before the commit: nobody may be there to note it afterwards.
            let mut tidy = self.to_tidy();
            let soon = (Instant::now() + TIDY_AFTER).max(tidy.rested);
            tidy.rewrite = true;
            tidy.at.get_or_insert(soon);
        }
        tx.commit().await?;
        Ok(outcomes)
    }

    fn tidy_at(&self) -> Option<Instant> {
        self.to_tidy().at
    }

    async fn tidy(&self) {
        let began = Instant::now();
        let rewrite = self.to_tidy().rewrite;
        let rewritten = if rewrite {
            self.rewrite_tokens().await
        } else {
            Ok(())
        };
        // Whoever reads can keep the log from being cut. Only that is then tried again: to rewrite
        // once more would make the log longer each time.
        let still_to_rewrite = rewritten.is_err();
        let done = match rewritten {
            Ok(()) => self.checkpoint(TIDY_WAIT).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &done {
            tracing::warn!(%error, "deleted tokens could not be cleared from the file; later");
        }
        // In a flood of deletions this takes its small part of the time, however large the table.
        let pause = TIDY_AFTER.max(TIDY_PAUSE * began.elapsed());
        let mut tidy = self.to_tidy();
        tidy.rewrite = still_to_rewrite;
        tidy.rested = Instant::now() + pause;
        tidy.at = (!matches!(done, Ok(true))).then_some(tidy.rested);
    }
}
