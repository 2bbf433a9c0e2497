//! Verified events that could not be stored yet.
//!
//! Open Humans sends a webhook once. While the inbox is unreachable the route responds with 503, and the
//! event is retried in memory.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Deauthorizer;
use crate::deauth::backoff::exponential;
use crate::deauth::event::DeauthEvent;
use crate::deauth::inbox::Accepted;
use crate::deauth::metrics;
use crate::deauth::task::catch_panic;

const MAX_PENDING: usize = 1_000;
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
const BACKOFF: ExponentialBuilder =
    exponential(Duration::from_millis(200), Duration::from_secs(60));

/// Retries events in a task for each.
pub(super) struct PendingAccepts {
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    flush: CancellationToken,
}

impl PendingAccepts {
    pub(super) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_PENDING)),
            tasks: TaskTracker::new(),
            flush: CancellationToken::new(),
        }
    }

    /// Retries the event for up to [`MAX_AGE`]. The receiver returns the result once it is stored.
    /// Returns `None` if too many events are pending.
    pub(super) fn retry(
        &self,
        deauthorizer: Deauthorizer,
        event: DeauthEvent,
    ) -> Option<oneshot::Receiver<Accepted>> {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            tracing::error!(event = %event.id, "abandoned a verified event: too many are pending");
            metrics::count("openhumans_deauth_abandoned_total");
            return None;
        };
        let (sender, receiver) = oneshot::channel();
        let flush = self.flush.clone();
        self.tasks.spawn(async move {
            let _permit = permit;
            let deadline = Instant::now() + MAX_AGE;
            let mut attempts = 1_u32;
            for delay in BACKOFF.build() {
                attempts += 1;
                // A flush means one last attempt, immediately.
                let last = tokio::select! {
                    () = flush.cancelled() => true,
                    () = tokio::time::sleep(delay) => Instant::now() >= deadline,
                };
                match catch_panic(deauthorizer.accept(event.clone())).await {
                    Ok(accepted) => {
                        tracing::info!(event = %event.id, attempts, "stored a pending event");
                        metrics::count("openhumans_deauth_accepted_late_total");
                        let _ = sender.send(accepted);
                        return;
                    }
                    Err(_) if !last => {}
                    Err(error) => {
                        tracing::error!(
                            event = %event.id,
                            erasure = %event.erasure,
                            attempts,
                            error = &*error,
                            "abandoned a verified event: it could not be stored"
                        );
                        metrics::count("openhumans_deauth_abandoned_total");
                        return;
                    }
                }
            }
        });
        Some(receiver)
    }

    /// Retries all events once more, immediately, and waits for the results up to `timeout`.
    pub(super) async fn flush(&self, timeout: Duration) {
        self.flush.cancel();
        self.tasks.close();
        let finished = tokio::time::timeout(timeout, self.tasks.wait()).await;
        if finished.is_err() {
            let events = self.tasks.len();
            tracing::error!(events, "abandoned verified events: shutdown timed out");
        }
        self.tasks.reopen();
    }
}

#[cfg(test)]
mod tests;
