//! One process of the application, and how the main process starts and kills it.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post;
use oh_axum::Handle;
use oh_core::deauth::{
    CircuitBreaker, DeauthHandler, DeauthInbox, Departure, ErasureRequest, EventQuery, EventState,
    ReconcilerSettings, WorkerSettings,
};
use oh_core::{BackgroundSettings, Clock, OpenHumans};
use oh_tests::place::Place;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::faults::MachineClock;
use crate::participants::random;
use crate::rows::Rows;
use crate::{Arguments, Result, settings};

/// Deletes the member's rows, and fails in one of five calls.
struct Erase {
    rows: Rows,
    inbox: Arc<dyn DeauthInbox>,
}

impl Erase {
    /// Whether success was recorded for this event before this call.
    async fn is_done(&self, departure: &Departure) -> Result<bool> {
        let query = EventQuery::first(10)
            .state(EventState::Done)
            .pseudonym(departure.event.pseudonym.clone());
        let done = self.inbox.events(&query).await?;
        Ok(done.iter().any(|event| event.id == departure.event.id))
    }
}

#[async_trait]
impl DeauthHandler for Erase {
    async fn deauthorized(&self, departure: &Departure) -> Result {
        let after_done = self.is_done(departure).await?;
        let fails = random(5) == 0;
        // Half of the failures occur after the rows are deleted.
        let fails_early = fails && random(2) == 0;
        if fails_early {
            return Err("one in five fails, this one before it began".into());
        }
        self.rows.handle(departure, after_done).await?;
        if fails {
            return Err("one in five fails, this one after it was done".into());
        }
        Ok(())
    }
}

/// The erasure request of a member in the application.
async fn disconnect(Handle(openhumans): Handle, Path(member): Path<String>) -> StatusCode {
    let Ok(member) = member.parse() else {
        return StatusCode::NOT_FOUND;
    };
    match openhumans
        .disconnect(&member, ErasureRequest::Requested)
        .await
    {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Runs the application until it is killed. Prints its port.
#[expect(clippy::print_stdout, reason = "the parent reads the port there")]
pub(crate) async fn serve(place: &Place, open_humans: &str, clock: Clock) -> Result {
    let opened = place.open().await?;
    let openhumans = OpenHumans::builder(settings(open_humans)?)
        .token_store(opened.store)
        .deauth_inbox(opened.inbox.clone())
        .clock(clock)
        // Most members leave, and most of them unannounced.
        .circuit_breaker(CircuitBreaker::OFF)
        .deauth_handler(Erase {
            rows: Rows::from(opened.pool),
            inbox: opened.inbox,
        })
        .build()?;
    let _background = openhumans.start_background_with(BackgroundSettings {
        worker: WorkerSettings {
            lease: Duration::from_secs(2),
            poll_interval: Duration::from_millis(100),
            min_backoff: Duration::from_millis(20),
            max_backoff: Duration::from_secs(1),
            max_attempts: 1_000,
            ..WorkerSettings::default()
        },
        reconciler: ReconcilerSettings {
            interval: Duration::from_secs(4),
            min_delay: Duration::from_millis(1),
            lock_ttl: Duration::from_secs(2),
        },
        ..BackgroundSettings::default()
    });
    let app = Router::new()
        .route("/disconnect/{member}", post(disconnect))
        .nest("/openhumans", oh_axum::router(&openhumans))
        .layer(oh_axum::layer(&openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    axum::serve(listener, app).await?;
    Ok(())
}

/// The port of each process; 0 while it does not run.
pub(crate) type Ports = Arc<[AtomicU16; 2]>;

/// The two processes. Dropping it kills them.
pub(crate) struct Pair<'a> {
    arguments: &'a Arguments,
    place: &'a Place,
    open_humans: String,
    clock: Option<&'a MachineClock>,
    ports: Ports,
    processes: Vec<process::Child>,
}

impl<'a> Pair<'a> {
    /// Starts both processes.
    pub(crate) fn start(
        arguments: &'a Arguments,
        place: &'a Place,
        open_humans: &str,
        clock: Option<&'a MachineClock>,
    ) -> Result<Self> {
        let mut pair = Self {
            arguments,
            place,
            open_humans: open_humans.to_owned(),
            clock,
            ports: Ports::default(),
            processes: Vec::new(),
        };
        for which in 0..2 {
            let process = pair.spawn(which)?;
            pair.processes.push(process);
        }
        Ok(pair)
    }

    pub(crate) fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// Kills one of the processes with SIGKILL, and starts another one.
    pub(crate) async fn replace_one(&mut self) -> Result {
        self.replace(usize::try_from(random(2))?).await
    }

    pub(crate) async fn replace_both(&mut self) -> Result {
        self.replace(0).await?;
        self.replace(1).await
    }

    async fn replace(&mut self, which: usize) -> Result {
        self.processes[which].kill().await?;
        self.ports[which].store(0, Ordering::SeqCst);
        self.processes[which] = self.spawn(which)?;
        Ok(())
    }

    fn spawn(&self, which: usize) -> Result<process::Child> {
        let mut command = process::Command::new(std::env::current_exe()?);
        let store = format!("{:?}", self.arguments.store).to_lowercase();
        command
            .args(["--store", &store, "--child", &self.place.name()])
            .args(["--open-humans", &self.open_humans])
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(url) = &self.arguments.database_url {
            command.env("DATABASE_URL", url);
        }
        if let Some(clock) = self.clock {
            command.arg("--clock").arg(clock.file());
        }
        let mut process = command.spawn()?;
        let output = process.stdout.take().ok_or("the output is piped")?;
        let ports = self.ports.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            if let Ok(Some(port)) = lines.next_line().await {
                ports[which].store(port.parse().unwrap_or(0), Ordering::SeqCst);
            }
        });
        Ok(process)
    }
}
