//! Where the app of the play keeps everything: an SQLite file, or a schema in PostgreSQL.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oh_core::deauth::DeauthInbox;
use oh_core::store::TokenStore;
use oh_sqlx::{PgStore, SqliteStore};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use crate::rows::Rows;
use crate::{Result, Store};

pub(crate) enum Place {
    Sqlite {
        file: PathBuf,
        // Removed with the last of us.
        _folder: Option<TempDir>,
    },
    Postgres {
        options: Box<PgConnectOptions>,
        schema: String,
    },
}

/// Everything the app keeps, opened.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) inbox: Arc<dyn DeauthInbox>,
    pub(crate) rows: Rows,
}

impl Place {
    /// A new, empty one.
    pub(crate) async fn fresh(store: Store, database_url: Option<&str>) -> Result<Self> {
        match store {
            Store::Sqlite => {
                let folder = tempfile::tempdir()?;
                Ok(Self::Sqlite {
                    file: folder.path().join("app.sqlite"),
                    _folder: Some(folder),
                })
            }
            Store::Postgres => {
                let schema = format!("erasure_crash_{}", std::process::id());
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
    pub(crate) fn named(store: Store, name: &str, database_url: Option<&str>) -> Result<Self> {
        Ok(match store {
            Store::Sqlite => Self::Sqlite {
                file: name.into(),
                _folder: None,
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
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Sqlite { file, .. } => file.display().to_string(),
            Self::Postgres { schema, .. } => schema.clone(),
        }
    }

    pub(crate) async fn open(&self) -> Result<Opened> {
        match self {
            Self::Sqlite { file, .. } => {
                let store = SqliteStore::connect(file).await?;
                Ok(Opened {
                    rows: Rows::Sqlite(store.pool().clone()),
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
                    rows: Rows::Postgres(pool),
                    store: Arc::new(store.clone()),
                    inbox: Arc::new(store),
                })
            }
        }
    }

    /// Leaves nothing behind.
    pub(crate) async fn remove(&self) -> Result {
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
