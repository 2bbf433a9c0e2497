//! A clock that tests can advance, for example to expire tokens.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;

/// The system clock plus an offset.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_microseconds: AtomicI64,
}

impl Clock {
    /// Returns the current time with the precision of the server's database, microseconds.
    pub(crate) fn now(&self) -> OffsetDateTime {
        let ahead = time::Duration::microseconds(self.ahead_microseconds.load(Ordering::Relaxed));
        let now = OffsetDateTime::now_utc() + ahead;
        now - time::Duration::nanoseconds(i64::from(now.nanosecond() % 1_000))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.ahead_microseconds.fetch_add(by, Ordering::Relaxed);
    }
}

/// Formats a time like Python's `isoformat`, with six fractional digits and without the zone.
pub(crate) fn iso(at: OffsetDateTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.microsecond(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_advances() {
        let clock = Clock::default();
        let before = clock.now();
        clock.advance(Duration::from_secs(36_000));
        assert!(clock.now() - before >= time::Duration::hours(10));
    }
}
