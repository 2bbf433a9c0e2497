//! The database an app keeps tokens in: which one it is, and opening it as it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{PgPool, SqlitePool};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Postgres(String),
    Sqlite(PathBuf),
}

impl Place {
    /// A `postgres://` address, or the path of an SQLite file, with or without `sqlite:`.
    pub(crate) fn parse(text: &str) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::Postgres(text.to_owned());
        }
        let path = text.strip_prefix("sqlite:").unwrap_or(text);
        let path = path.strip_prefix("//").unwrap_or(path);
        Self::Sqlite(path.split('?').next().unwrap_or_default().into())
    }
}

/// A pool on a file that has to be there.
pub(crate) async fn sqlite(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false);
    let pool = SqlitePoolOptions::new().acquire_timeout(PATIENCE);
    pool.max_connections(2).connect_with(options).await
}

/// A pool of few connections.
pub(crate) async fn postgres(url: &str) -> Result<PgPool, sqlx::Error> {
    let pool = PgPoolOptions::new().acquire_timeout(PATIENCE);
    pool.max_connections(4).connect(url).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_postgres_and_all_else_is_a_path() {
        for text in [
            "a b.sqlite",
            "sqlite:a b.sqlite",
            "sqlite://a b.sqlite?mode=rwc",
        ] {
            assert_eq!(
                Place::parse(text),
                Place::Sqlite("a b.sqlite".into()),
                "{text}"
            );
        }
        let absolute = Place::Sqlite("/var/lib/app.sqlite".into());
        assert_eq!(Place::parse("sqlite:///var/lib/app.sqlite"), absolute);
        assert_eq!(Place::parse("/var/lib/app.sqlite"), absolute);
        for text in [
            "postgres://app@localhost/app",
            "postgresql://app@localhost/app",
        ] {
            assert_eq!(Place::parse(text), Place::Postgres(text.to_owned()));
        }
    }
}
