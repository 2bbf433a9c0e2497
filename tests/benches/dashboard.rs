//! Measures the response time of the erasure dashboard with a million events.
//!
//! `cargo bench -p oh-tests --bench dashboard -- [--store sqlite|postgres] [--events 1000000]`
//!
//! PostgreSQL is the one of `DATABASE_URL`. Each page is
//! requested twenty times as JSON, through the router without a server. The median and the maximum
//! are printed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use clap::Parser;
use http::Request;
use http_body_util::BodyExt;
use oh_core::routes::SessionReader;
use oh_core::transport::BoxError;
use oh_core::{Member, OpenHumans, Settings, Timestamp};
use oh_pages::Pages;
use oh_tests::place::{Place, Pool, Store};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tower::ServiceExt;

type Result<T = ()> = std::result::Result<T, BoxError>;

const REQUESTS: usize = 20;

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
    let place = Place::fresh(store, "dashboard_bench", url.as_deref()).await?;
    let opened = place.open().await?;
    fill(&opened.pool, events).await?;
    let settings = Settings::builder("id", "secret", "https://app.example").build()?;
    let staff = |_: &http::request::Parts, _: Option<&Member>| true;
    let openhumans = OpenHumans::builder(settings)
        .token_store(opened.store.clone())
        .deauth_inbox(opened.inbox.clone())
        .build()?;
    let router: Router = Pages::new("Benchmark").staff(staff).router(&openhumans);

    // A page in the middle of the list.
    let half = Timestamp::now().as_micros() - i64::try_from(events / 2)? * SPACING;
    let middle = format!("/staff/events?list=done&before={half}-0");
    let pages = [
        ("overview", "/staff"),
        ("newest events", "/staff/events"),
        ("newest done", "/staff/events?list=done"),
        ("done, half way", middle.as_str()),
        ("dead letters", "/staff/events?list=dead_letter"),
        ("overdue", "/staff/events?list=overdue"),
        (
            "one member",
            "/staff/member?who=00000000000000000000000000000007",
        ),
        ("ready", "/ready"),
    ];
    println!("{store:?}, {events} events");
    for (name, path) in pages {
        let mut times = Vec::new();
        for _ in 0..REQUESTS {
            let reader: SessionReader = Arc::new(|| Box::pin(async { Ok(None) }));
            let request = Request::get(path)
                .header("accept", "application/json")
                .extension(reader)
                .body(Body::empty())?;
            let started = Instant::now();
            let response = router.clone().oneshot(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            times.push(started.elapsed());
            let body: Value = serde_json::from_slice(&body)?;
            assert!(status.is_success(), "{name}: {status} {body}");
        }
        times.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "  {name:16} median {:8.1} ms, max {:8.1} ms",
            ms(times[REQUESTS / 2]),
            ms(times[REQUESTS - 1])
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
