//! Delays between retries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Delays between retries of an operation that the inbox rejects, as while a database is down.
pub(super) const INBOX_BACKOFF: ExponentialBuilder =
    exponential(Duration::from_millis(100), Duration::from_secs(5));

/// Delays that double from `min` to `max`. Jitter extends each by up to its own length.
pub(super) const fn exponential(min: Duration, max: Duration) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(min)
        .with_max_delay(max)
        .with_jitter()
        .without_max_times()
}

/// The delay after consecutive failure number `failures`, counted from 1.
pub(super) fn delay(backoff: ExponentialBuilder, failures: u32) -> Duration {
    let skipped = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    backoff.build().nth(skipped).unwrap_or_default()
}
