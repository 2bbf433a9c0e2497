//! Statements on `oh_events`, `oh_ledger` and `oh_locks`.

use oh_core::Timestamp;
use oh_core::deauth::{
    Accepted, Completion, DeauthEvent, EventId, EventQuery, Lease, LeaseOutcome, LeasedEvent,
    LedgerQuery, LockState, Step, TokenOutcome,
};
use sqlx::{Error as SqlError, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use crate::rows::{self, EventRow, LedgerRow, StatsRow};
use crate::settlement::Change;

/// Adds a line to the ledger about an event as it stands. Does nothing if there is no such event.
async fn line(
    conn: &mut SqliteConnection,
    event: &EventId,
    step: Step,
    now: Timestamp,
    note: Option<&str>,
) -> Result<(), SqlError> {
    sqlx::query(
        "INSERT INTO oh_ledger (event, member, at, step, attempt, note) \
         SELECT id, pseudonym, ?2, ?3, attempts, ?4 FROM oh_events WHERE id = ?1",
    )
    .bind(event.as_str())
    .bind(now.as_micros())
    .bind(step.as_str())
    .bind(note)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes note that the member's tokens are gone.
pub(super) async fn mark_tokens_destroyed(
    conn: &mut SqliteConnection,
    event: &EventId,
    now: Timestamp,
) -> Result<(), SqlError> {
    let noted = sqlx::query(
        "UPDATE oh_events SET tokens_destroyed = TRUE WHERE id = ?1 AND state = 'pending'",
    )
    .bind(event.as_str())
    .execute(&mut *conn)
    .await?;
    match noted.rows_affected() {
        0 => Ok(()),
        _ => line(conn, event, Step::TokensDestroyed, now, None).await,
    }
}

/// Whether there are events in the queue, and some to be put back into it.
pub(super) async fn is_there_work(
    pool: &SqlitePool,
    now: Timestamp,
) -> Result<(bool, bool), SqlError> {
    sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM oh_events INDEXED BY oh_events_queue \
         WHERE state = 'pending' AND waits_until IS NULL), \
         EXISTS (SELECT 1 FROM oh_events INDEXED BY oh_events_waiting \
         WHERE state = 'pending' AND waits_until <= ?1) \
         OR EXISTS (SELECT 1 FROM oh_events INDEXED BY oh_events_waiting \
         WHERE state = 'pending' AND waits_until > ?2)",
    )
    .bind(now.as_micros())
    .bind(rows::farthest(now).as_micros())
    .fetch_one(pool)
    .await
}

/// Puts some events that have waited long enough back into the queue. Not all at once: after an
/// outage there may be very many, and what is done so far must stay done. True if that was all.
pub(super) async fn put_back(
    conn: &mut SqliteConnection,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let back = sqlx::query(
        "UPDATE oh_events SET waits_until = NULL WHERE id IN ( \
             SELECT id FROM oh_events INDEXED BY oh_events_waiting \
             WHERE state = 'pending' AND waits_until <= ?1 ORDER BY waits_until LIMIT ?2)",
    )
    .bind(now.as_micros())
    .bind(rows::CHUNK.cast_signed())
    .execute(&mut *conn)
    .await?;
    let too_far = sqlx::query(
        "UPDATE oh_events SET waits_until = NULL WHERE id IN ( \
             SELECT id FROM oh_events INDEXED BY oh_events_waiting \
             WHERE state = 'pending' AND waits_until > ?1 LIMIT ?2)",
    )
    .bind(rows::farthest(now).as_micros())
    .bind(rows::CHUNK.cast_signed())
    .execute(conn)
    .await?;
    rows::warn_of_wrong_clock(too_far.rows_affected());
    Ok(back.rows_affected().max(too_far.rows_affected()) < rows::CHUNK)
}

/// Two indexes keep this flat however many events wait. An event that may not be taken before
/// some time (the end of a lease, the next try) is in `oh_events_waiting` until then, and the
/// first call after puts it back into `oh_events_queue`, which is read from its beginning.
pub(super) async fn lease(
    conn: &mut SqliteConnection,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<LeasedEvent>, SqlError> {
    let holder = rows::holder();
    let mut taken: Vec<EventRow> = sqlx::query_as(concat!(
        "UPDATE oh_events SET attempts = attempts + 1, lease_holder = ?1, lease_until = ?2, \
         waits_until = ?2 WHERE id IN ( \
             SELECT e.id FROM oh_events e INDEXED BY oh_events_queue \
             WHERE e.state = 'pending' AND e.waits_until IS NULL \
             AND (e.attempts = 0 OR e.due_at <= ?3 OR e.due_at > ?5) \
             AND e.id = (SELECT first.id FROM oh_events first INDEXED BY oh_events_of_member \
                 WHERE first.state = 'pending' AND first.member = e.member \
                 ORDER BY first.received_at, first.id LIMIT 1) \
             AND NOT EXISTS (SELECT 1 FROM oh_events held INDEXED BY oh_events_held \
                 WHERE held.member = e.member AND held.lease_until > ?3 AND held.lease_until <= ?5) \
             ORDER BY e.received_at, e.id LIMIT ?4) \
         RETURNING ",
        rows::event_columns!(""),
    ))
    .bind(&holder)
    .bind(until.as_micros())
    .bind(now.as_micros())
    .bind(rows::limit(limit))
    .bind(rows::farthest(now).as_micros())
    .fetch_all(&mut *conn)
    .await?;
    taken.sort_unstable_by(|a, b| a.place().cmp(&b.place()));
    let mut leased = Vec::with_capacity(taken.len());
    for row in taken {
        let one = row.leased(&holder).map_err(SqlError::Decode)?;
        line(conn, &one.event.id, Step::Tried, now, None).await?;
        leased.push(one);
    }
    Ok(leased)
}

pub(super) async fn renew(
    conn: &mut SqliteConnection,
    lease: &Lease,
    until: Timestamp,
) -> Result<LeaseOutcome, SqlError> {
    let extended = sqlx::query(
        "UPDATE oh_events SET lease_until = ?3, waits_until = ?3 \
         WHERE id = ?1 AND lease_holder = ?2",
    )
    .bind(lease.event.as_str())
    .bind(&lease.holder)
    .bind(until.as_micros())
    .execute(conn)
    .await?;
    Ok(held_if(extended.rows_affected()))
}

pub(super) async fn complete(
    conn: &mut SqliteConnection,
    lease: &Lease,
    completion: &Completion,
    now: Timestamp,
) -> Result<LeaseOutcome, SqlError> {
    let change = Change::of(completion, now);
    let settled = sqlx::query(
        "UPDATE oh_events SET state = ?3, due_at = coalesce(?4, due_at), waits_until = ?4, \
         settled_at = ?5, member = CASE WHEN ?6 THEN NULL ELSE member END, \
         lease_holder = NULL, lease_until = NULL WHERE id = ?1 AND lease_holder = ?2",
    )
    .bind(lease.event.as_str())
    .bind(&lease.holder)
    .bind(change.state.as_str())
    .bind(change.due_at)
    .bind(change.settled_at)
    .bind(change.forget)
    .execute(&mut *conn)
    .await?;
    if settled.rows_affected() > 0 {
        line(conn, &lease.event, change.step, now, change.note).await?;
        if change.forget {
            forget_settled(conn, &lease.event).await?;
        }
    }
    Ok(held_if(settled.rows_affected()))
}

/// Removes the member's id from what a done event makes up for.
async fn forget_settled(conn: &mut SqliteConnection, done: &EventId) -> Result<(), SqlError> {
    sqlx::query(
        "UPDATE oh_events INDEXED BY oh_events_by_pseudonym SET member = NULL \
         FROM oh_events AS done WHERE done.id = ?1 \
         AND oh_events.pseudonym = done.pseudonym AND oh_events.member IS NOT NULL \
         AND (oh_events.state = 'stale' \
             OR (oh_events.state IN ('dead_letter', 'quarantined') AND oh_events.left_at <= done.left_at \
                 AND (oh_events.erasure <> 'requested' OR done.erasure = 'requested')))",
    )
    .bind(done.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn requeue(
    conn: &mut SqliteConnection,
    event: &EventId,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let requeued = sqlx::query(
        "UPDATE oh_events SET state = 'pending', attempts = 0, due_at = ?2, settled_at = NULL, \
         tokens_destroyed = tokens_destroyed AND NOT (state = 'stale' OR requeued_at IS NOT NULL), \
         requeued_at = CASE WHEN state = 'stale' OR requeued_at IS NOT NULL THEN ?2 END \
         WHERE id = ?1 AND state IN ('dead_letter', 'stale') AND member IS NOT NULL",
    )
    .bind(event.as_str())
    .bind(now.as_micros())
    .execute(&mut *conn)
    .await?;
    if requeued.rows_affected() > 0 {
        line(conn, event, Step::Requeued, now, None).await?;
    }
    Ok(requeued.rows_affected() > 0)
}

pub(super) async fn quarantine(
    conn: &mut SqliteConnection,
    event: &DeauthEvent,
    note: &str,
) -> Result<Accepted, SqlError> {
    let kept = sqlx::query(
        "INSERT INTO oh_events (id, member, pseudonym, erasure, discovery, left_at, received_at, \
         due_at, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, 'quarantined') ON CONFLICT (id) DO NOTHING",
    )
    .bind(event.id.as_str())
    .bind(event.member.as_str())
    .bind(event.pseudonym.as_str())
    .bind(event.erasure.as_str())
    .bind(event.discovery.as_str())
    .bind(event.left_at.as_micros())
    .bind(event.received_at.as_micros())
    .execute(&mut *conn)
    .await?;
    if kept.rows_affected() == 0 {
        return Ok(Accepted::Duplicate);
    }
    let at = event.received_at;
    line(conn, &event.id, Step::Received, at, None).await?;
    line(conn, &event.id, Step::Quarantined, at, Some(note)).await?;
    Ok(Accepted::New(TokenOutcome::Untouched))
}

pub(super) async fn release(
    conn: &mut SqliteConnection,
    event: &EventId,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let released = sqlx::query(
        "UPDATE oh_events SET state = 'pending', due_at = ?2 \
         WHERE id = ?1 AND state = 'quarantined' AND member IS NOT NULL",
    )
    .bind(event.as_str())
    .bind(now.as_micros())
    .execute(&mut *conn)
    .await?;
    if released.rows_affected() > 0 {
        line(conn, event, Step::Released, now, None).await?;
    }
    Ok(released.rows_affected() > 0)
}

pub(super) async fn stats(pool: &SqlitePool) -> Result<StatsRow, SqlError> {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM oh_events WHERE state = 'pending') AS pending, \
         (SELECT min(received_at) FROM oh_events WHERE state = 'pending') AS oldest_pending, \
         (SELECT count(*) FROM oh_events WHERE state = 'done') AS done, \
         (SELECT count(*) FROM oh_events WHERE state = 'dead_letter' AND member IS NOT NULL) \
         AS dead_letters, \
         (SELECT count(*) FROM oh_events WHERE state = 'stale') AS stale, \
         (SELECT count(*) FROM oh_events WHERE state = 'quarantined' AND member IS NOT NULL) AS quarantined",
    )
    .fetch_one(pool)
    .await
}

pub(super) async fn events(
    pool: &SqlitePool,
    query: &EventQuery,
) -> Result<Vec<EventRow>, SqlError> {
    let mut sql = QueryBuilder::<Sqlite>::new(concat!(
        "SELECT ",
        rows::event_columns!(""),
        " FROM oh_events"
    ));
    if let Some(at) = query.leased_at {
        // Few are leased at a time; without the hint SQLite walks through all events instead.
        sql.push(" INDEXED BY oh_events_held WHERE lease_until > ")
            .push_bind(at.as_micros());
    } else {
        sql.push(" WHERE TRUE");
    }
    if let Some(state) = query.state {
        sql.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(pseudonym) = &query.pseudonym {
        sql.push(" AND pseudonym = ").push_bind(pseudonym.as_str());
    }
    if let Some(before) = query.received_before {
        sql.push(" AND received_at < ")
            .push_bind(before.as_micros());
    }
    if let Some((at, id)) = &query.after {
        sql.push(match query.newest_first {
            true => " AND (received_at, id) < (",
            false => " AND (received_at, id) > (",
        });
        sql.push_bind(at.as_micros());
        sql.push(", ").push_bind(id.as_str()).push(")");
    }
    sql.push(match query.newest_first {
        true => " ORDER BY received_at DESC, id DESC LIMIT ",
        false => " ORDER BY received_at, id LIMIT ",
    });
    sql.push_bind(rows::limit(query.limit));
    sql.build_query_as().fetch_all(pool).await
}

pub(super) async fn ledger(
    pool: &SqlitePool,
    query: &LedgerQuery,
) -> Result<Vec<LedgerRow>, SqlError> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
    sql.push(rows::LEDGER_COLUMNS)
        .push(" FROM oh_ledger WHERE TRUE");
    if let Some(event) = &query.event {
        sql.push(" AND event = ").push_bind(event.as_str());
    }
    if let Some(member) = &query.member {
        sql.push(" AND member = ").push_bind(member.as_str());
    }
    let (after, order) = match query.newest_first {
        true => (" AND seq < ", " ORDER BY seq DESC LIMIT "),
        false => (" AND seq > ", " ORDER BY seq LIMIT "),
    };
    if let Some(seq) = query.after {
        sql.push(after).push_bind(seq);
    }
    sql.push(order).push_bind(rows::limit(query.limit));
    sql.build_query_as().fetch_all(pool).await
}

pub(super) async fn acquire_lock(
    conn: &mut SqliteConnection,
    name: &str,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<String>, SqlError> {
    sqlx::query_scalar(
        "INSERT INTO oh_locks (name, holder, until) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
         WHERE oh_locks.holder = excluded.holder OR oh_locks.until <= ?4 OR oh_locks.until > ?5 \
         RETURNING note",
    )
    .bind(name)
    .bind(holder)
    .bind(until.as_micros())
    .bind(now.as_micros())
    .bind(rows::farthest(now).as_micros())
    .fetch_optional(conn)
    .await
}

pub(super) async fn update_lock(
    conn: &mut SqliteConnection,
    name: &str,
    holder: &str,
    until: Timestamp,
    note: &str,
) -> Result<LeaseOutcome, SqlError> {
    let kept =
        sqlx::query("UPDATE oh_locks SET until = ?3, note = ?4 WHERE name = ?1 AND holder = ?2")
            .bind(name)
            .bind(holder)
            .bind(until.as_micros())
            .bind(note)
            .execute(conn)
            .await?;
    Ok(held_if(kept.rows_affected()))
}

pub(super) async fn lock_state(
    pool: &SqlitePool,
    name: &str,
    now: Timestamp,
) -> Result<LockState, SqlError> {
    let lock: Option<(bool, String)> =
        sqlx::query_as("SELECT until > ?2 AND until <= ?3, note FROM oh_locks WHERE name = ?1")
            .bind(name)
            .bind(now.as_micros())
            .bind(rows::farthest(now).as_micros())
            .fetch_optional(pool)
            .await?;
    Ok(lock.map_or_else(LockState::default, |(held, note)| LockState { held, note }))
}

fn held_if(rows: u64) -> LeaseOutcome {
    if rows > 0 {
        LeaseOutcome::Applied
    } else {
        LeaseOutcome::Lost
    }
}
