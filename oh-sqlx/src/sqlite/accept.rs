//! Accepts a batch of events with a few statements.

use std::collections::HashSet;

use oh_core::deauth::{Accepted, DeauthEvent, Step};
use oh_core::store::Version;
use sqlx::{Error as SqlError, QueryBuilder, Sqlite, SqliteConnection};

use crate::batch::{inserted, outcomes, runs};

pub(super) async fn accept(
    conn: &mut SqliteConnection,
    events: &[&DeauthEvent],
    destroys_tokens: bool,
) -> Result<Vec<Accepted>, SqlError> {
    let mut accepted = Vec::with_capacity(events.len());
    for run in runs(events) {
        let ids = insert(conn, run).await?;
        let new = inserted(run, &ids);
        let mut left = None;
        if destroys_tokens {
            let members = destroy_tokens(conn, &new).await?;
            settle(conn, &new, &members).await?;
            left = Some(members);
        }
        write_lines(conn, &new, left.as_ref()).await?;
        accepted.extend(outcomes(run, &ids, left.as_ref()));
    }
    Ok(accepted)
}

/// Inserts the events that do not exist, and returns their ids.
async fn insert(
    conn: &mut SqliteConnection,
    events: &[&DeauthEvent],
) -> Result<HashSet<String>, SqlError> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO oh_events (id, member, pseudonym, erasure, discovery, left_at, received_at, \
         due_at) ",
    );
    sql.push_values(events, |mut row, event| {
        row.push_bind(event.id.as_str())
            .push_bind(event.member.as_str())
            .push_bind(event.pseudonym.as_str())
            .push_bind(event.erasure.as_str())
            .push_bind(event.discovery.as_str())
            .push_bind(event.left_at.as_micros())
            .push_bind(event.received_at.as_micros())
            .push_bind(event.received_at.as_micros());
    });
    sql.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
    let ids: Vec<String> = sql.build_query_scalar().fetch_all(conn).await?;
    Ok(ids.into_iter().collect())
}

/// Destroys the tokens of the events' members, advances their epochs, and returns the members. Unknown
/// members get a tombstone. A member who authorized the project after the event is unchanged and not
/// returned, even if that authorization has ended as well: an event of an earlier membership says
/// nothing about the latest one.
async fn destroy_tokens(
    conn: &mut SqliteConnection,
    events: &[&DeauthEvent],
) -> Result<HashSet<String>, SqlError> {
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    // SQLite cannot refer to `left_at` of the event in an upsert, so it is in a row of values.
    let mut sql =
        QueryBuilder::<Sqlite>::new("WITH event (member, received_at, left_at, version) AS (");
    sql.push_values(events, |mut row, event| {
        row.push_bind(event.member.as_str())
            .push_bind(event.received_at.as_micros())
            .push_bind(event.left_at.as_micros())
            .push_bind(Version::fresh().get());
    });
    sql.push(
        ") INSERT INTO oh_members (member, epoch, authorized_at, deauthorized_at, confirmed_at, \
         refresh_unanswered, version) \
         SELECT member, received_at, 0, received_at, received_at, 0, version FROM event WHERE TRUE \
         ON CONFLICT (member) DO UPDATE SET username = NULL, access_token = NULL, \
         refresh_token = NULL, expires_at = NULL, epoch = max(epoch + 1, excluded.epoch), \
         deauthorized_at = excluded.deauthorized_at, refresh_holder = NULL, refresh_until = NULL, \
         refresh_unanswered = 0, version = excluded.version WHERE oh_members.authorized_at <= \
         (SELECT left_at FROM event WHERE event.member = oh_members.member) RETURNING member",
    );
    let left: Vec<String> = sql.build_query_scalar().fetch_all(conn).await?;
    Ok(left.into_iter().collect())
}

/// Marks the events whose tokens were destroyed, and settles the other events as stale.
async fn settle(
    conn: &mut SqliteConnection,
    events: &[&DeauthEvent],
    left: &HashSet<String>,
) -> Result<(), SqlError> {
    let (destroyed, stale): (Vec<&DeauthEvent>, Vec<_>) = events
        .iter()
        .partition(|event| left.contains(event.member.as_str()));
    for (change, events) in [
        ("tokens_destroyed = TRUE", destroyed),
        ("state = 'stale', settled_at = received_at", stale),
    ] {
        if events.is_empty() {
            continue;
        }
        let mut sql = QueryBuilder::<Sqlite>::new("UPDATE oh_events SET ");
        sql.push(change).push(" WHERE id IN (");
        let mut ids = sql.separated(", ");
        for event in events {
            ids.push_bind(event.id.as_str());
        }
        sql.push(")").build().execute(&mut *conn).await?;
    }
    Ok(())
}

async fn write_lines(
    conn: &mut SqliteConnection,
    events: &[&DeauthEvent],
    left: Option<&HashSet<String>>,
) -> Result<(), SqlError> {
    if events.is_empty() {
        return Ok(());
    }
    let lines = events.iter().flat_map(|event| {
        let second = left.map(|left| match left.contains(event.member.as_str()) {
            true => Step::TokensDestroyed,
            false => Step::Stale,
        });
        let steps = std::iter::once(Step::Received).chain(second);
        steps.map(move |step| (event, step))
    });
    let mut sql =
        QueryBuilder::<Sqlite>::new("INSERT INTO oh_ledger (event, member, at, step, attempt) ");
    sql.push_values(lines, |mut row, (event, step)| {
        row.push_bind(event.id.as_str())
            .push_bind(event.pseudonym.as_str())
            .push_bind(event.received_at.as_micros())
            .push_bind(step.as_str())
            .push("0");
    });
    sql.build().execute(conn).await?;
    Ok(())
}
