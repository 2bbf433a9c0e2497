//! One attempt at one event: tokens first, then the handler, then the settlement, all under a
//! lease that is prolonged while the handler runs.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::Instrument;

use super::note;
use crate::deauth::backoff::{Backoff, TROUBLE};
use crate::deauth::deauthorizer::{Deauthorizer, Ready};
use crate::deauth::handler::{DeauthHandler, Departure};
use crate::deauth::inbox::{Held, Lease, Leased, Settlement};
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
}

impl Attempts {
    /// Makes the attempt. Gives the time of the next one, if there is to be one.
    pub(super) async fn make(self: Arc<Self>, leased: Leased) -> Option<Timestamp> {
        let span = tracing::info_span!(
            "deauth.handle",
            event = %leased.event.id,
            attempt = leased.attempt,
        );
        async move {
            let outcome = tokio::select! {
                biased;
                outcome = AssertUnwindSafe(self.work(&leased)).catch_unwind() => outcome,
                () = self.hold(&leased.lease) => {
                    tracing::warn!("the claim on the event was lost: the handler was stopped");
                    return None;
                }
            };
            let settlement = match outcome {
                Ok(Ok(settlement)) => settlement,
                Ok(Err(error)) => self.failed(&leased, note::of_error(&*error, &leased.event)),
                Err(panic) => self.failed(&leased, note::of_panic(&*panic, &leased.event)),
            };
            self.settle(&leased, &settlement).await;
            match settlement {
                Settlement::Retry { due_at, .. } => Some(due_at),
                _ => None,
            }
        }
        .instrument(span)
        .await
    }

    async fn work(&self, leased: &Leased) -> Result<Settlement, BoxError> {
        if leased.attempt > self.max_attempts {
            // Each attempt was counted before it began, and none came to an end.
            return Err("every attempt ended with its process".into());
        }
        let ready = self
            .deauthorizer
            .ready(&leased.event, leased.tokens)
            .await?;
        if ready == Ready::Stale {
            return Ok(Settlement::Stale);
        }
        let departure = Departure::new(leased.event.clone(), leased.attempt, self.policy);
        self.handler.deauthorized(&departure).await?;
        Ok(Settlement::Done)
    }

    fn failed(&self, leased: &Leased, note: String) -> Settlement {
        metrics::failed();
        if leased.attempt >= self.max_attempts {
            return Settlement::DeadLetter { note };
        }
        let wait = self.backoff.wait(leased.attempt);
        Settlement::Retry {
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
            match self.deauthorizer.inbox().extend(lease, until).await {
                Ok(Held::Yes) => holds_until = asked + self.lease,
                Ok(Held::Lost) => return,
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a lease could not be prolonged"
                ),
            }
        }
    }

    /// Writes the end of the attempt down. While the inbox cannot be reached it tries for as long
    /// as a lease is; after that the event comes again by itself, and the handler with it.
    async fn settle(&self, leased: &Leased, settlement: &Settlement) {
        let give_up = Instant::now() + self.lease;
        let mut failures = 0;
        loop {
            let now = self.clock().now();
            let result = self
                .deauthorizer
                .inbox()
                .settle(&leased.lease, settlement, now)
                .await;
            match result {
                Ok(Held::Yes) => return self.tell(leased, settlement),
                Ok(Held::Lost) => {
                    tracing::warn!("the claim on the event was lost before its end was kept");
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

    fn tell(&self, leased: &Leased, settlement: &Settlement) {
        match settlement {
            Settlement::Done => {
                metrics::done();
                tracing::info!("done");
            }
            Settlement::Retry { due_at, note } => {
                tracing::warn!(%note, %due_at, "the handler failed; there will be another try");
            }
            Settlement::DeadLetter { note } => {
                metrics::dead_lettered();
                tracing::error!(%note, "the handler failed too often: the event is a dead letter, someone must look");
            }
            Settlement::Stale => self.deauthorizer.found_stale(&leased.event),
        }
    }

    fn clock(&self) -> &Clock {
        self.deauthorizer.clock()
    }
}
