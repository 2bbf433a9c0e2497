//! Group commit: many callers, one transaction, one flush.
//!
//! A durable commit waits for the disk. Sixty-four webhooks that each commit alone wait
//! sixty-four times; here they queue up, one task takes whatever is queued, commits it as one
//! transaction and answers all. While it waits for the disk the next batch gathers, so the batch
//! size follows the load, and a lone caller waits for nobody.
//!
//! What a caller can rely on:
//! - an answer comes after the commit, never before;
//! - jobs take effect in the order in which they were queued;
//! - a job that fails does not fail its neighbours: the batch is then done again one by one;
//! - a caller that goes away does not disturb anyone; what it queued is still done;
//! - if the task dies, those waiting get an error, and the next caller starts another.
//!
//! The task has a thread of its own, and the backends give it a connection of its own: an app whose
//! handlers block their threads, as one of actix-web's workers may, or hold all connections of the
//! pool, does not keep the webhook from being written down.
//!
//! The task ends when the last handle to the writer is dropped.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Error as SqlError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

/// So many jobs share a commit at most.
const BATCH: usize = 256;
/// So many jobs may wait; then callers wait for room.
const QUEUE: usize = 4 * BATCH;
/// Under a load that never pauses, tidying waits this long for a pause.
const OVERDUE: Duration = Duration::from_secs(10);

/// What does the jobs.
pub(crate) trait Backend: Send + Sync + 'static {
    /// One write.
    type Job: Send + Sync + 'static;
    /// What became of it.
    type Outcome: Send + 'static;

    /// Does all jobs in one transaction and commits it; or does none.
    fn commit(
        &self,
        jobs: &[Self::Job],
    ) -> impl Future<Output = Result<Vec<Self::Outcome>, SqlError>> + Send;

    /// What the thread is called that does the jobs.
    const THREAD: &str;

    /// Has the task run that does the jobs.
    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        on_own_thread(Self::THREAD, task)
    }

    /// When to [`tidy`](Self::tidy), if there is something to tidy.
    fn tidy_at(&self) -> Option<Instant> {
        None
    }

    /// Called when the time is due and no jobs wait, or when it is long overdue. Must move
    /// [`tidy_at`](Self::tidy_at) on.
    fn tidy(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Why a job was not done, or is not known to be done.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The queue is full and does not move, or the database does not answer.
    #[error("the database did not answer in time")]
    Slow,
    /// The writing task ended before it answered.
    #[error("the writing task ended before it answered")]
    Died,
    /// What the database said.
    #[error(transparent)]
    Database(Arc<SqlError>),
}

struct Entry<B: Backend> {
    job: B::Job,
    answer: oneshot::Sender<Result<B::Outcome, Failure>>,
}

/// Where callers hand in their jobs.
pub(crate) struct Writer<B: Backend> {
    backend: Arc<B>,
    patience: Duration,
    // Filled by the first caller, so that a store can be made outside of a runtime.
    queue: Mutex<Option<mpsc::Sender<Entry<B>>>>,
}

impl<B: Backend> Writer<B> {
    /// `patience` is how long a batch, and a place in the queue, may take.
    pub(crate) fn new(backend: B, patience: Duration) -> Self {
        Self {
            backend: Arc::new(backend),
            patience,
            queue: Mutex::new(None),
        }
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn backend(&self) -> &B {
        &self.backend
    }

    /// Hands in a job and waits until it is committed, for three times the patience at most. A job
    /// that was not answered in time may still be done.
    pub(crate) async fn run(&self, job: B::Job) -> Result<B::Outcome, Failure> {
        let (answer, answered) = oneshot::channel();
        let queue = self.queue();
        timeout(self.patience, queue.send(Entry { job, answer }))
            .await
            .map_err(|_| Failure::Slow)?
            .map_err(|_| Failure::Died)?;
        drop(queue);
        // Behind a full queue there are a few batches before ours; more than one that took all
        // its time is a database that does not answer.
        match timeout(2 * self.patience, answered).await {
            Ok(answer) => answer.map_err(|_| Failure::Died)?,
            Err(_) => Err(Failure::Slow),
        }
    }

    fn queue(&self) -> mpsc::Sender<Entry<B>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match &*queue {
            Some(sender) if !sender.is_closed() => sender.clone(),
            _ => {
                let (sender, receiver) = mpsc::channel(QUEUE);
                let task = write(Arc::clone(&self.backend), receiver, self.patience);
                if let Err(error) = B::spawn(task) {
                    tracing::error!(%error, "the writing task could not be started");
                }
                *queue = Some(sender.clone());
                sender
            }
        }
    }
}

/// Has the task run apart from the app's runtime.
fn on_own_thread(
    name: &str,
    task: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || runtime.block_on(task))?;
    Ok(())
}

async fn write<B: Backend>(
    backend: Arc<B>,
    mut queue: mpsc::Receiver<Entry<B>>,
    patience: Duration,
) {
    let mut entries = Vec::with_capacity(BATCH);
    loop {
        let tidy_at = backend.tidy_at();
        if tidy_at.is_some_and(|at| at.elapsed() > OVERDUE) {
            backend.tidy().await;
        }
        let next = queue.recv_many(&mut entries, BATCH);
        let taken = match tidy_at {
            None => next.await,
            Some(at) => match timeout_at(at, next).await {
                Ok(taken) => taken,
                Err(_) => {
                    backend.tidy().await;
                    continue;
                }
            },
        };
        if taken == 0 {
            break;
        }
        commit(&*backend, entries.drain(..), patience).await;
    }
    // The last handle is gone: leave things as they should be found.
    let give_up = Instant::now() + OVERDUE;
    while let Some(at) = backend.tidy_at().filter(|at| *at < give_up) {
        tokio::time::sleep_until(at).await;
        backend.tidy().await;
    }
}

async fn commit<B: Backend>(
    backend: &B,
    entries: impl Iterator<Item = Entry<B>>,
    patience: Duration,
) {
    let (jobs, answers): (Vec<_>, Vec<_>) = entries.map(|e| (e.job, e.answer)).unzip();
    match bounded(patience, backend.commit(&jobs)).await {
        Ok(outcomes) => {
            debug_assert_eq!(outcomes.len(), answers.len());
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // Nobody is waiting any more: done all the same.
                let _ = answer.send(Ok(outcome));
            }
        }
        Err(failure) if jobs.len() == 1 || is_everybodys(&failure) => {
            tracing::warn!(jobs = jobs.len(), error = %failure, "a commit failed");
            for answer in answers {
                let _ = answer.send(Err(failure.clone()));
            }
        }
        Err(failure) => {
            tracing::warn!(jobs = jobs.len(), error = %failure, "a commit failed; one by one now");
            let mut everybodys = None;
            for (job, answer) in jobs.chunks(1).zip(answers) {
                let done = match &everybodys {
                    Some(failure) => Err(Failure::clone(failure)),
                    None => bounded(patience, backend.commit(job))
                        .await
                        .and_then(|mut one| one.pop().ok_or(Failure::Died)),
                };
                if let Err(failure) = &done
                    && is_everybodys(failure)
                {
                    // The rest would meet it too, each after its own wait.
                    everybodys = Some(failure.clone());
                }
                let _ = answer.send(done);
            }
        }
    }
}

async fn bounded<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, SqlError>>,
) -> Result<T, Failure> {
    match timeout(patience, work).await {
        Ok(done) => done.map_err(|e| Failure::Database(Arc::new(e))),
        Err(_) => Err(Failure::Slow),
    }
}

/// Whether the failure would meet every job alike: then one by one would only take longer.
fn is_everybodys(failure: &Failure) -> bool {
    match failure {
        Failure::Slow | Failure::Died => true,
        Failure::Database(error) => match &**error {
            // SQLITE_BUSY and SQLITE_FULL; PostgreSQL's classes 53 (resources), 57 (shutdown).
            SqlError::Database(said) => said.code().is_some_and(|code| {
                code == "5" || code == "13" || code.starts_with("53") || code.starts_with("57P")
            }),
            SqlError::Encode(_) | SqlError::Decode(_) | SqlError::ColumnDecode { .. } => false,
            _ => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    use super::*;
    use crate::errors::tests::said;

    /// Commits when the gate lets it; 13 cannot be done, 404 finds the database gone, 666 kills the
    /// task.
    struct Gate {
        open: Semaphore,
        batches: AtomicUsize,
        done: Mutex<Vec<u32>>,
    }

    impl Backend for Arc<Gate> {
        type Job = u32;
        type Outcome = u32;

        const THREAD: &str = "gate";

        /// Where a test can stop the clock.
        fn spawn(task: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
            tokio::spawn(task);
            Ok(())
        }

        async fn commit(&self, jobs: &[u32]) -> Result<Vec<u32>, SqlError> {
            self.open.acquire().await.unwrap().forget();
            self.batches.fetch_add(1, Ordering::SeqCst);
            assert!(!jobs.contains(&666), "a panic in the writing task");
            if jobs.contains(&13) {
                return Err(SqlError::Encode("13 cannot be written".into()));
            }
            if jobs == [404] {
                return Err(SqlError::PoolTimedOut);
            }
            self.done.lock().unwrap().extend(jobs);
            Ok(jobs.iter().map(|job| job * 2).collect())
        }
    }

    fn gate(open: usize) -> (Arc<Gate>, Arc<Writer<Arc<Gate>>>) {
        let gate = Arc::new(Gate {
            open: Semaphore::new(open),
            batches: AtomicUsize::new(0),
            done: Mutex::new(Vec::new()),
        });
        let writer = Arc::new(Writer::new(Arc::clone(&gate), Duration::from_secs(60)));
        (gate, writer)
    }

    /// Queues the jobs in this order while the gate is shut, and opens it.
    async fn flood(
        gate: &Gate,
        writer: &Arc<Writer<Arc<Gate>>>,
        jobs: &[u32],
    ) -> Vec<Result<u32, Failure>> {
        let mut tasks = Vec::new();
        for &job in jobs {
            let writer = Arc::clone(writer);
            let task = tokio::spawn(async move { writer.run(job).await });
            // On one thread, a yield lets the new task run until it waits for its answer.
            tokio::task::yield_now().await;
            tasks.push(task);
        }
        gate.open.add_permits(1_000);
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers
    }

    #[tokio::test]
    async fn those_who_come_together_share_a_commit() {
        let (gate, writer) = gate(0);
        let jobs: Vec<u32> = (100..200).collect();
        let answers = flood(&gate, &writer, &jobs).await;
        let answers: Vec<u32> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, jobs.iter().map(|j| j * 2).collect::<Vec<_>>());
        assert_eq!(*gate.done.lock().unwrap(), jobs);
        // The first alone, perhaps, and all others with it or after it.
        assert!(gate.batches.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn one_that_fails_fails_alone() {
        let (gate, writer) = gate(0);
        let answers = flood(&gate, &writer, &[1, 2, 13, 3]).await;
        assert!(matches!(answers[2], Err(Failure::Database(_))));
        assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 3);
        assert_eq!(*gate.done.lock().unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn what_would_meet_the_rest_is_not_tried_on_each() {
        let (gate, writer) = gate(0);
        let jobs = [1, 2, 13, 404, 5, 6, 7];
        let answers = flood(&gate, &writer, &jobs).await;
        let failed = |answer: &Result<u32, Failure>| answer.is_err();
        assert_eq!(
            answers.iter().map(failed).collect::<Vec<_>>(),
            [false, false, true, true, true, true, true]
        );
        assert!(matches!(&answers[6], Err(Failure::Database(e))
            if matches!(**e, SqlError::PoolTimedOut)));
        assert_eq!(*gate.done.lock().unwrap(), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_behind_others() {
        let (gate, writer) = gate(0);
        let begun = Instant::now();
        // So many batches, each of which takes all its time, that the last would wait for long.
        let mut tasks = JoinSet::new();
        for job in (0..).take(QUEUE) {
            let writer = Arc::clone(&writer);
            tasks.spawn(async move { writer.run(job).await });
        }
        while let Some(answer) = tasks.join_next().await {
            assert!(matches!(answer.unwrap(), Err(Failure::Slow)));
        }
        assert!(begun.elapsed() <= 3 * Duration::from_secs(60));
        assert!(gate.done.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_that_goes_away_disturbs_nobody() {
        let (gate, writer) = gate(0);
        let mut gone = JoinSet::new();
        let its = Arc::clone(&writer);
        gone.spawn(async move { its.run(7).await });
        tokio::task::yield_now().await;
        gone.shutdown().await;
        let answers = flood(&gate, &writer, &[8]).await;
        assert_eq!(answers.len(), 1);
        assert!(answers[0].is_ok());
        assert_eq!(*gate.done.lock().unwrap(), [7, 8]);
    }

    #[tokio::test]
    async fn a_dead_task_is_told_and_replaced() {
        let (_gate, writer) = gate(10);
        assert!(matches!(writer.run(666).await, Err(Failure::Died)));
        assert_eq!(writer.run(4).await.unwrap(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_hangs_is_waited_for_only_so_long() {
        let (_gate, writer) = gate(0);
        assert!(matches!(writer.run(1).await, Err(Failure::Slow)));
    }

    #[tokio::test]
    async fn one_that_is_alone_is_tried_once() {
        let (gate, writer) = gate(10);
        assert!(matches!(writer.run(13).await, Err(Failure::Database(_))));
        assert_eq!(gate.batches.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn it_is_known_what_would_meet_the_rest() {
        let said = |code: &'static str| Failure::Database(Arc::new(said(code)));
        // Of SQLite: busy, full. Of PostgreSQL: too many connections, a shutdown.
        for code in ["5", "13", "53300", "57P01"] {
            assert!(is_everybodys(&said(code)), "{code}");
        }
        // Of SQLite: a constraint. Of PostgreSQL: a constraint, a statement that was cancelled.
        for code in ["19", "1", "23505", "57014"] {
            assert!(!is_everybodys(&said(code)), "{code}");
        }
        assert!(is_everybodys(&Failure::Slow));
    }

    /// Each commit takes four seconds, and there is something to tidy.
    struct Untidy {
        tidy_at: Mutex<Option<Instant>>,
        done: Mutex<Vec<&'static str>>,
    }

    impl Backend for Untidy {
        type Job = ();
        type Outcome = ();

        const THREAD: &str = "untidy";

        async fn commit(&self, jobs: &[()]) -> Result<Vec<()>, SqlError> {
            tokio::time::sleep(Duration::from_secs(4)).await;
            self.done.lock().unwrap().push("commit");
            Ok(jobs.to_vec())
        }

        fn tidy_at(&self) -> Option<Instant> {
            *self.tidy_at.lock().unwrap()
        }

        async fn tidy(&self) {
            *self.tidy_at.lock().unwrap() = None;
            self.done.lock().unwrap().push("tidy");
        }
    }

    /// What is done, in its order, with so many batches in the queue and no more to come, and
    /// something to tidy in so many seconds.
    async fn done_with(batches: usize, tidy_in: u64) -> Vec<&'static str> {
        let tidy_at = Instant::now() + Duration::from_secs(tidy_in);
        let backend = Arc::new(Untidy {
            tidy_at: Mutex::new(Some(tidy_at)),
            done: Mutex::default(),
        });
        let (sender, queue) = mpsc::channel(QUEUE);
        for _ in 0..batches * BATCH {
            let (answer, _) = oneshot::channel();
            sender.try_send(Entry { job: (), answer }).ok().unwrap();
        }
        drop(sender);
        write(Arc::clone(&backend), queue, Duration::from_secs(60)).await;
        backend.done.lock().unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn tidying_waits_for_a_pause_but_not_for_ever() {
        let done = done_with(4, 0).await;
        assert_eq!(done, ["commit", "commit", "commit", "tidy", "commit"]);
        assert_eq!(done_with(2, 0).await, ["commit", "commit", "tidy"]);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_what_is_soon_due_is_tidied() {
        assert_eq!(done_with(0, 5).await, ["tidy"]);
        assert!(done_with(0, 60).await.is_empty());
    }

    #[tokio::test]
    async fn the_task_ends_with_its_last_handle() {
        let (gate, writer) = gate(10);
        assert_eq!(writer.run(1).await.unwrap(), 2);
        let backend = Arc::downgrade(&writer.backend);
        drop(writer);
        // The task holds the last reference; it goes when the task has ended.
        while backend.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&gate), 1);
    }
}
