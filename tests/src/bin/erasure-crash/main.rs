//! Kills an application repeatedly while members leave, and checks every member afterwards.
//!
//! `cargo run --release -p oh-tests --bin erasure-crash -- --store sqlite --kills 100`
//!
//! Two processes of an application share a database. Each one runs routes, worker and reconciler, and a
//! handler that deletes the member's rows in the same database and fails in one of five calls. The main
//! process runs the sandbox, makes members leave, sends webhooks, and kills the processes with SIGKILL
//! at random times. At the end it checks every member and the ledger. The last line is JSON; the exit code
//! is 0 if all results are correct.
//!
//! With `--faults` the database also crashes, the disk fills and the machine's clock is stepped.
//!
//! For PostgreSQL it creates a schema in the database `DATABASE_URL`, and drops it.

mod audit;
mod child;
mod drive;
mod faults;
mod participants;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use oh_core::transport::{BoxError, HttpClient};
use oh_core::{DeletionPolicy, OpenHumans, Settings};
use oh_sandbox::Sandbox;
use oh_tests::cluster::Cluster;
use oh_tests::place::{Place, Store};
use serde_json::json;

use crate::audit::Audit;
use crate::child::Pair;
use crate::drive::Driver;
use crate::faults::{Fragile, MachineClock, SmallDisk};
use crate::participants::Participants;
use crate::rows::Rows;

type Result<T = ()> = std::result::Result<T, BoxError>;

/// The application's base URL. Its processes listen on other ports.
const APP: &str = "http://localhost:8000";

/// How long work may make no progress after the last kill.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills an application repeatedly while members leave, and checks every member afterwards.
#[derive(Debug, Parser)]
struct Arguments {
    /// The application's database.
    #[arg(long, value_enum)]
    store: Store,
    /// The number of kills.
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// Also inject faults: crashes of PostgreSQL, in a cluster of this program; or full disks and clock
    /// steps for SQLite, on a tmpfs, which requires root.
    #[arg(long)]
    faults: bool,
    /// The file with the offset of the machine's clock.
    #[arg(long, hide = true)]
    clock: Option<PathBuf>,
    /// The URL of the PostgreSQL database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Run as one of the two processes, on this SQLite file or PostgreSQL schema.
    #[arg(long, hide = true, requires = "open_humans")]
    child: Option<String>,
    /// The URL of the sandbox, for such a process.
    #[arg(long, hide = true)]
    open_humans: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = Arguments::parse();
    let done = match (&arguments.child, &arguments.open_humans) {
        (Some(name), Some(open_humans)) => run_child(&arguments, name, open_humans).await,
        _ => run(&mut arguments).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program that says what it found")]
fn say(text: &str) {
    println!("{text}");
}

async fn run_child(arguments: &Arguments, name: &str, open_humans: &str) -> Result<bool> {
    let place = Place::named(arguments.store, name, arguments.database_url.as_deref())?;
    child::serve(
        &place,
        open_humans,
        faults::clock(arguments.clock.as_deref())?,
    )
    .await?;
    Ok(true)
}

/// The settings of all processes. Unannounced departures delete data, because all of them have an erasure
/// request in this program.
fn settings(open_humans: &str) -> Result<Settings> {
    Ok(Settings::builder(
        oh_sandbox::defaults::CLIENT_ID,
        oh_sandbox::defaults::CLIENT_SECRET,
        APP,
    )
    .oh_base_url(open_humans)
    .webhook_secret(oh_sandbox::defaults::WEBHOOK_SECRET)
    .master_token(oh_sandbox::defaults::MASTER_TOKEN)
    .deletion(DeletionPolicy {
        on_unknown: true,
        ..DeletionPolicy::default()
    })
    .build()?)
}

/// Creates the faulty environment, if any, and the database in it.
fn fragile(arguments: &mut Arguments) -> Result<Option<(Fragile, Option<Place>)>> {
    if !arguments.faults {
        return Ok(None);
    }
    Ok(Some(match arguments.store {
        Store::Sqlite => {
            let disk = SmallDisk::mount(arguments.kills.into())?;
            let file = disk.path().join("app.sqlite").display().to_string();
            let place = Place::named(Store::Sqlite, &file, None)?;
            (Fragile::Disk(disk), Some(place))
        }
        Store::Postgres => {
            let cluster = Cluster::start()?.ok_or("there is no PostgreSQL to break")?;
            arguments.database_url = Some(cluster.url());
            (Fragile::Server(cluster), None)
        }
    }))
}

async fn run(arguments: &mut Arguments) -> Result<bool> {
    let began = Instant::now();
    let (fragile, place) = fragile(arguments)?.unzip();
    let arguments = &*arguments;
    let place = match place.flatten() {
        Some(place) => place,
        None => {
            let url = arguments.database_url.as_deref();
            Place::fresh(arguments.store, "erasure_crash", url).await?
        }
    };
    let sandbox = Sandbox::builder()
        .redirect_uri(format!("{APP}/openhumans/complete"))
        .start()
        .await?;
    let opened = place.open().await?;
    let rows = Rows::from(opened.pool.clone());
    rows.create().await?;
    let openhumans = OpenHumans::builder(settings(sandbox.url().as_str())?)
        .token_store(opened.store.clone())
        .deauth_inbox(opened.inbox.clone())
        .build()?;

    // On PostgreSQL leases use the clock of the server, which cannot be stepped here.
    let folder = tempfile::tempdir()?;
    let machine = match arguments.faults && arguments.store == Store::Sqlite {
        true => Some(MachineClock::in_folder(folder.path())?),
        false => None,
    };
    let mut pair = Pair::start(arguments, &place, sandbox.url().as_str(), machine.as_ref())?;
    let participants = Participants::default();
    let driver = Driver {
        sandbox: &sandbox,
        openhumans: &openhumans,
        rows: &rows,
        ports: pair.ports(),
        participants: &participants,
        client: HttpClient::new()?,
        faults: arguments.faults,
    };
    let mut faults = 0;
    let killing = async {
        for kill in 1..=arguments.kills {
            tokio::time::sleep(Duration::from_millis(50 + participants::random(300))).await;
            if let Some(fragile) = &fragile
                && participants::random(10) == 0
            {
                fragile.break_for_a_while().await?;
                faults += 1;
            }
            if let Some(machine) = &machine {
                machine.lie_at_random()?;
            }
            pair.replace_one().await?;
            if kill % 20 == 0 {
                say(&format!(
                    "{kill} kills, {} members so far",
                    participants.len()
                ));
            }
        }
        // The scenarios that began are completed. Then the clock moves by two hours, so that retries that a
        // fast clock postponed are due.
        participants.close();
        if let Some(machine) = &machine {
            machine.step(Duration::from_secs(7_200), 1)?;
        }
        pair.replace_both().await?;
        Ok::<(), BoxError>(())
    };
    tokio::try_join!(killing, driver.run())?;
    // An operator releases the events that a process with a wrong clock quarantined.
    let released = openhumans.release_all_events().await?;
    let settled = wait_until_done(&openhumans, &participants).await?;
    drop(pair);

    let audit = Audit::of(&openhumans, &rows, &participants).await?;
    place.remove().await?;
    let report = json!({
        "store": format!("{:?}", arguments.store).to_lowercase(),
        "accepted": audit.accepted,
        "erased": audit.erased,
        "missing": audit.missing,
        "wrongly_erased": audit.wrongly_erased,
        "handled_after_done": audit.handled_after_done,
        "incomplete_ledgers": audit.incomplete_ledgers,
        "kills": arguments.kills,
        "faults": faults,
        "released": released,
        "members": participants.len(),
        "found": audit.found,
        "stale": audit.stale,
        "handler_calls": audit.handler_calls,
        "ids_left": audit.ids_left,
        "settled": settled,
        "seconds": began.elapsed().as_secs_f64(),
    });
    say(&report.to_string());
    Ok(settled && audit.is_clean())
}

/// Waits until no event is pending and all departures are discovered. Returns false without progress.
async fn wait_until_done(openhumans: &OpenHumans, participants: &Participants) -> Result<bool> {
    let mut least = usize::MAX;
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        // In this order: every discovered departure has an event, so no more events appear after all
        // departures are discovered.
        let before = openhumans.inbox().stats().await?.pending;
        let unnoticed = participants.count_unnoticed(openhumans).await?;
        let stats = openhumans.inbox().stats().await?;
        let (pending, dead_letters) = (before.max(stats.pending), stats.dead_letters);
        if pending == 0 && unnoticed == 0 {
            return Ok(dead_letters == 0);
        }
        let left = usize::try_from(pending)? + unnoticed;
        if left < least {
            least = left;
            deadline = Instant::now() + PATIENCE;
        }
        if Instant::now() > deadline {
            say(&format!(
                "{pending} pending, {unnoticed} unnoticed, {dead_letters} dead letters"
            ));
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
