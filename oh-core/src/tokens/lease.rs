//! How long a process respects the refresh lease of another process.
//!
//! The end of a lease is a time on the clock of the process that wrote it, and clocks differ. A
//! process therefore does not compare that time with its own clock: it respects a lease for its
//! whole duration from the moment it first saw it, on its own monotonic clock. That is never too
//! short. Only a lease that ended more than [`MAX_CLOCK_SKEW`] ago counts as expired immediately,
//! so that nobody waits for a process that died yesterday.
//!
//! As a consequence, the clocks of an application's processes may differ by up to five minutes in
//! either direction. A process that is further ahead may send a refresh token that another process
//! is using. A clock that is ahead by any amount delays other processes by one lease duration at
//! most.

use std::time::Duration;

use tokio::time::Instant;

use crate::Timestamp;
use crate::store::RefreshLease;

/// Maximum difference between the clocks of an application's processes.
pub(super) const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Time within a lease for writing and reading it, in addition to the token request.
const STORE_TIME: Duration = Duration::from_secs(10);

/// The duration of a lease when a token request may take `timeout`.
pub(super) fn lease_duration(timeout: Duration) -> Duration {
    timeout + STORE_TIME
}

/// Observes the leases that other processes write for one member.
pub(super) struct LeaseObserver {
    duration: Duration,
    /// The holder of the last seen lease, and when it was first seen.
    seen: Option<(String, Instant)>,
}

impl LeaseObserver {
    pub(super) fn new(duration: Duration) -> Self {
        Self {
            duration,
            seen: None,
        }
    }

    pub(super) fn has_expired(&mut self, lease: &RefreshLease, now: Timestamp) -> bool {
        if now > lease.until + MAX_CLOCK_SKEW {
            return true;
        }
        let seen = self
            .seen
            .take()
            .filter(|(holder, _)| *holder == lease.holder);
        let (_, since) = self
            .seen
            .insert(seen.unwrap_or_else(|| (lease.holder.clone(), Instant::now())));
        if since.elapsed() < self.duration {
            return false;
        }
        if lease.until > now + self.duration + MAX_CLOCK_SKEW {
            tracing::warn!(
                until = %lease.until,
                "ignored a refresh lease far in the future: the clock of a process is or was wrong"
            );
        }
        true
    }
}

/// The start of a lease of this process, from just before it is written.
pub(super) struct OwnLease {
    started: Instant,
    started_at: Timestamp,
}

impl OwnLease {
    pub(super) fn start(now: Timestamp) -> Self {
        Self {
            started: Instant::now(),
            started_at: now,
        }
    }

    /// Whether a token request that starts now ends within the lease. A slow store or a suspended
    /// machine may have used up the time. On some machines, the monotonic clock stops during a
    /// suspension and the other one does not.
    pub(super) fn leaves_time(&self, now: Timestamp) -> bool {
        let elapsed = self.started.elapsed().max(now.since(self.started_at));
        elapsed < STORE_TIME / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(25);
    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn lease(until: Timestamp) -> RefreshLease {
        RefreshLease::new("another", until)
    }

    #[tokio::test(start_paused = true)]
    async fn lease_expires_after_its_duration_whatever_its_end() {
        for until in [
            NOW,
            NOW - MAX_CLOCK_SKEW,
            NOW - Duration::from_secs(299),
            NOW + DURATION,
            NOW + Duration::from_secs(299),
            NOW + Duration::from_secs(366 * 24 * 3_600),
            Timestamp::from_micros(i64::MAX),
        ] {
            let mut observer = LeaseObserver::new(DURATION);
            assert!(!observer.has_expired(&lease(until), NOW), "{until}");
            tokio::time::advance(DURATION - Duration::from_millis(1)).await;
            assert!(!observer.has_expired(&lease(until), NOW), "{until}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(observer.has_expired(&lease(until), NOW), "{until}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lease_of_another_holder_starts_its_own_duration() {
        let mut observer = LeaseObserver::new(DURATION);
        assert!(!observer.has_expired(&lease(NOW), NOW));
        tokio::time::advance(DURATION).await;
        let next = RefreshLease::new("a third", NOW);
        assert!(!observer.has_expired(&next, NOW));
        tokio::time::advance(DURATION).await;
        assert!(observer.has_expired(&next, NOW));
    }

    #[tokio::test]
    async fn lease_expires_immediately_when_it_ended_before_clock_skew() {
        let until = NOW - MAX_CLOCK_SKEW - Duration::from_micros(1);
        assert!(LeaseObserver::new(DURATION).has_expired(&lease(until), NOW));
    }

    #[tokio::test(start_paused = true)]
    async fn own_lease_leaves_no_time_after_five_seconds_on_either_clock() {
        let own = OwnLease::start(NOW);
        assert!(own.leaves_time(NOW + Duration::from_secs(4)));
        // The machine was suspended.
        assert!(!own.leaves_time(NOW + Duration::from_secs(5)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!own.leaves_time(NOW));
    }
}
