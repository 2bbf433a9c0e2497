//! The writes of a process, one batch at a time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oh_core::deauth::{Accepted, DeauthEvent, EventId, Held, Lease, Leased, Settlement, Step};
use oh_core::store::{MemberRecord, Put, Version};
use oh_core::{ProjectMemberId, Timestamp};
use sqlx::{Connection, Error as SqlError, SqliteConnection, SqlitePool};
use tokio::time::Instant;

use super::{inbox, members};
use crate::writer::Backend;

/// After tokens were deleted, the log that may still hold them is cut this much later, so that
/// many deletions share it.
const TIDY_AFTER: Duration = Duration::from_secs(1);
/// How long that may keep others from writing while it waits for those who read.
const TIDY_WAIT: Duration = Duration::from_millis(200);

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
    Accept(DeauthEvent),
    Lease {
        now: Timestamp,
        until: Timestamp,
        limit: usize,
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
    Revive {
        event: EventId,
        now: Timestamp,
    },
    TakeTurn {
        job: String,
        holder: String,
        now: Timestamp,
        until: Timestamp,
    },
    KeepTurn {
        job: String,
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
    Revived(bool),
    Turn(Option<String>),
}

impl Op {
    /// Whether the log may hold, afterwards, what should be gone.
    fn leaves_traces(&self) -> bool {
        match self {
            Self::Put { record, expected } => record.tokens.is_none() && expected.is_some(),
            Self::Settle { settlement, .. } => matches!(settlement, Settlement::Done),
            Self::Remove { .. } | Self::Accept(_) => true,
            _ => false,
        }
    }
}

/// Writes to the file.
pub(super) struct SqliteBackend {
    pub(super) pool: SqlitePool,
    tokens_live_here: bool,
    // Another process may have died before it tidied up: the first to write sees to that.
    tidy_at: Mutex<Option<Instant>>,
}

impl SqliteBackend {
    pub(super) fn new(pool: SqlitePool, tokens_live_here: bool) -> Self {
        Self {
            pool,
            tokens_live_here,
            tidy_at: Mutex::new(Some(Instant::now() + TIDY_AFTER)),
        }
    }

    fn set_tidy_at(&self, change: impl FnOnce(Option<Instant>) -> Option<Instant>) {
        let mut at = self.tidy_at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = change(*at);
    }

    async fn run(&self, conn: &mut SqliteConnection, op: &Op) -> Result<Outcome, SqlError> {
        Ok(match op {
            Op::Put { record, expected } => {
                Outcome::Put(members::put(conn, record, *expected).await?)
            }
            Op::Remove { member, expected } => {
                Outcome::Put(members::remove(conn, member, *expected).await?)
            }
            Op::Accept(event) => {
                Outcome::Accepted(inbox::accept(conn, event, self.tokens_live_here).await?)
            }
            Op::Lease { now, until, limit } => {
                Outcome::Leased(inbox::lease(conn, *now, *until, *limit).await?)
            }
            Op::Extend { lease, until } => Outcome::Held(inbox::extend(conn, lease, *until).await?),
            Op::Settle {
                lease,
                settlement,
                now,
            } => Outcome::Held(inbox::settle(conn, lease, settlement, *now).await?),
            Op::Record { event, step, now } => {
                Outcome::Recorded(inbox::line(conn, event, *step, *now, None).await?)
            }
            Op::Revive { event, now } => Outcome::Revived(inbox::revive(conn, event, *now).await?),
            Op::TakeTurn {
                job,
                holder,
                now,
                until,
            } => Outcome::Turn(inbox::take_turn(conn, job, holder, *now, *until).await?),
            Op::KeepTurn {
                job,
                holder,
                until,
                note,
            } => Outcome::Held(inbox::keep_turn(conn, job, holder, *until, note).await?),
        })
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
        if busy == 0 {
            self.set_tidy_at(|_| None);
        }
        Ok(busy == 0)
    }
}

async fn set_busy_timeout(conn: &mut SqliteConnection, millis: i64) -> Result<(), SqlError> {
    // A PRAGMA takes no parameters; this is a number of ours.
    let sql = format!("PRAGMA busy_timeout = {millis}");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}

impl Backend for SqliteBackend {
    type Job = Op;
    type Outcome = Outcome;

    async fn commit(&self, ops: &[Op]) -> Result<Vec<Outcome>, SqlError> {
        let mut conn = self.pool.acquire().await?;
        sqlx::raw_sql("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")
            .execute(&mut *conn)
            .await?;
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        let mut outcomes = Vec::with_capacity(ops.len());
        for op in ops {
            outcomes.push(self.run(&mut tx, op).await?);
        }
        tx.commit().await?;
        if ops.iter().any(Op::leaves_traces) {
            self.set_tidy_at(|at| at.or_else(|| Some(Instant::now() + TIDY_AFTER)));
        }
        Ok(outcomes)
    }

    fn tidy_at(&self) -> Option<Instant> {
        *self.tidy_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tidy(&self) {
        match self.checkpoint(TIDY_WAIT).await {
            Ok(true) => {}
            Ok(false) => self.set_tidy_at(|_| Some(Instant::now() + TIDY_AFTER)),
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log could not be cut; later");
                self.set_tidy_at(|_| Some(Instant::now() + TIDY_AFTER));
            }
        }
    }
}
