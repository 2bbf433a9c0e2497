//! `oh`: Open Humans from the command line.
//!
//! What the commands of the Python package `open-humans-api` do, over `oh-core`'s API client. Each
//! command is a few lines around one or two calls of the library: read this to learn those.
//! `oh --help` says how to use it.

mod access;
mod args;
mod commands;
mod failure;
mod output;
mod progress;
mod size;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use args::Args;
use failure::Failure;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = tokio::select! {
        outcome = commands::run(args) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    if let Err(Failure::Interrupted) = outcome {
        tidied_up().await;
    }
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

/// Waits a little for what the library does in the background after an upload was dropped: it
/// deletes what has begun. Everything has ended once no task is left.
async fn tidied_up() {
    let metrics = tokio::runtime::Handle::current().metrics();
    for _ in 0..100 {
        if metrics.num_alive_tasks() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
