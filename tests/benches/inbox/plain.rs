//! The baseline: plain inserts of the event's row.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use oh_core::deauth::DeauthEvent;
use sqlx::QueryBuilder;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::database::{Databases, Pool};
use crate::{Result, SENDERS, event, rate};

const TABLE: &str = "CREATE TABLE plain (id TEXT PRIMARY KEY, member TEXT, pseudonym TEXT NOT NULL, \
    erasure TEXT NOT NULL, discovery TEXT NOT NULL, left_at BIGINT NOT NULL, \
    received_at BIGINT NOT NULL, due_at BIGINT NOT NULL)";
const INSERT: &str =
    "INSERT INTO plain (id, member, pseudonym, erasure, discovery, left_at, received_at, due_at) ";

macro_rules! insert {
    ($database:ty, $events:expr, $on:expr) => {{
        let mut query = QueryBuilder::<$database>::new(INSERT);
        query.push_values($events, |mut row, event: &DeauthEvent| {
            row.push_bind(event.id.to_string())
                .push_bind(event.member.to_string())
                .push_bind(event.pseudonym.to_string())
                .push_bind(event.erasure.to_string())
                .push_bind(event.discovery.to_string())
                .push_bind(event.left_at.as_micros())
                .push_bind(event.received_at.as_micros())
                .push_bind(event.received_at.as_micros());
        });
        query.build().execute($on).await?;
    }};
}

impl Pool {
    async fn create_table(&self) -> Result {
        match self {
            Self::Sqlite(pool) => sqlx::raw_sql(TABLE).execute(pool).await.map(|_| ())?,
            Self::Postgres(pool) => sqlx::raw_sql(TABLE).execute(pool).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Inserts the events in one statement and one commit.
    async fn insert(&self, events: &[DeauthEvent]) -> Result {
        match self {
            Self::Sqlite(pool) => insert!(sqlx::Sqlite, events, pool),
            Self::Postgres(pool) => insert!(sqlx::Postgres, events, pool),
        }
        Ok(())
    }
}

/// Measures inserts per second with one commit for each row.
pub(crate) async fn separate_commits(databases: &Databases, count: usize) -> Result<f64> {
    let database = databases.create().await?;
    database.pool.create_table().await?;
    let pool = Arc::new(database.pool);
    // SQLite has one writer at a time, and connections that compete for it are slower.
    let writer = matches!(*pool, Pool::Sqlite(_)).then(|| Arc::new(Mutex::new(())));
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..SENDERS {
        let (pool, next, writer) = (pool.clone(), next.clone(), writer.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return Ok::<(), crate::BoxError>(());
                }
                let event = [event(number)?];
                let _guard = match &writer {
                    Some(writer) => Some(writer.lock().await),
                    None => None,
                };
                pool.insert(&event).await?;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(rate(count, began.elapsed()))
}

/// Measures inserts per second with one commit for all waiting rows.
pub(crate) async fn shared_commits(databases: &Databases, count: usize) -> Result<f64> {
    let database = databases.create().await?;
    database.pool.create_table().await?;
    let pool = database.pool;
    let (queue, mut queued) = mpsc::channel::<(DeauthEvent, oneshot::Sender<()>)>(SENDERS);
    let writer = tokio::spawn(async move {
        let mut batch = Vec::new();
        while queued.recv_many(&mut batch, SENDERS).await > 0 {
            let (events, senders): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            pool.insert(&events).await?;
            for sender in senders {
                let _ = sender.send(());
            }
        }
        Ok::<(), crate::BoxError>(())
    });
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..SENDERS {
        let (queue, next) = (queue.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return Ok::<(), crate::BoxError>(());
                }
                let (inserted, wait) = oneshot::channel();
                queue.send((event(number)?, inserted)).await?;
                wait.await?;
            }
        });
    }
    drop(queue);
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let elapsed = began.elapsed();
    writer.await??;
    Ok(rate(count, elapsed))
}
