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

#[cfg(test)]
pub(crate) mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// A database's answer with this code.
    pub(crate) fn said(code: &'static str) -> SqlError {
        SqlError::Database(Box::new(Said(code)))
    }

    #[derive(Debug, thiserror::Error)]
    #[error("code {0}")]
    struct Said(&'static str);

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            "no"
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
    fn what_cannot_be_read_is_told_from_what_is_away() {
        let told = |error| store_error(Failure::Database(Arc::new(error)));
        let unreadable = SqlError::ColumnDecode {
            index: "username".into(),
            source: "not text".into(),
        };
        assert!(!told(unreadable).is_retryable());
        assert!(!told(SqlError::Decode("not text".into())).is_retryable());
        assert!(told(SqlError::PoolTimedOut).is_retryable());
        assert!(told(said("57P01")).is_retryable());
    }
}
