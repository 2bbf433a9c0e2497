//! Accepts a batch of events with two statements and one commit.

use std::collections::HashSet;

use oh_core::deauth::DeauthEvent;
use oh_core::store::Version;
use sqlx::{Connection, Error as SqlError, PgConnection};

use super::connection::Dedicated;
use crate::batch::{AcceptJob, inserted, outcomes, runs};
use crate::statement::LEDGER_BARRIER;
use crate::writer::Backend;

pub(super) struct AcceptBackend {
    pub(super) conn: Dedicated,
    pub(super) destroys_tokens: bool,
}

impl Backend for AcceptBackend {
    type Job = AcceptJob;

    const THREAD: &str = "oh-postgres-accept";

    async fn commit(&self, jobs: &mut [AcceptJob]) -> Result<(), SqlError> {
        self.conn
            .with(async |conn| self.accept_all(conn, jobs).await)
            .await
    }
}

impl AcceptBackend {
    async fn accept_all(
        &self,
        conn: &mut PgConnection,
        jobs: &mut [AcceptJob],
    ) -> Result<(), SqlError> {
        let mut tx = conn.begin().await?;
        let events: Vec<&DeauthEvent> = jobs.iter().map(|job| &job.event).collect();
        let mut accepted = Vec::with_capacity(events.len());
        for run in runs(&events) {
            let ids = insert(&mut tx, run).await?;
            let new = inserted(run, &ids);
            let mut left = None;
            if self.destroys_tokens {
                left = Some(destroy_tokens(&mut tx, &new).await?);
            } else {
                write_received_lines(&mut tx, &new).await?;
            }
            accepted.extend(outcomes(run, &ids, left.as_ref()));
        }
        tx.commit().await?;
        for (job, outcome) in jobs.iter_mut().zip(accepted) {
            job.reply.set(outcome);
        }
        Ok(())
    }
}

fn column<T>(events: &[&DeauthEvent], of: impl Fn(&DeauthEvent) -> T) -> Vec<T> {
    events.iter().map(|event| of(event)).collect()
}

/// Inserts the events that do not exist, and returns their ids. It inserts in the order of the ids, so
/// that two processes with the same events do not deadlock.
async fn insert(
    conn: &mut PgConnection,
    events: &[&DeauthEvent],
) -> Result<HashSet<String>, SqlError> {
    let sql = format!(
        "INSERT INTO oh_events (id, member, pseudonym, erasure, discovery, left_at, received_at, \
         due_at) \
         SELECT id, member, pseudonym, erasure, discovery, left_at, received_at, received_at \
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], \
         $7::bigint[]) AS t (id, member, pseudonym, erasure, discovery, left_at, received_at) \
         WHERE {LEDGER_BARRIER} ORDER BY id ON CONFLICT (id) DO NOTHING RETURNING id"
    );
    let ids: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(column(events, |e| e.id.to_string()))
        .bind(column(events, |e| e.member.to_string()))
        .bind(column(events, |e| e.pseudonym.to_string()))
        .bind(column(events, |e| e.erasure.as_str()))
        .bind(column(events, |e| e.discovery.as_str()))
        .bind(column(events, |e| e.left_at.as_micros()))
        .bind(column(events, |e| e.received_at.as_micros()))
        .fetch_all(conn)
        .await?;
    Ok(ids.into_iter().collect())
}

/// Destroys the tokens of the events' members, advances their epochs, writes the ledger lines, and
/// returns the members. Unknown members get a tombstone. The event of a member who authorized the
/// project after it is settled as stale, even if that authorization has ended as well: an event of an
/// earlier membership says nothing about the latest one.
async fn destroy_tokens(
    conn: &mut PgConnection,
    events: &[&DeauthEvent],
) -> Result<HashSet<String>, SqlError> {
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let left: Vec<String> = sqlx::query_scalar(
        "WITH input AS MATERIALIZED ( \
             SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], \
             $6::bigint[]) WITH ORDINALITY \
             AS t (id, member, pseudonym, left_at, received_at, version, place)), \
         gone AS ( \
             INSERT INTO oh_members (member, epoch, authorized_at, deauthorized_at, confirmed_at, \
             refresh_unanswered, version) \
             SELECT member, received_at, 0, received_at, received_at, false, version \
             FROM input ORDER BY member \
             ON CONFLICT (member) DO UPDATE SET username = NULL, access_token = NULL, \
             refresh_token = NULL, expires_at = NULL, \
             epoch = greatest(oh_members.epoch + 1, excluded.epoch), \
             deauthorized_at = excluded.deauthorized_at, refresh_holder = NULL, \
             refresh_until = NULL, refresh_unanswered = false, version = excluded.version \
             WHERE oh_members.authorized_at <= \
             (SELECT input.left_at FROM input WHERE input.member = oh_members.member) \
             RETURNING member), \
         fate AS ( \
             SELECT input.*, gone.member IS NOT NULL AS left_now \
             FROM input LEFT JOIN gone ON gone.member = input.member), \
         stale AS ( \
             UPDATE oh_events SET state = 'stale', settled_at = oh_events.received_at \
             FROM fate WHERE oh_events.id = fate.id AND NOT fate.left_now), \
         destroyed AS ( \
             UPDATE oh_events SET tokens_destroyed = true \
             FROM fate WHERE oh_events.id = fate.id AND fate.left_now), \
         lines AS ( \
             INSERT INTO oh_ledger (event, member, at, step, attempt) \
             SELECT fate.id, fate.pseudonym, fate.received_at, CASE \
                 WHEN line = 1 THEN 'received' \
                 WHEN fate.left_now THEN 'tokens_destroyed' ELSE 'stale' END, 0 \
             FROM fate CROSS JOIN generate_series(1, 2) AS line ORDER BY fate.place, line) \
         SELECT member FROM gone",
    )
    .bind(column(events, |e| e.id.to_string()))
    .bind(column(events, |e| e.member.to_string()))
    .bind(column(events, |e| e.pseudonym.to_string()))
    .bind(column(events, |e| e.left_at.as_micros()))
    .bind(column(events, |e| e.received_at.as_micros()))
    .bind(column(events, |_| Version::fresh().get()))
    .fetch_all(conn)
    .await?;
    Ok(left.into_iter().collect())
}

async fn write_received_lines(
    conn: &mut PgConnection,
    events: &[&DeauthEvent],
) -> Result<(), SqlError> {
    if events.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO oh_ledger (event, member, at, step, attempt) \
         SELECT id, pseudonym, received_at, 'received', 0 \
         FROM UNNEST($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY \
         AS t (id, pseudonym, received_at, place) ORDER BY place",
    )
    .bind(column(events, |e| e.id.to_string()))
    .bind(column(events, |e| e.pseudonym.to_string()))
    .bind(column(events, |e| e.received_at.as_micros()))
    .execute(conn)
    .await?;
    Ok(())
}
