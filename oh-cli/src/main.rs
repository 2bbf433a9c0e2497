//! `oh`: Open Humans from the command line.
//!
//! Covers the commands of the Python package `open-humans-api`, built on `oh-api`. Each command is a
//! thin layer over one or two calls of the library and can serve as an example of their use.

mod access;
mod args;
mod commands;
mod confirm;
mod error;
mod log;
mod output;
mod progress;
mod secret;
mod text;
mod text_file;
mod token_output;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Runtime;

use args::Args;
use error::CliError;

/// How long background tasks may take to clean up after an interrupt: slightly longer than the
/// timeout of a request.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(35);

fn main() -> ExitCode {
    let args = Args::parse();
    log::start(args.verbose);
    output::set_quiet(args.quiet);
    let result = match Runtime::new() {
        Ok(runtime) => {
            let result = runtime.block_on(run(args));
            // Does not wait for threads that are blocked on standard input or on a disk.
            runtime.shutdown_timeout(Duration::from_millis(500));
            result
        }
        Err(error) => Err(error.into()),
    };
    output::set_progress_bar(None);
    match result {
        Ok(()) | Err(CliError::StdoutClosed) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(args: Args) -> Result<(), CliError> {
    let signal = tokio::select! {
        // Installs the signal handlers before the command starts.
        biased;
        signal = signal() => signal,
        result = commands::run(args) => return result,
    };
    // The command is dropped at this point. A second signal ends the cleanup.
    tokio::select! {
        _ = tokio::time::timeout(CLEANUP_TIMEOUT, background_tasks()) => {}
        _ = self::signal() => {}
    }
    Err(signal)
}

/// Waits until no task is left. Dropping a command spawns tasks that delete an unfinished upload, or
/// receive and store tokens that were requested.
async fn background_tasks() {
    let metrics = tokio::runtime::Handle::current().metrics();
    while metrics.num_alive_tasks() > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits for a signal that ends the program.
async fn signal() -> CliError {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = terminate.recv() => CliError::Terminated,
                () = interrupt => CliError::Interrupted,
            };
        }
    }
    interrupt.await;
    CliError::Interrupted
}
