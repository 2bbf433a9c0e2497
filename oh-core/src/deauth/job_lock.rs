//! Named locks in the inbox, for jobs that one process performs at a time.

use std::time::Duration;

use super::deauthorizer::Deauthorizer;
use super::inbox::{InboxError, LeaseOutcome};

/// The lock of one job, for one holder.
pub(super) struct JobLock {
    deauthorizer: Deauthorizer,
    job: &'static str,
    holder: String,
    ttl: Duration,
}

impl JobLock {
    /// Creates a lock that nobody holds yet. It expires `ttl` after it was acquired or renewed.
    pub(super) fn new(deauthorizer: &Deauthorizer, job: &'static str, ttl: Duration) -> Self {
        Self {
            deauthorizer: deauthorizer.clone(),
            job,
            holder: crate::random::hex(),
            ttl,
        }
    }

    /// Acquires or renews the lock and returns the note of the last holder, or `None` while another
    /// process holds the lock.
    pub(super) async fn acquire(&self) -> Result<Option<String>, InboxError> {
        let now = self.deauthorizer.clock().now();
        let inbox = self.deauthorizer.inbox();
        inbox
            .acquire_lock(self.job, &self.holder, now, now + self.ttl)
            .await
    }

    /// Releases the lock and leaves `note` for the next holder.
    pub(super) async fn release(&self, note: &str) -> Result<(), InboxError> {
        let now = self.deauthorizer.clock().now();
        let inbox = self.deauthorizer.inbox();
        // A lock that was lost meanwhile needs no release.
        let (LeaseOutcome::Applied | LeaseOutcome::Lost) =
            inbox.update_lock(self.job, &self.holder, now, note).await?;
        Ok(())
    }
}
