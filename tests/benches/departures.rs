//! How long a webhook waits while a million members are stored and one of them leaves each second.
//!
//! `cargo bench -p oh-tests --bench departures -- [--store sqlite|postgres] [--members 1000000]
//! [--seconds 120]`
//!
//! PostgreSQL is the one of `DATABASE_URL`. The app is whole: routes, worker and reconciler run, so
//! SQLite clears its file of the tokens all the while. For the second half of the time another
//! connection reads without a pause, so that SQLite's log cannot be cut. What is printed is the
//! middle of the times to an answer, the longest, and the greatest size of that log. It fails if
//! the longest is more than `--at-most` milliseconds.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http::Request;
use http_body_util::Full;
use oh_core::deauth::Departure;
use oh_core::routes::Route;
use oh_core::transport::BoxError;
use oh_core::{OpenHumans, Settings, Timestamp};
use oh_tests::place::{Place, Pool, Store};
use sqlx::AssertSqlSafe;

type Result<T = ()> = std::result::Result<T, BoxError>;

const SECRET: &str = "abcdefghijklmnop";

#[derive(Debug, Parser)]
struct Arguments {
    /// Only this store.
    #[arg(long, value_enum)]
    store: Option<Store>,
    /// How many members there are.
    #[arg(long, default_value_t = 1_000_000)]
    members: u32,
    /// How many of them leave, one a second.
    #[arg(long, default_value_t = 120)]
    seconds: u32,
    /// How long an answer may take, in milliseconds.
    #[arg(long, default_value_t = 100)]
    at_most: u64,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

#[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
fn say(text: &str) {
    println!("{text}");
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut code = ExitCode::SUCCESS;
    for store in [Store::Sqlite, Store::Postgres] {
        if arguments.store.is_none_or(|only| only == store) {
            let longest = measure(store, &arguments).await?;
            if longest > Duration::from_millis(arguments.at_most) {
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

async fn measure(store: Store, arguments: &Arguments) -> Result<Duration> {
    let url = std::env::var("DATABASE_URL").ok();
    let place = Place::fresh(store, "departures_bench", url.as_deref()).await?;
    let opened = place.open().await?;
    fill(&opened.pool, arguments.members).await?;
    let settings = Settings::builder("id", "secret", "https://app.example")
        .webhook_secret(SECRET)
        .build()?;
    let openhumans = OpenHumans::builder(settings)
        .token_store(opened.store.clone())
        .deauth_inbox(opened.inbox.clone())
        .deauth_handler(|_: Departure| async { Ok(()) })
        .build()?;
    let background = openhumans.start_background();
    let log = match &place {
        Place::Sqlite { file, .. } => Some(PathBuf::from(format!("{}-wal", file.display()))),
        Place::Postgres { .. } => None,
    };
    say(&format!("{store:?}, {} members", arguments.members));
    let mut longest = Duration::ZERO;
    for (what, reads) in [("alone", false), ("beside a reader", true)] {
        let reader = match reads {
            true => Some(Reader::begin(&opened.pool).await?),
            false => None,
        };
        let (mut times, mut most) = (Vec::new(), 0);
        let mut every = tokio::time::interval(Duration::from_secs(1));
        let half = arguments.seconds / 2;
        for second in 0..half {
            every.tick().await;
            // From all over the table.
            let number = (if reads { half } else { 0 }) + second;
            let number = u64::from(number) * 7_919 % u64::from(arguments.members);
            times.push(leave(&openhumans, number).await?);
            let size = log.as_ref().and_then(|log| std::fs::metadata(log).ok());
            most = most.max(size.map_or(0, |log| log.len()));
        }
        if let Some(reader) = reader {
            reader.end().await?;
        }
        times.sort_unstable();
        let last = times.last().copied().unwrap_or_default();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        say(&format!(
            "  {what:16} {:8.1} ms, at most {:8.1} ms; log {} KiB at most",
            ms(times[times.len() / 2]),
            ms(last),
            most / 1_024
        ));
        longest = longest.max(last);
    }
    background.stop().await;
    drop(openhumans);
    place.remove().await?;
    Ok(longest)
}

/// One webhook, through the routes. How long its answer took.
async fn leave(openhumans: &OpenHumans, number: u64) -> Result<Duration> {
    let body = format!(
        r#"{{"project_member_id": "{number:08}", "erasure_requested": true, "timestamp": "{}"}}"#,
        Timestamp::now()
    );
    let request = Request::post("/openhumans/deauth")
        .header("Content-Type", "application/json")
        .header(
            "X-OpenHumans-Webhooks-Signature",
            oh_sandbox::webhook::sign(SECRET, &body),
        )
        .body(Full::new(Bytes::from(body)))?;
    let began = Instant::now();
    let answer = openhumans.respond(Route::Deauth, request, None).await;
    let took = began.elapsed();
    match answer.response.status() {
        status if status.is_success() => Ok(took),
        status => Err(format!("a webhook was answered {status}").into()),
    }
}

/// Keeps what is there now from being cleared away.
enum Reader {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Reader {
    async fn begin(pool: &Pool) -> Result<Self> {
        let count = "SELECT count(*) FROM oh_events";
        Ok(match pool {
            Pool::Sqlite(pool) => {
                let mut tx = pool.begin().await?;
                sqlx::query(count).execute(&mut *tx).await?;
                Self::Sqlite(tx)
            }
            Pool::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
                let mut tx = pool.begin_with(begin).await?;
                sqlx::query(count).execute(&mut *tx).await?;
                Self::Postgres(tx)
            }
        })
    }

    async fn end(self) -> Result {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

/// Members who were heard of just now, with tokens as long as Open Humans' own.
async fn fill(pool: &Pool, members: u32) -> Result {
    let now = Timestamp::now().as_micros();
    match pool {
        Pool::Sqlite(pool) => {
            let numbers = format!(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {members})"
            );
            for into in [
                format!(
                    "INSERT INTO oh_members (member, epoch, authorized_at, confirmed_at, \
                     refresh_unanswered, version) \
                     SELECT printf('%08d', i), 1, 1, {now}, 0, i + 1 FROM n"
                ),
                format!(
                    "INSERT INTO oh_tokens (member, access_token, refresh_token, expires_at) \
                     SELECT printf('%08d', i), hex(randomblob(15)), hex(randomblob(15)), {now} \
                     FROM n"
                ),
            ] {
                let sql = AssertSqlSafe(format!("{numbers} {into}"));
                sqlx::raw_sql(sql).execute(pool).await?;
            }
        }
        Pool::Postgres(pool) => {
            let sql = format!(
                "INSERT INTO oh_members (member, access_token, refresh_token, expires_at, epoch, \
                 authorized_at, confirmed_at, refresh_unanswered, version) \
                 SELECT lpad(i::text, 8, '0'), substr(md5(i::text), 1, 30), \
                 substr(md5((-i)::text), 1, 30), {now}, 1, 1, {now}, false, i + 1 \
                 FROM generate_series(0, {members} - 1) AS i"
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await?;
        }
    }
    Ok(())
}
