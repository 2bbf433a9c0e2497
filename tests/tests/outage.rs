//! A database outage during many webhooks: the route responds with 503 during the outage, with 2xx
//! only to stored events, and the worker processes all of them afterwards.

use std::collections::HashSet;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use http::Request;
use oh_core::deauth::{DeauthInbox, Departure, EventState, WorkerSettings};
use oh_core::store::TokenStore;
use oh_core::transport::{Body, HttpClient, Transport};
use oh_core::{BackgroundSettings, OpenHumans, Settings};
use oh_sqlx::{PgStore, SqliteStore};
use oh_tests::cluster::Cluster;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tower_sessions::{MemoryStore, SessionManagerLayer};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SENDERS: usize = 16;

const SECRET: &str = "abcdefghijklmnop";

/// A database that can be stopped.
#[async_trait]
trait Database: Send {
    async fn stop(&mut self) -> Result;
    async fn start(&mut self) -> Result;
}

#[async_trait]
impl Database for Cluster {
    async fn stop(&mut self) -> Result {
        Ok(tokio::task::block_in_place(|| self.crash())?)
    }

    async fn start(&mut self) -> Result {
        Ok(tokio::task::block_in_place(|| self.resume())?)
    }
}

/// An SQLite file that another connection keeps locked.
struct Locked(SqliteConnection);

#[async_trait]
impl Database for Locked {
    async fn stop(&mut self) -> Result {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.0).await?;
        Ok(())
    }

    async fn start(&mut self) -> Result {
        sqlx::query("ROLLBACK").execute(&mut self.0).await?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The results of all senders.
#[derive(Default)]
struct Flood {
    next: AtomicUsize,
    over: AtomicBool,
    down: AtomicBool,
    accepted: Mutex<HashSet<String>>,
    refused_while_down: AtomicUsize,
    /// Statuses other than 204 and 503.
    unexpected: Mutex<Vec<u16>>,
    /// 2xx for requests that started and ended during the outage.
    accepted_while_down: AtomicUsize,
    progress: Notify,
}

impl Flood {
    /// Sends a webhook for one member after another, each until it is accepted.
    async fn send(self: Arc<Self>, client: HttpClient, url: String) -> Result {
        while !self.over.load(Ordering::SeqCst) {
            let member = format!("{:08}", self.next.fetch_add(1, Ordering::SeqCst));
            let body = format!(
                r#"{{"project_member_id": "{member}", "erasure_requested": true, "timestamp": "2099-11-22T16:31:27.299665+00:00"}}"#
            );
            let signature = oh_sandbox::webhook::sign(SECRET, &body);
            loop {
                let request = Request::post(&url)
                    .header("Content-Type", "application/json")
                    .header("X-OpenHumans-Webhooks-Signature", &signature)
                    .body(Body::full(body.clone()))?;
                let was_down = self.down.load(Ordering::SeqCst);
                let status = self.client_status(&client, request).await?;
                let was_down = was_down && self.down.load(Ordering::SeqCst);
                self.progress.notify_one();
                match status {
                    204 => {
                        self.accepted_while_down
                            .fetch_add(usize::from(was_down), Ordering::SeqCst);
                        lock(&self.accepted).insert(member);
                        break;
                    }
                    503 => {
                        self.refused_while_down
                            .fetch_add(usize::from(was_down), Ordering::SeqCst);
                    }
                    other => lock(&self.unexpected).push(other),
                }
            }
        }
        Ok(())
    }

    async fn client_status(&self, client: &HttpClient, request: Request<Body>) -> Result<u16> {
        Ok(client.send(request).await?.status().as_u16())
    }

    async fn wait(&self, done: impl Fn(&Self) -> bool) -> Result {
        let waiting = async {
            while !done(self) {
                self.progress.notified().await;
            }
        };
        Ok(tokio::time::timeout(Duration::from_secs(60), waiting).await?)
    }

    fn accepted(&self) -> usize {
        lock(&self.accepted).len()
    }
}

async fn check_outage<S>(store: S, database: &mut dyn Database) -> Result
where
    S: TokenStore + DeauthInbox + Clone,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let settings = Settings::builder("id", "secret", format!("http://{address}"))
        .webhook_secret(SECRET)
        .build()?;
    let handled = Arc::new(Mutex::new(HashSet::new()));
    let erased = handled.clone();
    let openhumans = OpenHumans::builder(settings)
        .token_store(store.clone())
        .deauth_inbox(store)
        .deauth_handler(move |departure: Departure| {
            lock(&erased).insert(departure.event.member.to_string());
            async { Ok(()) }
        })
        .build()?;
    let settings = WorkerSettings {
        lease: Duration::from_secs(3),
        poll_interval: Duration::from_millis(50),
        ..WorkerSettings::default()
    };
    let background = openhumans.start_background_with(BackgroundSettings {
        worker: settings.clone(),
        ..BackgroundSettings::default()
    });
    let app = Router::new()
        .nest("/openhumans", oh_axum::router(&openhumans))
        .layer(oh_axum::layer(&openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()));
    let server = tokio::spawn(axum::serve(listener, app).into_future());

    let flood = Arc::new(Flood::default());
    let client = HttpClient::new()?;
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let url = format!("http://{address}/openhumans/deauth");
        senders.spawn(flood.clone().send(client.clone(), url));
    }
    flood.wait(|flood| flood.accepted() >= 300).await?;
    database.stop().await?;
    flood.down.store(true, Ordering::SeqCst);
    flood
        .wait(|flood| flood.refused_while_down.load(Ordering::SeqCst) >= SENDERS)
        .await?;
    flood.down.store(false, Ordering::SeqCst);
    let before = flood.accepted();
    database.start().await?;
    flood.wait(|flood| flood.accepted() >= before + 300).await?;
    flood.over.store(true, Ordering::SeqCst);
    while let Some(sender) = senders.join_next().await {
        sender??;
    }

    assert_eq!(*lock(&flood.unexpected), [0_u16; 0], "other statuses");
    assert_eq!(
        flood.accepted_while_down.load(Ordering::SeqCst),
        0,
        "2xx during the outage"
    );
    // Events that the worker had leased at the outage return when their leases expire.
    let processed = async {
        loop {
            openhumans.worker(settings.clone()).run_until_idle().await;
            if openhumans.inbox().stats().await?.pending == 0 {
                return Ok::<_, Box<dyn Error + Send + Sync>>(());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), processed).await??;
    let accepted = lock(&flood.accepted).clone();
    let done = openhumans.ledger().events(EventState::Done).await?;
    assert_eq!(done.len(), accepted.len(), "each event was stored once");
    assert!(accepted.is_subset(&lock(&handled)));
    background.stop().await;
    server.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_outage_loses_no_accepted_webhook() -> Result {
    let folder = tempfile::tempdir()?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("app.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_millis(100));
    let pool: SqlitePool = SqlitePoolOptions::new()
        .connect_with(options.clone())
        .await?;
    let store = SqliteStore::new(pool);
    store.migrate().await?;
    let mut lock = Locked(
        SqliteConnection::connect_with(&options.busy_timeout(Duration::from_secs(30))).await?,
    );
    check_outage(store, &mut lock).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_outage_loses_no_accepted_webhook() -> Result {
    let Some(mut cluster) = Cluster::start()? else {
        return Ok(());
    };
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_secs(1))
        .connect(&cluster.url())
        .await?;
    let store = PgStore::new(pool);
    store.migrate().await?;
    check_outage(store, &mut cluster).await
}
