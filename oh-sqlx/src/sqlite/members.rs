//! Statements on `oh_members`.

use oh_core::ProjectMemberId;
use oh_core::deauth::DeauthEvent;
use oh_core::store::{MemberRecord, Put, Version};
use sqlx::{Error as SqlError, SqliteConnection, SqlitePool};

use crate::rows::{self, MemberRow};

pub(super) async fn load(
    pool: &SqlitePool,
    member: &ProjectMemberId,
) -> Result<Option<MemberRow>, SqlError> {
    sqlx::query_as("SELECT * FROM oh_members WHERE member = ?1")
        .bind(member.as_str())
        .fetch_optional(pool)
        .await
}

pub(super) async fn page(
    pool: &SqlitePool,
    after: Option<&ProjectMemberId>,
    limit: usize,
) -> Result<Vec<MemberRow>, SqlError> {
    // No id is empty, so the empty text comes before all.
    sqlx::query_as("SELECT * FROM oh_members WHERE member > ?1 ORDER BY member LIMIT ?2")
        .bind(after.map_or("", ProjectMemberId::as_str))
        .bind(rows::limit(limit))
        .fetch_all(pool)
        .await
}

pub(super) async fn put(
    conn: &mut SqliteConnection,
    record: &MemberRecord,
    expected: Option<Version>,
) -> Result<Put, SqlError> {
    let statement = match expected {
        None => {
            "INSERT INTO oh_members (member, username, access_token, refresh_token, expires_at, \
             epoch, authorized_at, deauthorized_at, heard_at, refresh_holder, refresh_until, \
             refresh_unanswered, version) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
             ON CONFLICT (member) DO NOTHING"
        }
        Some(_) => {
            "UPDATE oh_members SET username = ?2, access_token = ?3, refresh_token = ?4, \
             expires_at = ?5, epoch = ?6, authorized_at = ?7, deauthorized_at = ?8, \
             heard_at = ?9, refresh_holder = ?10, refresh_until = ?11, refresh_unanswered = ?12, \
             version = ?13 WHERE member = ?1 AND version = ?14"
        }
    };
    let tokens = record.tokens.as_ref();
    let refresh = record.refresh.as_ref();
    let mut query = sqlx::query(statement)
        .bind(record.member.as_str())
        .bind(record.username.as_deref())
        .bind(tokens.map(|t| t.access_token.expose()))
        .bind(tokens.map(|t| t.refresh_token.expose()))
        .bind(tokens.map(|t| t.expires_at.as_micros()))
        .bind(record.epoch.get())
        .bind(record.authorized_at.as_micros())
        .bind(record.deauthorized_at.map(|at| at.as_micros()))
        .bind(record.heard_at.as_micros())
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
    conn: &mut SqliteConnection,
    member: &ProjectMemberId,
    expected: Version,
) -> Result<Put, SqlError> {
    let removed = sqlx::query("DELETE FROM oh_members WHERE member = ?1 AND version = ?2")
        .bind(member.as_str())
        .bind(expected.get())
        .execute(conn)
        .await?;
    Ok(done_if(removed.rows_affected()))
}

/// What leaving meant for a member's record.
pub(super) enum Left {
    /// There was none; now there is a tombstone.
    Unknown,
    /// Its tokens are destroyed and its epoch has advanced.
    Gone,
    /// The member has authorized again since the event; nothing was done.
    Back,
}

/// Destroys the member's tokens and advances the epoch, unless the member has authorized again.
pub(super) async fn leave(
    conn: &mut SqliteConnection,
    event: &DeauthEvent,
) -> Result<Left, SqlError> {
    let made = sqlx::query(
        "INSERT INTO oh_members (member, epoch, authorized_at, deauthorized_at, heard_at, \
         refresh_unanswered, version) VALUES (?1, ?2, 0, ?2, ?2, 0, ?3) \
         ON CONFLICT (member) DO NOTHING",
    )
    .bind(event.member.as_str())
    .bind(event.received_at.as_micros())
    .bind(Version::fresh().get())
    .execute(&mut *conn)
    .await?;
    if made.rows_affected() > 0 {
        return Ok(Left::Unknown);
    }
    let left = sqlx::query(
        "UPDATE oh_members SET username = NULL, access_token = NULL, refresh_token = NULL, \
         expires_at = NULL, epoch = max(epoch + 1, ?2), deauthorized_at = ?2, \
         refresh_holder = NULL, refresh_until = NULL, refresh_unanswered = 0, version = ?3 \
         WHERE member = ?1 AND (access_token IS NULL OR authorized_at <= ?4)",
    )
    .bind(event.member.as_str())
    .bind(event.received_at.as_micros())
    .bind(Version::fresh().get())
    .bind(event.left_at.as_micros())
    .execute(conn)
    .await?;
    Ok(if left.rows_affected() > 0 {
        Left::Gone
    } else {
        Left::Back
    })
}

/// Rewrites the table, so that its pages hold what is in it and nothing else.
///
/// `secure_delete` clears what is deleted, but not the copies that stay in a page's free space
/// when rows are moved to other pages. Pages that are given up are cleared as a whole.
pub(super) async fn rewrite(conn: &mut SqliteConnection) -> Result<(), SqlError> {
    for statement in [
        "INSERT INTO oh_members_copy SELECT * FROM oh_members ORDER BY member",
        "DELETE FROM oh_members",
        "INSERT INTO oh_members SELECT * FROM oh_members_copy ORDER BY member",
        "DELETE FROM oh_members_copy",
    ] {
        sqlx::query(statement).execute(&mut *conn).await?;
    }
    Ok(())
}

fn done_if(rows: u64) -> Put {
    if rows > 0 { Put::Done } else { Put::Conflict }
}
