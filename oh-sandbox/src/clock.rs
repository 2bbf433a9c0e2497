//! A clock that tests can push forward, so that nothing waits for ten hours to see a token expire.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;

/// The sandbox's own idea of now: the machine's clock and an offset.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_microseconds: AtomicI64,
}

impl Clock {
    /// Now, to the microsecond, as the server's database keeps times.
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

/// A time as Python's `isoformat` writes it, without the zone: always six digits of a second.
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
    fn the_clock_can_be_pushed_forward() {
        let clock = Clock::default();
        let before = clock.now();
        clock.advance(Duration::from_secs(36_000));
        assert!(clock.now() - before >= time::Duration::hours(10));
    }
}
