//! A database that goes away: what was not kept is never said to be, and all is well when it is
//! back.

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
    /// Connections are closed, new ones as well.
    Cut,
    /// Connections stay open, and nothing comes through any more.
    Dead,
}

/// Stands between the store and PostgreSQL.
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
                    // A dead line holds its connections until it is cut or up again.
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

/// A store whose line to PostgreSQL can be cut.
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
async fn what_was_accepted_while_the_line_broke_again_and_again_is_there() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let direct = schema.open().await;
    let (store, proxy) = through_a_proxy(&schema).await;
    let (refused, kept) = (watch::Sender::new(0), watch::Sender::new(0));
    let mut flood = Vec::new();
    for task in 0..16_usize {
        let store = store.clone();
        let (refused, kept) = (refused.clone(), kept.clone());
        flood.push(tokio::spawn(async move {
            let mut promised = Vec::new();
            for n in 0..120 {
                let event = event(task * 1_000 + n);
                // The sender tries again: a duplicate is as good as a new one.
                while store.accept(&event).await.is_err() {
                    refused.send_modify(|count| *count += 1);
                }
                promised.push(event.id);
                kept.send_modify(|count| *count += 1);
            }
            promised
        }));
    }
    for cut in 1..=3 {
        reach(&kept, cut * 400).await;
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
    // Each was received once, whatever the caller was told meanwhile.
    let query = LedgerQuery::first(100_000);
    assert_eq!(direct.ledger(&query).await.unwrap().len(), 2 * 16 * 120);
}

async fn reach(counter: &watch::Sender<usize>, goal: usize) {
    let mut counter = counter.subscribe();
    let reached = counter.wait_for(|count| *count >= goal);
    let reached = tokio::time::timeout(Duration::from_secs(60), reached).await;
    assert!(reached.is_ok(), "it gets there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_soon_said_to_be_away() {
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
        assert!(Instant::now() < deadline, "it recovers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_process_holds_on_to_is_soon_said_to_be_away() {
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
    // Who only reads is not kept waiting.
    assert!(store.load(&someone()).await.unwrap().is_none());
    held.rollback().await.unwrap();
    assert!(matches!(
        store.accept(&event(2)).await.unwrap(),
        Accepted::New(_)
    ));
    assert_eq!(store.accept(&event(2)).await.unwrap(), Accepted::Duplicate);
}

#[tokio::test]
async fn a_worker_with_nothing_to_do_only_looks() {
    let file = SqliteFile::new();
    let (store, other) = (file.open().await, file.open().await);
    let now = Timestamp::now();
    let until = now + Duration::from_secs(60);
    let held = other.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    // To write, it would have to wait for the one who holds the file.
    assert!(store.lease(now, until, 10).await.unwrap().is_empty());
    held.rollback().await.unwrap();

    let _ = store.accept(&event(1)).await.unwrap();
    let held = other.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(store.lease(now, until, 0).await.unwrap().is_empty());
    held.rollback().await.unwrap();
    assert_eq!(store.lease(now, until, 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_write_to_one_file_at_once() {
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
