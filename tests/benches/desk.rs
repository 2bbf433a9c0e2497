//! How long the erasure desk takes to answer with a million events behind it.
//!
//! `cargo bench -p oh-tests --bench desk -- [--store sqlite|postgres] [--events 1000000]`
//!
//! PostgreSQL is the one of `DATABASE_URL`. Each page is asked for twenty times, as JSON, through
//! the framework-neutral routes; what is printed is the middle of the times, and the longest.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http::Request;
use http_body_util::Full;
use oh_core::pages::{PageRoute, Pages};
use oh_core::routes::Route;
use oh_core::transport::BoxError;
use oh_core::{Member, OpenHumans, Settings, Timestamp};
use oh_tests::place::{Place, Pool, Store};
use serde_json::Value;
use sqlx::AssertSqlSafe;

type Result<T = ()> = std::result::Result<T, BoxError>;

const ROUNDS: usize = 20;

#[derive(Debug, Parser)]
struct Arguments {
    /// Only this store.
    #[arg(long, value_enum)]
    store: Option<Store>,
    /// How many events there are.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    for store in [Store::Sqlite, Store::Postgres] {
        if arguments.store.is_none_or(|only| only == store) {
            measure(store, arguments.events).await?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
async fn measure(store: Store, events: u64) -> Result {
    let url = std::env::var("DATABASE_URL").ok();
    let place = Place::fresh(store, "desk_bench", url.as_deref()).await?;
    let opened = place.open().await?;
    fill(&opened.pool, events).await?;
    let settings = Settings::builder("id", "secret", "https://app.example").build()?;
    let staff = |_: &http::request::Parts, _: Option<&Member>| true;
    let openhumans = OpenHumans::builder(settings)
        .token_store(opened.store.clone())
        .deauth_inbox(opened.inbox.clone())
        .pages(Pages::new("Benchmark").staff(staff))
        .build()?;

    // A page far from the newest: half way through.
    let half = Timestamp::now().as_micros() - i64::try_from(events / 2)? * SPACING;
    let middle = format!("/staff/events?state=done&before={half}-0");
    let pages = [
        ("overview", PageRoute::Desk, "/staff"),
        ("newest events", PageRoute::Events, "/staff/events"),
        ("newest done", PageRoute::Events, "/staff/events?state=done"),
        ("done, half way", PageRoute::Events, middle.as_str()),
        (
            "dead letters",
            PageRoute::Events,
            "/staff/events?state=dead_letter",
        ),
        ("overdue", PageRoute::Events, "/staff/events?state=overdue"),
        (
            "one member",
            PageRoute::Member,
            "/staff/member?who=00000000000000000000000000000007",
        ),
        ("ready", PageRoute::Ready, "/ready"),
    ];
    println!("{store:?}, {events} events");
    for (name, route, path) in pages {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let request = Request::get(path).header("accept", "application/json");
            let request = request.body(Full::new(Bytes::new()))?;
            let begun = Instant::now();
            let answer = openhumans.respond(Route::Page(route), request, None).await;
            times.push(begun.elapsed());
            let status = answer.response.status();
            let body = answer.response.into_body().into_bytes();
            let body: Value = serde_json::from_slice(&body.map_err(|_| "a stream")?)?;
            assert!(status.is_success(), "{name}: {status} {body}");
        }
        times.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "  {name:16} {:8.1} ms, at most {:8.1} ms",
            ms(times[ROUNDS / 2]),
            ms(times[ROUNDS - 1])
        );
    }
    place.remove().await
}

/// Between two events, in microseconds: a million of them are four months.
const SPACING: i64 = 10_000_000;

/// One of a thousand is a dead letter, one of a thousand pending, the rest done.
async fn fill(pool: &Pool, events: u64) -> Result {
    let now = Timestamp::now().as_micros();
    let (numbers, hex) = match pool {
        Pool::Sqlite(_) => (
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {events})"
            ),
            "printf('%032x', ",
        ),
        Pool::Postgres(_) => (
            format!("WITH n AS (SELECT i FROM generate_series(0::bigint, {events} - 1) AS i)"),
            "lpad(to_hex((",
        ),
    };
    let hex = |value: &str| match pool {
        Pool::Sqlite(_) => format!("{hex}{value})"),
        Pool::Postgres(_) => format!("{hex}{value})::bigint), 32, '0')"),
    };
    let member = match pool {
        Pool::Sqlite(_) => "printf('%08d', i)",
        Pool::Postgres(_) => "lpad(i::text, 8, '0')",
    };
    let state = "CASE i % 1000 WHEN 0 THEN 'dead_letter' WHEN 1 THEN 'pending' ELSE 'done' END";
    let at = format!("{now} - i * {SPACING}");
    let fill_events = format!(
        "{numbers} INSERT INTO oh_events (id, member, pseudonym, erasure, discovery, left_at, \
         received_at, state, attempts, due_at, settled_at) SELECT {}, CASE WHEN i % 1000 < 2 \
         THEN {} END, {}, 'requested', 'webhook', {at}, {at}, {state}, 1, {at}, \
         CASE WHEN i % 1000 <> 1 THEN {at} + (i % 100) * 1000000 END FROM n",
        hex("i"),
        member,
        hex("i % 250000"),
    );
    let fill_lines = ["received", "tried", "done"].map(|step| {
        format!(
            "INSERT INTO oh_ledger (event, member, at, step, attempt) \
             SELECT id, pseudonym, received_at, '{step}', 1 FROM oh_events"
        )
    });
    for statement in std::iter::once(fill_events).chain(fill_lines) {
        match pool {
            Pool::Sqlite(pool) => {
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(pool)
                    .await?;
            }
            Pool::Postgres(pool) => {
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(pool)
                    .await?;
            }
        }
    }
    if let Pool::Postgres(pool) = pool {
        sqlx::raw_sql("ANALYZE oh_events; ANALYZE oh_ledger")
            .execute(pool)
            .await?;
    }
    Ok(())
}
