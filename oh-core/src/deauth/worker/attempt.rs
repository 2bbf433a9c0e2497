//! One attempt to process one event: destroy the tokens, call the handler, record the result.

use std::sync::Arc;
use std::time::Duration;

use backon::Retryable;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::{WorkerSettings, failure_note};
use crate::deauth::backoff::{self, INBOX_BACKOFF};
use crate::deauth::deauthorizer::{Deauthorizer, TokenDestruction, erasure_requests};
use crate::deauth::handler::{DeauthHandler, Departure};
use crate::deauth::inbox::{Completion, Lease, LeaseOutcome, LeasedEvent};
use crate::deauth::metrics;
use crate::settings::DeletionPolicy;
use crate::transport::BoxError;

/// The interval between two warnings about a handler that is still running.
const SLOW_HANDLER_INTERVAL: Duration = Duration::from_secs(600);

/// The ledger note where data should have been deleted.
const TOKENS_ONLY: &str = "only the tokens were destroyed: the app has no DeauthHandler";

/// Runs attempts. All attempts of a worker share it.
pub(super) struct Attempts {
    pub(super) deauthorizer: Deauthorizer,
    pub(super) handler: Arc<dyn DeauthHandler>,
    pub(super) policy: DeletionPolicy,
    pub(super) settings: WorkerSettings,
}

fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(work.in_current_span()))
}

impl Attempts {
    pub(super) async fn run(self: Arc<Self>, leased: LeasedEvent) {
        let span = tracing::info_span!(
            "deauth.handle",
            event = %leased.event.id,
            attempt = leased.attempt,
        );
        self.run_in_span(leased).instrument(span).await;
    }

    /// The handler and the renewal of the lease are separate tasks: a handler that blocks its thread
    /// does not stop the renewal, and a lost lease cancels the handler.
    async fn run_in_span(self: Arc<Self>, leased: LeasedEvent) {
        let (this, lease) = (self.clone(), leased.lease.clone());
        let mut lease_lost = spawn(async move { this.renew_until_lost(&lease).await });
        let (this, event) = (self.clone(), leased.clone());
        let mut processing = spawn(async move { this.process(&event).await });
        let result = tokio::select! {
            biased;
            result = &mut processing => result,
            _ = &mut lease_lost => {
                tracing::warn!("lost the lease; cancelled the handler");
                return;
            }
            () = self.handler_timeout() => {
                processing.abort();
                Ok(Err("the handler exceeded its timeout".into()))
            }
        };
        let completion = match result {
            Ok(Ok(completion)) => completion,
            Ok(Err(error)) => {
                self.on_failure(&leased, failure_note::of_error(&*error, &leased.event))
            }
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => {
                    self.on_failure(&leased, failure_note::of_panic(&*panic, &leased.event))
                }
                // The runtime shuts down. Another worker continues when the lease has expired.
                Err(_) => return,
            },
        };
        self.complete(&leased, &completion).await;
    }

    /// Returns when the handler has run for too long. Warns about slow handlers meanwhile.
    async fn handler_timeout(&self) {
        let started = Instant::now();
        let timeout = self.settings.handler_timeout;
        loop {
            let elapsed = started.elapsed();
            let remaining = timeout.map(|timeout| timeout.saturating_sub(elapsed));
            if remaining.is_some_and(|remaining| remaining.is_zero()) {
                return;
            }
            let wait = remaining.unwrap_or(Duration::MAX);
            tokio::time::sleep(wait.min(SLOW_HANDLER_INTERVAL)).await;
            if wait > SLOW_HANDLER_INTERVAL {
                metrics::count("openhumans_deauth_slow_total");
                let seconds = started.elapsed().as_secs();
                tracing::warn!(seconds, "handler is still running");
            }
        }
    }

    async fn process(&self, leased: &LeasedEvent) -> Result<Completion, BoxError> {
        if leased.attempt > self.settings.max_attempts {
            // Attempts are counted when they begin, and none of them reached its end.
            return Err("the process ended during every attempt".into());
        }
        let destruction = self
            .deauthorizer
            .destroy_tokens(&leased.event, leased.tokens)
            .await?;
        if destruction == TokenDestruction::Stale {
            return Ok(Completion::Stale);
        }
        erasure_requests::release_for(&self.deauthorizer, &leased.event).await?;
        let departure = Departure::new(leased.event.clone(), leased.attempt, self.policy);
        self.handler.deauthorized(&departure).await?;
        let note = (departure.delete_data && !self.handler.erases()).then(|| TOKENS_ONLY.into());
        Ok(Completion::Done { note })
    }

    fn on_failure(&self, leased: &LeasedEvent, note: String) -> Completion {
        metrics::count("openhumans_deauth_failed_total");
        if leased.attempt >= self.settings.max_attempts {
            return Completion::DeadLetter { note };
        }
        let WorkerSettings {
            min_backoff,
            max_backoff,
            ..
        } = self.settings;
        let backoff = backoff::exponential(min_backoff, max_backoff);
        let due_at = self.deauthorizer.clock().now() + backoff::delay(backoff, leased.attempt);
        Completion::Retry { due_at, note }
    }

    /// Renews the lease. Returns once it is lost, or has expired because the inbox was unreachable.
    async fn renew_until_lost(&self, lease: &Lease) {
        let ttl = self.settings.lease;
        let mut expires = Instant::now() + ttl;
        let mut interval = tokio::time::interval(ttl / 3);
        interval.tick().await;
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = tokio::time::sleep_until(expires) => return,
            }
            let renewed_at = Instant::now();
            let until = self.deauthorizer.clock().now() + ttl;
            match self.deauthorizer.inbox().renew(lease, until).await {
                Ok(LeaseOutcome::Applied) => expires = renewed_at + ttl,
                Ok(LeaseOutcome::Lost) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "failed to renew a lease");
                }
            }
        }
    }

    /// Records the result. While the inbox is unreachable it retries for the length of a lease. After
    /// that the event is processed again, which calls the handler once more.
    async fn complete(&self, leased: &LeasedEvent, completion: &Completion) {
        let inbox = self.deauthorizer.inbox();
        let record = || inbox.complete(&leased.lease, completion, self.deauthorizer.clock().now());
        let recorded = record
            .retry(INBOX_BACKOFF.with_total_delay(Some(self.settings.lease)))
            .notify(|error, _| {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "failed to record the result of an attempt; retrying");
            });
        match recorded.await {
            Ok(LeaseOutcome::Applied) => self.on_completed(leased, completion),
            Ok(LeaseOutcome::Lost) => {
                tracing::warn!("lost the lease before the result was recorded");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "failed to record the result of an attempt");
            }
        }
    }

    fn on_completed(&self, leased: &LeasedEvent, completion: &Completion) {
        match completion {
            Completion::Done { note: None } => {
                metrics::count("openhumans_deauth_done_total");
                tracing::info!("event is done");
            }
            Completion::Done { note: Some(note) } => {
                metrics::count("openhumans_deauth_done_total");
                tracing::warn!(%note, "event is done, but no data was deleted");
            }
            Completion::Retry { due_at, note } => {
                tracing::warn!(%note, %due_at, "attempt failed; will retry");
            }
            Completion::DeadLetter { note } => {
                metrics::count("openhumans_deauth_dead_letters_total");
                tracing::error!(%note, "event became a dead letter: every attempt failed");
            }
            Completion::Stale => self.deauthorizer.on_stale(&leased.event),
        }
    }
}

#[cfg(test)]
mod tests;
