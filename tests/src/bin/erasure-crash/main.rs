//! Kills an app again and again while members leave, and counts who was forgotten.
//!
//! `cargo run --release -p oh-tests --bin erasure-crash -- --store sqlite --kills 100`
//!
//! Two processes of one app share a database: routes, worker and reconciler each, and a handler
//! that fails one time in five and erases the member's rows in the same database. This process
//! runs the sandbox, has members leave and sends webhooks of its own, and kills either process
//! with SIGKILL at random moments. In the end it looks at every member and every ledger. The last
//! line is JSON; the exit code is 0 if nobody was forgotten and nobody was wronged.
//!
//! With `--faults` the database crashes, the disk fills and the machine's clock is stepped, too.
//!
//! For PostgreSQL it makes a schema of its own in the database `DATABASE_URL` names, and drops it.

mod audit;
mod cast;
mod child;
mod drive;
mod faults;
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
use crate::cast::Cast;
use crate::child::Pair;
use crate::drive::Stage;
use crate::faults::{Fragile, MachineClock, SmallDisk};
use crate::rows::Rows;

type Result<T = ()> = std::result::Result<T, BoxError>;

/// The address the app would have; its processes listen elsewhere.
const APP: &str = "http://localhost:8000";

/// How long nothing may go on after the last kill while something is left.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills an app again and again while members leave, and counts who was forgotten.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the app keeps everything.
    #[arg(long, value_enum)]
    store: Store,
    /// How often to kill one of the two processes.
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// Have the database crash, or the disk fill and the machine's clock lie, too. PostgreSQL is then
    /// one of this program's own, and SQLite's disk a tmpfs, for which it takes root.
    #[arg(long)]
    faults: bool,
    /// Where such a process reads by how much the machine's clock is wrong.
    #[arg(long, hide = true)]
    clock: Option<PathBuf>,
    /// The PostgreSQL database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Be one of the two processes, over the SQLite file or PostgreSQL schema of this name.
    #[arg(long, hide = true, requires = "open_humans")]
    child: Option<String>,
    /// Where the sandbox is, for such a process.
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

/// The settings all processes share. Who left without our hearing of the wish is erased: in this
/// play everyone who leaves silently has asked for it.
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

/// What is to be broken, if anything is; and where the app then keeps everything.
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

    // On PostgreSQL leases are in the database's time, by what the machine's clock says beside it:
    // that clock cannot be made to lie here.
    let folder = tempfile::tempdir()?;
    let machine = match arguments.faults && arguments.store == Store::Sqlite {
        true => Some(MachineClock::in_folder(folder.path())?),
        false => None,
    };
    let mut pair = Pair::start(arguments, &place, sandbox.url().as_str(), machine.as_ref())?;
    let cast = Cast::default();
    let stage = Stage {
        sandbox: &sandbox,
        openhumans: &openhumans,
        rows: &rows,
        ports: pair.ports(),
        cast: &cast,
        client: HttpClient::new()?,
        faults: arguments.faults,
    };
    let mut faults = 0;
    let killing = async {
        for kill in 1..=arguments.kills {
            tokio::time::sleep(Duration::from_millis(50 + cast::random(300))).await;
            if let Some(fragile) = &fragile
                && cast::random(10) == 0
            {
                fragile.break_for_a_while().await?;
                faults += 1;
            }
            if let Some(machine) = &machine {
                machine.lie_at_random()?;
            }
            pair.replace_one().await?;
            if kill % 20 == 0 {
                say(&format!("{kill} kills, {} members so far", cast.len()));
            }
        }
        // Whoever is on stage plays to the end. Then two hours pass, or seem to: what a clock that
        // was an hour ahead has put off is due.
        cast.close();
        if let Some(machine) = &machine {
            machine.step(Duration::from_secs(7_200), 1)?;
        }
        pair.replace_both().await?;
        Ok::<(), BoxError>(())
    };
    tokio::try_join!(killing, stage.play())?;
    // What a process with a wrong clock found too old to believe, someone has looked at.
    let released = openhumans.release_all_events().await?;
    let settled = settle(&openhumans, &cast).await?;
    drop(pair);

    let audit = Audit::of(&openhumans, &rows, &cast).await?;
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
        "members": cast.len(),
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

/// Waits until nothing is pending and all who left are known to have. False if it does not go on.
async fn settle(openhumans: &OpenHumans, cast: &Cast) -> Result<bool> {
    let mut least = usize::MAX;
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        // In this order: an event may say that a member's tokens are lost, and who is noticed has
        // an event, so once nobody is unnoticed no more come.
        let before = openhumans.inbox().stats().await?.pending;
        let unnoticed = cast.unnoticed(openhumans).await?;
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
