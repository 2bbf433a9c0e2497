//! The worker, which leases events from the inbox and calls the application's handler.

mod attempt;
mod failure_note;
mod tombstones;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::backoff::{self, INBOX_BACKOFF};
use super::deauthorizer::Deauthorizer;
use super::handler::DeauthHandler;
use super::heartbeat;
use super::metrics;
use super::task::{TaskHandle, catch_panic};
use crate::settings::DeletionPolicy;
use attempt::Attempts;

/// The longest lease and backoff. Must be shorter than [`MAX_WAIT`](super::MAX_WAIT).
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Settings of a [`Worker`]. Change single values with `..WorkerSettings::default()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// The number of events that are processed at once, at least 1. Default: 8.
    pub concurrency: usize,
    /// How long an event stays leased to a worker that has died, from 100 ms to 1 day. A live worker
    /// renews its leases for as long as a handler runs. Default: 60 s.
    pub lease: Duration,
    /// How often the worker polls the inbox for events that other processes have accepted and for
    /// retries, at least 10 ms. Events that this process accepts wake the worker. Default: 5 s.
    pub poll_interval: Duration,
    /// How often the handler is called before the event becomes a dead letter, at least once.
    /// Default: 36, which with the default backoff takes between one and two days.
    pub max_attempts: u32,
    /// The backoff after the first failed attempt, which doubles with each further one. Jitter
    /// extends each backoff by up to its own length. Default: 1 s.
    pub min_backoff: Duration,
    /// The longest backoff before jitter, at most 1 day. Default: 1 h.
    pub max_backoff: Duration,
    /// How long a handler may run before it is cancelled and the attempt fails. Default: unlimited,
    /// with a warning every ten minutes.
    pub handler_timeout: Option<Duration>,
    /// How long running handlers may take to finish when the worker stops. The events of the others
    /// are processed again after their leases have expired. Default: 30 s.
    pub stop_timeout: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            lease: Duration::from_secs(60),
            poll_interval: Duration::from_secs(5),
            max_attempts: 36,
            min_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(3_600),
            handler_timeout: None,
            stop_timeout: Duration::from_secs(30),
        }
    }
}

impl WorkerSettings {
    /// Moves each value into its documented range.
    fn clamped(self) -> Self {
        Self {
            concurrency: self.concurrency.max(1),
            lease: self.lease.clamp(Duration::from_millis(100), DAY),
            poll_interval: self.poll_interval.max(Duration::from_millis(10)),
            max_attempts: self.max_attempts.max(1),
            min_backoff: self.min_backoff.min(DAY),
            max_backoff: self.max_backoff.min(DAY),
            ..self
        }
    }
}

/// A worker that has not started yet.
///
/// For each event the worker first makes sure that the member's tokens are destroyed, then calls the
/// [`DeauthHandler`], and then records the result in the ledger. Failed attempts are retried with
/// backoff. An event that fails too often becomes a dead letter until an operator
/// [requeues](crate::OpenHumans::requeue_event) it.
///
/// Any number of workers, in one process or in several, share the events by lease. If a worker dies,
/// another one processes its events after the leases have expired.
///
/// [`OpenHumans::start_background`](crate::OpenHumans::start_background) runs a worker in the
/// background. In a test or a scheduled job, run one until no event is due:
///
/// ```
/// use oh_core::deauth::WorkerSettings;
/// use oh_core::{OpenHumans, Settings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
/// let openhumans = OpenHumans::builder(settings).build()?;
/// openhumans.worker(WorkerSettings::default()).run_until_idle().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "a worker does nothing until it runs"]
pub struct Worker {
    deauthorizer: Deauthorizer,
    attempts: Arc<Attempts>,
    settings: WorkerSettings,
}

impl Worker {
    pub(crate) fn new(
        deauthorizer: Deauthorizer,
        handler: Arc<dyn DeauthHandler>,
        policy: DeletionPolicy,
        settings: WorkerSettings,
    ) -> Self {
        let settings = settings.clamped();
        let attempts = Arc::new(Attempts {
            deauthorizer: deauthorizer.clone(),
            handler,
            policy,
            settings: settings.clone(),
        });
        Self {
            deauthorizer,
            attempts,
            settings,
        }
    }

    /// Processes events until none is due and none is being processed by this worker.
    ///
    /// Events that wait for a retry or are leased to another worker stay pending. While the inbox is
    /// unreachable, this waits.
    pub async fn run_until_idle(self) {
        EventLoop::new(self).run(std::future::pending(), true).await;
    }

    /// Runs the worker as a background task.
    pub(crate) fn spawn(self) -> TaskHandle {
        TaskHandle::spawn("worker", |stop| self.run_until(stop))
    }

    async fn run_until(self, stop: impl Future<Output = ()> + Send) {
        let mut side_tasks = JoinSet::new();
        side_tasks.spawn(heartbeat::run(self.deauthorizer.clone()));
        side_tasks.spawn(tombstones::run(self.deauthorizer.clone()));
        if cfg!(feature = "metrics") {
            side_tasks.spawn(update_gauges(self.deauthorizer.clone()));
        }
        EventLoop::new(self).run(stop, false).await;
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Leases events and runs an attempt for each.
struct EventLoop {
    deauthorizer: Deauthorizer,
    attempts: Arc<Attempts>,
    settings: WorkerSettings,
    running: JoinSet<()>,
    poll_due: bool,
    next_poll: Instant,
    /// Consecutive failures to poll the inbox.
    failures: u32,
}

impl EventLoop {
    fn new(worker: Worker) -> Self {
        worker.deauthorizer.mark_worker_started();
        Self {
            deauthorizer: worker.deauthorizer,
            attempts: worker.attempts,
            settings: worker.settings,
            running: JoinSet::new(),
            poll_due: true,
            next_poll: Instant::now(),
            failures: 0,
        }
    }

    async fn run(mut self, stop: impl Future<Output = ()> + Send, until_idle: bool) {
        let mut stop = std::pin::pin!(stop);
        loop {
            if self.poll_due && self.running.len() < self.settings.concurrency {
                self.poll().await;
            }
            let idle = !self.poll_due && self.running.is_empty() && self.failures == 0;
            if until_idle && idle {
                return;
            }
            // After a failure only the timer polls again, so that the backoff takes effect.
            let reachable = self.failures == 0;
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = self.running.join_next() => {
                    log_panic(ended);
                    while let Some(ended) = self.running.try_join_next() {
                        log_panic(ended);
                    }
                    // The member of that event may have another one, which had to wait.
                    self.poll_due |= reachable;
                }
                () = self.deauthorizer.wake_requested(), if reachable => self.poll_due = true,
                () = tokio::time::sleep_until(self.next_poll), if !self.poll_due => {
                    self.poll_due = true;
                }
            }
        }
        self.finish_running().await;
    }

    /// Leases as many events as may be processed in addition to the running ones.
    async fn poll(&mut self) {
        self.poll_due = false;
        let limit = self.settings.concurrency - self.running.len();
        let now = self.deauthorizer.clock().now();
        let until = now + self.settings.lease;
        let leased = catch_panic(self.deauthorizer.inbox().lease(now, until, limit)).await;
        let delay = match leased {
            Ok(leased) => {
                self.failures = 0;
                for event in leased {
                    self.running.spawn(self.attempts.clone().run(event));
                }
                self.settings.poll_interval
            }
            Err(error) => {
                self.failures += 1;
                let failures = self.failures;
                tracing::warn!(error = &*error, failures, "failed to poll the inbox");
                backoff::delay(INBOX_BACKOFF, failures)
            }
        };
        self.next_poll = Instant::now() + delay;
    }

    async fn finish_running(mut self) {
        let deadline = Instant::now() + self.settings.stop_timeout;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(deadline, self.running.join_next()).await
        {
            log_panic(ended);
        }
        if !self.running.is_empty() {
            let handlers = self.running.len();
            tracing::error!(handlers, "cancelled handlers: worker stop timed out");
        }
    }
}

/// Logs a panic of the attempt itself. Panics of handlers are failed attempts.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "worker attempt panicked");
    }
}

async fn update_gauges(deauthorizer: Deauthorizer) {
    let mut interval = tokio::time::interval(heartbeat::HEARTBEAT_INTERVAL);
    loop {
        interval.tick().await;
        if let Ok(stats) = deauthorizer.inbox().stats().await {
            metrics::update_gauges(&stats, deauthorizer.clock().now());
        }
    }
}

#[cfg(test)]
mod tests;
