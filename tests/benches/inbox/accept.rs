//! Accepting webhooks: throughput and latency.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use http::Request;
use http_body_util::Full;
use oh_core::deauth::Departure;
use oh_core::ledger::SigningKey;
use oh_core::routes::Route;
use oh_core::transport::{Body, HttpClient, Transport};
use oh_core::{OpenHumans, Settings, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::database::{Database, Databases};
use crate::{Result, SENDERS, rate};

const SECRET: &str = "abcdefghijklmnop";

pub(crate) fn handle(database: &Database) -> Result<OpenHumans> {
    let key = SigningKey::generate("app.example/erasure")?;
    let settings = Settings::builder("id", "secret", "http://localhost:8000")
        .webhook_secret(SECRET)
        .ledger_signing_key(key.to_secret_text().to_string())
        .build()?;
    Ok(OpenHumans::builder(settings)
        .token_store(database.store.clone())
        .deauth_inbox(database.inbox.clone())
        .deauth_handler(|_: Departure| async { Ok(()) })
        .build()?)
}

fn webhook<B>(url: &str, number: usize, body: impl FnOnce(String) -> B) -> Result<Request<B>> {
    let text = format!(
        r#"{{"project_member_id": "{number:08}", "erasure_requested": true, "timestamp": "{}"}}"#,
        Timestamp::now()
    );
    Ok(Request::post(url)
        .header("Content-Type", "application/json")
        .header(
            "X-OpenHumans-Webhooks-Signature",
            oh_sandbox::webhook::sign(SECRET, &text),
        )
        .body(body(text))?)
}

/// Measures webhooks per second through the route, without sockets.
pub(crate) async fn throughput(databases: &Databases, count: usize) -> Result<f64> {
    let openhumans = handle(&databases.create().await?)?;
    Ok(rate(count, accept(&openhumans, count).await?))
}

/// The cost of checkpoints.
pub(crate) struct CheckpointCost {
    /// Webhooks per second without checkpoints.
    pub(crate) without: f64,
    /// Webhooks per second with a checkpoint every second.
    pub(crate) with: f64,
    /// The time to sign all lines in one pass, divided by the time to accept them.
    pub(crate) share: f64,
}

pub(crate) async fn with_checkpoints(
    databases: &Databases,
    count: usize,
) -> Result<CheckpointCost> {
    let (mut without, mut with, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let openhumans = handle(&databases.create().await?)?;
        let elapsed = accept(&openhumans, count).await?;
        without.push(rate(count, elapsed));
        let checkpointer = openhumans.checkpointer().ok_or("there is no key")?;
        let began = Instant::now();
        while checkpointer.sign_checkpoint().await?.more {}
        shares.push(began.elapsed().as_secs_f64() / elapsed.as_secs_f64());

        let openhumans = handle(&databases.create().await?)?;
        let checkpointer = openhumans.checkpointer().ok_or("there is no key")?;
        let signing = async {
            let mut interval = tokio::time::interval(Duration::from_secs(1));
            loop {
                interval.tick().await;
                checkpointer.sign_checkpoint().await?;
            }
        };
        let elapsed = tokio::select! {
            elapsed = accept(&openhumans, count) => elapsed?,
            result = signing => return result,
        };
        with.push(rate(count, elapsed));
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Ok(CheckpointCost {
        without: median(without),
        with: median(with),
        share: median(shares),
    })
}

/// Sends webhooks, and returns the elapsed time.
async fn accept(openhumans: &OpenHumans, count: usize) -> Result<Duration> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..SENDERS {
        let (openhumans, next) = (openhumans.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return Ok::<(), crate::BoxError>(());
                }
                let request = webhook("/openhumans/deauth", number, Full::<bytes::Bytes>::from)?;
                let outcome = openhumans.respond(Route::Deauth, request, None).await;
                let status = outcome.response.status();
                if !status.is_success() {
                    return Err(format!("the webhook route responded with {status}").into());
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(began.elapsed())
}

/// Measures the median and the 99th percentile of the time until a 2xx response, over sockets.
pub(crate) async fn latency(
    databases: &Databases,
    senders: usize,
    count: usize,
) -> Result<(Duration, Duration)> {
    let database = databases.create().await?;
    let openhumans = handle(&database)?;
    let app = Router::new()
        .nest("/openhumans", oh_axum::router(&openhumans))
        .layer(oh_axum::layer(&openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/openhumans/deauth", listener.local_addr()?);
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    let client = HttpClient::new()?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..senders {
        let (client, next, url) = (client.clone(), next.clone(), url.clone());
        tasks.spawn(async move {
            let mut elapsed = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return Ok::<_, crate::BoxError>(elapsed);
                }
                let request = webhook(&url, number, Body::full)?;
                let began = Instant::now();
                let status = client.send(request).await?.status();
                elapsed.push(began.elapsed());
                if !status.is_success() {
                    return Err(format!("the webhook route responded with {status}").into());
                }
            }
        });
    }
    let mut elapsed = Vec::new();
    while let Some(task) = tasks.join_next().await {
        elapsed.extend(task??);
    }
    server.abort();
    elapsed.sort_unstable();
    let at = |percent: usize| elapsed.get(elapsed.len() * percent / 100).copied();
    at(50)
        .zip(at(99))
        .ok_or_else(|| "nothing was measured".into())
}
