//! Webhooks in: how many a second, and how long each takes.

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

use crate::place::{Database, Place};
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

/// Webhooks a second through the route, without sockets.
pub(crate) async fn throughput(place: &Place, count: usize) -> Result<f64> {
    let openhumans = handle(&place.fresh().await?)?;
    Ok(rate(count, accept(&openhumans, count).await?))
}

/// What sealing the ledger costs.
pub(crate) struct Sealing {
    /// Webhooks a second without, and with it.
    pub(crate) unsealed: f64,
    pub(crate) sealed: f64,
    /// The time it takes to seal the lines at once, in that which they took to come in.
    pub(crate) share: f64,
}

pub(crate) async fn sealing(place: &Place, count: usize) -> Result<Sealing> {
    let (mut unsealed, mut sealed, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let openhumans = handle(&place.fresh().await?)?;
        let took = accept(&openhumans, count).await?;
        unsealed.push(rate(count, took));
        let checkpointer = openhumans.checkpointer().ok_or("there is no key")?;
        let began = Instant::now();
        while checkpointer.sign_checkpoint().await?.more {}
        shares.push(began.elapsed().as_secs_f64() / took.as_secs_f64());

        let openhumans = handle(&place.fresh().await?)?;
        let checkpointer = openhumans.checkpointer().ok_or("there is no key")?;
        let signing = async {
            let mut interval = tokio::time::interval(Duration::from_secs(1));
            loop {
                interval.tick().await;
                checkpointer.sign_checkpoint().await?;
            }
        };
        let took = tokio::select! {
            took = accept(&openhumans, count) => took?,
            failed = signing => return failed,
        };
        sealed.push(rate(count, took));
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Ok(Sealing {
        unsealed: median(unsealed),
        sealed: median(sealed),
        share: median(shares),
    })
}

/// Sends webhooks, and returns how long it took.
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
                let answer = openhumans.respond(Route::Deauth, request, None).await;
                let status = answer.response.status();
                if !status.is_success() {
                    return Err(format!("a webhook was answered {status}").into());
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(began.elapsed())
}

/// The median and the 99th percentile of the time to a 2xx, over sockets.
pub(crate) async fn latency(
    place: &Place,
    senders: usize,
    count: usize,
) -> Result<(Duration, Duration)> {
    let database = place.fresh().await?;
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
            let mut took = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return Ok::<_, crate::BoxError>(took);
                }
                let request = webhook(&url, number, Body::full)?;
                let began = Instant::now();
                let status = client.send(request).await?.status();
                took.push(began.elapsed());
                if !status.is_success() {
                    return Err(format!("a webhook was answered {status}").into());
                }
            }
        });
    }
    let mut took = Vec::new();
    while let Some(task) = tasks.join_next().await {
        took.extend(task??);
    }
    server.abort();
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied();
    at(50)
        .zip(at(99))
        .ok_or_else(|| "nothing was measured".into())
}
