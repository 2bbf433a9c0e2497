//! Databases for applications with several processes: an SQLite file, or a schema in PostgreSQL.

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

/// The kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// An SQLite file.
    Sqlite,
    /// A schema in PostgreSQL.
    Postgres,
}

/// A database that several processes can open by its name.
#[derive(Debug)]
pub enum Place {
    /// An SQLite file.
    Sqlite {
        /// The file.
        file: PathBuf,
        /// The temporary folder of the file, if there is one.
        folder: Option<TempDir>,
    },
    /// A schema in PostgreSQL.
    Postgres {
        /// The connect options.
        options: Box<PgConnectOptions>,
        /// The name of the schema.
        schema: String,
    },
}

/// An open database.
#[expect(missing_debug_implementations, reason = "stores are trait objects")]
pub struct Opened {
    /// The token store.
    pub store: Arc<dyn TokenStore>,
    /// The inbox.
    pub inbox: Arc<dyn DeauthInbox>,
    /// The pool, for the application's tables.
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
    /// Creates an empty database. The PostgreSQL schema in `database_url` is named after `purpose`, which has
    /// letters and underscores.
    ///
    /// # Errors
    ///
    /// When it cannot be created.
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
                    // The name contains only letters, digits and underscores.
                    sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
                        .execute(&mut connection)
                        .await?;
                    connection.close().await?;
                }
                Ok(place)
            }
        }
    }

    /// Names an existing database.
    ///
    /// # Errors
    ///
    /// When the database URL is missing or invalid.
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

    /// The name for [`named`](Self::named).
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Sqlite { file, .. } => file.display().to_string(),
            Self::Postgres { schema, .. } => schema.clone(),
        }
    }

    /// Opens the database, and creates the tables.
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

    /// Drops the PostgreSQL schema.
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
