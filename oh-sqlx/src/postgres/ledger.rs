//! The order of ledger lines on PostgreSQL.
//!
//! PostgreSQL assigns the number of a line before the transaction commits. A reader could see line 8
//! before line 7 is committed, continue after 8, and never see 7. Therefore every transaction that
//! writes lines shares an advisory lock from before its first row lock until its commit, and a reader
//! first takes the lock exclusively for a moment: at that time no line is uncommitted, so no line can
//! appear later with a lower number than the highest visible one.

use sqlx::{Error as SqlError, PgConnection, Row};

/// Returns the number of the last line, before which no line will appear any more.
///
/// It is one round trip, so that the lock is released even if this process stops. The wait is limited,
/// because writers wait behind it. Each statement sees all earlier commits, so the `SELECT` sees the lines
/// of all writers that held the lock before.
pub(super) async fn last_line(conn: &mut PgConnection) -> Result<Option<i64>, SqlError> {
    let results = sqlx::raw_sql(
        "SET LOCAL lock_timeout = '2s'; \
         SELECT pg_advisory_xact_lock(8027785518519903602); \
         SELECT max(seq) FROM oh_ledger",
    )
    .fetch_all(conn)
    .await?;
    match results.last() {
        Some(row) => row.try_get(0),
        None => Err(SqlError::RowNotFound),
    }
}
