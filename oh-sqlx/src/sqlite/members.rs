//! Statements on `oh_members` and the two tables of tokens, each of which may hold a member's.

use std::collections::HashSet;

use oh_core::ProjectMemberId;
use oh_core::deauth::DeauthEvent;
use oh_core::store::{MemberRecord, PutOutcome, Tokens, Version};
use sqlx::{Error as SqlError, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use crate::rows::{self, MemberRow};

macro_rules! select {
    () => {
        "SELECT m.member, m.username, coalesce(t.access_token, moved.access_token) AS access_token, \
         coalesce(t.refresh_token, moved.refresh_token) AS refresh_token, \
         coalesce(t.expires_at, moved.expires_at) AS expires_at, m.epoch, m.authorized_at, \
         m.deauthorized_at, m.confirmed_at, m.refresh_holder, m.refresh_until, m.refresh_unanswered, \
         m.version FROM oh_members AS m LEFT JOIN oh_tokens AS t ON t.member = m.member \
         LEFT JOIN oh_tokens_moved AS moved ON moved.member = m.member"
    };
}

pub(super) async fn load(
    pool: &SqlitePool,
    member: &ProjectMemberId,
) -> Result<Option<MemberRow>, SqlError> {
    sqlx::query_as(concat!(select!(), " WHERE m.member = ?1"))
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
    sqlx::query_as(concat!(
        select!(),
        " WHERE m.member > ?1 ORDER BY m.member LIMIT ?2"
    ))
    .bind(after.map_or("", ProjectMemberId::as_str))
    .bind(rows::limit(limit))
    .fetch_all(pool)
    .await
}

pub(super) async fn put(
    conn: &mut SqliteConnection,
    record: &MemberRecord,
    expected: Option<Version>,
) -> Result<PutOutcome, SqlError> {
    let statement = match expected {
        None => {
            "INSERT INTO oh_members (member, username, epoch, authorized_at, deauthorized_at, \
             confirmed_at, refresh_holder, refresh_until, refresh_unanswered, version) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (member) DO NOTHING"
        }
        Some(_) => {
            "UPDATE oh_members SET username = ?2, epoch = ?3, authorized_at = ?4, \
             deauthorized_at = ?5, confirmed_at = ?6, refresh_holder = ?7, refresh_until = ?8, \
             refresh_unanswered = ?9, version = ?10 WHERE member = ?1 AND version = ?11"
        }
    };
    let refresh = record.refresh.as_ref();
    let mut query = sqlx::query(statement)
        .bind(record.member.as_str())
        .bind(record.username.as_deref())
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
    if query.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(PutOutcome::Conflict);
    }
    put_tokens(conn, &record.member, record.tokens.as_ref()).await?;
    Ok(PutOutcome::Stored)
}

async fn put_tokens(
    conn: &mut SqliteConnection,
    member: &ProjectMemberId,
    tokens: Option<&Tokens>,
) -> Result<(), SqlError> {
    let Some(tokens) = tokens else {
        return forget_tokens(conn, member).await;
    };
    // What has not changed is not written: most writes are about something else.
    for statement in [
        "UPDATE oh_tokens_moved SET access_token = ?2, refresh_token = ?3, expires_at = ?4 \
         WHERE member = ?1 AND (access_token, refresh_token, expires_at) <> (?2, ?3, ?4)",
        "INSERT INTO oh_tokens (member, access_token, refresh_token, expires_at) \
         SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS ( \
             SELECT 1 FROM oh_tokens_moved WHERE member = ?1) \
         ON CONFLICT (member) DO UPDATE SET access_token = excluded.access_token, \
         refresh_token = excluded.refresh_token, expires_at = excluded.expires_at \
         WHERE (oh_tokens.access_token, oh_tokens.refresh_token, oh_tokens.expires_at) \
         <> (excluded.access_token, excluded.refresh_token, excluded.expires_at)",
    ] {
        sqlx::query(statement)
            .bind(member.as_str())
            .bind(tokens.access_token.expose())
            .bind(tokens.refresh_token.expose())
            .bind(tokens.expires_at.as_micros())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn forget_tokens(
    conn: &mut SqliteConnection,
    member: &ProjectMemberId,
) -> Result<(), SqlError> {
    for statement in [
        "DELETE FROM oh_tokens WHERE member = ?1",
        "DELETE FROM oh_tokens_moved WHERE member = ?1",
    ] {
        sqlx::query(statement)
            .bind(member.as_str())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

pub(super) async fn remove(
    conn: &mut SqliteConnection,
    member: &ProjectMemberId,
    expected: Version,
) -> Result<PutOutcome, SqlError> {
    let removed = sqlx::query("DELETE FROM oh_members WHERE member = ?1 AND version = ?2")
        .bind(member.as_str())
        .bind(expected.get())
        .execute(&mut *conn)
        .await?;
    if removed.rows_affected() == 0 {
        return Ok(PutOutcome::Conflict);
    }
    forget_tokens(conn, member).await?;
    Ok(PutOutcome::Stored)
}

/// What leaving meant for members' records.
#[derive(Default)]
pub(super) struct Leaving {
    /// Who has left. The others have authorized again since their events.
    pub(super) left: HashSet<String>,
    /// Some of them may have had tokens.
    pub(super) had_tokens: bool,
}

/// The events of other members.
fn not_in<'a>(members: &HashSet<String>, events: &[&'a DeauthEvent]) -> Vec<&'a DeauthEvent> {
    let is_other = |event: &&&DeauthEvent| !members.contains(event.member.as_str());
    events.iter().filter(is_other).copied().collect()
}

/// Destroys the tokens of the members of these events, each of another one, and advances their
/// epochs, unless they have authorized again since, and be it that this authorization has ended as
/// well: an event of an earlier membership says nothing about the latest. Who is not known gets a
/// tombstone.
pub(super) async fn leave(
    conn: &mut SqliteConnection,
    events: &[&DeauthEvent],
) -> Result<Leaving, SqlError> {
    if events.is_empty() {
        return Ok(Leaving::default());
    }
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO oh_members (member, epoch, authorized_at, deauthorized_at, confirmed_at, \
         refresh_unanswered, version) ",
    );
    sql.push_values(events, |mut row, event| {
        row.push_bind(event.member.as_str())
            .push_bind(event.received_at.as_micros())
            .push("0")
            .push_bind(event.received_at.as_micros())
            .push_bind(event.received_at.as_micros())
            .push("0")
            .push_bind(Version::fresh().get());
    });
    sql.push(" ON CONFLICT (member) DO NOTHING RETURNING member");
    let unknown: Vec<String> = sql.build_query_scalar().fetch_all(&mut *conn).await?;
    let mut left: HashSet<String> = unknown.into_iter().collect();
    let known = not_in(&left, events);
    if known.is_empty() {
        return Ok(Leaving {
            left,
            had_tokens: false,
        });
    }
    let mut sql =
        QueryBuilder::<Sqlite>::new("WITH event (member, received_at, left_at, version) AS (");
    sql.push_values(known, |mut row, event| {
        row.push_bind(event.member.as_str())
            .push_bind(event.received_at.as_micros())
            .push_bind(event.left_at.as_micros())
            .push_bind(Version::fresh().get());
    });
    sql.push(
        ") UPDATE oh_members SET username = NULL, epoch = max(epoch + 1, event.received_at), \
         deauthorized_at = event.received_at, refresh_holder = NULL, refresh_until = NULL, \
         refresh_unanswered = 0, version = event.version FROM event \
         WHERE oh_members.member = event.member AND oh_members.authorized_at <= event.left_at \
         RETURNING member",
    );
    let gone: Vec<String> = sql.build_query_scalar().fetch_all(&mut *conn).await?;
    if gone.is_empty() {
        return Ok(Leaving {
            left,
            had_tokens: false,
        });
    }
    for delete in [
        "DELETE FROM oh_tokens WHERE member IN (",
        "DELETE FROM oh_tokens_moved WHERE member IN (",
    ] {
        let mut sql = QueryBuilder::<Sqlite>::new(delete);
        let mut members = sql.separated(", ");
        for member in &gone {
            members.push_bind(member.as_str());
        }
        sql.push(")").build().execute(&mut *conn).await?;
    }
    left.extend(gone);
    Ok(Leaving {
        left,
        had_tokens: true,
    })
}

/// How many rows move at a time.
const PIECE: i64 = 1_024;

/// The statements that move a piece of one table to another, and clear what is left.
macro_rules! moving {
    ($from:literal, $to:literal) => {
        [
            // Whatever columns there are, those of a later release as well.
            concat!(
                "INSERT INTO ",
                $to,
                " SELECT * FROM ",
                $from,
                " ORDER BY member LIMIT ?1"
            ),
            concat!(
                "DELETE FROM ",
                $from,
                " WHERE member IN (SELECT member FROM ",
                $from,
                " ORDER BY member LIMIT ?1)"
            ),
            // Without a condition SQLite clears all pages at once, the first one included.
            concat!("DELETE FROM ", $from),
        ]
    };
}

/// Takes note that tokens were deleted: whichever table they were in, it is to be cleared.
pub(super) async fn note_traces(conn: &mut SqliteConnection) -> Result<(), SqlError> {
    sqlx::query("UPDATE oh_tokens_moves SET needed = cleared + 2 WHERE needed < cleared + 2")
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves a piece of the tokens to the other table. False if there is no need to.
///
/// `secure_delete` clears what is deleted, and pages that are given up as a whole, but not the
/// copies that stay in a page's free space when rows are moved to other pages. A page can pass
/// such a copy on for as long as it belongs to a table. So a table is emptied in the end, and then
/// no page of it is left that was not cleared.
pub(super) async fn move_tokens(conn: &mut SqliteConnection) -> Result<bool, SqlError> {
    let (cleared, needed): (i64, i64) =
        sqlx::query_as("SELECT cleared, needed FROM oh_tokens_moves")
            .fetch_one(&mut *conn)
            .await?;
    if cleared >= needed {
        return Ok(false);
    }
    let [copy, delete, clear] = match cleared % 2 {
        0 => moving!("oh_tokens", "oh_tokens_moved"),
        _ => moving!("oh_tokens_moved", "oh_tokens"),
    };
    let copied = sqlx::query(copy).bind(PIECE).execute(&mut *conn).await?;
    if copied.rows_affected() == PIECE.unsigned_abs() {
        sqlx::query(delete).bind(PIECE).execute(conn).await?;
        return Ok(true);
    }
    sqlx::query(clear).execute(&mut *conn).await?;
    sqlx::query("UPDATE oh_tokens_moves SET cleared = cleared + 1")
        .execute(conn)
        .await?;
    Ok(true)
}
