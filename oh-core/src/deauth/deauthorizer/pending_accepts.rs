//! Events that are verified and could not be kept yet.
//!
//! Open Humans tells of a wish once. While the inbox is away the webhook is answered with 503, and
//! the event stays here, in memory, and is tried again: for a day, and no more than a thousand.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Deauthorizer;
use crate::deauth::backoff::Backoff;
use crate::deauth::caught::caught;
use crate::deauth::event::DeauthEvent;
use crate::deauth::inbox::Accepted;
use crate::deauth::metrics;

const MOST: usize = 1_000;
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
const WAITS: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(60),
};

/// What is to be kept, each in a task of its own.
pub(super) struct PendingAccepts {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    hurry: CancellationToken,
}

impl Default for PendingAccepts {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            tasks: TaskTracker::new(),
            hurry: CancellationToken::new(),
        }
    }
}

impl PendingAccepts {
    /// Goes on trying to keep the event, and tells when it is. `None` if there is no room.
    pub(super) fn keep_trying(
        &self,
        deauthorizer: Deauthorizer,
        event: DeauthEvent,
    ) -> Option<oneshot::Receiver<Accepted>> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::error!(event = %event.id, "a verified event was not kept: too many wait already");
            metrics::abandoned();
            return None;
        };
        let (tell, told) = oneshot::channel();
        let hurry = self.hurry.clone();
        self.tasks.spawn(async move {
            let _place = place;
            let give_up = Instant::now() + LONGEST;
            for failures in 1.. {
                // At the end of the process there is one more try, at once.
                let last = tokio::select! {
                    () = hurry.cancelled() => true,
                    () = tokio::time::sleep(WAITS.wait(failures)) => false,
                };
                match caught(deauthorizer.accept(event.clone())).await {
                    Ok(accepted) => {
                        tracing::info!(event = %event.id, failures, "a verified event was kept late");
                        metrics::accepted_late();
                        let _ = tell.send(accepted);
                        return;
                    }
                    Err(_) if !last && Instant::now() < give_up => {}
                    Err(error) => {
                        tracing::error!(
                            event = %event.id,
                            erasure = %event.erasure,
                            error = &*error,
                            "a verified event could not be kept and is lost"
                        );
                        metrics::abandoned();
                        return;
                    }
                }
            }
        });
        Some(told)
    }

    pub(super) async fn finish(&self, deadline: Duration) {
        self.hurry.cancel();
        self.tasks.close();
        if tokio::time::timeout(deadline, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::error!(
                events = self.tasks.len(),
                "verified events could not be kept and are lost"
            );
        }
        self.tasks.reopen();
    }
}
