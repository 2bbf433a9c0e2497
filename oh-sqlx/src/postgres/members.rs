//! Statements on `oh_members`.

use oh_core::ProjectMemberId;
use oh_core::store::{MemberRecord, PutOutcome, Version};
use sqlx::{Error as SqlError, PgConnection};

use super::text;
use crate::rows::{self, MemberRow};

macro_rules! select {
    () => {
        "SELECT member, username, access_token, refresh_token, expires_at, epoch, authorized_at, \
         deauthorized_at, confirmed_at, refresh_holder, refresh_until, refresh_unanswered, version \
         FROM oh_members"
    };
}

pub(super) async fn load(
    conn: &mut PgConnection,
    member: &ProjectMemberId,
) -> Result<Option<MemberRow>, SqlError> {
    sqlx::query_as(concat!(select!(), " WHERE member = $1"))
        .bind(member.as_str())
        .fetch_optional(conn)
        .await
}

pub(super) async fn page(
    conn: &mut PgConnection,
    after: Option<&ProjectMemberId>,
    limit: usize,
) -> Result<Vec<MemberRow>, SqlError> {
    // No id is empty, so the empty text comes before all.
    sqlx::query_as(concat!(
        select!(),
        " WHERE member > $1 ORDER BY member LIMIT $2"
    ))
    .bind(after.map_or("", ProjectMemberId::as_str))
    .bind(rows::limit(limit))
    .fetch_all(conn)
    .await
}

pub(super) async fn put(
    conn: &mut PgConnection,
    record: &MemberRecord,
    expected: Option<Version>,
) -> Result<PutOutcome, SqlError> {
    let statement = match expected {
        None => {
            "INSERT INTO oh_members (member, username, access_token, refresh_token, expires_at, \
             epoch, authorized_at, deauthorized_at, confirmed_at, refresh_holder, refresh_until, \
             refresh_unanswered, version) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (member) DO NOTHING"
        }
        Some(_) => {
            "UPDATE oh_members SET username = $2, access_token = $3, refresh_token = $4, \
             expires_at = $5, epoch = $6, authorized_at = $7, deauthorized_at = $8, \
             confirmed_at = $9, refresh_holder = $10, refresh_until = $11, \
             refresh_unanswered = $12, version = $13 WHERE member = $1 AND version = $14"
        }
    };
    let tokens = record.tokens.as_ref();
    let refresh = record.refresh.as_ref();
    let mut query = sqlx::query(statement)
        .bind(record.member.as_str())
        .bind(record.username.as_deref().map(text))
        .bind(tokens.map(|t| t.access_token.expose()))
        .bind(tokens.map(|t| t.refresh_token.expose()))
        .bind(tokens.map(|t| t.expires_at.as_micros()))
        .bind(record.epoch.get())
        .bind(record.authorized_at.as_micros())
        .bind(record.deauthorized_at.map(|at| at.as_micros()))
        .bind(record.confirmed_at.as_micros())
        .bind(refresh.map(|r| r.holder.as_str()))
        .bind(refresh.map(|r| r.until.as_micros()))
        .bind(record.refresh_unanswered)
        .bind(record.version.get());
    if let Some(version) = expected {
        query = query.bind(version.get());
    }
    Ok(done_if(query.execute(conn).await?.rows_affected()))
}

pub(super) async fn remove(
    conn: &mut PgConnection,
    member: &ProjectMemberId,
    expected: Version,
) -> Result<PutOutcome, SqlError> {
    let removed = sqlx::query("DELETE FROM oh_members WHERE member = $1 AND version = $2")
        .bind(member.as_str())
        .bind(expected.get())
        .execute(conn)
        .await?;
    Ok(done_if(removed.rows_affected()))
}

fn done_if(rows: u64) -> PutOutcome {
    if rows > 0 {
        PutOutcome::Stored
    } else {
        PutOutcome::Conflict
    }
}
