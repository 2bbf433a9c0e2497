//! Why a member could not be dealt with.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::Error;
use crate::rest::retry::Retry;
use crate::transport::BoxError;

/// Why a job could not deal with a member, and whether trying again can help.
///
/// `?` makes one of an [`Error`] of this crate, which knows that by itself. For anything else the
/// job says it.
///
/// ```
/// use oh_api::job::JobError;
///
/// let locked = JobError::temporary("the table is locked");
/// assert!(locked.is_retryable());
/// assert_eq!(locked.to_string(), "the table is locked");
/// ```
#[derive(Debug)]
pub struct JobError {
    source: BoxError,
    retryable: bool,
}

impl JobError {
    /// A failure that may pass.
    pub fn temporary(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into(),
            retryable: true,
        }
    }

    /// A failure that stays until someone changes something.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into(),
            retryable: false,
        }
    }

    /// Whether trying again can help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// What failed.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// The error of this crate, where it is one.
    pub fn api(&self) -> Option<&Error> {
        self.source.downcast_ref()
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        Self {
            retryable: error.is_retryable(),
            source: Box::new(error),
        }
    }
}

impl Retry for JobError {
    fn retry_after(&self) -> Option<Duration> {
        self.api()?.retry_after()
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl StdError for JobError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}
