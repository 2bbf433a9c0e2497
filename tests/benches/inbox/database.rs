//! An empty database for each measurement, with full durability.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oh_core::deauth::DeauthInbox;
use oh_core::store::TokenStore;
use oh_sqlx::{PgStore, SqliteStore};
use oh_tests::cluster::Cluster;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool, SqlitePool};
use tempfile::TempDir;

use crate::{Result, SENDERS, Store};

/// Creates databases.
pub(crate) enum Databases {
    Sqlite(TempDir, AtomicU32),
    Postgres {
        url: String,
        count: AtomicU32,
        // Dropping it stops the server.
        _cluster: Option<Cluster>,
    },
}

/// A connection pool for plain inserts.
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// An open database.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) pool: Pool,
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) inbox: Arc<dyn DeauthInbox>,
}

impl Databases {
    /// Returns `None` if PostgreSQL is not installed.
    pub(crate) fn new(store: Store) -> Result<Option<Self>> {
        if store == Store::Sqlite {
            return Ok(Some(Self::Sqlite(tempfile::tempdir()?, AtomicU32::new(0))));
        }
        if let Ok(url) = std::env::var("DATABASE_URL") {
            return Ok(Some(Self::Postgres {
                url,
                count: AtomicU32::new(0),
                _cluster: None,
            }));
        }
        let cluster = Cluster::start()?;
        Ok(cluster.map(|cluster| Self::Postgres {
            url: cluster.url(),
            count: AtomicU32::new(0),
            _cluster: Some(cluster),
        }))
    }

    pub(crate) fn store(&self) -> Store {
        match self {
            Self::Sqlite(..) => Store::Sqlite,
            Self::Postgres { .. } => Store::Postgres,
        }
    }

    /// The URL of PostgreSQL, for worker processes.
    pub(crate) fn url(&self) -> Option<&str> {
        match self {
            Self::Sqlite(..) => None,
            Self::Postgres { url, .. } => Some(url),
        }
    }

    /// Creates an empty database.
    pub(crate) async fn create(&self) -> Result<Database> {
        match self {
            Self::Sqlite(folder, count) => {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let file: PathBuf = folder.path().join(format!("{number}.sqlite"));
                open(Store::Sqlite, &file.display().to_string(), None, SENDERS).await
            }
            Self::Postgres { url, count, .. } => {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let schema = format!("bench_{}_{number}", std::process::id());
                let mut connection = url.parse::<PgConnectOptions>()?.connect().await?;
                // The name contains only letters, digits and underscores.
                sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
                    .execute(&mut connection)
                    .await?;
                open(Store::Postgres, &schema, Some(url), SENDERS).await
            }
        }
    }
}

/// Opens the database of this name, with at most `connections` connections to PostgreSQL.
pub(crate) async fn open(
    store: Store,
    name: &str,
    url: Option<&str>,
    connections: usize,
) -> Result<Database> {
    let name = name.to_owned();
    if store == Store::Sqlite {
        let store = SqliteStore::connect(&name).await?;
        return Ok(Database {
            name,
            pool: Pool::Sqlite(store.pool().clone()),
            store: Arc::new(store.clone()),
            inbox: Arc::new(store),
        });
    }
    let options: PgConnectOptions = url.ok_or("DATABASE_URL is not set")?.parse()?;
    let pool = PgPoolOptions::new()
        .max_connections(u32::try_from(connections)?)
        .acquire_timeout(Duration::from_secs(30))
        .connect_with(options.options([("search_path", name.as_str())]))
        .await?;
    let store = PgStore::new(pool.clone());
    store.migrate().await?;
    Ok(Database {
        name,
        pool: Pool::Postgres(pool),
        store: Arc::new(store.clone()),
        inbox: Arc::new(store),
    })
}
