//! Events that arrive together, kept by a few statements.

use std::collections::HashSet;

use oh_core::deauth::{Accepted, DeauthEvent, Step};
use sqlx::{Error as SqlError, QueryBuilder, Sqlite, SqliteConnection};

use super::members;
use crate::batch::{new, outcomes, runs};

/// Keeps events. Also tells whether tokens were deleted.
pub(super) async fn accept(
    conn: &mut SqliteConnection,
    events: &[&DeauthEvent],
    tokens_live_here: bool,
) -> Result<(Vec<Accepted>, bool), SqlError> {
    let mut accepted = Vec::with_capacity(events.len());
    let mut traces = false;
    for run in runs(events) {
        let kept = keep(conn, run).await?;
        let new = new(run, &kept);
        let mut left = None;
        if tokens_live_here {
            let leaving = members::leave(conn, &new).await?;
            traces |= leaving.had_tokens;
            settle(conn, &new, &leaving.left).await?;
            left = Some(leaving.left);
        }
        write_lines(conn, &new, left.as_ref()).await?;
        accepted.extend(outcomes(run, &kept, left.as_ref()));
    }
    Ok((accepted, traces))
}

/// Keeps those that are new, and tells which.
async fn keep(
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
    let kept: Vec<String> = sql.build_query_scalar().fetch_all(conn).await?;
    Ok(kept.into_iter().collect())
}

/// The tokens of those who left are gone. The events of the others are older than an authorization.
async fn settle(
    conn: &mut SqliteConnection,
    events: &[&DeauthEvent],
    left: &HashSet<String>,
) -> Result<(), SqlError> {
    let (gone, stale): (Vec<&DeauthEvent>, Vec<_>) = events
        .iter()
        .partition(|event| left.contains(event.member.as_str()));
    for (change, events) in [
        ("tokens_destroyed = TRUE", gone),
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

/// The first lines of each event in the ledger.
async fn write_lines(
    conn: &mut SqliteConnection,
    events: &[&DeauthEvent],
    left: Option<&HashSet<String>>,
) -> Result<(), SqlError> {
    if events.is_empty() {
        return Ok(());
    }
    let lines = events.iter().flat_map(|event| {
        let fate = left.map(|left| match left.contains(event.member.as_str()) {
            true => Step::TokensDestroyed,
            false => Step::Stale,
        });
        let steps = std::iter::once(Step::Received).chain(fate);
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
