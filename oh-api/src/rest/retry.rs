//! Retries of failed calls.
//!
//! An idempotent call may be repeated after any temporary failure. A call that must not be processed
//! twice, such as a message or an upload, is repeated only if the server certainly did not process
//! it: the connection was never made, the server closed it or refused the request first, or it
//! responded 429.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::Instant;

use crate::{AppError, Error};

/// The longest wait between two attempts, unless the server asks for more.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// How often a request is sent again that a connection refused. These attempts do not count, because
/// each of those connections processed other requests: a server that closes each connection after a
/// few requests refuses many concurrent ones.
const MAX_REFUSALS: usize = 32;

/// How often and for how long a failed call is repeated.
///
/// The wait between attempts doubles, with jitter. A longer `Retry-After` of the server is respected;
/// if it exceeds the total, the call fails immediately with [`Error::RateLimited`].
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
    /// Four attempts, a first wait of about 250 ms, and no new attempt after a minute.
    fn default() -> Self {
        Self {
            attempts: 4,
            first_delay: Duration::from_millis(250),
            total: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Creates a policy without retries.
    pub fn none() -> Self {
        Self::default().attempts(1)
    }

    /// Sets the number of attempts including the first, which is always made.
    pub fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the wait before the second attempt.
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// Sets the longest time between the start of the first and the last attempt.
    pub fn total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// Runs `work`, and repeats it while `again` accepts its error.
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
        // `None` if the total is too long to have a deadline.
        let deadline = Instant::now().checked_add(self.total);
        let backoff = ExponentialBuilder::default()
            .with_min_delay(self.first_delay)
            .with_max_delay(MAX_DELAY.max(self.first_delay))
            .without_max_times()
            .with_jitter();
        let (mut failures, mut refusals) = (0, 0);
        work.retry(backoff)
            .when(|error: &E| {
                if error.was_refused_by_connection() && refusals < MAX_REFUSALS {
                    refusals += 1;
                } else {
                    failures += 1;
                }
                self.attempts > 1 && failures < self.attempts && again(error)
            })
            .adjust(|error, wait| {
                let wait = match error.retry_after() {
                    _ if error.was_refused_by_connection() => self.first_delay,
                    Some(requested) => wait?.max(requested),
                    None => wait?,
                };
                let next = Instant::now().checked_add(wait)?;
                deadline.is_none_or(|end| next <= end).then_some(wait)
            })
            .notify(|error, wait| {
                tracing::debug!(%error, wait_ms = wait.as_millis(), "retrying");
            })
            .await
    }
}

/// An error that decides about a retry.
pub(crate) trait Retry: std::fmt::Display {
    /// How long the server asked to wait.
    fn retry_after(&self) -> Option<Duration>;

    /// Whether a connection refused the request while it processed others.
    fn was_refused_by_connection(&self) -> bool;
}

impl Retry for Error {
    fn retry_after(&self) -> Option<Duration> {
        Self::retry_after(self)
    }

    fn was_refused_by_connection(&self) -> bool {
        Self::was_refused_by_connection(self)
    }
}

impl Retry for AppError {
    fn retry_after(&self) -> Option<Duration> {
        self.api()?.retry_after()
    }

    fn was_refused_by_connection(&self) -> bool {
        false
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
    async fn retry_policy_stops_after_permanent_error() {
        let (made, _) = attempts(RetryPolicy::default(), || Error::NotFound).await;
        assert_eq!(made, 1);
        let (made, _) = attempts(RetryPolicy::none(), || Error::Timeout).await;
        assert_eq!(made, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_policy_makes_configured_attempts() {
        let (made, _) = attempts(RetryPolicy::default(), || Error::Timeout).await;
        assert_eq!(made, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_policy_respects_retry_after_within_total() {
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

    #[tokio::test(start_paused = true)]
    async fn retry_policy_does_not_count_refused_requests() {
        let refused = || Error::from(crate::transport::TransportError::unprocessed("GOAWAY"));
        let (made, _) = attempts(RetryPolicy::default(), refused).await;
        assert_eq!(made, 4 + MAX_REFUSALS);
        let (made, _) = attempts(RetryPolicy::none(), refused).await;
        assert_eq!(made, 1);
    }
}
