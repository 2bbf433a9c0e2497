//! Events out: worker processes, how fast they are and how much memory they take.

use std::process::Stdio;
use std::time::{Duration, Instant};

use oh_core::deauth::{EventState, WorkerSettings};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;

use crate::place::{Database, Place, open};
use crate::{Result, SENDERS, Store, accepting, event, rate, say};

/// Of a worker process: PostgreSQL allows a hundred in all.
const CONNECTIONS: usize = 16;

/// A worker process: says its memory, waits for a line, works until nothing is pending, saying its
/// memory as it goes, and ends.
pub(crate) async fn be_worker(store: Store, name: &str) -> Result {
    let url = std::env::var("DATABASE_URL").ok();
    let database = open(store, name, url.as_deref(), CONNECTIONS).await?;
    let openhumans = accepting::handle(&database)?;
    say(&memory_now()?);
    let mut line = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await?;
    let saying = async {
        let mut every = tokio::time::interval(Duration::from_millis(200));
        loop {
            every.tick().await;
            say(&memory_now()?);
        }
    };
    let working = async {
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
        done = working => done,
        failed = saying => failed,
    }
}

/// Resident memory, in KiB.
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
    async fn start(place: &Place, database: &Database) -> Result<Self> {
        let store = format!("{:?}", place.store()).to_lowercase();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--store", &store, "--worker", &database.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(url) = place.url() {
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

    async fn go(&mut self) -> Result {
        let input = self.process.stdin.as_mut().ok_or("the input is piped")?;
        Ok(input.write_all(b"go\n").await?)
    }

    /// Until it ends: the memory it said it takes, time after time.
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
pub(crate) async fn throughput(place: &Place, workers: usize, count: usize) -> Result<f64> {
    let database = place.fresh().await?;
    fill(&database, count).await?;
    let mut processes = Vec::new();
    for _ in 0..workers {
        processes.push(Worker::start(place, &database).await?);
    }
    let began = Instant::now();
    for process in &mut processes {
        process.go().await?;
    }
    for process in &mut processes {
        process.finish().await?;
    }
    let took = began.elapsed();
    let done = database.inbox.stats().await?.done;
    if usize::try_from(done)? != count {
        return Err(format!("{done} of {count} events are {}", EventState::Done).into());
    }
    Ok(rate(count, took))
}

/// The memory of one worker process in KiB with pending events: before it starts, after each tenth of its
/// run time, and the maximum.
pub(crate) async fn memory(place: &Place, pending: usize) -> Result<(u64, Vec<u64>, u64)> {
    let database = place.fresh().await?;
    fill(&database, pending).await?;
    let mut worker = Worker::start(place, &database).await?;
    worker.go().await?;
    let memory = worker.finish().await?;
    let tenths = (1..=10).filter_map(|tenth| memory.get(memory.len() * tenth / 11).copied());
    let most = memory.iter().copied().max().unwrap_or(0);
    Ok((worker.idle, tenths.collect(), most))
}
