//! The statements that do not differ by dialect, or hardly.

use oh_core::deauth::{
    Accepted, CheckpointOutcome, CheckpointQuery, DeauthEvent, EventId, EventQuery, LeaseOutcome,
    LedgerQuery, Step, StoredCheckpoint, TokenOutcome,
};
use oh_core::store::{MemberRecord, PutOutcome, Version};
use oh_core::{ProjectMemberId, Timestamp};
use sqlx::Error as SqlError;

use crate::rows;
use crate::statement::{Dialect, Execute, Statement};

/// The columns of a [`MemberRow`](rows::MemberRow).
const MEMBER_COLUMNS: &str = "member, username, access_token, refresh_token, expires_at, epoch, \
    authorized_at, deauthorized_at, confirmed_at, refresh_holder, refresh_until, \
    refresh_unanswered, version";

/// The columns of an [`EventRow`](rows::EventRow). They are listed, so that a column of a later release
/// does not disturb an older process.
pub(crate) const EVENT_COLUMNS: &str = "id, member, pseudonym, erasure, discovery, left_at, \
    received_at, state, attempts, due_at, lease_until, settled_at, tokens_destroyed, requeued_at";

pub(crate) fn load_member(dialect: Dialect, member: &ProjectMemberId) -> Statement {
    Statement::new(dialect, "SELECT ")
        .sql(MEMBER_COLUMNS)
        .sql(" FROM oh_members WHERE member = ")
        .bind(member.as_str())
}

pub(crate) fn page_of_members(
    dialect: Dialect,
    after: Option<&ProjectMemberId>,
    limit: usize,
) -> Statement {
    // No id is empty, so the empty text comes before all.
    Statement::new(dialect, "SELECT ")
        .sql(MEMBER_COLUMNS)
        .sql(" FROM oh_members WHERE member > ")
        .bind(after.map_or("", ProjectMemberId::as_str))
        .sql(" ORDER BY member LIMIT ")
        .bind(rows::limit(limit))
}

pub(crate) async fn put_member<C: Execute>(
    conn: &mut C,
    record: &MemberRecord,
    expected: Option<Version>,
) -> Result<PutOutcome, SqlError> {
    let put = put_statement(C::DIALECT, record, expected);
    Ok(put_outcome(conn.execute(put).await?))
}

fn put_statement(dialect: Dialect, record: &MemberRecord, expected: Option<Version>) -> Statement {
    let tokens = record.tokens.as_ref();
    let refresh = record.refresh.as_ref();
    let statement = match expected {
        None => Statement::new(dialect, "INSERT INTO oh_members (")
            .sql(MEMBER_COLUMNS)
            .sql(") VALUES ("),
        Some(_) => Statement::new(dialect, "UPDATE oh_members SET (")
            .sql(MEMBER_COLUMNS)
            .sql(") = ("),
    };
    let statement = statement
        .bind(record.member.as_str())
        .sql(", ")
        .bind_all([
            record.username.as_deref(),
            tokens.map(|tokens| tokens.access_token.expose()),
            tokens.map(|tokens| tokens.refresh_token.expose()),
        ])
        .sql(", ")
        .bind_all([
            tokens.map(|tokens| tokens.expires_at.as_micros()),
            Some(record.epoch.get()),
            Some(record.authorized_at.as_micros()),
            record.deauthorized_at.map(Timestamp::as_micros),
            Some(record.confirmed_at.as_micros()),
        ])
        .sql(", ")
        .bind(refresh.map(|lease| lease.holder.as_str()))
        .sql(", ")
        .bind(refresh.map(|lease| lease.until))
        .sql(", ")
        .bind(record.refresh_unanswered)
        .sql(", ")
        .bind(record.version.get())
        .sql(")");
    match expected {
        None => statement.sql(" ON CONFLICT (member) DO NOTHING"),
        Some(version) => statement
            .sql(" WHERE member = ")
            .bind(record.member.as_str())
            .sql(" AND version = ")
            .bind(version.get()),
    }
}

pub(crate) async fn remove_member<C: Execute>(
    conn: &mut C,
    member: &ProjectMemberId,
    expected: Version,
) -> Result<PutOutcome, SqlError> {
    let delete = Statement::new(C::DIALECT, "DELETE FROM oh_members WHERE member = ")
        .bind(member.as_str())
        .sql(" AND version = ")
        .bind(expected.get());
    Ok(put_outcome(conn.execute(delete).await?))
}

fn put_outcome(rows: u64) -> PutOutcome {
    match rows {
        0 => PutOutcome::Conflict,
        _ => PutOutcome::Stored,
    }
}

/// Writes a ledger line about an event, with the number of attempts that the event has.
pub(crate) async fn write_line<C: Execute>(
    conn: &mut C,
    event: &EventId,
    step: Step,
    at: Timestamp,
    note: Option<&str>,
) -> Result<(), SqlError> {
    let insert = Statement::new(
        C::DIALECT,
        "INSERT INTO oh_ledger (event, member, at, step, attempt, note) SELECT id, pseudonym, ",
    )
    .bind(at)
    .sql(", ")
    .bind(step.as_str())
    .sql(", attempts, ")
    .bind(note)
    .sql(" FROM oh_events WHERE id = ")
    .bind(event.as_str());
    conn.execute(insert).await?;
    Ok(())
}

/// Executes an update of one event and, if it changed the event, writes the ledger line.
async fn update_event(
    conn: &mut impl Execute,
    update: Statement,
    (event, step, at): (&EventId, Step, Timestamp),
) -> Result<bool, SqlError> {
    let changed = conn.execute(update).await? > 0;
    if changed {
        write_line(conn, event, step, at, None).await?;
    }
    Ok(changed)
}

pub(crate) async fn mark_tokens_destroyed<C: Execute>(
    conn: &mut C,
    event: &EventId,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let update = Statement::new(
        C::DIALECT,
        "UPDATE oh_events SET tokens_destroyed = TRUE WHERE ",
    )
    .ledger_barrier()
    .sql(" AND state = 'pending' AND id = ")
    .bind(event.as_str());
    update_event(conn, update, (event, Step::TokensDestroyed, now)).await
}

pub(crate) async fn requeue<C: Execute>(
    conn: &mut C,
    event: &EventId,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let update = Statement::new(
        C::DIALECT,
        "UPDATE oh_events SET state = 'pending', attempts = 0, settled_at = NULL, \
         tokens_destroyed = tokens_destroyed AND NOT (state = 'stale' OR requeued_at IS NOT NULL), \
         requeued_at = CASE WHEN state = 'stale' OR requeued_at IS NOT NULL THEN ",
    )
    .bind(now)
    .sql(" END, due_at = ")
    .bind(now)
    .sql(" WHERE ")
    .ledger_barrier()
    .sql(" AND state IN ('dead_letter', 'stale') AND member IS NOT NULL AND id = ")
    .bind(event.as_str());
    update_event(conn, update, (event, Step::Requeued, now)).await
}

pub(crate) async fn quarantine<C: Execute>(
    conn: &mut C,
    event: &DeauthEvent,
    note: &str,
) -> Result<Accepted, SqlError> {
    let insert = Statement::new(
        C::DIALECT,
        "INSERT INTO oh_events (id, member, pseudonym, erasure, discovery, state, left_at, \
         received_at, due_at) SELECT ",
    )
    .bind_all([
        event.id.as_str(),
        event.member.as_str(),
        event.pseudonym.as_str(),
        event.erasure.as_str(),
        event.discovery.as_str(),
        "quarantined",
    ])
    .sql(", ")
    .bind_all([event.left_at, event.received_at, event.received_at])
    .sql(" WHERE ")
    .ledger_barrier()
    .sql(" ON CONFLICT (id) DO NOTHING");
    if conn.execute(insert).await? == 0 {
        return Ok(Accepted::Duplicate);
    }
    let at = event.received_at;
    write_line(conn, &event.id, Step::Received, at, None).await?;
    write_line(conn, &event.id, Step::Quarantined, at, Some(note)).await?;
    Ok(Accepted::New(TokenOutcome::Untouched))
}

pub(crate) async fn release<C: Execute>(
    conn: &mut C,
    event: &EventId,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let update = Statement::new(
        C::DIALECT,
        "UPDATE oh_events SET state = 'pending', due_at = ",
    )
    .bind(now)
    .sql(" WHERE ")
    .ledger_barrier()
    .sql(" AND state = 'quarantined' AND member IS NOT NULL AND id = ")
    .bind(event.as_str());
    update_event(conn, update, (event, Step::Released, now)).await
}

pub(crate) async fn renew<C: Execute>(
    conn: &mut C,
    lease: &oh_core::deauth::Lease,
    until: Timestamp,
) -> Result<LeaseOutcome, SqlError> {
    let update = "UPDATE oh_events SET (lease_until, waits_until) = \
                  (SELECT until, until FROM (SELECT ";
    let update = Statement::new(C::DIALECT, update)
        .time(until)
        .sql(" AS until) AS lease) WHERE id = ")
        .bind(lease.event.as_str())
        .sql(" AND lease_holder = ")
        .bind(lease.holder.as_str());
    Ok(lease_outcome(conn.execute(update).await?))
}

pub(crate) fn lease_outcome(rows: u64) -> LeaseOutcome {
    match rows {
        0 => LeaseOutcome::Lost,
        _ => LeaseOutcome::Applied,
    }
}

pub(crate) fn stats(dialect: Dialect) -> Statement {
    Statement::new(
        dialect,
        "SELECT (SELECT count(*) FROM oh_events WHERE state = 'pending') AS pending, \
         (SELECT min(received_at) FROM oh_events WHERE state = 'pending') AS oldest_pending, \
         (SELECT count(*) FROM oh_events WHERE state = 'done') AS done, \
         (SELECT count(*) FROM oh_events WHERE state = 'dead_letter' AND member IS NOT NULL) \
         AS dead_letters, \
         (SELECT count(*) FROM oh_events WHERE state = 'stale') AS stale, \
         (SELECT count(*) FROM oh_events WHERE state = 'quarantined' AND member IS NOT NULL) \
         AS quarantined",
    )
}

pub(crate) fn list_events(dialect: Dialect, query: &EventQuery) -> Statement {
    let mut statement = Statement::new(dialect, "SELECT ")
        .sql(EVENT_COLUMNS)
        .sql(" FROM ");
    statement = match (dialect, &query.pseudonym) {
        // A member has few events. PostgreSQL must read them through their index, and with outdated
        // statistics it would read all events in their order instead. The subquery is a range of the
        // index in the order of the index; OFFSET keeps the other conditions out of it.
        #[cfg(feature = "postgres")]
        (Dialect::Postgres, Some(pseudonym)) => only(
            statement.sql("(SELECT * FROM oh_events WHERE "),
            "pseudonym",
            pseudonym.as_str(),
        )
        .sql(match query.newest_first {
            true => " ORDER BY pseudonym DESC, received_at DESC, id DESC",
            false => " ORDER BY pseudonym, received_at, id",
        })
        .sql(" OFFSET 0) AS oh_events WHERE TRUE"),
        // Few events are leased at a time. Without the hint SQLite would read all events.
        #[cfg(feature = "sqlite")]
        (Dialect::Sqlite, _) if query.leased_at.is_some() => {
            statement.sql("oh_events INDEXED BY oh_events_leased WHERE TRUE")
        }
        _ => statement.sql("oh_events WHERE TRUE"),
    };
    #[cfg(feature = "sqlite")]
    if let (Dialect::Sqlite, Some(pseudonym)) = (dialect, &query.pseudonym) {
        statement = statement.sql(" AND pseudonym = ").bind(pseudonym.as_str());
    }
    if let Some(at) = query.leased_at {
        statement = statement.sql(" AND lease_until > ").bind(at);
    }
    if let Some(state) = query.state {
        statement = statement.sql(" AND state = ").bind(state.as_str());
    }
    if let Some(before) = query.received_before {
        statement = statement.sql(" AND received_at < ").bind(before);
    }
    if let Some((at, id)) = &query.after {
        statement = statement
            .sql(match query.newest_first {
                true => " AND (received_at, id) < (",
                false => " AND (received_at, id) > (",
            })
            .bind(*at)
            .sql(", ")
            .bind(id.as_str())
            .sql(")");
    }
    let order = match (dialect, &query.pseudonym, query.newest_first) {
        #[cfg(feature = "postgres")]
        (Dialect::Postgres, Some(_), _) => "",
        (_, _, true) => " ORDER BY received_at DESC, id DESC",
        (_, _, false) => " ORDER BY received_at, id",
    };
    statement
        .sql(order)
        .sql(" LIMIT ")
        .bind(rows::limit(query.limit))
}

/// Lists ledger lines; with `last`, only those up to that number.
pub(crate) fn list_ledger(dialect: Dialect, query: &LedgerQuery, last: Option<i64>) -> Statement {
    let mut statement = Statement::new(
        dialect,
        "SELECT seq, event, member, at, step, attempt, note FROM oh_ledger WHERE ",
    );
    // Conditions and order match one index, see `list_events`.
    let order = match (&query.event, &query.member, query.newest_first) {
        (None, None, false) => " ORDER BY seq",
        (None, None, true) => " ORDER BY seq DESC",
        (Some(_), _, false) => " ORDER BY event, seq",
        (Some(_), _, true) => " ORDER BY event DESC, seq DESC",
        (None, Some(_), false) => " ORDER BY member, seq",
        (None, Some(_), true) => " ORDER BY member DESC, seq DESC",
    };
    statement = match (&query.event, &query.member) {
        (None, None) => statement.sql("TRUE"),
        (Some(event), None) => only(statement, "event", event.as_str()),
        (None, Some(member)) => only(statement, "member", member.as_str()),
        (Some(event), Some(member)) => only(statement, "event", event.as_str())
            .sql(" AND member = ")
            .bind(member.as_str()),
    };
    if let Some(last) = last {
        statement = statement.sql(" AND seq <= ").bind(last);
    }
    if let Some(seq) = query.after {
        statement = statement
            .sql(match query.newest_first {
                true => " AND seq < ",
                false => " AND seq > ",
            })
            .bind(seq);
    }
    statement
        .sql(order)
        .sql(" LIMIT ")
        .bind(rows::limit(query.limit))
}

/// Appends a condition for one value of a column, as a range so that an index with the column in its
/// order applies.
fn only(statement: Statement, column: &'static str, value: &str) -> Statement {
    statement
        .sql(column)
        .sql(" >= ")
        .bind(value)
        .sql(" AND ")
        .sql(column)
        .sql(" <= ")
        .bind(value)
}

pub(crate) fn insert_checkpoint(dialect: Dialect, checkpoint: &StoredCheckpoint) -> Statement {
    Statement::new(
        dialect,
        "INSERT INTO oh_checkpoints (size, last_seq, at, root, note, tree) VALUES (",
    )
    .bind_all([
        rows::size(checkpoint.size),
        checkpoint.last_seq,
        checkpoint.at.as_micros(),
    ])
    .sql(", ")
    .bind_all([&*checkpoint.root, &*checkpoint.note, &*checkpoint.tree])
    .sql(") ON CONFLICT (size) DO NOTHING")
}

/// The query for the stored checkpoint of the same size.
pub(crate) fn same_size(checkpoint: &StoredCheckpoint) -> CheckpointQuery {
    CheckpointQuery::first(1).after(checkpoint.size.checked_sub(1))
}

/// The outcome for a checkpoint of whose size one was `stored` before.
pub(crate) fn existing_checkpoint(
    checkpoint: &StoredCheckpoint,
    stored: &[StoredCheckpoint],
) -> CheckpointOutcome {
    match stored
        .first()
        .is_some_and(|stored| stored.root == checkpoint.root)
    {
        true => CheckpointOutcome::Known,
        false => CheckpointOutcome::Forked,
    }
}

pub(crate) fn list_checkpoints(dialect: Dialect, query: &CheckpointQuery) -> Statement {
    let mut statement = Statement::new(
        dialect,
        "SELECT size, last_seq, root, at, note, tree FROM oh_checkpoints WHERE TRUE",
    );
    if let Some(size) = query.after {
        statement = statement
            .sql(match query.newest_first {
                true => " AND size < ",
                false => " AND size > ",
            })
            .bind(rows::size(size));
    }
    statement
        .sql(match query.newest_first {
            true => " ORDER BY size DESC LIMIT ",
            false => " ORDER BY size LIMIT ",
        })
        .bind(rows::limit(query.limit))
}

pub(crate) fn acquire_lock(
    dialect: Dialect,
    name: &str,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Statement {
    Statement::new(
        dialect,
        "INSERT INTO oh_locks (name, holder, until) VALUES (",
    )
    .bind_all([name, holder])
    .sql(", ")
    .time(until)
    .sql(
        ") ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE oh_locks.holder = excluded.holder OR oh_locks.until <= ",
    )
    .time(now)
    .sql(" OR oh_locks.until > ")
    .time(rows::latest(now))
    .sql(" RETURNING note")
}

pub(crate) async fn update_lock<C: Execute>(
    conn: &mut C,
    name: &str,
    holder: &str,
    until: Timestamp,
    note: &str,
) -> Result<LeaseOutcome, SqlError> {
    let update = Statement::new(C::DIALECT, "UPDATE oh_locks SET until = ")
        .time(until)
        .sql(", note = ")
        .bind(note)
        .sql(" WHERE name = ")
        .bind(name)
        .sql(" AND holder = ")
        .bind(holder);
    Ok(lease_outcome(conn.execute(update).await?))
}

pub(crate) fn lock_state(dialect: Dialect, name: &str, now: Timestamp) -> Statement {
    Statement::new(dialect, "SELECT until > ")
        .time(now)
        .sql(" AND until <= ")
        .time(rows::latest(now))
        .sql(", note FROM oh_locks WHERE name = ")
        .bind(name)
}
