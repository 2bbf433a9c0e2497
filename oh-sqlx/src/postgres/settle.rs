//! What becomes of leases: events that end together, settled by one statement and one commit, and
//! leases that are prolonged.

use std::collections::HashSet;

use oh_core::Timestamp;
use oh_core::deauth::{Completion, Lease, LeaseOutcome};
use sqlx::{Connection, Error as SqlError, PgConnection};

use super::inbox::{self, BARRIER, THERE};
use super::own::Own;
use super::text;
use crate::settlement::Change;
use crate::writer::Backend;

/// What is done to a lease.
pub(super) enum Job {
    Settle(Ending),
    Extend { lease: Lease, until: Timestamp },
}

impl Job {
    fn ending(&self) -> Option<&Ending> {
        match self {
            Self::Settle(ending) => Some(ending),
            Self::Extend { .. } => None,
        }
    }
}

/// The end of the work on one event.
pub(super) struct Ending {
    pub(super) lease: Lease,
    pub(super) completion: Completion,
    pub(super) now: Timestamp,
}

/// Settles events and prolongs leases.
pub(super) struct LeaseBackend {
    pub(super) own: Own,
}

impl Backend for LeaseBackend {
    type Job = Job;
    type Outcome = LeaseOutcome;

    const THREAD: &str = "oh-postgres-leases";

    async fn commit(&self, jobs: &[Job]) -> Result<Vec<LeaseOutcome>, SqlError> {
        self.own
            .write(async |conn| {
                let mut tx = conn.begin().await?;
                let held = run_all(&mut tx, jobs).await?;
                tx.commit().await?;
                Ok(held)
            })
            .await
    }
}

/// Does the jobs in their order.
async fn run_all(conn: &mut PgConnection, mut jobs: &[Job]) -> Result<Vec<LeaseOutcome>, SqlError> {
    let mut outcomes = Vec::with_capacity(jobs.len());
    while let [job, rest @ ..] = jobs {
        jobs = match job {
            Job::Extend { lease, until } => {
                outcomes.push(inbox::renew(conn, lease, *until).await?);
                rest
            }
            Job::Settle(_) => {
                let endings: Vec<_> = jobs.iter().map_while(Job::ending).collect();
                let settled = settle(conn, &endings).await?;
                let held = |place| match settled.contains(&place) {
                    true => LeaseOutcome::Applied,
                    false => LeaseOutcome::Lost,
                };
                outcomes.extend((1..).map(held).take(endings.len()));
                &jobs[endings.len()..]
            }
        };
    }
    Ok(outcomes)
}

/// Settles those whose leases still hold, and gives their places, counted from one. A done event
/// also takes the member's id from the settled events that it makes up for.
async fn settle(conn: &mut PgConnection, endings: &[&Ending]) -> Result<HashSet<i64>, SqlError> {
    let changes: Vec<_> = endings
        .iter()
        .map(|ending| (*ending, Change::of(&ending.completion, ending.now)))
        .collect();
    let settled: Vec<i64> = sqlx::query_scalar(concat!(
        "WITH input AS MATERIALIZED ( \
             SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], \
             $6::boolean[], $7::bigint[], $8::text[], $9::text[]) WITH ORDINALITY \
             AS t (id, holder, state, due_at, settled_at, forget, now, step, note, place)), \
         settled AS ( \
             UPDATE oh_events SET state = input.state, \
             due_at = coalesce(input.due_at + shift, oh_events.due_at), \
             waits_until = input.due_at + shift, \
             settled_at = input.settled_at, \
             member = CASE WHEN input.forget THEN NULL ELSE oh_events.member END, \
             lease_holder = NULL, lease_until = NULL FROM input, ",
        THERE!("0", "$10"),
        " AS there (shift) \
             WHERE oh_events.id = input.id AND oh_events.lease_holder = input.holder AND ",
        BARRIER!(),
        "    RETURNING oh_events.id, oh_events.pseudonym, oh_events.attempts, oh_events.left_at, \
             oh_events.erasure, input.forget, input.now, input.step, input.note, input.place), \
         forgotten AS ( \
             UPDATE oh_events SET member = NULL FROM settled \
             WHERE settled.forget AND oh_events.pseudonym = settled.pseudonym \
             AND oh_events.member IS NOT NULL AND (oh_events.state = 'stale' \
                 OR (oh_events.state IN ('dead_letter', 'quarantined') \
                     AND oh_events.left_at <= settled.left_at \
                     AND (oh_events.erasure <> 'requested' OR settled.erasure = 'requested')))), \
         lines AS ( \
             INSERT INTO oh_ledger (event, member, at, step, attempt, note) \
             SELECT id, pseudonym, now, step, attempts, note FROM settled ORDER BY place) \
         SELECT place FROM settled",
    ))
    .bind(column(&changes, |(ending, _)| {
        ending.lease.event.to_string()
    }))
    .bind(column(&changes, |(ending, _)| ending.lease.holder.clone()))
    .bind(column(&changes, |(_, change)| change.state.as_str()))
    .bind(column(&changes, |(_, change)| change.due_at))
    .bind(column(&changes, |(_, change)| change.settled_at))
    .bind(column(&changes, |(_, change)| change.forget))
    .bind(column(&changes, |(ending, _)| ending.now.as_micros()))
    .bind(column(&changes, |(_, change)| change.step.as_str()))
    .bind(column(&changes, |(_, change)| change.note.map(text)))
    .bind(inbox::here())
    .fetch_all(conn)
    .await?;
    Ok(settled.into_iter().collect())
}

fn column<'a, T>(
    changes: &'a [(&'a Ending, Change<'a>)],
    of: impl Fn(&'a (&'a Ending, Change<'a>)) -> T,
) -> Vec<T> {
    changes.iter().map(of).collect()
}
