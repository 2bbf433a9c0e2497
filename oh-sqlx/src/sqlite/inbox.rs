//! Leases and completed attempts on SQLite.

use oh_core::Timestamp;
use oh_core::deauth::{Completion, EventId, Lease, LeaseOutcome, LeasedEvent, Step};
use sqlx::{Error as SqlError, Sqlite, SqliteConnection};

use crate::completion::Change;
use crate::rows::{self, EventRow};
use crate::statement::{Dialect, Execute, Statement};
use crate::statements::{self, EVENT_COLUMNS};

/// Returns whether events are in the queue, and whether events must return to it.
pub(super) fn has_work(now: Timestamp) -> Statement {
    Statement::new(
        Dialect::Sqlite,
        "SELECT EXISTS (SELECT 1 FROM oh_events INDEXED BY oh_events_queue \
         WHERE state = 'pending' AND waits_until IS NULL), \
         EXISTS (SELECT 1 FROM oh_events INDEXED BY oh_events_waiting \
         WHERE state = 'pending' AND waits_until <= ",
    )
    .bind(now)
    .sql(
        ") OR EXISTS (SELECT 1 FROM oh_events INDEXED BY oh_events_waiting \
         WHERE state = 'pending' AND waits_until > ",
    )
    .bind(rows::latest(now))
    .sql(")")
}

/// Returns some of the events whose wait is over to the queue. Many can be due after an outage, so
/// each call commits a limited number. Returns whether none are left.
pub(super) async fn end_waits(
    conn: &mut SqliteConnection,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let update = || {
        Statement::new(
            Dialect::Sqlite,
            "UPDATE oh_events SET waits_until = NULL WHERE id IN ( \
                 SELECT id FROM oh_events INDEXED BY oh_events_waiting \
                 WHERE state = 'pending' AND waits_until ",
        )
    };
    let limit = rows::REQUEUE_BATCH.cast_signed();
    let due = update().sql("<= ").bind(now);
    let due = due.sql(" ORDER BY waits_until LIMIT ").bind(limit).sql(")");
    let due = conn.execute(due).await?;
    let too_late = update().sql("> ").bind(rows::latest(now));
    let too_late = too_late.sql(" LIMIT ").bind(limit).sql(")");
    let too_late = conn.execute(too_late).await?;
    rows::warn_of_wrong_clock(too_late);
    Ok(due.max(too_late) < rows::REQUEUE_BATCH)
}

/// Leases the oldest events of the queue. An event that must wait for a time (the end of a lease, the
/// next attempt) is in the index `oh_events_waiting` until then, so the cost does not depend on the
/// number of waiting events.
pub(super) async fn lease(
    conn: &mut SqliteConnection,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<LeasedEvent>, SqlError> {
    let holder = rows::holder();
    let latest = rows::latest(now);
    let update = Statement::new(
        Dialect::Sqlite,
        "UPDATE oh_events SET attempts = attempts + 1, lease_holder = ",
    )
    .bind(holder.as_str())
    .sql(", lease_until = ")
    .bind(until)
    .sql(", waits_until = ")
    .bind(until)
    .sql(
        " WHERE id IN ( \
             SELECT e.id FROM oh_events e INDEXED BY oh_events_queue \
             WHERE e.state = 'pending' AND e.waits_until IS NULL \
             AND (e.attempts = 0 OR e.due_at <= ",
    )
    .bind(now)
    .sql(" OR e.due_at > ")
    .bind(latest)
    .sql(
        ") AND e.id = (SELECT first.id FROM oh_events first INDEXED BY oh_events_of_member \
             WHERE first.state = 'pending' AND first.member = e.member \
             ORDER BY first.received_at, first.id LIMIT 1) \
         AND NOT EXISTS (SELECT 1 FROM oh_events leased INDEXED BY oh_events_leased \
             WHERE leased.member = e.member AND leased.lease_until > ",
    )
    .bind(now)
    .sql(" AND leased.lease_until <= ")
    .bind(latest)
    .sql(") ORDER BY e.received_at, e.id LIMIT ")
    .bind(rows::limit(limit))
    .sql(") RETURNING ")
    .sql(EVENT_COLUMNS);
    let mut rows: Vec<EventRow> = update.query_as::<Sqlite, _>().fetch_all(&mut *conn).await?;
    rows.sort_unstable_by(|a, b| a.position().cmp(&b.position()));
    let mut leased = Vec::with_capacity(rows.len());
    for row in rows {
        let event = row.leased(&holder).map_err(SqlError::Decode)?;
        statements::write_line(conn, &event.event.id, Step::Tried, now, None).await?;
        leased.push(event);
    }
    Ok(leased)
}

pub(super) async fn complete(
    conn: &mut SqliteConnection,
    lease: &Lease,
    completion: &Completion,
    now: Timestamp,
) -> Result<LeaseOutcome, SqlError> {
    let change = Change::new(completion, now);
    let update = Statement::new(Dialect::Sqlite, "UPDATE oh_events SET state = ")
        .bind(change.state.as_str())
        .sql(", due_at = coalesce(")
        .bind(change.due_at)
        .sql(", due_at), waits_until = ")
        .bind(change.due_at)
        .sql(", settled_at = ")
        .bind(change.settled_at)
        .sql(", member = CASE WHEN ")
        .bind(change.remove_member)
        .sql(" THEN NULL ELSE member END, lease_holder = NULL, lease_until = NULL WHERE id = ")
        .bind(lease.event.as_str())
        .sql(" AND lease_holder = ")
        .bind(lease.holder.as_str());
    let outcome = statements::lease_outcome(conn.execute(update).await?);
    if outcome == LeaseOutcome::Applied {
        statements::write_line(conn, &lease.event, change.step, now, change.note).await?;
        if change.remove_member {
            remove_member_from_superseded(conn, &lease.event).await?;
        }
    }
    Ok(outcome)
}

/// Removes the member id from the settled events that a done event supersedes, see
/// [`Completion::Done`].
async fn remove_member_from_superseded(
    conn: &mut SqliteConnection,
    done: &EventId,
) -> Result<(), SqlError> {
    let update = Statement::new(
        Dialect::Sqlite,
        "UPDATE oh_events INDEXED BY oh_events_by_pseudonym SET member = NULL \
         FROM oh_events AS done WHERE oh_events.pseudonym = done.pseudonym \
         AND oh_events.member IS NOT NULL AND (oh_events.state = 'stale' \
             OR (oh_events.state IN ('dead_letter', 'quarantined') \
                 AND oh_events.left_at <= done.left_at \
                 AND (oh_events.erasure <> 'requested' OR done.erasure = 'requested'))) \
         AND done.id = ",
    )
    .bind(done.as_str());
    conn.execute(update).await?;
    Ok(())
}
