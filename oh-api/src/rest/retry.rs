//! When to try again, and when to give up.
//!
//! A call that changes nothing twice may be repeated after any failure that can pass. One that
//! must not happen twice (a message, an upload) is repeated only where it certainly did not
//! happen: the connection was never made, or the server asked to wait (429).

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::Instant;

use crate::{AppError, Error};

/// How often and for how long a failed call is tried again.
///
/// Between attempts the wait doubles, with jitter. A server's `Retry-After` is honoured where it
/// is longer; where it goes past the total, the call fails at once with [`Error::RateLimited`].
///
/// ```
/// use std::time::Duration;
/// use oh_api::RetryPolicy;
///
/// let patient = RetryPolicy::default().attempts(10).total(Duration::from_secs(600));
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct RetryPolicy {
    attempts: usize,
    first_delay: Duration,
    total: Duration,
}

impl Default for RetryPolicy {
    /// Four attempts, the first wait about 250 ms, no new attempt after a minute.
    fn default() -> Self {
        Self {
            attempts: 4,
            first_delay: Duration::from_millis(250),
            total: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Never again: the first failure counts.
    pub fn none() -> Self {
        Self::default().attempts(1)
    }

    /// How many attempts there are in all. At least one is made.
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long to wait before the second attempt.
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// No attempt begins later than this after the first.
    pub fn total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// Runs `work`, again where `again` says that its error allows it.
    pub(crate) async fn run<T, E, Fut, Work>(
        self,
        again: impl Fn(&E) -> bool,
        work: Work,
    ) -> Result<T, E>
    where
        E: Retry,
        Fut: Future<Output = Result<T, E>>,
        Work: FnMut() -> Fut,
    {
        // A total that has no end has no deadline.
        let deadline = Instant::now().checked_add(self.total);
        let backoff = ExponentialBuilder::default()
            .with_min_delay(self.first_delay)
            .with_max_delay(Duration::from_secs(30).max(self.first_delay))
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter();
        work.retry(backoff)
            .when(|error: &E| again(error))
            .adjust(|error, wait| {
                let wait = match error.retry_after() {
                    Some(requests) => wait?.max(requests),
                    None => wait?,
                };
                // Neither has a wait that has no end, and it is not begun.
                let next = Instant::now().checked_add(wait)?;
                deadline.is_none_or(|end| next <= end).then_some(wait)
            })
            .notify(|error, wait| {
                tracing::debug!(%error, wait_ms = wait.as_millis(), "trying again");
            })
            .await
    }
}

/// An error that work is tried again after.
pub(crate) trait Retry: std::fmt::Display {
    /// How long the server asked to wait, if it did.
    fn retry_after(&self) -> Option<Duration>;
}

impl Retry for Error {
    fn retry_after(&self) -> Option<Duration> {
        Self::retry_after(self)
    }
}

impl Retry for AppError {
    fn retry_after(&self) -> Option<Duration> {
        self.api()?.retry_after()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    async fn attempts(retries: RetryPolicy, error: impl Fn() -> Error) -> (usize, Duration) {
        let made = AtomicUsize::new(0);
        let start = Instant::now();
        let result: Result<(), Error> = retries
            .run(Error::is_retryable, || async {
                made.fetch_add(1, Ordering::SeqCst);
                Err(error())
            })
            .await;
        assert!(result.is_err());
        (made.into_inner(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_pass_is_not_repeated() {
        let (made, _) = attempts(RetryPolicy::default(), || Error::NotFound).await;
        assert_eq!(made, 1);
        let (made, _) = attempts(RetryPolicy::none(), || Error::Timeout).await;
        assert_eq!(made, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_pass_is_repeated_so_often() {
        let (made, _) = attempts(RetryPolicy::default(), || Error::Timeout).await;
        assert_eq!(made, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_honoured_within_the_total() {
        let limited = |seconds| {
            move || Error::RateLimited {
                retry_after: Some(Duration::from_secs(seconds)),
            }
        };
        let (made, took) = attempts(RetryPolicy::default().attempts(3), limited(20)).await;
        assert_eq!(made, 3);
        assert!(took >= Duration::from_secs(40), "{took:?}");
        let (made, took) = attempts(RetryPolicy::default(), limited(3_600)).await;
        assert_eq!(made, 1);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
