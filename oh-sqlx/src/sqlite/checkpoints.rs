//! Statements on `oh_checkpoints`.

use oh_core::deauth::{CheckpointOutcome, CheckpointQuery, StoredCheckpoint};
use sqlx::{Error as SqlError, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use crate::rows::{self, CheckpointRow};

/// Keeps a checkpoint, unless one of its size is there.
pub(super) async fn keep(
    conn: &mut SqliteConnection,
    checkpoint: &StoredCheckpoint,
) -> Result<CheckpointOutcome, SqlError> {
    let kept = sqlx::query(
        "INSERT INTO oh_checkpoints (size, last_seq, root, at, note, tree) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (size) DO NOTHING",
    )
    .bind(rows::size(checkpoint.size))
    .bind(checkpoint.last_seq)
    .bind(&checkpoint.root)
    .bind(checkpoint.at.as_micros())
    .bind(&checkpoint.note)
    .bind(&checkpoint.tree)
    .execute(&mut *conn)
    .await?;
    if kept.rows_affected() > 0 {
        return Ok(CheckpointOutcome::Stored);
    }
    let root: String = sqlx::query_scalar("SELECT root FROM oh_checkpoints WHERE size = ?1")
        .bind(rows::size(checkpoint.size))
        .fetch_one(conn)
        .await?;
    Ok(match root == checkpoint.root {
        true => CheckpointOutcome::Known,
        false => CheckpointOutcome::Forked,
    })
}

pub(super) async fn list(
    pool: &SqlitePool,
    query: &CheckpointQuery,
) -> Result<Vec<CheckpointRow>, SqlError> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "SELECT size, last_seq, root, at, note, tree FROM oh_checkpoints",
    );
    if let Some(size) = query.after {
        sql.push(match query.newest_first {
            true => " WHERE size < ",
            false => " WHERE size > ",
        });
        sql.push_bind(rows::size(size));
    }
    sql.push(match query.newest_first {
        true => " ORDER BY size DESC LIMIT ",
        false => " ORDER BY size LIMIT ",
    });
    sql.push_bind(rows::limit(query.limit));
    sql.build_query_as().fetch_all(pool).await
}
