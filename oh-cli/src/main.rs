//! `oh`: Open Humans from the command line.
//!
//! What the commands of the Python package `open-humans-api` do, over `oh-api`. Each command is a
//! few lines around one or two calls of the library: read this to learn those. `oh --help` says how
//! to use it.

mod access;
mod args;
mod ask;
mod commands;
mod counted;
mod failure;
mod keep;
mod log;
mod migrate;
mod output;
mod plain;
mod progress;
mod secret;
mod size;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Runtime;

use args::Args;
use failure::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    log::start(args.verbose);
    output::be_quiet(args.quiet);
    let outcome = match Runtime::new() {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(args));
            // Not waited for: whoever reads standard input, or a disk that does not answer.
            runtime.shutdown_timeout(Duration::from_millis(500));
            outcome
        }
        Err(error) => Err(error.into()),
    };
    output::draw(None);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has had enough of it.
        Err(Failure::NobodyReads) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.code())
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let ended = tokio::select! {
        outcome = commands::run(args) => return outcome,
        ended = signals.next() => ended,
    };
    // The command is dropped by now. What it has begun is ended in the background; a second signal
    // does not wait for that.
    tokio::select! {
        () = tidied_up() => {}
        _ = signals.next() => {}
    }
    Err(ended)
}

/// Waits for what goes on in the background after a command was dropped: an upload that has begun
/// is deleted, tokens that are on their way are kept. Everything has ended once no task is left.
async fn tidied_up() {
    let metrics = tokio::runtime::Handle::current().metrics();
    // A little longer than a call may take.
    for _ in 0..700 {
        if metrics.num_alive_tasks() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What asks the program to end.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Failure {
        tokio::select! {
            _ = self.terminate.recv() => Failure::Terminated,
            _ = self.interrupt.recv() => Failure::Interrupted,
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) -> Failure {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Failure::Interrupted,
            Err(_) => std::future::pending().await,
        }
    }
}
