//! Accepts deauthorization events and destroys tokens: the [`Deauthorizer`].
//!
//! The order never changes: the event is stored in the inbox, the tokens are destroyed, the
//! application's handler is called. Once the event is stored nothing can lose it, and the handler
//! never runs while the member's tokens still work. If a process dies after the first step, the worker
//! performs the second before it calls the handler.

mod circuit_breaker;
mod detection;
pub(crate) mod erasure_requests;
mod inquiry_queue;
mod pending_accepts;
mod tokens;

pub use circuit_breaker::CircuitBreaker;
pub(super) use tokens::TokenDestruction;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::event::{DeauthEvent, Discovery, ErasureRequest, EventId};
use super::inbox::{
    Accepted, DeauthInbox, EventQuery, EventState, InboxError, TokenOutcome, TokenProgress,
};
use super::member_list::MemberList;
use super::metrics;
use super::pseudonymizer::Pseudonymizer;
use crate::store::{MemberRecord, StoreError, TokenStore};
use crate::{Clock, ProjectMemberId, Timestamp};
use detection::{Detector, Finding};
use inquiry_queue::InquiryQueue;
use pending_accepts::PendingAccepts;
use tokens::TokenDestroyer;

/// Open Humans sends webhooks immediately or not at all, so older ones are probably replays.
const MAX_WEBHOOK_AGE: Duration = Duration::from_secs(3 * 24 * 3_600);

/// By how much the clocks of Open Humans and of this process may differ. A stale event is treated as
/// possibly mistaken while the member's authorization is newer by less than this.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(3_600);

/// Called for each member whose sessions have just ended.
pub(crate) type OnDeauthorized = Box<dyn Fn(&ProjectMemberId) + Send + Sync>;

/// Accepts events from all sources. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Deauthorizer(Arc<Inner>);

struct Inner {
    context: Context,
    tokens: TokenDestroyer,
    detector: Detector,
    inquiries: InquiryQueue,
    pending_accepts: PendingAccepts,
    wake: Notify,
    worker_started: AtomicBool,
}

/// What all parts of a [`Deauthorizer`] share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) inbox: Arc<dyn DeauthInbox>,
    pub(crate) pseudonymizer: Pseudonymizer,
    pub(crate) clock: Clock,
}

/// An error while reporting a deauthorization.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Inbox(#[from] InboxError),
}

impl Deauthorizer {
    pub(crate) fn new(
        context: Context,
        circuit_breaker: CircuitBreaker,
        member_list: Arc<MemberList>,
        on_deauthorized: OnDeauthorized,
    ) -> Self {
        Self(Arc::new(Inner {
            tokens: TokenDestroyer::new(context.clone(), on_deauthorized),
            detector: Detector::new(context.clone(), circuit_breaker, member_list),
            inquiries: InquiryQueue::new(),
            pending_accepts: PendingAccepts::new(),
            wake: Notify::new(),
            worker_started: AtomicBool::new(false),
            context,
        }))
    }

    pub(crate) fn inbox(&self) -> &Arc<dyn DeauthInbox> {
        &self.0.context.inbox
    }

    pub(crate) fn token_store(&self) -> &Arc<dyn TokenStore> {
        &self.0.context.store
    }

    pub(crate) fn pseudonymizer(&self) -> &Pseudonymizer {
        &self.0.context.pseudonymizer
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.context.clock
    }

    pub(super) fn inquiries(&self) -> &InquiryQueue {
        &self.0.inquiries
    }

    /// Reports a signed webhook and returns within `timeout`. If the event could not be stored,
    /// [`PendingAccepts`] retries it in the background.
    pub(crate) async fn report_webhook(
        &self,
        timeout: Duration,
        member: &ProjectMemberId,
        erasure: ErasureRequest,
        left_at: Timestamp,
    ) -> Result<Accepted, InboxError> {
        let deadline = Instant::now() + timeout;
        let now = self.clock().now();
        let event = self
            .pseudonymizer()
            .webhook_event(member, erasure, left_at, now);
        let error = match tokio::time::timeout_at(deadline, self.accept(event.clone())).await {
            Ok(Ok(accepted)) => return Ok(accepted),
            Ok(Err(error)) => error,
            Err(_) => InboxError::new("the inbox did not respond in time"),
        };
        let Some(retried) = self.0.pending_accepts.retry(self.clone(), event) else {
            return Err(error);
        };
        match tokio::time::timeout_at(deadline, retried).await {
            Ok(Ok(accepted)) => Ok(accepted),
            _ => Err(error),
        }
    }

    /// Reports that Open Humans did not know the tokens in `observed`.
    ///
    /// Returns `None` if the stored record has changed since, so that the observation is void: the
    /// member has authorized again, the tokens were refreshed, or the member is deauthorized already.
    pub(crate) async fn report_missing(
        &self,
        observed: &MemberRecord,
    ) -> Result<Option<Accepted>, ReportError> {
        self.report_observed(observed, Discovery::Reconciliation)
            .await
    }

    /// Reports tokens that an unanswered refresh may have consumed, so that the member has not
    /// necessarily left. Returns `None` as [`report_missing`](Self::report_missing) does.
    pub(crate) async fn report_token_loss(
        &self,
        observed: &MemberRecord,
    ) -> Result<Option<Accepted>, ReportError> {
        self.report_observed(observed, Discovery::TokenLoss).await
    }

    async fn report_observed(
        &self,
        observed: &MemberRecord,
        discovery: Discovery,
    ) -> Result<Option<Accepted>, ReportError> {
        match self.0.detector.examine(observed, discovery).await? {
            Finding::Outdated => Ok(None),
            Finding::Deauthorized(event) => Ok(Some(self.accept(event).await?)),
            Finding::Suspicious(event) => {
                let note = "circuit breaker: too many members deauthorized within an hour";
                Ok(Some(self.quarantine(&event, note).await?))
            }
            Finding::NotStale(event) => {
                tracing::info!(event = %event.id, "requeued a stale event: the member has left");
                let progress = TokenProgress::Requeued(self.clock().now());
                self.try_to_destroy_tokens(&event, progress).await;
                self.wake();
                Ok(Some(Accepted::Duplicate))
            }
        }
    }

    /// Reports that the application disconnects the member of this record.
    pub(crate) async fn report_disconnected(
        &self,
        record: &MemberRecord,
        erasure: ErasureRequest,
    ) -> Result<Accepted, InboxError> {
        let now = self.clock().now();
        let event = self
            .pseudonymizer()
            .local_event(record, erasure, Discovery::Disconnected, now);
        self.accept(event).await
    }

    /// Reports an unsigned notification, which proves nothing. A reconciler then asks Open Humans about
    /// the member. Returns false if it has been asked to recently.
    pub(crate) fn report_unsigned(&self, member: &ProjectMemberId) -> bool {
        self.0.inquiries.push_unsigned(member)
    }

    /// Stores an event, destroys the member's tokens and wakes the worker.
    ///
    /// Returns success once the event is stored. If the tokens cannot be destroyed now, the worker
    /// destroys them.
    #[tracing::instrument(name = "deauth.accept", skip_all, fields(event = %event.id, discovery = %event.discovery, erasure = %event.erasure))]
    async fn accept(&self, event: DeauthEvent) -> Result<Accepted, InboxError> {
        if event.discovery == Discovery::Webhook
            && event.received_at.since(event.left_at) > MAX_WEBHOOK_AGE
        {
            let accepted = self
                .quarantine(&event, "webhook received more than 3 days late")
                .await?;
            if let Accepted::New(_) = accepted {
                tracing::error!("quarantined a webhook that is more than 3 days old");
            }
            return Ok(accepted);
        }
        let accepted = self.inbox().accept(&event).await.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "failed to store a deauthorization event");
        })?;
        let Accepted::New(outcome) = accepted else {
            metrics::count("openhumans_deauth_duplicates_total");
            tracing::info!("deauthorization event is already stored");
            return Ok(accepted);
        };
        metrics::count_by(
            "openhumans_deauth_received_total",
            "discovery",
            event.discovery.as_str(),
        );
        tracing::info!("accepted deauthorization event");
        if !self.0.worker_started.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "no worker runs in this process: call OpenHumans::start_background here or in \
                 another process"
            );
        }
        match outcome {
            TokenOutcome::Destroyed if self.0.tokens.has_live_tokens(&event).await => {
                self.try_to_destroy_tokens(&event, TokenProgress::Untouched)
                    .await;
            }
            TokenOutcome::Destroyed => self.0.tokens.end_sessions(&event.member),
            TokenOutcome::Stale => self.on_stale(&event),
            TokenOutcome::Untouched => {
                self.try_to_destroy_tokens(&event, TokenProgress::Untouched)
                    .await;
            }
        }
        self.wake();
        Ok(accepted)
    }

    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError> {
        let accepted = self.inbox().quarantine(event, note).await?;
        if let Accepted::New(_) = accepted {
            metrics::count("openhumans_deauth_quarantined_total");
        }
        Ok(accepted)
    }

    /// Destroys the member's tokens unless the event is stale.
    pub(super) async fn destroy_tokens(
        &self,
        event: &DeauthEvent,
        progress: TokenProgress,
    ) -> Result<TokenDestruction, ReportError> {
        self.0.tokens.destroy(event, progress).await
    }

    async fn try_to_destroy_tokens(&self, event: &DeauthEvent, progress: TokenProgress) {
        if let Err(error) = self.destroy_tokens(event, progress).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "failed to destroy tokens; the worker will destroy them"
            );
        }
    }

    /// Counts a stale event. If it is recent, differing clocks may be the reason, so the reconciler asks
    /// Open Humans about the member. A replayed old webhook stays stale.
    pub(super) fn on_stale(&self, event: &DeauthEvent) {
        metrics::count("openhumans_deauth_stale_total");
        tracing::warn!(event = %event.id, "event is older than the member's latest authorization");
        if self.clock().now().since(event.left_at) < CLOCK_TOLERANCE {
            self.0.inquiries.push_stale(&event.member);
        }
    }

    /// Makes a dead letter or a stale event pending again.
    pub(crate) async fn requeue(&self, event: &EventId) -> Result<bool, InboxError> {
        let requeued = self.inbox().requeue(event, self.clock().now()).await?;
        if requeued {
            tracing::info!(%event, "requeued event");
            self.wake();
        }
        Ok(requeued)
    }

    /// Makes a quarantined event pending.
    pub(crate) async fn release(&self, event: &EventId) -> Result<bool, InboxError> {
        let released = self.inbox().release(event, self.clock().now()).await?;
        if released {
            tracing::info!(%event, "released event from quarantine");
            self.wake();
        }
        Ok(released)
    }

    /// Makes all quarantined events pending, closes the circuit breaker, and returns the number of
    /// events.
    pub(crate) async fn release_all(&self) -> Result<u64, InboxError> {
        let quarantined = EventQuery::first(500).state(EventState::Quarantined);
        let mut released = 0;
        loop {
            let before = released;
            for event in self.inbox().events(&quarantined).await? {
                released += u64::from(self.release(&event.id).await?);
            }
            // The remaining events, if any, were superseded and cannot be released.
            if released == before {
                self.0.detector.close_circuit().await;
                return Ok(released);
            }
        }
    }

    /// Wakes a worker of this process.
    pub(crate) fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Waits until a worker is to wake.
    pub(super) async fn wake_requested(&self) {
        self.0.wake.notified().await;
    }

    pub(super) fn mark_worker_started(&self) {
        self.0.worker_started.store(true, Ordering::Relaxed);
    }

    /// Retries all pending accepts once more, immediately, and returns within `timeout`.
    pub(crate) async fn flush_pending_accepts(&self, timeout: Duration) {
        self.0.pending_accepts.flush(timeout).await;
    }
}

#[cfg(test)]
mod tests;
