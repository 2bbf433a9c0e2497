//! The worker: takes events from the inbox and has the app's handler act on them.
//!
//! [`Shift`] is the loop: it takes leases as places get free, and nothing that goes wrong with the
//! database or a handler ends it. What happens to one event is in [`Attempts`].

mod attempt;
mod housekeeping;
mod note;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::backoff::{Backoff, TROUBLE};
use super::caught::caught;
use super::deauthorizer::Deauthorizer;
use super::handler::DeauthHandler;
use super::heartbeat;
use super::metrics;
use crate::Timestamp;
use crate::settings::DeletionPolicy;
use attempt::Attempts;

/// No lease and no pause is longer: see [`MAX_WAIT`](super::MAX_WAIT).
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A worker that is yet to be started.
///
/// Several workers, in one process or in many, share the work by lease; one that dies loses
/// nothing. Each event gets its tokens destroyed first if that is still to do, then the handler,
/// then a line in the ledger. What fails is tried again after a while, and becomes a dead letter in the end,
/// where [`Ledger::events`](super::Ledger::events) shows it and
/// [`Deauthorizer::requeue`] brings it back.
///
/// ```
/// use std::sync::Arc;
/// use oh_core::{Clock, DeletionPolicy, KeyMaterial};
/// use oh_core::deauth::{
///     Deauthorizer, Departure, ErasureRequest, MemoryInbox, Pseudonymizer, Worker,
/// };
/// use oh_core::store::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let names = Pseudonymizer::new(&KeyMaterial::new("0123456789abcdef0123456789abcdef"));
/// let inbox = Arc::new(MemoryInbox::new());
/// let deauthorizer = Deauthorizer::new(Arc::new(MemoryStore::new()), inbox, names, Clock::system());
///
/// let handler = |departure: Departure| async move {
///     println!("delete: {}", departure.delete_data);
///     Ok(())
/// };
/// let worker = Worker::new(deauthorizer.clone(), Arc::new(handler), DeletionPolicy::default()).spawn();
///
/// let left_at = oh_core::Timestamp::now();
/// let _ = deauthorizer.report_webhook(&"01026778".parse()?, ErasureRequest::Requested, left_at).await?;
/// worker.drain().await;
/// assert_eq!(deauthorizer.inbox().stats().await?.done, 1);
/// worker.stop().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "a worker does nothing until it is started"]
pub struct Worker {
    deauthorizer: Deauthorizer,
    handler: Arc<dyn DeauthHandler>,
    policy: DeletionPolicy,
    concurrency: usize,
    lease: Duration,
    poll_interval: Duration,
    max_attempts: u32,
    backoff: Backoff,
    handler_timeout: Option<Duration>,
    stop_timeout: Duration,
}

impl Worker {
    /// One that has `handler` act on what `deauthorizer` took note of.
    pub fn new(
        deauthorizer: Deauthorizer,
        handler: Arc<dyn DeauthHandler>,
        policy: DeletionPolicy,
    ) -> Self {
        Self {
            deauthorizer,
            handler,
            policy,
            concurrency: 8,
            lease: Duration::from_secs(60),
            poll_interval: Duration::from_secs(5),
            max_attempts: 36,
            backoff: Backoff {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(3_600),
            },
            handler_timeout: None,
            stop_timeout: Duration::from_secs(30),
        }
    }

    /// How many events to work on at once, at least one. Default 8.
    pub fn concurrency(mut self, events: usize) -> Self {
        self.concurrency = events.max(1);
        self
    }

    /// How long an event stays with a worker that died. A worker that lives prolongs its leases,
    /// however long a handler takes. Default 60 s, at least 100 ms and at most a day.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(Duration::from_millis(100), DAY);
        self
    }

    /// How often to look for events that other processes accepted or left behind; those of this
    /// process are seen at once. Default 5 s, at least 10 ms.
    pub fn poll_interval(mut self, every: Duration) -> Self {
        self.poll_interval = every.max(Duration::from_millis(10));
        self
    }

    /// How often the handler is called before an event is a dead letter, at least once. Default 36, which
    /// with the default waits is about a day.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// How long to wait after a first failure, and at most: the wait doubles with each failure, and
    /// varies by a quarter. Default 1 s and 1 h; neither is more than a day.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = Backoff {
            first: first.min(DAY),
            longest: longest.min(DAY),
        };
        self
    }

    /// How long a handler may take. What takes longer is stopped, at its next await, and counts as
    /// a failure. Default: as long as it likes, with a warning and a count in
    /// `openhumans_deauth_slow_total` every ten minutes.
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.handler_timeout = Some(timeout);
        self
    }

    /// How long [`WorkerHandle::stop`] waits for handlers that are at work. Those that are not done
    /// by then are stopped, and their events come again when the leases run out. Default 30 s.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// Starts it on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> WorkerHandle {
        let stop = CancellationToken::new();
        let (drain, drains) = mpsc::channel(16);
        let deauthorizer = self.deauthorizer.clone();
        let task = tokio::spawn(self.work(drains, stop.clone().cancelled_owned()));
        WorkerHandle {
            deauthorizer,
            stop,
            drain,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// Works until `stop` is ready, then finishes what has been begun. For a process that does
    /// nothing else.
    pub async fn run_until(self, stop: impl Future<Output = ()> + Send) {
        let (_drain, drains) = mpsc::channel(1);
        self.work(drains, stop).await;
    }

    async fn work(
        self,
        drains: mpsc::Receiver<oneshot::Sender<()>>,
        stop: impl Future<Output = ()> + Send,
    ) {
        self.deauthorizer.works();
        let attempts = Arc::new(Attempts {
            deauthorizer: self.deauthorizer.clone(),
            handler: self.handler,
            policy: self.policy,
            lease: self.lease,
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            handler_timeout: self.handler_timeout,
        });
        let shift = Shift {
            deauthorizer: self.deauthorizer,
            attempts,
            concurrency: self.concurrency,
            poll_interval: self.poll_interval,
            stop_timeout: self.stop_timeout,
            running: JoinSet::new(),
            chores: JoinSet::new(),
            due: BinaryHeap::new(),
            look: Look::Now,
            failures: 0,
            waiting: Vec::new(),
        };
        shift.work(drains, stop).await;
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("concurrency", &self.concurrency)
            .field("lease", &self.lease)
            .field("poll_interval", &self.poll_interval)
            .field("max_attempts", &self.max_attempts)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

/// A worker at work.
///
/// Dropping it aborts the worker at once: handlers end at their next await, and their events come
/// again when the leases run out. [`stop`](Self::stop) ends it gracefully.
#[derive(Debug)]
#[must_use = "dropping it aborts the worker"]
pub struct WorkerHandle {
    deauthorizer: Deauthorizer,
    stop: CancellationToken,
    drain: mpsc::Sender<oneshot::Sender<()>>,
    task: AbortOnDropHandle<()>,
}

impl WorkerHandle {
    /// Has it look for events now.
    pub fn wake(&self) {
        self.deauthorizer.wake();
    }

    /// Waits until no event that is due is left, and none is being worked on here. Events that wait
    /// for another try, or are held by other workers, are not waited for.
    pub async fn drain(&self) {
        let (done, drained) = oneshot::channel();
        if self.drain.send(done).await.is_ok() {
            // An error means that the worker has ended.
            let _ = drained.await;
        }
    }

    /// Takes no more events, finishes those begun, and ends; after
    /// [`stop_timeout`](Worker::stop_timeout) at the latest.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the worker panicked"
            );
        }
    }
}

/// Whether there may be events to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Something says so.
    Now,
    /// The last lease was full, or an event of a member made way for the next: worth a look once
    /// half of the places are free, so that a flood is taken in batches.
    Soon,
    /// Not until something happens.
    No,
}

struct Shift {
    deauthorizer: Deauthorizer,
    attempts: Arc<Attempts>,
    concurrency: usize,
    poll_interval: Duration,
    stop_timeout: Duration,
    running: JoinSet<Option<Timestamp>>,
    chores: JoinSet<()>,
    due: BinaryHeap<Reverse<Timestamp>>,
    look: Look,
    // How often in a row the inbox could not be asked.
    failures: u32,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Shift {
    async fn work(
        mut self,
        mut drains: mpsc::Receiver<oneshot::Sender<()>>,
        stop: impl Future<Output = ()> + Send,
    ) {
        let mut stop = std::pin::pin!(stop);
        let mut stopping = false;
        let mut give_up = Instant::now();
        let mut sweeps = tokio::time::interval(housekeeping::HOUR);
        self.chores
            .spawn(heartbeat::beat(self.deauthorizer.clone()));
        if cfg!(feature = "metrics") {
            self.chores.spawn(measure(self.deauthorizer.clone()));
        }
        let mut again = Instant::now();
        loop {
            if !stopping && self.wants_more() {
                self.take().await;
                again = Instant::now() + self.until_next_look();
            }
            if self.look == Look::No && self.running.is_empty() && self.failures == 0 {
                for drained in self.waiting.drain(..) {
                    let _ = drained.send(());
                }
            }
            if stopping && self.running.is_empty() {
                break;
            }
            tokio::select! {
                () = &mut stop, if !stopping => {
                    stopping = true;
                    give_up = Instant::now() + self.stop_timeout;
                }
                () = tokio::time::sleep_until(give_up), if stopping => {
                    tracing::error!(
                        handlers = self.running.len(),
                        "handlers that did not end in time were stopped"
                    );
                    break;
                }
                Some(ended) = self.running.join_next() => {
                    self.note_end(ended);
                    while let Some(ended) = self.running.try_join_next() {
                        self.note_end(ended);
                    }
                    again = again.min(Instant::now() + self.until_next_look());
                }
                // While the inbox cannot be asked only time helps.
                () = self.deauthorizer.woken(), if !stopping && self.failures == 0 => self.look = Look::Now,
                Some(drained) = drains.recv(), if !stopping => {
                    self.waiting.push(drained);
                    if self.failures == 0 {
                        self.look = Look::Now;
                    }
                }
                () = tokio::time::sleep_until(again), if !stopping => {
                    self.look = Look::Now;
                    again = Instant::now() + self.poll_interval;
                }
                _ = sweeps.tick(), if !stopping => self.sweep(),
            }
        }
        tracing::debug!("the worker has stopped");
    }

    fn wants_more(&self) -> bool {
        let free = self.concurrency - self.running.len();
        match self.look {
            Look::Now => free > 0,
            Look::Soon => free * 2 >= self.concurrency,
            Look::No => false,
        }
    }

    async fn take(&mut self) {
        let free = self.concurrency - self.running.len();
        let now = self.deauthorizer.clock().now();
        while self.due.peek().is_some_and(|Reverse(due)| *due <= now) {
            self.due.pop();
        }
        let until = now + self.attempts.lease;
        match caught(self.deauthorizer.inbox().lease(now, until, free)).await {
            Ok(leased) => {
                self.failures = 0;
                self.look = if leased.len() < free {
                    Look::No
                } else {
                    Look::Soon
                };
                for leased in leased {
                    self.running.spawn(self.attempts.clone().make(leased));
                }
            }
            Err(error) => {
                self.failures += 1;
                self.look = Look::No;
                tracing::warn!(
                    error = &*error,
                    failures = self.failures,
                    "the inbox could not be asked for events"
                );
            }
        }
    }

    fn note_end(&mut self, ended: Result<Option<Timestamp>, JoinError>) {
        match ended {
            Ok(Some(due)) => self.due.push(Reverse(due)),
            Ok(None) => {}
            // A panic of the handler is caught sooner; this one would be our own.
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the task of an attempt panicked"
                );
            }
        }
        if self.look == Look::No && self.failures == 0 {
            self.look = Look::Soon;
        }
    }

    fn until_next_look(&self) -> Duration {
        if self.failures > 0 {
            return TROUBLE.wait(self.failures);
        }
        match self.due.peek() {
            Some(Reverse(due)) => {
                let wait = due.since(self.deauthorizer.clock().now());
                // A timer may fire a little early.
                self.poll_interval.min(wait + Duration::from_millis(1))
            }
            None => self.poll_interval,
        }
    }

    /// Clears tombstones away, on the side. Cut off when the worker ends.
    fn sweep(&mut self) {
        while self.chores.try_join_next().is_some() {}
        let deauthorizer = self.deauthorizer.clone();
        self.chores.spawn(async move {
            let holder = crate::random::hex();
            match housekeeping::sweep(&deauthorizer, &holder).await {
                Ok(Some(removed)) => tracing::debug!(removed, "tombstones were cleared away"),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = &*error, "tombstones could not be cleared away");
                }
            }
        });
    }
}

/// Keeps the gauges right for as long as the worker works.
async fn measure(deauthorizer: Deauthorizer) {
    let mut every = tokio::time::interval(Duration::from_secs(15));
    loop {
        every.tick().await;
        if let Ok(stats) = deauthorizer.inbox().stats().await {
            metrics::stand(&stats, deauthorizer.clock().now());
        }
    }
}

#[cfg(test)]
mod tests;
