//! Requests one member's expired token from many tasks in several processes at the same time.
//!
//! `cargo run --release -p oh-tests --bin refresh-storm -- --store sqlite --processes 4 --tasks 250`
//!
//! The tokens must be refreshed once, and every task must receive the same token. With `--kill-holder`
//! the process that refreshes is killed with SIGKILL during its request; the others must recover after
//! its lease expires. The last line is JSON; the exit code is 0 if all results are correct.
//!
//! For PostgreSQL it creates a schema in the database `DATABASE_URL`, and drops it.

use std::collections::HashSet;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clap::Parser;
use futures_util::future::{join_all, select_all};
use oh_core::store::{EncryptedStore, MemberRecord, PutOutcome, TokenStore, Tokens};
use oh_core::transport::{Body, BoxError, HttpClient, Transport, TransportError};
use oh_core::{OpenHumans, ProjectMemberId, Settings, Timestamp};
use oh_sandbox::{Endpoint, Fault, Sandbox};
use oh_tests::place::{Place, Store};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

type Result<T = ()> = std::result::Result<T, BoxError>;

const MEMBER: &str = "01026778";
const APP: &str = "http://localhost:8000";

/// The timeout of a token request. A refresh lease lasts ten seconds longer.
const TIMEOUT: Duration = Duration::from_secs(5);

// The lines that a child process prints.
const READY: &str = "ready";
const REFRESHING: &str = "refreshing";

/// Requests one member's expired token from many tasks in several processes at the same time.
#[derive(Debug, Parser)]
struct Arguments {
    /// The database of the token store.
    #[arg(long, value_enum)]
    store: Store,
    /// The number of processes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    processes: u32,
    /// The number of tasks in each process.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tasks: u32,
    /// Kill the process that refreshes, during its request.
    #[arg(long)]
    kill_holder: bool,
    /// The URL of the PostgreSQL database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Run as one of the processes, on this SQLite file or PostgreSQL schema.
    #[arg(long, hide = true, requires = "open_humans")]
    child: Option<String>,
    /// The URL of the sandbox, for such a process.
    #[arg(long, hide = true)]
    open_humans: Option<String>,
}

/// The results of one process.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Outcome {
    succeeded: u64,
    failed: u64,
    /// The distinct tokens that its tasks received. They are valid only in the sandbox.
    tokens: HashSet<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (&arguments.child, &arguments.open_humans) {
        (Some(name), Some(open_humans)) => be_child(&arguments, name, open_humans).await,
        _ => storm(&arguments).await,
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

fn member() -> Result<ProjectMemberId> {
    Ok(MEMBER.parse()?)
}

fn settings(open_humans: &str) -> Result<Settings> {
    let (id, secret) = (
        oh_sandbox::defaults::CLIENT_ID,
        oh_sandbox::defaults::CLIENT_SECRET,
    );
    Ok(Settings::builder(id, secret, APP)
        .oh_base_url(open_humans)
        .timeout(TIMEOUT)
        .build()?)
}

/// Starts the processes, lets them refresh at the same time, and checks the results.
async fn storm(arguments: &Arguments) -> Result<bool> {
    let sandbox = Sandbox::builder()
        .member(MEMBER, Some("alice"))
        .start()
        .await?;
    let database_url = arguments.database_url.as_deref();
    let place = Place::fresh(arguments.store, "refresh_storm", database_url).await?;
    seed(&place, &sandbox).await?;

    let mut children = Vec::new();
    for _ in 0..arguments.processes {
        children.push(Process::start(arguments, &place, sandbox.url().as_str()).await?);
    }
    if arguments.kill_holder {
        sandbox.fault_next(Endpoint::Token, 1, Fault::Hang);
    }
    let began = Instant::now();
    for child in &mut children {
        child.go().await?;
    }
    let mut killed_after = None;
    if arguments.kill_holder {
        let refreshing = children
            .iter_mut()
            .map(|child| Box::pin(child.wait_for(REFRESHING)));
        let (holder, at, _) = select_all(refreshing).await;
        holder?;
        sandbox.wait_for_hanging(1).await;
        children.swap_remove(at).kill().await?;
        killed_after = Some(began.elapsed());
        // The request of the killed process has no effect.
        sandbox.wait_for_hanging(0).await;
        sandbox.release();
    }
    let mut total = Outcome::default();
    for outcome in join_all(children.into_iter().map(Process::finish)).await {
        let outcome = outcome?;
        total.succeeded += outcome.succeeded;
        total.failed += outcome.failed;
        total.tokens.extend(outcome.tokens);
    }
    let seconds = began.elapsed().as_secs_f64();
    let stats = sandbox.stats();
    place.remove().await?;

    let alive = arguments.processes - u32::from(arguments.kill_holder);
    let expected = u64::from(alive) * u64::from(arguments.tasks);
    // The killed process sent its request and received no response.
    let token_requests = sandbox.token_requests();
    let answered = token_requests - u64::from(arguments.kill_holder);
    let good = total.failed == 0
        && total.succeeded == expected
        && total.tokens.len() == usize::from(expected > 0)
        && answered == 1;
    if !good {
        say(&format!(
            "it should have been {expected} successes, one token and one request: {stats:?}"
        ));
    }
    let mut line = json!({
        "token_requests": token_requests,
        "succeeded": total.succeeded,
        "failed": total.failed,
        "seconds": seconds,
        "store": format!("{:?}", arguments.store).to_lowercase(),
        "processes": arguments.processes,
        "tasks": arguments.tasks,
        "distinct_tokens": total.tokens.len(),
    });
    if let Some(killed_after) = killed_after {
        line["recovered_after_seconds"] = (seconds - killed_after.as_secs_f64()).into();
    }
    say(&line.to_string());
    Ok(good)
}

/// Stores an expired pair that can still be refreshed.
async fn seed(place: &Place, sandbox: &Sandbox) -> Result {
    let issued = sandbox.issue_tokens(MEMBER);
    sandbox.expire_tokens(MEMBER);
    sandbox.reset_stats();
    let now = Timestamp::now();
    let tokens = Tokens::new(issued.access_token, issued.refresh_token, now);
    let record = MemberRecord::authorized(member()?, tokens, now);
    let keys = settings(sandbox.url().as_str())?.store_keys();
    let store = EncryptedStore::new(place.open().await?.store, keys);
    match store.put(&record, None).await? {
        PutOutcome::Stored => Ok(()),
        PutOutcome::Conflict => Err("the place was not empty".into()),
    }
}

/// A child process.
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    async fn start(arguments: &Arguments, place: &Place, open_humans: &str) -> Result<Self> {
        let store = format!("{:?}", arguments.store).to_lowercase();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--store", &store, "--tasks", &arguments.tasks.to_string()])
            .args(["--child", &place.name(), "--open-humans", open_humans])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(url) = &arguments.database_url {
            command.env("DATABASE_URL", url);
        }
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().ok_or("no stdin")?;
        let lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let mut process = Self {
            child,
            stdin,
            lines,
        };
        process.wait_for(READY).await?;
        Ok(process)
    }

    async fn wait_for(&mut self, wanted: &str) -> Result {
        while let Some(line) = self.lines.next_line().await? {
            if line == wanted {
                return Ok(());
            }
        }
        Err(format!("a process ended before it was {wanted}").into())
    }

    async fn go(&mut self) -> Result {
        Ok(self.stdin.write_all(b"go\n").await?)
    }

    async fn kill(mut self) -> Result {
        Ok(self.child.kill().await?)
    }

    async fn finish(mut self) -> Result<Outcome> {
        let mut last = String::new();
        while let Some(line) = self.lines.next_line().await? {
            last = line;
        }
        self.child.wait().await?;
        Ok(serde_json::from_str(&last)?)
    }
}

/// Runs as one of the processes: all tasks request the token at the same time.
async fn be_child(arguments: &Arguments, name: &str, open_humans: &str) -> Result<bool> {
    let place = Place::named(arguments.store, name, arguments.database_url.as_deref())?;
    let opened = place.open().await?;
    let oh = OpenHumans::builder(settings(open_humans)?)
        .token_store(opened.store)
        .deauth_inbox(opened.inbox)
        .transport(Announcing(HttpClient::new()?))
        .build()?;
    say(READY);
    BufReader::new(stdin())
        .read_line(&mut String::new())
        .await?;
    let member = member()?;
    let tasks = (0..arguments.tasks).map(|_| {
        let (oh, member) = (oh.clone(), member.clone());
        tokio::spawn(async move { oh.access_token(&member).await })
    });
    let mut outcome = Outcome::default();
    for task in tasks.collect::<Vec<_>>() {
        match task.await? {
            Ok(token) => {
                outcome.succeeded += 1;
                outcome.tokens.insert(token.expose().to_owned());
            }
            Err(error) => {
                outcome.failed += 1;
                tracing::error!(%error, "a task got no token");
            }
        }
    }
    say(&serde_json::to_string(&outcome)?);
    Ok(true)
}

/// Prints that this process refreshes, before it sends the request.
struct Announcing(HttpClient);

#[async_trait]
impl Transport for Announcing {
    async fn send(
        &self,
        request: http::Request<Body>,
    ) -> std::result::Result<http::Response<Body>, TransportError> {
        say(REFRESHING);
        self.0.send(request).await
    }
}
