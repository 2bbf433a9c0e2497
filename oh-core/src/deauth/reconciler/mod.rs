//! The reconciler, which finds departures without a webhook.

mod membership;
mod pass;

pub use membership::ReconcileError;
pub(crate) use membership::{Membership, MembershipStatus};
pub use pass::PassReport;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use serde::{Deserialize, Serialize};

use super::backoff;
use super::deauthorizer::Deauthorizer;
use super::job_lock::JobLock;
use super::task::{TaskHandle, catch_panic};
use crate::transport::BoxError;
use crate::{ProjectMemberId, Timestamp};
use membership::Inquirer;
use pass::{Absences, Pass};

/// The name of the reconciler's lock.
pub(super) const JOB: &str = "reconciler";

/// The pause after an inquiry that an unsigned notification or a stale event has caused.
const INQUIRY_PAUSE: Duration = Duration::from_secs(1);
/// Delays between 20 attempts at such an inquiry, which take about two minutes. After that the next
/// pass covers the member.
const INQUIRY_BACKOFF: ExponentialBuilder =
    backoff::exponential(INQUIRY_PAUSE, Duration::from_secs(5)).with_max_times(19);
/// The longest pause after a pass that failed.
const MAX_FAILURE_PAUSE: Duration = Duration::from_secs(300);

/// Settings of a [`Reconciler`]. Change single values with `..ReconcilerSettings::default()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconcilerSettings {
    /// How long after Open Humans has confirmed a member the member is due again. Passes run 24 times
    /// as often. Default: 24 h.
    pub interval: Duration,
    /// The minimum delay between two requests. Default: 200 ms.
    pub min_delay: Duration,
    /// How long the lock stays with a process that has died, from 1 s to 1 day. A live process renews
    /// the lock during a pass. Default: 120 s.
    pub lock_ttl: Duration,
}

impl Default for ReconcilerSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(24 * 3_600),
            min_delay: Duration::from_millis(200),
            lock_ttl: Duration::from_secs(120),
        }
    }
}

impl ReconcilerSettings {
    /// Whether a member is due, given the time of the last confirmation. A time far ahead comes from a
    /// wrong clock and does not count.
    fn is_due(&self, confirmed_at: Timestamp, now: Timestamp) -> bool {
        confirmed_at + self.interval <= now || confirmed_at > now + self.interval
    }

    /// The pause between two passes.
    fn pass_interval(&self) -> Duration {
        (self.interval / 24).max(Duration::from_millis(10))
    }
}

/// A reconciler that has not started yet.
///
/// Open Humans sends at most one webhook for a departure. The reconciler therefore asks about each
/// member whom Open Humans has not confirmed recently, with the member's own token. With a master
/// token it reads the project's member list first and skips the members on it. The list has no order,
/// so reading it page by page can miss a member while others join and leave. After two complete
/// readings the reconciler asks directly about members that were absent from both.
///
/// The direct question decides nothing if an unanswered refresh may have consumed the member's tokens.
/// Then absence in a later pass proves the departure. Without a list the tokens are reported as
/// [lost](super::Discovery::TokenLoss), and later passes look the member up in the list when there is
/// one. An empty list counts as unreadable while members are stored.
///
/// Progress is stored in the members' records (`confirmed_at`), so a restart loses nothing. One process
/// at a time performs passes; another takes over if it dies. Every process asks about members whom an
/// unsigned notification names and members with a stale event.
///
/// [`OpenHumans::start_background`](crate::OpenHumans::start_background) runs a reconciler in the
/// background. A scheduled job can call [`run_pass`](Self::run_pass) instead.
#[derive(Clone)]
#[must_use = "a reconciler does nothing until it runs"]
pub struct Reconciler {
    inquirer: Inquirer,
    settings: ReconcilerSettings,
    absences: Arc<Absences>,
}

/// The note of the reconciler's lock.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    /// When the last complete pass ended.
    pub(super) finished: Timestamp,
}

impl Reconciler {
    pub(crate) fn new(
        deauthorizer: Deauthorizer,
        membership: Arc<dyn Membership>,
        mut settings: ReconcilerSettings,
    ) -> Self {
        let day = Duration::from_secs(24 * 3_600);
        settings.lock_ttl = settings.lock_ttl.clamp(Duration::from_secs(1), day);
        Self {
            inquirer: Inquirer {
                deauthorizer,
                membership,
            },
            settings,
            absences: Arc::default(),
        }
    }

    /// Performs one pass over all due members, without the lock that background passes hold.
    ///
    /// # Errors
    ///
    /// When the token store or the inbox fails, or ten requests to Open Humans fail in a row.
    pub async fn run_pass(&self) -> Result<PassReport, ReconcileError> {
        self.pass(None).await
    }

    /// Runs the reconciler as a background task.
    pub(crate) fn spawn(self) -> TaskHandle {
        TaskHandle::spawn("reconciler", |stop| self.run_until(stop))
    }

    /// Cancels the request that is in flight when `stop` completes. It will be repeated.
    async fn run_until(self, stop: impl Future<Output = ()> + Send) {
        let lock = self.lock();
        tokio::select! {
            () = stop => {}
            ((), ()) = async { tokio::join!(self.run_passes(&lock), self.run_inquiries()) } => {}
        }
        // Other processes need not wait until the lock expires.
        if let Ok(Some(note)) = lock.acquire().await {
            let _ = lock.release(&note).await;
        }
    }

    fn lock(&self) -> JobLock {
        JobLock::new(&self.inquirer.deauthorizer, JOB, self.settings.lock_ttl)
    }

    async fn run_passes(&self, lock: &JobLock) {
        loop {
            let pause = match catch_panic(self.run_pass_if_due(lock)).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(error = &*error, "reconciliation pass failed");
                    self.settings.pass_interval().min(MAX_FAILURE_PAUSE)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Performs a pass if one is due and no other process holds the lock. Returns the pause until the
    /// next call.
    async fn run_pass_if_due(&self, lock: &JobLock) -> Result<Duration, BoxError> {
        let pass_interval = self.settings.pass_interval();
        let Some(note) = lock.acquire().await? else {
            return Ok(self.settings.lock_ttl.min(pass_interval));
        };
        let now = self.inquirer.deauthorizer.clock().now();
        // A time in the future comes from a wrong clock and does not count.
        if let Ok(last) = serde_json::from_str::<Note>(&note)
            && last.finished <= now + self.settings.lock_ttl
        {
            let elapsed = now.since(last.finished);
            if elapsed < pass_interval {
                lock.release(&note).await?;
                return Ok(pass_interval - elapsed);
            }
        }
        let report = self.pass(Some(lock)).await?;
        tracing::info!(?report, "finished reconciliation pass");
        let finished = self.inquirer.deauthorizer.clock().now();
        lock.release(&serde_json::to_string(&Note { finished })?)
            .await?;
        Ok(pass_interval)
    }

    #[tracing::instrument(name = "deauth.reconcile", skip_all)]
    async fn pass(&self, lock: Option<&JobLock>) -> Result<PassReport, ReconcileError> {
        Pass::new(&self.inquirer, self.settings, &self.absences, lock)
            .run()
            .await
    }

    async fn run_inquiries(&self) {
        while let Some(member) = self.inquirer.deauthorizer.inquiries().pop().await {
            // A failure does not concern this member alone, so the others wait.
            let inquired = (|| catch_panic(self.inquire(&member)))
                .retry(INQUIRY_BACKOFF)
                .notify(|error, _| {
                    tracing::warn!(error = &**error, "failed to ask about a member")
                });
            if let Ok(Some(_)) = inquired.await {
                tokio::time::sleep(INQUIRY_PAUSE).await;
            }
        }
    }

    /// Asks about one member, unless the answer would mean nothing.
    async fn inquire(
        &self,
        member: &ProjectMemberId,
    ) -> Result<Option<MembershipStatus>, ReconcileError> {
        let store = self.inquirer.deauthorizer.token_store();
        match store.load(member).await? {
            // An unanswered refresh may have consumed the tokens: passes handle such members.
            Some(record) if record.is_authorized() && !record.refresh_unanswered => {
                Ok(Some(self.inquirer.ask(&record).await?))
            }
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
