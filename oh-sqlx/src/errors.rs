//! Errors of a database as errors of the traits.
//!
//! sqlx's error stays the source. It contains the database's message, which names tables and
//! constraints, and never the values of a statement.

use std::sync::Arc;
use std::time::Duration;

use oh_core::deauth::InboxError;
use oh_core::store::StoreError;
use sqlx::Error as SqlError;
use tokio::time::timeout;

/// Why a statement or a write failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The database, or the queue of writes in front of it, did not respond in time.
    #[error("the database did not respond in time")]
    Timeout,
    /// The writer thread ended without an answer, because it panicked.
    #[error("the writer thread ended before it responded")]
    WriterEnded,
    #[error(transparent)]
    Database(Arc<SqlError>),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// Limits the time of work on the database.
pub(crate) async fn with_timeout<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, SqlError>>,
) -> Result<T, Failure> {
    match timeout(limit, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::Timeout),
    }
}

pub(crate) fn store_error(failure: Failure) -> StoreError {
    match &failure {
        Failure::Database(error)
            if matches!(**error, SqlError::ColumnDecode { .. } | SqlError::Decode(_)) =>
        {
            StoreError::unreadable(failure)
        }
        _ => StoreError::unavailable(failure),
    }
}

pub(crate) fn inbox_error(failure: Failure) -> InboxError {
    InboxError::new(failure)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::borrow::Cow;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// An error of a database with this code.
    pub(crate) fn database_error(code: &'static str) -> SqlError {
        SqlError::Database(Box::new(Code(code)))
    }

    #[derive(Debug, thiserror::Error)]
    #[error("code {0}")]
    struct Code(&'static str);

    impl DatabaseError for Code {
        fn message(&self) -> &str {
            "failed"
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn store_error_is_retryable_unless_row_is_unreadable() {
        let is_retryable = |error: SqlError| store_error(error.into()).is_retryable();
        let unreadable = SqlError::ColumnDecode {
            index: "username".into(),
            source: "not text".into(),
        };
        assert!(!is_retryable(unreadable));
        assert!(!is_retryable(SqlError::Decode("not text".into())));
        assert!(is_retryable(SqlError::PoolTimedOut));
        assert!(is_retryable(database_error("57P01")));
    }
}
