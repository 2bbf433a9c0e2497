//! One attempt at one event: tokens first, then the handler, then the completion, all under a
//! lease that is prolonged while the handler runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::note;
use crate::deauth::backoff::{Backoff, TROUBLE};
use crate::deauth::deauthorizer::{Deauthorizer, Ready};
use crate::deauth::handler::{DeauthHandler, Departure};
use crate::deauth::inbox::{Completion, Lease, LeaseOutcome, LeasedEvent};
use crate::deauth::metrics;
use crate::settings::DeletionPolicy;
use crate::transport::BoxError;
use crate::{Clock, Timestamp};

/// How attempts are made: shared by all of a worker.
pub(super) struct Attempts {
    pub(super) deauthorizer: Deauthorizer,
    pub(super) handler: Arc<dyn DeauthHandler>,
    pub(super) policy: DeletionPolicy,
    pub(super) lease: Duration,
    pub(super) max_attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) handler_timeout: Option<Duration>,
}

/// After so long, and each time again, it is said that a handler is still at work.
const LONG: Duration = Duration::from_secs(600);

/// What the ledger says where data should have been deleted and nobody is there to do it.
const TOKENS_ONLY: &str = "only the tokens were destroyed: the app has no DeauthHandler";

fn task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(work.in_current_span()))
}

impl Attempts {
    /// Makes the attempt. Gives the time of the next one, if there is to be one.
    pub(super) async fn make(self: Arc<Self>, leased: LeasedEvent) -> Option<Timestamp> {
        let span = tracing::info_span!(
            "deauth.handle",
            event = %leased.event.id,
            attempt = leased.attempt,
        );
        self.attempt(leased).instrument(span).await
    }

    /// Handler and lease are tasks of their own: a handler that keeps its thread busy keeps nobody
    /// from prolonging the lease, and a lease that is lost ends the handler.
    async fn attempt(self: Arc<Self>, leased: LeasedEvent) -> Option<Timestamp> {
        let (this, lease) = (self.clone(), leased.lease.clone());
        let mut lost = task(async move { this.hold(&lease).await });
        let (this, one) = (self.clone(), leased.clone());
        let mut work = task(async move { this.work(&one).await });
        let outcome = tokio::select! {
            biased;
            outcome = &mut work => outcome,
            _ = &mut lost => {
                tracing::warn!("the lease on the event was lost: the handler was stopped");
                return None;
            }
            () = self.overtime() => {
                work.abort();
                Ok(Err("the handler took longer than it may".into()))
            }
        };
        let completion = match outcome {
            Ok(Ok(completion)) => completion,
            Ok(Err(error)) => self.failed(&leased, note::of_error(&*error, &leased.event)),
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => self.failed(&leased, note::of_panic(&*panic, &leased.event)),
                // The runtime is going down: the event comes again when its lease runs out.
                Err(_) => return None,
            },
        };
        self.settle(&leased, &completion).await;
        match completion {
            Completion::Retry { due_at, .. } => Some(due_at),
            _ => None,
        }
    }

    /// Says every ten minutes that the handler is still at it. Returns when it may go on no longer.
    async fn overtime(&self) {
        let began = Instant::now();
        let end = self.handler_timeout.map(|timeout| began + timeout);
        loop {
            let next = Instant::now() + LONG;
            tokio::time::sleep_until(end.map_or(next, |end| next.min(end))).await;
            if end.is_some_and(|end| Instant::now() >= end) {
                return;
            }
            metrics::slow();
            tracing::warn!(
                seconds = began.elapsed().as_secs(),
                "a handler has been working on one event for long"
            );
        }
    }

    async fn work(&self, leased: &LeasedEvent) -> Result<Completion, BoxError> {
        if leased.attempt > self.max_attempts {
            // Each attempt was counted before it began, and none came to an end.
            return Err("every attempt ended with its process".into());
        }
        let ready = self
            .deauthorizer
            .ready(&leased.event, leased.tokens)
            .await?;
        if ready == Ready::Stale {
            return Ok(Completion::Stale);
        }
        self.deauthorizer.release_wishes(&leased.event).await?;
        let departure = Departure::new(leased.event.clone(), leased.attempt, self.policy);
        self.handler.deauthorized(&departure).await?;
        let note = (departure.delete_data && !self.handler.erases()).then(|| TOKENS_ONLY.into());
        Ok(Completion::Done { note })
    }

    fn failed(&self, leased: &LeasedEvent, note: String) -> Completion {
        metrics::failed();
        if leased.attempt >= self.max_attempts {
            return Completion::DeadLetter { note };
        }
        let wait = self.backoff.wait(leased.attempt);
        Completion::Retry {
            due_at: self.clock().now() + wait,
            note,
        }
    }

    /// Prolongs the lease for as long as it can be. Returns once it is lost, or has run out because
    /// the inbox could not be reached.
    async fn hold(&self, lease: &Lease) {
        let mut holds_until = Instant::now() + self.lease;
        let mut beat = tokio::time::interval(self.lease / 3);
        beat.tick().await;
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = tokio::time::sleep_until(holds_until) => return,
            }
            let asked = Instant::now();
            let until = self.clock().now() + self.lease;
            match self.deauthorizer.inbox().renew(lease, until).await {
                Ok(LeaseOutcome::Applied) => holds_until = asked + self.lease,
                Ok(LeaseOutcome::Lost) => return,
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a lease could not be prolonged"
                ),
            }
        }
    }

    /// Writes the end of the attempt down. While the inbox cannot be reached it tries for as long
    /// as a lease is; after that the event comes again by itself, and the handler with it.
    async fn settle(&self, leased: &LeasedEvent, completion: &Completion) {
        let give_up = Instant::now() + self.lease;
        let mut failures = 0;
        loop {
            let now = self.clock().now();
            let result = self
                .deauthorizer
                .inbox()
                .complete(&leased.lease, completion, now)
                .await;
            match result {
                Ok(LeaseOutcome::Applied) => return self.tell(leased, completion),
                Ok(LeaseOutcome::Lost) => {
                    tracing::warn!("the lease on the event was lost before its end was kept");
                    return;
                }
                Err(error) => {
                    failures += 1;
                    let wait = TROUBLE.wait(failures);
                    if Instant::now() + wait >= give_up {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the end of an attempt could not be kept"
                        );
                        return;
                    }
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the end of an attempt could not be kept yet"
                    );
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn tell(&self, leased: &LeasedEvent, completion: &Completion) {
        match completion {
            Completion::Done { note: None } => {
                metrics::done();
                tracing::info!("the handler succeeded");
            }
            Completion::Done { note: Some(note) } => {
                metrics::done();
                tracing::warn!(%note, "an event is done");
            }
            Completion::Retry { due_at, note } => {
                tracing::warn!(%note, %due_at, "the handler failed; there will be another try");
            }
            Completion::DeadLetter { note } => {
                metrics::dead_lettered();
                tracing::error!(%note, "the handler failed too often: the event is a dead letter, someone must look");
            }
            Completion::Stale => self.deauthorizer.found_stale(&leased.event),
        }
    }

    fn clock(&self) -> &Clock {
        self.deauthorizer.clock()
    }
}

#[cfg(test)]
mod tests;
