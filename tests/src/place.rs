//! Where an app of several processes keeps everything: an SQLite file, or a schema in PostgreSQL.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oh_core::deauth::DeauthInbox;
use oh_core::store::TokenStore;
use oh_core::transport::BoxError;
use oh_sqlx::{PgStore, SqliteStore};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use sqlx::{PgPool, SqlitePool};
use tempfile::TempDir;

type Result<T = ()> = std::result::Result<T, BoxError>;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// An SQLite file.
    Sqlite,
    /// A schema in PostgreSQL.
    Postgres,
}

/// A place that several processes can open by its name.
#[derive(Debug)]
pub enum Place {
    /// An SQLite file.
    Sqlite {
        /// The file.
        file: PathBuf,
        /// Removed with this value, if it was made for it.
        folder: Option<TempDir>,
    },
    /// A schema in PostgreSQL.
    Postgres {
        /// How to get there.
        options: Box<PgConnectOptions>,
        /// Its name.
        schema: String,
    },
}

/// Everything the app keeps, opened.
#[expect(missing_debug_implementations, reason = "stores are trait objects")]
pub struct Opened {
    /// Its tokens.
    pub store: Arc<dyn TokenStore>,
    /// Its inbox.
    pub inbox: Arc<dyn DeauthInbox>,
    /// For tables of its own.
    pub pool: Pool,
}

/// Connections to either database.
#[derive(Clone, Debug)]
pub enum Pool {
    /// To an SQLite file.
    Sqlite(SqlitePool),
    /// To PostgreSQL.
    Postgres(PgPool),
}

impl Place {
    /// A new, empty one. PostgreSQL is the one at `database_url`, the schema named after `purpose`,
    /// which is letters and underscores.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub async fn fresh(store: Store, purpose: &str, database_url: Option<&str>) -> Result<Self> {
        match store {
            Store::Sqlite => {
                let folder = tempfile::tempdir()?;
                Ok(Self::Sqlite {
                    file: folder.path().join("app.sqlite"),
                    folder: Some(folder),
                })
            }
            Store::Postgres => {
                let schema = format!("{purpose}_{}", std::process::id());
                let place = Self::named(store, &schema, database_url)?;
                if let Self::Postgres { options, .. } = &place {
                    let mut connection = options.connect().await?;
                    // Our own name, with nothing but letters and digits in it.
                    sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
                        .execute(&mut connection)
                        .await?;
                    connection.close().await?;
                }
                Ok(place)
            }
        }
    }

    /// One that is there.
    ///
    /// # Errors
    ///
    /// When the database's address is missing or cannot be used.
    pub fn named(store: Store, name: &str, database_url: Option<&str>) -> Result<Self> {
        Ok(match store {
            Store::Sqlite => Self::Sqlite {
                file: name.into(),
                folder: None,
            },
            Store::Postgres => {
                let url = database_url.ok_or("for PostgreSQL set DATABASE_URL")?;
                let options: PgConnectOptions = url.parse()?;
                Self::Postgres {
                    options: Box::new(options.options([("search_path", name)])),
                    schema: name.to_owned(),
                }
            }
        })
    }

    /// What [`named`](Self::named) takes.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Sqlite { file, .. } => file.display().to_string(),
            Self::Postgres { schema, .. } => schema.clone(),
        }
    }

    /// Opens it, and brings our tables up to date.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub async fn open(&self) -> Result<Opened> {
        match self {
            Self::Sqlite { file, .. } => {
                let store = SqliteStore::connect(file).await?;
                Ok(Opened {
                    pool: Pool::Sqlite(store.pool().clone()),
                    store: Arc::new(store.clone()),
                    inbox: Arc::new(store),
                })
            }
            Self::Postgres { options, .. } => {
                let pool = PgPoolOptions::new()
                    .acquire_timeout(Duration::from_secs(5))
                    .connect_with((**options).clone())
                    .await?;
                let store = PgStore::new(pool.clone());
                store.migrate().await?;
                Ok(Opened {
                    pool: Pool::Postgres(pool),
                    store: Arc::new(store.clone()),
                    inbox: Arc::new(store),
                })
            }
        }
    }

    /// Leaves nothing behind.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub async fn remove(&self) -> Result {
        if let Self::Postgres { options, schema } = self {
            let mut connection = options.connect().await?;
            sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE")))
                .execute(&mut connection)
                .await?;
            connection.close().await?;
        }
        Ok(())
    }
}
