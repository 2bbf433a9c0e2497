//! Outages of the database: no accepted event is lost, callers get errors in time, and the store
//! recovers.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use std::collections::HashSet;
use std::str::FromStr;
use std::time::{Duration, Instant};

use common::{PgSchema, SqliteFile};
use oh_core::deauth::{
    Accepted, DeauthEvent, DeauthInbox, Discovery, ErasureRequest, EventId, EventQuery,
    LedgerQuery, Pseudonym,
};
use oh_core::store::{StoreError, TokenStore};
use oh_core::{ProjectMemberId, Timestamp};
use oh_sqlx::PgStore;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

fn event(number: usize) -> DeauthEvent {
    DeauthEvent {
        id: EventId::new(format!("{number:032x}")),
        member: format!("{number:08}").parse().unwrap(),
        pseudonym: Pseudonym::new(format!("p{number}")),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: Timestamp::from_micros(1),
        received_at: Timestamp::from_micros(2),
    }
}

fn someone() -> ProjectMemberId {
    "01026778".parse().unwrap()
}

#[derive(Clone, Copy, PartialEq)]
enum Line {
    Up,
    /// The proxy closes all connections, including new ones.
    Cut,
    /// Connections stay open and transmit nothing.
    Dead,
}

/// A proxy between the store and PostgreSQL.
struct Proxy {
    port: u16,
    line: watch::Sender<Line>,
}

impl Proxy {
    async fn to(host: String, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let line = watch::Sender::new(Line::Up);
        let state = line.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut state, host) = (state.clone(), host.clone());
                tokio::spawn(async move {
                    if *state.borrow() == Line::Cut {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect((host.as_str(), port)).await else {
                        return;
                    };
                    tokio::select! {
                        biased;
                        _ = state.wait_for(|line| *line != Line::Up) => {}
                        _ = copy_bidirectional(&mut client, &mut server) => return,
                    }
                    // Hold the connection until the state changes.
                    let _ = state.wait_for(|line| *line != Line::Dead).await;
                });
            }
        });
        Self {
            port: own_port,
            line,
        }
    }

    fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

/// Opens a store behind a proxy.
async fn through_a_proxy(schema: &PgSchema) -> (PgStore, Proxy) {
    let url = common::postgres_url().unwrap();
    let options = PgConnectOptions::from_str(&url).unwrap();
    let proxy = Proxy::to(options.get_host().to_owned(), options.get_port()).await;
    let options = options
        .host("127.0.0.1")
        .port(proxy.port)
        .options([("search_path", schema.name())]);
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(Duration::from_secs(1))
        .connect_with(options)
        .await
        .unwrap();
    (PgStore::new(pool), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_events_survive_repeated_connection_failures() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let direct = schema.open().await;
    let (store, proxy) = through_a_proxy(&schema).await;
    let (refused, accepted) = (watch::Sender::new(0), watch::Sender::new(0));
    let mut flood = Vec::new();
    for task in 0..16_usize {
        let store = store.clone();
        let (refused, accepted) = (refused.clone(), accepted.clone());
        flood.push(tokio::spawn(async move {
            let mut promised = Vec::new();
            for n in 0..120 {
                let event = event(task * 1_000 + n);
                // The sender retries. A duplicate means that the event is stored.
                while store.accept(&event).await.is_err() {
                    refused.send_modify(|count| *count += 1);
                }
                promised.push(event.id);
                accepted.send_modify(|count| *count += 1);
            }
            promised
        }));
    }
    for cut in 1..=3 {
        reach(&accepted, cut * 400).await;
        let before = *refused.borrow();
        proxy.set(Line::Cut);
        reach(&refused, before + 16).await;
        proxy.set(Line::Up);
    }
    let mut promised = HashSet::new();
    for task in flood {
        promised.extend(task.await.unwrap());
    }
    let query = EventQuery::first(10_000);
    let there: HashSet<_> = direct
        .events(&query)
        .await
        .unwrap()
        .into_iter()
        .map(|e| e.id)
        .collect();
    assert_eq!(there.len(), 16 * 120);
    assert_eq!(there, promised);
    // The ledger contains each event once.
    let query = LedgerQuery::first(100_000);
    assert_eq!(direct.ledger(&query).await.unwrap().len(), 2 * 16 * 120);
}

async fn reach(counter: &watch::Sender<usize>, goal: usize) {
    let mut counter = counter.subscribe();
    let reached = counter.wait_for(|count| *count >= goal);
    let reached = tokio::time::timeout(Duration::from_secs(60), reached).await;
    assert!(reached.is_ok(), "the goal is reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_fails_in_time_when_database_does_not_respond() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let _direct = schema.open().await;
    let (store, proxy) = through_a_proxy(&schema).await;
    let _ = store.accept(&event(1)).await.unwrap();
    proxy.set(Line::Dead);
    let asked = Instant::now();
    let (two, someone) = (event(2), someone());
    let (accepted, loaded) = tokio::join!(store.accept(&two), store.load(&someone));
    assert!(accepted.is_err());
    assert!(matches!(loaded, Err(StoreError::Unavailable(_))));
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    proxy.set(Line::Up);
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.accept(&event(3)).await.is_err() {
        assert!(Instant::now() < deadline, "the store recovers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_fails_in_time_when_file_is_locked() {
    let file = SqliteFile::new();
    let (store, other) = (file.open().await, file.open().await);
    let _ = store.accept(&event(1)).await.unwrap();
    let held = other.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    let asked = Instant::now();
    assert!(store.accept(&event(2)).await.is_err());
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    // Readers do not wait.
    assert!(store.load(&someone()).await.unwrap().is_none());
    held.rollback().await.unwrap();
    assert!(matches!(
        store.accept(&event(2)).await.unwrap(),
        Accepted::New(_)
    ));
    assert_eq!(store.accept(&event(2)).await.unwrap(), Accepted::Duplicate);
}

#[tokio::test]
async fn lease_without_work_does_not_write() {
    let file = SqliteFile::new();
    let (store, other) = (file.open().await, file.open().await);
    let now = Timestamp::now();
    let until = now + Duration::from_secs(60);
    let held = other.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    // A write would wait for the lock.
    assert!(store.lease(now, until, 10).await.unwrap().is_empty());
    held.rollback().await.unwrap();

    let _ = store.accept(&event(1)).await.unwrap();
    let held = other.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(store.lease(now, until, 0).await.unwrap().is_empty());
    held.rollback().await.unwrap();
    assert_eq!(store.lease(now, until, 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_write_to_one_file() {
    let file = SqliteFile::new();
    let mut tasks = Vec::new();
    for process in 0..4_usize {
        let store = file.open().await;
        for task in 0..8 {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                for n in 0..25 {
                    let event = event(process * 10_000 + task * 100 + n);
                    assert!(matches!(
                        store.accept(&event).await.unwrap(),
                        Accepted::New(_)
                    ));
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(file.open().await.stats().await.unwrap().pending, 4 * 8 * 25);
}
