//! Leases on PostgreSQL.

use oh_core::Timestamp;
use oh_core::deauth::LeasedEvent;
use sqlx::{Connection, Error as SqlError, PgConnection, Postgres};

use crate::rows::{self, EventRow};
use crate::statement::{Dialect, Execute, Statement};
use crate::statements::EVENT_COLUMNS;

/// Leases the oldest events of the queue.
///
/// An event that must wait for a time (the end of a lease, the next attempt) is in the index
/// `oh_events_waiting` until then, so the cost does not depend on the number of waiting events. The
/// condition on the member's first event is a subquery with a limit, which PostgreSQL cannot turn
/// into a join over all waiting events.
///
/// An advisory lock ("ohleases" in ASCII) makes workers lease one after another. Otherwise two workers
/// could each lease an event of the same member. Workers without work take no lock.
pub(super) async fn lease(
    conn: &mut PgConnection,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<LeasedEvent>, SqlError> {
    if limit == 0 || !has_work(conn, now).await? {
        return Ok(Vec::new());
    }
    let holder = rows::holder();
    let latest = rows::latest(now);
    let statement = Statement::new(
        Dialect::Postgres,
        "WITH due AS MATERIALIZED ( \
             SELECT e.id AS due_id FROM oh_events e \
             WHERE e.state = 'pending' AND e.waits_until IS NULL \
             AND (e.attempts = 0 OR e.due_at <= ",
    )
    .time(now)
    .sql(" OR e.due_at > ")
    .time(latest)
    .sql(
        ") AND e.id = (SELECT first.id FROM oh_events first \
             WHERE first.state = 'pending' AND first.member = e.member \
             ORDER BY first.received_at, first.id LIMIT 1) \
         AND NOT EXISTS (SELECT 1 FROM oh_events leased \
             WHERE leased.member = e.member AND leased.lease_until > ",
    )
    .time(now)
    .sql(" AND leased.lease_until <= ")
    .time(latest)
    .sql(") AND ")
    .ledger_barrier()
    .sql(" ORDER BY e.received_at, e.id LIMIT ")
    .bind(rows::limit(limit))
    .sql(
        " FOR UPDATE OF e SKIP LOCKED), \
         leased AS ( \
             UPDATE oh_events SET attempts = attempts + 1, lease_holder = ",
    )
    .bind(holder.as_str())
    .sql(", (lease_until, waits_until) = (SELECT until, until FROM (SELECT ")
    .time(until)
    .sql(" AS until) AS lease) FROM due WHERE id = due_id RETURNING ")
    .sql(EVENT_COLUMNS)
    .sql(
        "), \
         lines AS ( \
             INSERT INTO oh_ledger (event, member, at, step, attempt) SELECT id, pseudonym, ",
    )
    .bind(now)
    .sql(", 'tried', attempts FROM leased ORDER BY received_at, id) SELECT ")
    .sql(EVENT_COLUMNS)
    .sql(" FROM leased ORDER BY received_at, id");
    let mut tx = conn
        .begin_with("BEGIN; SELECT pg_advisory_xact_lock(8027785518470358387)")
        .await?;
    let statement = statement.query_as::<Postgres, EventRow>();
    let leased = statement.fetch_all(&mut *tx).await?;
    tx.commit().await?;
    let leased = leased.into_iter().map(|row| row.leased(&holder));
    leased
        .map(|event| event.map_err(SqlError::Decode))
        .collect()
}

async fn has_work(conn: &mut PgConnection, now: Timestamp) -> Result<bool, SqlError> {
    let statement = Statement::new(
        Dialect::Postgres,
        "SELECT EXISTS (SELECT 1 FROM oh_events WHERE state = 'pending' AND waits_until IS NULL) \
         OR EXISTS (SELECT 1 FROM oh_events WHERE state = 'pending' AND waits_until <= ",
    )
    .time(now)
    .sql(")");
    let (has_work,) = statement.query_as::<Postgres, _>().fetch_one(conn).await?;
    Ok(has_work)
}

/// Returns some of the events whose wait is over to the queue. Many can be due after an outage, so
/// each call commits a limited number. Returns whether none are left.
pub(super) async fn end_waits(conn: &mut PgConnection, now: Timestamp) -> Result<bool, SqlError> {
    let update = || {
        Statement::new(
            Dialect::Postgres,
            "UPDATE oh_events SET waits_until = NULL WHERE id IN ( \
                 SELECT id FROM oh_events WHERE state = 'pending' AND waits_until ",
        )
    };
    let limit = rows::REQUEUE_BATCH.cast_signed();
    let due = update().sql("<= ").time(now);
    let due = due.sql(" ORDER BY waits_until LIMIT ").bind(limit);
    let due = conn.execute(due.sql(" FOR UPDATE SKIP LOCKED)")).await?;
    let too_late = update().sql("> ").time(rows::latest(now));
    let too_late = too_late.sql(" LIMIT ").bind(limit);
    let too_late = conn
        .execute(too_late.sql(" FOR UPDATE SKIP LOCKED)"))
        .await?;
    rows::warn_of_wrong_clock(too_late);
    Ok(due.max(too_late) < rows::REQUEUE_BATCH)
}
