//! Group commit: many callers share one transaction and one flush to disk.
//!
//! A durable commit waits for the disk. Sixty-four webhooks that commit one by one wait sixty-four
//! times. Here callers queue jobs; one thread takes all queued jobs, commits them as one transaction,
//! and replies to all callers. While it waits for the disk the next batch gathers, so the
//! batch size follows the load, and a single caller does not wait for others.
//!
//! - A reply comes after the commit.
//! - Jobs take effect in the order in which they were queued.
//! - A job that fails does not fail the other jobs of its batch: the batch is retried one job at a time.
//! - A job is done even if its caller stopped waiting.
//! - If the thread panics, the waiting callers get an error, and the next caller starts another thread.
//!
//! The thread has its own runtime, and backends use a separate connection for it. An application whose
//! handlers block their threads or hold all connections of the pool therefore does not prevent
//! webhooks from being stored.
//!
//! The thread ends when the last handle to the writer is dropped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Error as SqlError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::errors::{Failure, with_timeout};

/// The maximum number of jobs in one commit.
const MAX_BATCH: usize = 256;
/// The capacity of the queue. When it is full, callers wait.
const QUEUE_CAPACITY: usize = 4 * MAX_BATCH;

/// Executes jobs.
pub(crate) trait Backend: Send + Sync + 'static {
    type Job: Job;

    /// The name of the writer thread.
    const THREAD: &str;

    /// Executes all jobs in one transaction and commits it, or changes nothing. Sets the output of
    /// each job. May be called again with the same jobs after an error.
    fn commit(&self, jobs: &mut [Self::Job]) -> impl Future<Output = Result<(), SqlError>>;

    /// Called when the thread ends.
    fn close(&self) -> impl Future<Output = ()> {
        async {}
    }

    /// Starts the writer.
    fn start(
        self: Arc<Self>,
        queue: mpsc::Receiver<Self::Job>,
        limit: Duration,
    ) -> std::io::Result<()>
    where
        Self: Sized,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name(Self::THREAD.into())
            .spawn(move || runtime.block_on(write(self, queue, limit)))?;
        Ok(())
    }
}

/// One write of one caller.
pub(crate) trait Job: Send + 'static {
    /// Replies to the caller: with the output if the job was committed.
    fn reply(self, result: Result<(), Failure>);
}

/// The output of a job, and the caller who waits for it.
pub(crate) struct Reply<T> {
    output: Option<T>,
    caller: oneshot::Sender<Result<T, Failure>>,
}

impl<T> Reply<T> {
    pub(crate) fn set(&mut self, output: T) {
        self.output = Some(output);
    }

    pub(crate) fn send(self, result: Result<(), Failure>) {
        let output = || self.output.expect("a committed job has an output");
        // The caller may have stopped waiting.
        let _ = self.caller.send(result.map(|()| output()));
    }
}

/// The handle with which callers queue jobs.
pub(crate) struct Writer<B: Backend> {
    backend: Arc<B>,
    limit: Duration,
    // Filled by the first caller.
    queue: Mutex<Option<mpsc::Sender<B::Job>>>,
}

impl<B: Backend> Writer<B> {
    /// `limit` is the maximum duration of one commit, and of the wait for a place in the queue.
    pub(crate) fn new(backend: B, limit: Duration) -> Self {
        Self {
            backend: Arc::new(backend),
            limit,
            queue: Mutex::new(None),
        }
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn backend(&self) -> &B {
        &self.backend
    }

    /// Queues a job and waits until it is committed, for up to three times the limit. After a timeout
    /// the job may still be done.
    pub(crate) async fn run<T>(&self, job: impl FnOnce(Reply<T>) -> B::Job) -> Result<T, Failure> {
        let (caller, reply) = oneshot::channel();
        let job = job(Reply {
            output: None,
            caller,
        });
        let queue = self.queue();
        timeout(self.limit, queue.send(job))
            .await
            .map_err(|_| Failure::Timeout)?
            .map_err(|_| Failure::WriterEnded)?;
        drop(queue);
        // Several batches can be ahead in a full queue. If more than one of them takes the whole
        // limit, the database does not respond.
        match timeout(2 * self.limit, reply).await {
            Ok(reply) => reply.map_err(|_| Failure::WriterEnded)?,
            Err(_) => Err(Failure::Timeout),
        }
    }

    fn queue(&self) -> mpsc::Sender<B::Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match &*queue {
            Some(sender) if !sender.is_closed() => sender.clone(),
            _ => {
                let (sender, receiver) = mpsc::channel(QUEUE_CAPACITY);
                if let Err(error) = Arc::clone(&self.backend).start(receiver, self.limit) {
                    tracing::error!(%error, "failed to start the writer thread");
                }
                *queue = Some(sender.clone());
                sender
            }
        }
    }
}

async fn write<B: Backend>(backend: Arc<B>, mut queue: mpsc::Receiver<B::Job>, limit: Duration) {
    let mut jobs = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut jobs, MAX_BATCH).await > 0 {
        commit(&*backend, std::mem::take(&mut jobs), limit).await;
    }
    backend.close().await;
}

async fn commit<B: Backend>(backend: &B, mut jobs: Vec<B::Job>, limit: Duration) {
    let result = with_timeout(limit, backend.commit(&mut jobs)).await;
    if let Err(failure) = &result
        && jobs.len() > 1
        && !concerns_all_jobs(failure)
    {
        tracing::warn!(jobs = jobs.len(), error = %failure, "batch commit failed; retrying jobs one at a time");
        return commit_one_at_a_time(backend, jobs, limit).await;
    }
    if let Err(failure) = &result {
        tracing::warn!(jobs = jobs.len(), error = %failure, "commit failed");
    }
    for job in jobs {
        job.reply(result.clone());
    }
}

async fn commit_one_at_a_time<B: Backend>(backend: &B, jobs: Vec<B::Job>, limit: Duration) {
    let mut abort = None;
    for job in jobs {
        let mut single = [job];
        let result = match &abort {
            Some(failure) => Err(Failure::clone(failure)),
            None => with_timeout(limit, backend.commit(&mut single)).await,
        };
        if let Err(failure) = &result
            && concerns_all_jobs(failure)
        {
            // Each of the remaining jobs would wait and fail as well.
            abort = Some(failure.clone());
        }
        let [job] = single;
        job.reply(result);
    }
}

/// Whether a failure is about the database rather than about one job.
fn concerns_all_jobs(failure: &Failure) -> bool {
    match failure {
        Failure::Timeout | Failure::WriterEnded => true,
        Failure::Database(error) => match &**error {
            // SQLITE_BUSY and SQLITE_FULL; PostgreSQL's classes 53 (resources), 57P (shutdown).
            SqlError::Database(error) => error.code().is_some_and(|code| {
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
    use tokio::time::Instant;

    use super::*;
    use crate::errors::tests::database_error;

    /// Commits when a test opens the gate. Job 13 fails, job 404 finds the database unreachable, job 666
    /// panics.
    struct Gate {
        open: Semaphore,
        batches: AtomicUsize,
        done: Mutex<Vec<u32>>,
    }

    struct Number(u32, Reply<u32>);

    impl Job for Number {
        fn reply(self, result: Result<(), Failure>) {
            self.1.send(result);
        }
    }

    impl Backend for Arc<Gate> {
        type Job = Number;

        const THREAD: &str = "gate";

        /// On the runtime of the test, where the clock can be paused.
        fn start(
            self: Arc<Self>,
            queue: mpsc::Receiver<Number>,
            limit: Duration,
        ) -> std::io::Result<()> {
            tokio::spawn(write(self, queue, limit));
            Ok(())
        }

        async fn commit(&self, jobs: &mut [Number]) -> Result<(), SqlError> {
            self.open.acquire().await.unwrap().forget();
            self.batches.fetch_add(1, Ordering::SeqCst);
            let numbers: Vec<u32> = jobs.iter().map(|job| job.0).collect();
            assert!(!numbers.contains(&666), "a panic in the writer");
            if numbers.contains(&13) {
                return Err(SqlError::Encode("13 cannot be written".into()));
            }
            if numbers == [404] {
                return Err(SqlError::PoolTimedOut);
            }
            self.done.lock().unwrap().extend(&numbers);
            for job in jobs {
                job.1.set(job.0 * 2);
            }
            Ok(())
        }
    }

    fn gate(permits: usize) -> (Arc<Gate>, Arc<Writer<Arc<Gate>>>) {
        let gate = Arc::new(Gate {
            open: Semaphore::new(permits),
            batches: AtomicUsize::new(0),
            done: Mutex::new(Vec::new()),
        });
        let writer = Arc::new(Writer::new(Arc::clone(&gate), Duration::from_secs(60)));
        (gate, writer)
    }

    async fn run(writer: &Writer<Arc<Gate>>, job: u32) -> Result<u32, Failure> {
        writer.run(|reply| Number(job, reply)).await
    }

    /// Queues the jobs in this order while the gate is shut, and opens it.
    async fn run_together(
        gate: &Gate,
        writer: &Arc<Writer<Arc<Gate>>>,
        jobs: &[u32],
    ) -> Vec<Result<u32, Failure>> {
        let mut tasks = Vec::new();
        for &job in jobs {
            let writer = Arc::clone(writer);
            let task = tokio::spawn(async move { run(&writer, job).await });
            // With one thread, a yield lets the new task run until it waits for its reply.
            tokio::task::yield_now().await;
            tasks.push(task);
        }
        gate.open.add_permits(1_000);
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        results
    }

    #[tokio::test]
    async fn writer_commits_queued_jobs_together_and_in_order() {
        let (gate, writer) = gate(0);
        let jobs: Vec<u32> = (100..200).collect();
        let outputs = run_together(&gate, &writer, &jobs).await;
        let outputs: Vec<u32> = outputs.into_iter().map(Result::unwrap).collect();
        assert_eq!(outputs, jobs.iter().map(|job| job * 2).collect::<Vec<_>>());
        assert_eq!(*gate.done.lock().unwrap(), jobs);
        // The first job may be committed before the others are queued.
        assert!(gate.batches.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn writer_fails_only_the_failing_job_of_a_batch() {
        let (gate, writer) = gate(0);
        let results = run_together(&gate, &writer, &[1, 2, 13, 3]).await;
        assert!(matches!(results[2], Err(Failure::Database(_))));
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
        assert_eq!(*gate.done.lock().unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn writer_stops_retrying_when_database_is_unreachable() {
        let (gate, writer) = gate(0);
        let jobs = [1, 2, 13, 404, 5, 6, 7];
        let results = run_together(&gate, &writer, &jobs).await;
        let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, false, true, true, true, true, true]);
        assert!(matches!(&results[6], Err(Failure::Database(error))
            if matches!(**error, SqlError::PoolTimedOut)));
        assert_eq!(*gate.done.lock().unwrap(), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn writer_times_out_every_caller_when_database_hangs() {
        let (gate, writer) = gate(0);
        let begun = Instant::now();
        // Enough batches that the last caller would wait for minutes.
        let mut tasks = JoinSet::new();
        for job in (0..).take(QUEUE_CAPACITY) {
            let writer = Arc::clone(&writer);
            tasks.spawn(async move { run(&writer, job).await });
        }
        while let Some(result) = tasks.join_next().await {
            assert!(matches!(result.unwrap(), Err(Failure::Timeout)));
        }
        assert!(begun.elapsed() <= 3 * Duration::from_secs(60));
        assert!(gate.done.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn writer_finishes_job_of_caller_that_stopped_waiting() {
        let (gate, writer) = gate(0);
        let mut caller = JoinSet::new();
        let own = Arc::clone(&writer);
        caller.spawn(async move { run(&own, 7).await });
        tokio::task::yield_now().await;
        caller.shutdown().await;
        let results = run_together(&gate, &writer, &[8]).await;
        assert!(results[0].is_ok());
        assert_eq!(*gate.done.lock().unwrap(), [7, 8]);
    }

    #[tokio::test]
    async fn writer_restarts_after_panic() {
        let (_gate, writer) = gate(10);
        assert!(matches!(run(&writer, 666).await, Err(Failure::WriterEnded)));
        assert_eq!(run(&writer, 4).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn writer_tries_single_job_once() {
        let (gate, writer) = gate(10);
        assert!(matches!(run(&writer, 13).await, Err(Failure::Database(_))));
        assert_eq!(gate.batches.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn failures_concern_all_jobs_when_database_is_busy_full_or_stopping() {
        let failure = |code| Failure::from(database_error(code));
        // SQLite: busy, full. PostgreSQL: too many connections, shutdown.
        for code in ["5", "13", "53300", "57P01"] {
            assert!(concerns_all_jobs(&failure(code)), "{code}");
        }
        // SQLite: constraint, error. PostgreSQL: constraint, cancelled statement.
        for code in ["19", "1", "23505", "57014"] {
            assert!(!concerns_all_jobs(&failure(code)), "{code}");
        }
        assert!(concerns_all_jobs(&Failure::Timeout));
    }

    #[tokio::test]
    async fn writer_ends_with_its_last_handle() {
        let (gate, writer) = gate(10);
        assert_eq!(run(&writer, 1).await.unwrap(), 2);
        let backend = Arc::downgrade(&writer.backend);
        drop(writer);
        while backend.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&gate), 1);
    }
}
