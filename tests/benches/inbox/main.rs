//! How fast the inbox takes events in and works them off, beside bare inserts in the same run.
//!
//! `cargo bench -p oh-tests --bench inbox -- [--store sqlite|postgres] [--events 10000]`
//!
//! PostgreSQL is the one of `DATABASE_URL`, or a private cluster with the machine's binaries. Both
//! databases run at full durability: every commit is flushed before it is answered.
//!
//! - *bare*: 64 tasks insert the event's row, each in a separate commit, over 64 connections
//!   (one for SQLite, which has one writer at a time), into a table without further indexes.
//! - *bare, shared*: the same rows, with waiting inserts in one commit, as in the inbox.
//! - *accepted*: 64 tasks hand signed webhooks to the route: verification, event, ledger and
//!   tokens, each answered after its commit.
//! - *sealed*: the same while the ledger is sealed each second, sixty times as often as usual; the
//!   median of five runs, each beside one without. And how long sealing all those lines at once
//!   takes, as a share of the time they took to come in.
//! - *latency*: over real sockets, from the request to its answer.
//! - *worker*: events a second through one worker process and through two, with a handler that
//!   does nothing; and the memory of one while 100,000 events wait.

mod accepting;
mod bare;
mod place;
mod working;

use std::time::Duration;

use clap::{Parser, ValueEnum};
use oh_core::Timestamp;
use oh_core::deauth::{DeauthEvent, Discovery, ErasureRequest, EventId, Pseudonym};
use oh_core::transport::BoxError;

use crate::place::Place;

type Result<T = ()> = std::result::Result<T, BoxError>;

const SENDERS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
}

#[derive(Debug, Parser)]
struct Arguments {
    /// Only this store.
    #[arg(long, value_enum)]
    store: Option<Store>,
    /// How many events each measurement takes.
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// How many events wait while memory is measured.
    #[arg(long, default_value_t = 100_000)]
    pending: usize,
    /// Be a worker over the store of this name, until nothing is pending.
    #[arg(long, hide = true, requires = "store")]
    worker: Option<String>,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

#[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
fn say(text: &str) {
    println!("{text}");
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
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
        return working::be_worker(store, name).await;
    }
    let stores = match arguments.store {
        Some(store) => vec![store],
        None => vec![Store::Sqlite, Store::Postgres],
    };
    for store in stores {
        let Some(place) = Place::make(store)? else {
            continue;
        };
        say(&format!("{store:?}"));
        measure(&place, &arguments).await?;
    }
    Ok(())
}

async fn measure(place: &Place, arguments: &Arguments) -> Result {
    let events = arguments.events;
    let bare = bare::each_alone(place, events).await?;
    say(&format!("  bare:          {bare:9.0} rows/s"));
    let shared = bare::shared(place, events).await?;
    say(&format!("  bare, shared:  {shared:9.0} rows/s"));
    let accepted = accepting::throughput(place, events).await?;
    say(&format!(
        "  accepted:      {accepted:9.0} webhooks/s with {SENDERS} senders, {:.0} % of bare, {:.0} % of bare, shared",
        100.0 * accepted / bare,
        100.0 * accepted / shared
    ));
    let sealing = accepting::sealing(place, events).await?;
    say(&format!(
        "  sealed:        {:9.0} webhooks/s, {:+.1} % of {:.0} unsealed; sealing the lines alone takes {:.2} % of the time",
        sealing.sealed,
        100.0 * (sealing.sealed / sealing.unsealed - 1.0),
        sealing.unsealed,
        100.0 * sealing.share
    ));
    for senders in [1, SENDERS] {
        let (median, worst) = accepting::latency(place, senders, events / 4).await?;
        say(&format!(
            "  latency:       {median:9.2?} median, {worst:.2?} at the 99th percentile, {senders} senders over sockets"
        ));
    }
    for workers in [1, 2] {
        let worked = working::throughput(place, workers, events).await?;
        say(&format!(
            "  worker:        {worked:9.0} events/s with {workers} processes"
        ));
    }
    let (idle, tenths, most) = working::memory(place, arguments.pending).await?;
    say(&format!(
        "  memory:        {idle} KiB before, {tenths:?} while {} events are worked off, {most} at most",
        arguments.pending
    ));
    Ok(())
}
