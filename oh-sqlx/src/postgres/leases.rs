//! Completed attempts, and leases that are renewed.

use std::collections::HashSet;

use oh_core::Timestamp;
use oh_core::deauth::{Completion, Lease, LeaseOutcome};
use sqlx::{Connection, Error as SqlError, PgConnection};

use super::connection::Dedicated;
use crate::completion::Change;
use crate::errors::Failure;
use crate::statement::{LEDGER_BARRIER, without_nul};
use crate::statements;
use crate::writer::{Backend, Job, Reply};

/// What happens to a lease.
pub(super) enum Operation {
    /// Adjacent completions are written by one statement.
    Complete(Completion, Timestamp),
    Renew(Timestamp),
}

pub(super) struct LeaseJob {
    pub(super) lease: Lease,
    pub(super) operation: Operation,
    pub(super) reply: Reply<LeaseOutcome>,
}

impl LeaseJob {
    fn completed(&self) -> Option<(&Lease, Change<'_>)> {
        match &self.operation {
            Operation::Complete(completion, now) => {
                Some((&self.lease, Change::new(completion, *now)))
            }
            Operation::Renew(_) => None,
        }
    }
}

impl Job for LeaseJob {
    fn reply(self, result: Result<(), Failure>) {
        self.reply.send(result);
    }
}

pub(super) struct LeaseBackend(pub(super) Dedicated);

impl Backend for LeaseBackend {
    type Job = LeaseJob;

    const THREAD: &str = "oh-postgres-leases";

    async fn commit(&self, jobs: &mut [LeaseJob]) -> Result<(), SqlError> {
        self.0
            .with(async |conn| {
                let mut tx = conn.begin().await?;
                execute_all(&mut tx, jobs).await?;
                tx.commit().await
            })
            .await
    }
}

async fn execute_all(conn: &mut PgConnection, mut jobs: &mut [LeaseJob]) -> Result<(), SqlError> {
    while let Some(job) = jobs.first_mut() {
        let mut executed = 1;
        if let Operation::Renew(until) = job.operation {
            let outcome = statements::renew(conn, &job.lease, until).await?;
            job.reply.set(outcome);
        } else {
            let changes: Vec<_> = jobs.iter().map_while(LeaseJob::completed).collect();
            executed = changes.len();
            let applied = complete(conn, &changes).await?;
            for (position, job) in (1..).zip(&mut jobs[..executed]) {
                job.reply.set(match applied.contains(&position) {
                    true => LeaseOutcome::Applied,
                    false => LeaseOutcome::Lost,
                });
            }
        }
        jobs = &mut jobs[executed..];
    }
    Ok(())
}

/// Completes attempts whose leases are valid, and returns their positions, counted from one. Removes
/// the member id from the settled events that a done event supersedes, see [`Completion::Done`].
async fn complete(
    conn: &mut PgConnection,
    changes: &[(&Lease, Change<'_>)],
) -> Result<HashSet<i64>, SqlError> {
    let sql = format!(
        "WITH input AS MATERIALIZED ( \
             SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], \
             $6::boolean[], $7::bigint[], $8::text[], $9::text[]) WITH ORDINALITY \
             AS t (id, holder, state, due_at, settled_at, remove_member, at, step, note, position)), \
         completed AS ( \
             UPDATE oh_events SET state = input.state, \
             due_at = coalesce(input.due_at + clock_offset, oh_events.due_at), \
             waits_until = input.due_at + clock_offset, \
             settled_at = input.settled_at, \
             member = CASE WHEN input.remove_member THEN NULL ELSE oh_events.member END, \
             lease_holder = NULL, lease_until = NULL FROM input, \
             (SELECT 1000000 * round(extract(epoch FROM clock_timestamp()) \
                 - $10::bigint / 1000000.0)::bigint) AS server (clock_offset) \
             WHERE oh_events.id = input.id AND oh_events.lease_holder = input.holder \
             AND {LEDGER_BARRIER} \
             RETURNING oh_events.id, oh_events.pseudonym, oh_events.attempts, oh_events.left_at, \
             oh_events.erasure, input.remove_member, input.at, input.step, input.note, \
             input.position), \
         superseded AS ( \
             UPDATE oh_events SET member = NULL FROM completed \
             WHERE completed.remove_member AND oh_events.pseudonym = completed.pseudonym \
             AND oh_events.member IS NOT NULL AND (oh_events.state = 'stale' \
                 OR (oh_events.state IN ('dead_letter', 'quarantined') \
                     AND oh_events.left_at <= completed.left_at \
                     AND (oh_events.erasure <> 'requested' OR completed.erasure = 'requested')))), \
         lines AS ( \
             INSERT INTO oh_ledger (event, member, at, step, attempt, note) \
             SELECT id, pseudonym, at, step, attempts, note FROM completed ORDER BY position) \
         SELECT position FROM completed"
    );
    let now = changes.iter().map(|(_, change)| change.at.as_micros());
    let applied: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(column(changes, |(lease, _)| lease.event.to_string()))
        .bind(column(changes, |(lease, _)| lease.holder.clone()))
        .bind(column(changes, |(_, change)| change.state.as_str()))
        .bind(column(changes, |(_, change)| change.due_at))
        .bind(column(changes, |(_, change)| change.settled_at))
        .bind(column(changes, |(_, change)| change.remove_member))
        .bind(now.collect::<Vec<_>>())
        .bind(column(changes, |(_, change)| change.step.as_str()))
        .bind(column(changes, |(_, change)| {
            change.note.map(|note| without_nul(note.to_owned()))
        }))
        .bind(Timestamp::now().as_micros())
        .fetch_all(conn)
        .await?;
    Ok(applied.into_iter().collect())
}

fn column<'a, T>(
    changes: &'a [(&'a Lease, Change<'a>)],
    of: impl Fn(&'a (&'a Lease, Change<'a>)) -> T,
) -> Vec<T> {
    changes.iter().map(of).collect()
}
