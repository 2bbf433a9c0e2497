//! Connections to the databases of apps.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{PgPool, SqlitePool};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The location of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Postgres(String),
    Sqlite(PathBuf),
}

/// An open database.
pub(crate) enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Database {
    /// Parses a `postgres://` URL, or the path of an SQLite file with or without `sqlite:`.
    pub(crate) fn parse(text: &str) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::Postgres(text.to_owned());
        }
        let path = text.strip_prefix("sqlite:").unwrap_or(text);
        let path = path.strip_prefix("//").unwrap_or(path);
        Self::Sqlite(path.split('?').next().unwrap_or_default().into())
    }

    /// Opens an existing database.
    pub(crate) async fn open(&self) -> Result<Pool, sqlx::Error> {
        match self {
            Self::Postgres(url) => {
                let options = PgPoolOptions::new().acquire_timeout(CONNECT_TIMEOUT);
                let pool = options.max_connections(4).connect(url).await?;
                Ok(Pool::Postgres(pool))
            }
            Self::Sqlite(path) => {
                let file = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(false);
                let options = SqlitePoolOptions::new().acquire_timeout(CONNECT_TIMEOUT);
                let pool = options.max_connections(2).connect_with(file).await?;
                Ok(Pool::Sqlite(pool))
            }
        }
    }
}

/// The path, or a name for a server, whose URL may contain a password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(_) => f.write_str("the PostgreSQL database"),
            Self::Sqlite(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_distinguishes_postgres_urls_from_sqlite_paths() {
        for (text, path) in [
            ("a b.sqlite", "a b.sqlite"),
            ("sqlite:a b.sqlite", "a b.sqlite"),
            ("sqlite://a b.sqlite?mode=rwc", "a b.sqlite"),
            ("sqlite:///var/lib/app.sqlite", "/var/lib/app.sqlite"),
            ("/var/lib/app.sqlite", "/var/lib/app.sqlite"),
        ] {
            assert_eq!(
                Database::parse(text),
                Database::Sqlite(path.into()),
                "{text}"
            );
        }
        for text in [
            "postgres://app@localhost/app",
            "postgresql://app@localhost/app",
        ] {
            assert_eq!(Database::parse(text), Database::Postgres(text.to_owned()));
        }
    }
}
