//! Whose turn it is to refresh: how long another process's lease is respected.
//!
//! The end of a lease is a time of the clock of the process that wrote it, and two clocks never
//! agree. So a process does not compare that time with its own clock to the second: it lets a
//! lease run for its whole length from the moment it first saw it, measured by its own monotonic
//! clock. That is never too short, however the clocks differ. Only a lease that ended more than
//! [`MAX_SKEW`] ago is over at once: nobody waits for a process that died yesterday.
//!
//! The bound that follows: the clocks of an app's processes may differ by up to five minutes, in
//! either direction. Whoever is ahead by more may send a refresh token while another process
//! still has it in use. A clock that is ahead by any amount holds nobody up for longer than one
//! length of a lease.

use std::time::Duration;

use tokio::time::Instant;

use crate::Timestamp;
use crate::store::RefreshLease;

/// By how much the clocks of an app's processes may differ.
pub(super) const MAX_SKEW: Duration = Duration::from_secs(300);

/// How much longer than a token request a lease lasts: for writing it down and reading it.
const OVER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a lease lasts when a token request may take `timeout`.
pub(super) fn length(timeout: Duration) -> Duration {
    timeout + OVER_TIMEOUT
}

/// Looks at the leases of others, for one member.
pub(super) struct Watch {
    length: Duration,
    /// The lease that was seen last, and when it was first seen.
    seen: Option<(String, Instant)>,
}

impl Watch {
    pub(super) fn new(length: Duration) -> Self {
        Self { length, seen: None }
    }

    /// Whether this lease need not be respected any more.
    pub(super) fn is_over(&mut self, lease: &RefreshLease, now: Timestamp) -> bool {
        if now > lease.until + MAX_SKEW {
            return true;
        }
        let since = match &self.seen {
            Some((holder, since)) if *holder == lease.holder => *since,
            _ => {
                let since = Instant::now();
                self.seen = Some((lease.holder.clone(), since));
                since
            }
        };
        if since.elapsed() < self.length {
            return false;
        }
        if lease.until > now + self.length + MAX_SKEW {
            tracing::warn!(
                until = %lease.until,
                "a refresh lease ends far in the future: the clock of a process was or is wrong"
            );
        }
        true
    }
}

/// A lease of our own, from just before it was written down.
pub(super) struct Own {
    begun: Instant,
    begun_at: Timestamp,
}

impl Own {
    pub(super) fn begin(now: Timestamp) -> Self {
        Self {
            begun: Instant::now(),
            begun_at: now,
        }
    }

    /// Whether a request that begins now will surely end within the lease. A store that took long
    /// to write it down, or a machine that was asleep, may have used the time up. (The monotonic
    /// clock stands still while some machines sleep; the other does not.)
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        let spent = self.begun.elapsed().max(now.since(self.begun_at));
        spent < OVER_TIMEOUT / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(25);
    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn lease(until: Timestamp) -> RefreshLease {
        RefreshLease::new("another", until)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_runs_for_its_whole_length_whatever_the_clocks_say() {
        for until in [
            NOW,
            NOW - MAX_SKEW,
            NOW - Duration::from_secs(299),
            NOW + LENGTH,
            NOW + Duration::from_secs(299),
            NOW + Duration::from_secs(366 * 24 * 3_600),
            Timestamp::from_micros(i64::MAX),
        ] {
            let mut watch = Watch::new(LENGTH);
            assert!(!watch.is_over(&lease(until), NOW), "{until}");
            tokio::time::advance(LENGTH - Duration::from_millis(1)).await;
            assert!(!watch.is_over(&lease(until), NOW), "{until}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(watch.is_over(&lease(until), NOW), "{until}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_holder_has_the_whole_length_again() {
        let mut watch = Watch::new(LENGTH);
        assert!(!watch.is_over(&lease(NOW), NOW));
        tokio::time::advance(LENGTH).await;
        let next = RefreshLease::new("a third", NOW);
        assert!(!watch.is_over(&next, NOW));
        tokio::time::advance(LENGTH).await;
        assert!(watch.is_over(&next, NOW));
    }

    #[tokio::test]
    async fn a_lease_of_long_ago_holds_nobody_up() {
        let until = NOW - MAX_SKEW - Duration::from_micros(1);
        assert!(Watch::new(LENGTH).is_over(&lease(until), NOW));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_took_long_to_write_is_not_used() {
        let own = Own::begin(NOW);
        assert!(own.is_fresh(NOW + Duration::from_secs(4)));
        // The machine was asleep.
        assert!(!own.is_fresh(NOW + Duration::from_secs(5)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!own.is_fresh(NOW));
    }
}
