//! From what a database says to what the traits say.
//!
//! sqlx's own errors are kept as the source. They hold the database's message, which names tables
//! and constraints, and never the values of a statement.

use std::future::Future;
use std::time::Duration;

use oh_core::deauth::InboxError;
use oh_core::store::StoreError;
use sqlx::Error as SqlError;
use tokio::time::timeout;

use crate::writer::Failure;

/// Waits for the database only so long.
pub(crate) async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, SqlError>>,
) -> Result<T, Failure> {
    match timeout(patience, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Failure::Slow),
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Database(error.into())
    }
}

/// For `map_err`: the store does not answer, or what it holds is not ours.
pub(crate) fn store_error(failure: Failure) -> StoreError {
    match &failure {
        Failure::Database(error) if is_unreadable(error) => StoreError::unreadable(failure),
        _ => StoreError::unavailable(failure),
    }
}

/// For `map_err`.
pub(crate) fn inbox_error(failure: Failure) -> InboxError {
    InboxError::new(failure)
}

fn is_unreadable(error: &SqlError) -> bool {
    matches!(error, SqlError::ColumnDecode { .. } | SqlError::Decode(_))
}
