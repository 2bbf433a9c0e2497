//! Tries to starve a server of everything, while Open Humans' webhooks come to it.
//!
//! ```sh
//! cargo run --release -p oh-tests --bin starve
//! cargo run --release -p oh-tests --bin starve -- --server actix --attack slow --seconds 30
//! ```
//!
//! The server is like the examples: served by `oh_axum::serve` or by actix-web with the example's
//! settings, on SQLite, with worker and reconciler. It runs in a process of its own, so that its
//! memory is its own. Each attack goes on for a while; meanwhile genuine webhooks come, twenty a second, each
//! over a new connection, and each must be answered with 204. Fails if one in a hundred takes longer
//! than a second, if one is not answered, if the memory grows beyond a bound, or if the worker does
//! not deal with every event in the end. The last line of each attack is JSON.
//!
//! Ten thousand connections need as many file descriptors on both sides: `ulimit -n 20000` first,
//! where the hard limit is less than that.

#![allow(clippy::print_stdout)]

mod attack;
mod genuine;
mod server;
mod victim;

use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use oh_core::transport::BoxError;
use serde_json::json;

use crate::attack::Attack;
use crate::genuine::Genuine;
use crate::server::Framework;
use crate::victim::Victim;

type Outcome<T = ()> = Result<T, BoxError>;

/// How long one webhook of a hundred may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// So much the server may grow under attack, in MB: ten thousand connections with their buffers,
/// and what is under way.
const MOST_MB: u64 = 400;

#[derive(Parser)]
struct Args {
    /// In which framework the server is; in both, one after the other, without it.
    #[arg(long)]
    server: Option<Framework>,
    /// How to starve it; in every way, one after the other, without it.
    #[arg(long)]
    attack: Option<Attack>,
    /// How long each attack goes on.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many connections are slow at a time.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Be the server of this framework.
    #[arg(long, hide = true)]
    serve: Option<Framework>,
}

#[tokio::main]
async fn main() -> Outcome {
    let args = Args::parse();
    if let Some(framework) = args.serve {
        return server::serve(framework).await;
    }
    let frameworks = args
        .server
        .map_or(Framework::value_variants().to_vec(), |one| vec![one]);
    let attacks = args
        .attack
        .map_or(Attack::value_variants().to_vec(), |one| vec![one]);
    let mut starved = Vec::new();
    for framework in frameworks {
        for attack in &attacks {
            let problems = starve(framework, *attack, &args).await?;
            for problem in problems {
                println!("  {problem}");
                starved.push(format!("{framework:?} {attack:?}: {problem}"));
            }
        }
    }
    match starved.as_slice() {
        [] => Ok(()),
        all => Err(all.join("; ").into()),
    }
}

/// One attack on one server; says what went wrong.
async fn starve(framework: Framework, attack: Attack, args: &Args) -> Outcome<Vec<String>> {
    let victim = Victim::start(framework, attack.descriptors()).await?;
    let before = victim.memory()?;
    let time = Duration::from_secs(args.seconds);
    let attacking = attack::begin(attack, &victim, args.connections);
    // The attack is under way before the first webhook comes.
    attacking.under_way(time).await;
    let genuine = Genuine::send(&victim, Instant::now() + time).await;
    let (peak, tried) = (victim.peak_memory()?, attacking.tried());
    let held = attacking.open();
    attacking.stop().await;
    let settled = victim.settled(Duration::from_secs(60)).await;
    let grown = peak.saturating_sub(before);

    let line = json!({
        "server": format!("{framework:?}"),
        "attack": format!("{attack:?}"),
        "connections": held,
        "requests": tried,
        "genuine": genuine.times.len(),
        "p50_ms": genuine.percentile(0.5).as_secs_f64() * 1e3,
        "p99_ms": genuine.percentile(0.99).as_secs_f64() * 1e3,
        "max_ms": genuine.percentile(1.0).as_secs_f64() * 1e3,
        "unanswered": genuine.unanswered.len(),
        "before_mb": before,
        "grown_mb": grown,
        "settled": settled.is_ok(),
    });
    println!("{line}");

    let mut problems = Vec::new();
    let slow = genuine.percentile(0.99);
    if slow > PATIENCE {
        problems.push(format!("one in a hundred webhooks took {slow:?}"));
    }
    problems.extend(
        genuine
            .unanswered
            .first()
            .map(|why| format!("a webhook was lost: {why}")),
    );
    if grown > MOST_MB {
        problems.push(format!("the server grew by {grown} MB"));
    }
    problems.extend(
        settled
            .err()
            .map(|why| format!("not every event is done: {why}")),
    );
    Ok(problems)
}
