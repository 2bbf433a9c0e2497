//! Measures how fast events are accepted and processed, against plain inserts in the same run.
//!
//! `cargo bench -p oh-tests --bench inbox -- [--store sqlite|postgres] [--events 10000]`
//!
//! PostgreSQL is the server of `DATABASE_URL`, or a private cluster with the installed binaries. Both
//! databases flush every commit before they confirm it.
//!
//! - *plain*: 64 tasks insert the event's row, each in a separate commit, over 64 connections
//!   (one for SQLite, which has one writer at a time), into a table without further indexes.
//! - *plain, shared*: the same rows, with waiting inserts in one commit, as in the inbox.
//! - *accepted*: 64 tasks send signed webhooks to the route: verification, event, ledger and
//!   tokens. Each response follows its commit.
//! - *checkpoints*: the same while a checkpoint is signed every second, 60 times as often as by
//!   default: the median of five pairs of runs, with and without. Also the time to sign all lines in
//!   one pass, as a share of the time to accept them.
//! - *latency*: the time from request to response over sockets.
//! - *worker*: events per second of one and of two worker processes with a handler that does
//!   nothing, and the memory of one process with 100,000 pending events.

mod accept;
mod database;
mod plain;
mod worker;

use std::time::Duration;

use clap::{Parser, ValueEnum};
use oh_core::Timestamp;
use oh_core::deauth::{DeauthEvent, Discovery, ErasureRequest, EventId, Pseudonym};
use oh_core::transport::BoxError;

use crate::database::Databases;

type Result<T = ()> = std::result::Result<T, BoxError>;

const SENDERS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
}

#[derive(Debug, Parser)]
struct Arguments {
    /// Measure only this database.
    #[arg(long, value_enum)]
    store: Option<Store>,
    /// The number of events of each measurement.
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// The number of pending events while memory is measured.
    #[arg(long, default_value_t = 100_000)]
    pending: usize,
    /// Run as a worker process on the database of this name until no event is pending.
    #[arg(long, hide = true, requires = "store")]
    worker: Option<String>,
    /// `cargo bench` passes this option.
    #[arg(long, hide = true)]
    bench: bool,
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its results")]
fn print(text: &str) {
    println!("{text}");
}

/// Returns the rate per second.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is rounded when it is printed"
)]
fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// An event of member number `number`, with the current time.
fn event(number: usize) -> Result<DeauthEvent> {
    let now = Timestamp::now();
    Ok(DeauthEvent {
        id: EventId::new(format!("{:016x}{number:016x}", now.as_micros())),
        member: format!("{number:08}").parse()?,
        pseudonym: Pseudonym::new(format!("{number:032x}")),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: now,
        received_at: now,
    })
}

#[tokio::main]
async fn main() -> Result {
    let arguments = Arguments::parse();
    if let (Some(name), Some(store)) = (&arguments.worker, arguments.store) {
        return worker::run(store, name).await;
    }
    let stores = match arguments.store {
        Some(store) => vec![store],
        None => vec![Store::Sqlite, Store::Postgres],
    };
    for store in stores {
        let Some(databases) = Databases::new(store)? else {
            continue;
        };
        print(&format!("{store:?}"));
        measure(&databases, &arguments).await?;
    }
    Ok(())
}

async fn measure(databases: &Databases, arguments: &Arguments) -> Result {
    let events = arguments.events;
    let plain = plain::separate_commits(databases, events).await?;
    print(&format!("  plain:         {plain:9.0} rows/s"));
    let shared = plain::shared_commits(databases, events).await?;
    print(&format!("  plain, shared: {shared:9.0} rows/s"));
    let accepted = accept::throughput(databases, events).await?;
    print(&format!(
        "  accepted:      {accepted:9.0} webhooks/s with {SENDERS} senders, {:.0} % of plain, {:.0} % of plain, shared",
        100.0 * accepted / plain,
        100.0 * accepted / shared
    ));
    let signing = accept::with_checkpoints(databases, events).await?;
    print(&format!(
        "  checkpoints:   {:9.0} webhooks/s, {:+.1} % against {:.0} without; one pass over all lines takes {:.2} % of the time",
        signing.with,
        100.0 * (signing.with / signing.without - 1.0),
        signing.without,
        100.0 * signing.share
    ));
    for senders in [1, SENDERS] {
        let (median, p99) = accept::latency(databases, senders, events / 4).await?;
        print(&format!(
            "  latency:       {median:9.2?} median, {p99:.2?} p99, {senders} senders over sockets"
        ));
    }
    for workers in [1, 2] {
        let processed = worker::throughput(databases, workers, events).await?;
        print(&format!(
            "  worker:        {processed:9.0} events/s with {workers} processes"
        ));
    }
    let (idle, samples, max) = worker::memory(databases, arguments.pending).await?;
    print(&format!(
        "  memory:        {idle} KiB before, {samples:?} while {} events are processed, {max} at most",
        arguments.pending
    ));
    Ok(())
}
