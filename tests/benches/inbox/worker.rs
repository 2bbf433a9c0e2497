//! Worker processes: throughput and memory.

use std::process::Stdio;
use std::time::{Duration, Instant};

use oh_core::deauth::{EventState, WorkerSettings};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;

use crate::database::{Database, Databases, open};
use crate::{Result, SENDERS, Store, accept, event, print, rate};

/// The number of connections of a worker process. PostgreSQL allows 100 in all.
const CONNECTIONS: usize = 16;

/// Runs as a worker process: prints its memory, waits for a line on standard input, and processes events
/// until none is pending. Prints its memory repeatedly in the meantime.
pub(crate) async fn run(store: Store, name: &str) -> Result {
    let url = std::env::var("DATABASE_URL").ok();
    let database = open(store, name, url.as_deref(), CONNECTIONS).await?;
    let openhumans = accept::handle(&database)?;
    print(&memory_now()?);
    let mut line = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await?;
    let print_memory = async {
        let mut interval = tokio::time::interval(Duration::from_millis(200));
        loop {
            interval.tick().await;
            print(&memory_now()?);
        }
    };
    let process_events = async {
        // An idle worker does not wait for events that are leased to the other process.
        loop {
            let settings = WorkerSettings {
                concurrency: SENDERS,
                ..WorkerSettings::default()
            };
            openhumans.worker(settings).run_until_idle().await;
            if openhumans.inbox().stats().await?.pending == 0 {
                return Ok::<(), crate::BoxError>(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        result = process_events => result,
        result = print_memory => result,
    }
}

/// Returns the resident memory in KiB.
fn memory_now() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no VmRSS")?.to_owned())
}

async fn fill(database: &Database, count: usize) -> Result {
    let mut tasks = JoinSet::new();
    for part in 0..SENDERS {
        let inbox = database.inbox.clone();
        tasks.spawn(async move {
            for number in (part..count).step_by(SENDERS) {
                let _ = inbox.accept(&event(number)?).await?;
            }
            Ok::<(), crate::BoxError>(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

struct Worker {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    idle: u64,
}

impl Worker {
    async fn start(databases: &Databases, database: &Database) -> Result<Self> {
        let store = format!("{:?}", databases.store()).to_lowercase();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--store", &store, "--worker", &database.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(url) = databases.url() {
            command.env("DATABASE_URL", url);
        }
        let mut process = command.spawn()?;
        let output = process.stdout.take().ok_or("the output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let idle = lines.next_line().await?.ok_or("no worker")?.parse()?;
        Ok(Self {
            process,
            lines,
            idle,
        })
    }

    /// Sends the line that the process waits for.
    async fn go(&mut self) -> Result {
        let input = self.process.stdin.as_mut().ok_or("the input is piped")?;
        Ok(input.write_all(b"go\n").await?)
    }

    /// Waits for the end of the process, and returns the memory that it printed.
    async fn finish(&mut self) -> Result<Vec<u64>> {
        let mut memory = Vec::new();
        while let Some(line) = self.lines.next_line().await? {
            memory.push(line.parse()?);
        }
        let status = self.process.wait().await?;
        if status.success() {
            Ok(memory)
        } else {
            Err(format!("a worker ended with {status}").into())
        }
    }
}

/// Measures events per second with several processes.
pub(crate) async fn throughput(databases: &Databases, workers: usize, count: usize) -> Result<f64> {
    let database = databases.create().await?;
    fill(&database, count).await?;
    let mut processes = Vec::new();
    for _ in 0..workers {
        processes.push(Worker::start(databases, &database).await?);
    }
    let began = Instant::now();
    for process in &mut processes {
        process.go().await?;
    }
    for process in &mut processes {
        process.finish().await?;
    }
    let elapsed = began.elapsed();
    let done = database.inbox.stats().await?.done;
    if usize::try_from(done)? != count {
        return Err(format!("{done} of {count} events are {}", EventState::Done).into());
    }
    Ok(rate(count, elapsed))
}

/// Measures the memory of one worker process in KiB: before it processes `pending` events, after each
/// tenth of its run time, and the maximum.
pub(crate) async fn memory(databases: &Databases, pending: usize) -> Result<(u64, Vec<u64>, u64)> {
    let database = databases.create().await?;
    fill(&database, pending).await?;
    let mut worker = Worker::start(databases, &database).await?;
    worker.go().await?;
    let memory = worker.finish().await?;
    let tenths = (1..=10).filter_map(|tenth| memory.get(memory.len() * tenth / 11).copied());
    let max = memory.iter().copied().max().unwrap_or(0);
    Ok((worker.idle, tenths.collect(), max))
}
