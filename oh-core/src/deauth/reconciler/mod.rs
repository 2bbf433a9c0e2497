//! Finding members who left unannounced: the [`Reconciler`].
//!
//! Here is when it asks, and what it makes of an answer; a round over all members is in
//! [`Walk`].

mod inquiry;
mod round;

pub use inquiry::{Membership, MembershipStatus, ReconcileError};
pub use round::ReconcileReport;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::backoff::TROUBLE;
use super::caught::caught;
use super::deauthorizer::Deauthorizer;
use crate::transport::BoxError;
use crate::{ProjectMemberId, Timestamp};
use inquiry::Inquiry;
pub(super) use round::JOB;
use round::{Absences, Pace, Walk};

/// Between two questions that hints led to.
const HINT_PACE: Duration = Duration::from_secs(1);
/// So often a hint is tried before it is left to the rounds: about a minute and a half.
const HINT_PATIENCE: u32 = 20;

/// Asks about members not heard of for a while.
///
/// Open Humans announces a member leaving once, if at all. So each member who has not been heard
/// of for a while is asked about, with the member's own token: the one question whose answer
/// means something for one member. With a master token the project's list of members comes first,
/// and spares the questions about those who are on it. The list has no order, so a page can miss
/// someone while others come and go: absence counts only if it is seen in two whole readings, and
/// then the direct question decides. Where that cannot be decided so, because a refresh got no
/// answer and may have used the tokens up, absence in a later round does; without a list the
/// tokens are given up as [lost](super::Discovery::TokenLoss), and nobody is said to have left. Of such
/// members only the list can tell, and it is asked about them as well. A list of nobody, while
/// members are stored, counts as not read.
///
/// The record's `confirmed_at` is where the work stands, so a restart forgets nothing. One process of
/// many asks at a time; the next takes over when it dies. Besides that every process asks about
/// the members it has a hint about: those named by the legacy unsigned POST, and those with a
/// stale event.
#[derive(Clone)]
#[must_use = "a reconciler does nothing until it is started"]
pub struct Reconciler {
    inquiry: Inquiry,
    pace: Pace,
    absences: Arc<Absences>,
}

/// The note of the reconciler's lock.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    /// When the last complete pass ended.
    pub(super) finished: Timestamp,
}

impl Reconciler {
    /// One that asks `membership`, and reports to `deauthorizer`.
    pub fn new(deauthorizer: Deauthorizer, membership: Arc<dyn Membership>) -> Self {
        Self {
            inquiry: Inquiry {
                deauthorizer,
                membership,
            },
            pace: Pace {
                interval: Duration::from_secs(24 * 3_600),
                min_delay: Duration::from_millis(200),
                lock_ttl: Duration::from_secs(120),
            },
            absences: Arc::default(),
        }
    }

    /// How long a member may go unheard of before being asked about. Default 24 h.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.pace.interval = interval;
        self
    }

    /// How long to wait between two questions. Default 200 ms, so that at most five are asked a
    /// second.
    pub fn min_delay(mut self, delay: Duration) -> Self {
        self.pace.min_delay = delay;
        self
    }

    /// How long the lock stays with a process that died; one that lives renews it for as
    /// long as a round takes. Default 120 s, at least 1 s and at most a day.
    pub fn lock_ttl(mut self, ttl: Duration) -> Self {
        self.pace.lock_ttl = ttl.clamp(Duration::from_secs(1), Duration::from_secs(86_400));
        self
    }

    /// Starts it on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> ReconcilerHandle {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(self.run_until(stopped));
        ReconcilerHandle {
            stop,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// Asks in rounds, and as hints come in, until `stop` is ready. A question that is under way
    /// then is given up: it will be asked again.
    pub async fn run_until(self, stop: impl Future<Output = ()> + Send) {
        let holder = crate::random::hex();
        tokio::select! {
            () = stop => {}
            ((), ()) = async { tokio::join!(self.rounds(&holder), self.hints()) } => {}
        }
        // Nobody need wait for the end of a lock that is not used.
        let now = self.inquiry.deauthorizer.clock().now();
        if let Ok(Some(note)) = self
            .inquiry
            .deauthorizer
            .inbox()
            .acquire_lock(JOB, &holder, now, now)
            .await
        {
            let _ = self
                .inquiry
                .deauthorizer
                .inbox()
                .update_lock(JOB, &holder, now, &note)
                .await;
        }
    }

    /// One round over all members who are due, now, whoever holds the lock. For tests, and for
    /// those who have a scheduler of their own.
    ///
    /// # Errors
    ///
    /// When a store or the inbox cannot answer, or Open Humans does not for too long.
    pub async fn round(&self) -> Result<ReconcileReport, ReconcileError> {
        self.walk(None).await
    }

    async fn rounds(&self, holder: &str) {
        let rest = self.pace.rest();
        loop {
            let wait = match caught(self.round_if_due(holder)).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(error = &*error, "asking about members was given up for now");
                    rest.min(Duration::from_secs(300))
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Makes a round if it is time and no other process has the lock. Gives how long to wait until the next look.
    async fn round_if_due(&self, holder: &str) -> Result<Duration, BoxError> {
        let inbox = self.inquiry.deauthorizer.inbox();
        let now = self.inquiry.deauthorizer.clock().now();
        let Some(note) = inbox
            .acquire_lock(JOB, holder, now, now + self.pace.lock_ttl)
            .await?
        else {
            return Ok(self.pace.lock_ttl.min(self.pace.rest()));
        };
        // A note from later than now was left by a clock that was wrong, and says nothing.
        if let Ok(last) = serde_json::from_str::<Note>(&note)
            && last.finished <= now + self.pace.lock_ttl
        {
            let rested = now.since(last.finished);
            if rested < self.pace.rest() {
                let _ = inbox.update_lock(JOB, holder, now, &note).await?;
                return Ok(self.pace.rest() - rested);
            }
        }
        let round = self.walk(Some(holder)).await?;
        tracing::info!(?round, "members were asked about");
        let now = self.inquiry.deauthorizer.clock().now();
        let note = serde_json::to_string(&Note { finished: now })?;
        let _ = inbox.update_lock(JOB, holder, now, &note).await?;
        Ok(self.pace.rest())
    }

    #[tracing::instrument(name = "deauth.reconcile", skip_all)]
    async fn walk(&self, holder: Option<&str>) -> Result<ReconcileReport, ReconcileError> {
        Walk::new(&self.inquiry, self.pace, &self.absences, holder)
            .make()
            .await
    }

    async fn hints(&self) {
        // Another reconciler of this process may have it, and then goes on having it.
        let mut hints = self.inquiry.deauthorizer.hints().receiver().await;
        while let Some(member) = hints.recv().await {
            // A hint often comes because the database was down for the webhook before it. What
            // cannot be followed now can be in a while; the others have the same trouble.
            for failures in 1..=HINT_PATIENCE {
                match caught(self.ask_about(&member)).await {
                    Ok(None) => break,
                    Ok(Some(_)) => {
                        tokio::time::sleep(HINT_PACE).await;
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(error = &*error, "a hint could not be followed");
                        tokio::time::sleep(HINT_PACE + TROUBLE.wait(failures)).await;
                    }
                }
            }
        }
    }

    async fn ask_about(
        &self,
        member: &ProjectMemberId,
    ) -> Result<Option<MembershipStatus>, ReconcileError> {
        match self.inquiry.deauthorizer.token_store().load(member).await? {
            // Whose tokens may be dead by our fault cannot be asked about: see the rounds.
            Some(record) if record.is_authorized() && !record.refresh_unanswered => {
                Ok(Some(self.inquiry.about(&record).await?))
            }
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler")
            .field("interval", &self.pace.interval)
            .field("min_delay", &self.pace.min_delay)
            .finish_non_exhaustive()
    }
}

/// A reconciler at work. Dropping it ends it at once; [`stop`](Self::stop) lets it give its lock
/// to another process.
#[derive(Debug)]
#[must_use = "dropping it ends the reconciler"]
pub struct ReconcilerHandle {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl ReconcilerHandle {
    /// Ends it.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the reconciler panicked");
        }
    }
}

#[cfg(test)]
mod tests;
