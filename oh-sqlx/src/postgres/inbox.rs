//! Statements on `oh_events`, `oh_ledger` and `oh_locks`.
//!
//! Line numbers of the ledger are drawn before a transaction commits, so a reader could see line
//! 8 before line 7 is there, take note that it has read up to 8, and never see 7. Therefore all
//! who write lines share an advisory lock until they commit, taken before any row is locked, and
//! who reads first takes it alone for a moment: then no line is under way, and the last number is
//! one up to which nothing is missing.

use oh_core::Timestamp;
use oh_core::deauth::{
    Accepted, DeauthEvent, EventId, EventQuery, Lease, LeaseOutcome, LeasedEvent, LedgerQuery,
    LockState, TokenOutcome,
};
use sqlx::{Connection, Error as SqlError, PgConnection, Postgres, QueryBuilder, Row};

use super::text;
use crate::rows::{self, EventRow, LedgerRow, StatsRow};

/// A condition that is true once this transaction holds its share of the ledger's lock
/// ("ohledger" in ASCII), and is sure to be flushed when it commits, whatever the database's
/// default. PostgreSQL evaluates it once, before it looks at a row.
macro_rules! barrier {
    () => {
        "(SELECT pg_advisory_xact_lock_shared(8027785518519903602) IS NOT NULL \
         AND CASE current_setting('synchronous_commit') WHEN 'off' \
         THEN set_config('synchronous_commit', 'on', true) IS NOT NULL ELSE true END)"
    };
}
pub(super) use barrier as BARRIER;

/// A time as this process's clock tells it, in the database's. The second parameter is what that
/// clock says as the statement is sent. Leases and locks of many machines are compared with one
/// another, so they are all in the time of the one machine that is theirs together. Differences
/// below a second are left alone: most of them is the way there. Evaluated once.
macro_rules! there {
    ($at:literal, $here:literal) => {
        concat!(
            "(SELECT ",
            $at,
            "::bigint + 1000000 * round(extract(epoch FROM clock_timestamp()) - ",
            $here,
            "::bigint / 1000000.0)::bigint)",
        )
    };
}

pub(super) use there as THERE;

/// What this machine's clock says.
pub(super) fn here() -> i64 {
    Timestamp::now().as_micros()
}

/// Takes note that the member's tokens are gone.
pub(super) async fn mark_tokens_destroyed(
    conn: &mut PgConnection,
    event: &EventId,
    now: Timestamp,
) -> Result<(), SqlError> {
    sqlx::query(concat!(
        "WITH noted AS ( \
             UPDATE oh_events SET tokens_destroyed = true WHERE id = $1 AND state = 'pending' AND ",
        barrier!(),
        "    RETURNING id, pseudonym, attempts) \
         INSERT INTO oh_ledger (event, member, at, step, attempt) \
         SELECT id, pseudonym, $2, 'tokens_destroyed', attempts FROM noted",
    ))
    .bind(event.as_str())
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(())
}

async fn is_there_work(conn: &mut PgConnection, now: Timestamp) -> Result<bool, SqlError> {
    sqlx::query_scalar(concat!(
        "SELECT EXISTS (SELECT 1 FROM oh_events \
         WHERE state = 'pending' AND waits_until IS NULL) \
         OR EXISTS (SELECT 1 FROM oh_events WHERE state = 'pending' AND waits_until <= ",
        there!("$1", "$2"),
        ")",
    ))
    .bind(now.as_micros())
    .bind(here())
    .fetch_one(conn)
    .await
}

/// Two indexes keep this flat however many events wait. An event that may not be taken before
/// some time (the end of a lease, the next try) is in `oh_events_waiting` until then, and the
/// first call after puts it back into `oh_events_queue`, which is read from its beginning.
///
/// The condition on the member's first event is written as a subquery with a limit, which
/// PostgreSQL cannot turn into a join over all that wait.
///
/// Those who lease wait for one another ("ohleases" in ASCII), and each looks only after the one
/// before has committed. Otherwise two could each take an event of one member, blind to the
/// other's. Workers with nothing to do only look, and wait for nobody.
pub(super) async fn lease(
    conn: &mut PgConnection,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<LeasedEvent>, SqlError> {
    if limit == 0 || !is_there_work(conn, now).await? {
        return Ok(Vec::new());
    }
    let mut tx = conn
        .begin_with("BEGIN; SELECT pg_advisory_xact_lock(8027785518470358387)")
        .await?;
    let holder = rows::holder();
    let taken: Vec<EventRow> = sqlx::query_as(concat!(
        "WITH due AS MATERIALIZED ( \
             SELECT e.id FROM oh_events e \
             WHERE e.state = 'pending' AND e.waits_until IS NULL \
             AND (e.attempts = 0 OR e.due_at <= ",
        there!("$1", "$5"),
        " OR e.due_at > ",
        there!("$6", "$5"),
        ") \
             AND e.id = (SELECT first.id FROM oh_events first \
                 WHERE first.state = 'pending' AND first.member = e.member \
                 ORDER BY first.received_at, first.id LIMIT 1) \
             AND NOT EXISTS (SELECT 1 FROM oh_events held \
                 WHERE held.member = e.member AND held.lease_until > ",
        there!("$1", "$5"),
        " AND held.lease_until <= ",
        there!("$6", "$5"),
        ") AND ",
        barrier!(),
        "    ORDER BY e.received_at, e.id LIMIT $2 FOR UPDATE OF e SKIP LOCKED), \
         taken AS ( \
             UPDATE oh_events SET attempts = attempts + 1, lease_holder = $3, \
             (lease_until, waits_until) = (SELECT until, until FROM ",
        there!("$4", "$5"),
        " AS t (until)) FROM due WHERE oh_events.id = due.id RETURNING ",
        rows::event_columns!("oh_events."),
        "), \
         lines AS ( \
             INSERT INTO oh_ledger (event, member, at, step, attempt) \
             SELECT id, pseudonym, $1, 'tried', attempts FROM taken ORDER BY received_at, id) \
         SELECT ",
        rows::event_columns!(""),
        " FROM taken ORDER BY received_at, id",
    ))
    .bind(now.as_micros())
    .bind(rows::limit(limit))
    .bind(&holder)
    .bind(until.as_micros())
    .bind(here())
    .bind(rows::farthest(now).as_micros())
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    taken
        .into_iter()
        .map(|row| row.leased(&holder).map_err(SqlError::Decode))
        .collect()
}

/// Puts some events that have waited long enough back into the queue. Not all at once: after an
/// outage there may be very many, and what is done so far must stay done. True if that was all.
pub(super) async fn put_back(conn: &mut PgConnection, now: Timestamp) -> Result<bool, SqlError> {
    let back = sqlx::query(concat!(
        "UPDATE oh_events SET waits_until = NULL WHERE id IN ( \
             SELECT id FROM oh_events WHERE state = 'pending' AND waits_until <= ",
        there!("$1", "$3"),
        "    ORDER BY waits_until LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ))
    .bind(now.as_micros())
    .bind(rows::CHUNK.cast_signed())
    .bind(here())
    .execute(&mut *conn)
    .await?;
    let too_far = sqlx::query(concat!(
        "UPDATE oh_events SET waits_until = NULL WHERE id IN ( \
             SELECT id FROM oh_events WHERE state = 'pending' AND waits_until > ",
        there!("$1", "$3"),
        "    LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ))
    .bind(rows::farthest(now).as_micros())
    .bind(rows::CHUNK.cast_signed())
    .bind(here())
    .execute(conn)
    .await?;
    rows::warn_of_wrong_clock(too_far.rows_affected());
    Ok(back.rows_affected().max(too_far.rows_affected()) < rows::CHUNK)
}

pub(super) async fn renew(
    conn: &mut PgConnection,
    lease: &Lease,
    until: Timestamp,
) -> Result<LeaseOutcome, SqlError> {
    let extended = sqlx::query(concat!(
        "UPDATE oh_events SET (lease_until, waits_until) = (SELECT until, until FROM ",
        there!("$3", "$4"),
        " AS t (until)) WHERE id = $1 AND lease_holder = $2",
    ))
    .bind(lease.event.as_str())
    .bind(&lease.holder)
    .bind(until.as_micros())
    .bind(here())
    .execute(conn)
    .await?;
    Ok(held_if(extended.rows_affected()))
}

pub(super) async fn requeue(
    conn: &mut PgConnection,
    event: &EventId,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let requeued = sqlx::query(concat!(
        "WITH requeued AS ( \
             UPDATE oh_events SET state = 'pending', attempts = 0, due_at = $2, \
             settled_at = NULL, tokens_destroyed = tokens_destroyed \
             AND NOT (state = 'stale' OR requeued_at IS NOT NULL), requeued_at = CASE \
             WHEN state = 'stale' OR requeued_at IS NOT NULL THEN $2 END \
             WHERE id = $1 AND state IN ('dead_letter', 'stale') \
             AND member IS NOT NULL AND ",
        barrier!(),
        "    RETURNING id, pseudonym) \
         INSERT INTO oh_ledger (event, member, at, step, attempt) \
         SELECT id, pseudonym, $2, 'requeued', 0 FROM requeued",
    ))
    .bind(event.as_str())
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(requeued.rows_affected() > 0)
}

pub(super) async fn quarantine(
    conn: &mut PgConnection,
    event: &DeauthEvent,
    note: &str,
) -> Result<Accepted, SqlError> {
    let kept = sqlx::query(concat!(
        "WITH kept AS ( \
             INSERT INTO oh_events (id, member, pseudonym, erasure, discovery, left_at, \
             received_at, due_at, state) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $7, 'quarantined' WHERE ",
        barrier!(),
        "    ON CONFLICT (id) DO NOTHING RETURNING id, pseudonym, received_at) \
         INSERT INTO oh_ledger (event, member, at, step, attempt, note) \
         SELECT id, pseudonym, received_at, CASE WHEN line = 1 THEN 'received' ELSE 'quarantined' END, 0, \
         CASE WHEN line = 2 THEN $8 END \
         FROM kept CROSS JOIN generate_series(1, 2) AS line ORDER BY line",
    ))
    .bind(event.id.as_str())
    .bind(event.member.as_str())
    .bind(event.pseudonym.as_str())
    .bind(event.erasure.as_str())
    .bind(event.discovery.as_str())
    .bind(event.left_at.as_micros())
    .bind(event.received_at.as_micros())
    .bind(text(note))
    .execute(conn)
    .await?;
    Ok(match kept.rows_affected() {
        0 => Accepted::Duplicate,
        _ => Accepted::New(TokenOutcome::Untouched),
    })
}

pub(super) async fn release(
    conn: &mut PgConnection,
    event: &EventId,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let released = sqlx::query(concat!(
        "WITH released AS ( \
             UPDATE oh_events SET state = 'pending', due_at = $2 \
             WHERE id = $1 AND state = 'quarantined' AND member IS NOT NULL AND ",
        barrier!(),
        "    RETURNING id, pseudonym) \
         INSERT INTO oh_ledger (event, member, at, step, attempt) \
         SELECT id, pseudonym, $2, 'released', 0 FROM released",
    ))
    .bind(event.as_str())
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(released.rows_affected() > 0)
}

pub(super) async fn stats(conn: &mut PgConnection) -> Result<StatsRow, SqlError> {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM oh_events WHERE state = 'pending') AS pending, \
         (SELECT min(received_at) FROM oh_events WHERE state = 'pending') AS oldest_pending, \
         (SELECT count(*) FROM oh_events WHERE state = 'done') AS done, \
         (SELECT count(*) FROM oh_events WHERE state = 'dead_letter' AND member IS NOT NULL) \
         AS dead_letters, \
         (SELECT count(*) FROM oh_events WHERE state = 'stale') AS stale, \
         (SELECT count(*) FROM oh_events WHERE state = 'quarantined' AND member IS NOT NULL) AS quarantined",
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn events(
    conn: &mut PgConnection,
    query: &EventQuery,
) -> Result<Vec<EventRow>, SqlError> {
    let mut sql =
        QueryBuilder::<Postgres>::new(concat!("SELECT ", rows::event_columns!(""), " FROM "));
    // One member has few events. They are a range, in the order of its index, of which the outer
    // query takes the first: to walk all events instead and look for the one member's would take a
    // sort, whatever statistics of long ago say. OFFSET keeps the other conditions out.
    match (&query.pseudonym, query.newest_first) {
        (None, _) => {
            sql.push("oh_events");
        }
        (Some(pseudonym), newest_first) => {
            sql.push("(SELECT * FROM oh_events WHERE TRUE");
            push_only(&mut sql, "pseudonym", pseudonym.as_str());
            sql.push(match newest_first {
                true => " ORDER BY pseudonym DESC, received_at DESC, id DESC",
                false => " ORDER BY pseudonym, received_at, id",
            });
            sql.push(" OFFSET 0) AS oh_events");
        }
    }
    sql.push(" WHERE TRUE");
    if let Some(state) = query.state {
        sql.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(before) = query.received_before {
        sql.push(" AND received_at < ")
            .push_bind(before.as_micros());
    }
    if let Some(at) = query.leased_at {
        sql.push(" AND lease_until > ").push_bind(at.as_micros());
    }
    if let Some((at, id)) = &query.after {
        sql.push(match query.newest_first {
            true => " AND (received_at, id) < (",
            false => " AND (received_at, id) > (",
        });
        sql.push_bind(at.as_micros());
        sql.push(", ").push_bind(id.as_str()).push(")");
    }
    sql.push(match (&query.pseudonym, query.newest_first) {
        (Some(_), _) => " LIMIT ",
        (None, true) => " ORDER BY received_at DESC, id DESC LIMIT ",
        (None, false) => " ORDER BY received_at, id LIMIT ",
    });
    sql.push_bind(rows::limit(query.limit));
    sql.build_query_as().fetch_all(conn).await
}

pub(super) async fn ledger(
    conn: &mut PgConnection,
    query: &LedgerQuery,
) -> Result<Vec<LedgerRow>, SqlError> {
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(rows::LEDGER_COLUMNS)
        .push(" FROM oh_ledger WHERE TRUE");
    // As for events.
    let order = match (&query.event, &query.member) {
        (None, None) => " ORDER BY seq",
        (Some(event), _) => {
            push_only(&mut sql, "event", event.as_str());
            " ORDER BY event, seq"
        }
        (None, Some(member)) => {
            push_only(&mut sql, "member", member.as_str());
            " ORDER BY member, seq"
        }
    };
    // Of one event all is asked for, and by its one holder: there is no order among writers to
    // wait for.
    if query.event.is_none() {
        let Some(last) = last_line(conn).await? else {
            return Ok(Vec::new());
        };
        sql.push(" AND seq <= ").push_bind(last);
    }
    if let (Some(_), Some(member)) = (&query.event, &query.member) {
        sql.push(" AND member = ").push_bind(member.as_str());
    }
    // All rows have the same first column of the order, so that turning around the number is enough,
    // and turning around both lets the index be read backwards.
    let order = match query.newest_first {
        true => format!("{} DESC", order.replace(',', " DESC,")),
        false => order.to_owned(),
    };
    if let Some(seq) = query.after {
        sql.push(match query.newest_first {
            true => " AND seq < ",
            false => " AND seq > ",
        });
        sql.push_bind(seq);
    }
    sql.push(order)
        .push(" LIMIT ")
        .push_bind(rows::limit(query.limit));
    sql.build_query_as().fetch_all(conn).await
}

/// Only rows whose column has this value.
fn push_only(sql: &mut QueryBuilder<Postgres>, column: &str, value: &str) {
    for bound in [">=", "<="] {
        sql.push(" AND ")
            .push(column)
            .push(" ")
            .push(bound)
            .push(" ")
            .push_bind(value.to_owned());
    }
}

/// The number up to which every line is there that ever will be.
///
/// In one round trip, so that the lock is gone again whatever becomes of us; and not waited for
/// without end, because those who write queue up behind us. Each statement sees what was committed
/// when it began: the last one, what was written by those we waited for.
async fn last_line(conn: &mut PgConnection) -> Result<Option<i64>, SqlError> {
    let answers = sqlx::raw_sql(
        "SET LOCAL lock_timeout = '2s'; \
         SELECT pg_advisory_xact_lock(8027785518519903602); \
         SELECT max(seq) FROM oh_ledger",
    )
    .fetch_all(conn)
    .await?;
    match answers.last() {
        Some(row) => row.try_get(0),
        None => Err(SqlError::RowNotFound),
    }
}

pub(super) async fn acquire_lock(
    conn: &mut PgConnection,
    name: &str,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<String>, SqlError> {
    sqlx::query_scalar(concat!(
        "INSERT INTO oh_locks (name, holder, until) VALUES ($1, $2, ",
        there!("$3", "$5"),
        ") ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
         WHERE oh_locks.holder = excluded.holder OR oh_locks.until <= ",
        there!("$4", "$5"),
        " OR oh_locks.until > ",
        there!("$6", "$5"),
        " RETURNING note",
    ))
    .bind(name)
    .bind(holder)
    .bind(until.as_micros())
    .bind(now.as_micros())
    .bind(here())
    .bind(rows::farthest(now).as_micros())
    .fetch_optional(conn)
    .await
}

pub(super) async fn update_lock(
    conn: &mut PgConnection,
    name: &str,
    holder: &str,
    until: Timestamp,
    note: &str,
) -> Result<LeaseOutcome, SqlError> {
    let kept = sqlx::query(concat!(
        "UPDATE oh_locks SET until = ",
        there!("$3", "$5"),
        ", note = $4 WHERE name = $1 AND holder = $2",
    ))
    .bind(name)
    .bind(holder)
    .bind(until.as_micros())
    .bind(text(note))
    .bind(here())
    .execute(conn)
    .await?;
    Ok(held_if(kept.rows_affected()))
}

pub(super) async fn lock_state(
    conn: &mut PgConnection,
    name: &str,
    now: Timestamp,
) -> Result<LockState, SqlError> {
    let lock: Option<(bool, String)> = sqlx::query_as(concat!(
        "SELECT until > ",
        there!("$2", "$3"),
        " AND until <= ",
        there!("$4", "$3"),
        ", note FROM oh_locks WHERE name = $1",
    ))
    .bind(name)
    .bind(now.as_micros())
    .bind(here())
    .bind(rows::farthest(now).as_micros())
    .fetch_optional(conn)
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
