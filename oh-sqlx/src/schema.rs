//! The versions of the tables.
//!
//! Each migration is one SQL file that also writes its version into `oh_schema`, so a store
//! (`migrate`) and the application's own migration tool (`MIGRATIONS`) have the same effect. A
//! released file never changes; a new version is a new file.

use oh_core::transport::BoxError;

/// One step from a schema version to the next.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Migration {
    /// The version after the migration. The first one is 1.
    pub version: i64,
    /// A short description, suitable for a file name.
    pub name: &'static str,
    /// The statements, to be executed in one transaction.
    pub sql: &'static str,
}

/// An error while the tables are created, migrated or checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A newer release of this crate created the tables.
    #[error("the tables have schema {found}, this release knows {known}: use the newer release")]
    Newer {
        /// The version in the database.
        found: i64,
        /// The newest version that this release knows.
        known: i64,
    },
    /// The tables are missing, or older than this release needs.
    #[error("the tables have schema {found}, this release needs {needed}: run the migrations")]
    Older {
        /// The version in the database; 0 without tables.
        found: i64,
        /// The version that this release needs.
        needed: i64,
    },
    /// The database cannot be opened.
    #[error("failed to open the database {place}")]
    Open {
        /// The path of the file, or host, port and name.
        place: String,
        /// The cause.
        #[source]
        source: BoxError,
    },
    /// A statement failed.
    #[error("failed to read or migrate the tables")]
    Database(#[source] BoxError),
}

impl SchemaError {
    /// Adds the place of the database to an error that occurred while it was opened.
    pub(crate) fn opening(self, place: impl FnOnce() -> String) -> Self {
        match self {
            Self::Database(source) => Self::Open {
                place: place(),
                source,
            },
            other => other,
        }
    }
}

impl From<sqlx::Error> for SchemaError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// The migrations that a database with schema `found` still needs.
pub(crate) fn pending(
    migrations: &'static [Migration],
    found: i64,
) -> Result<impl Iterator<Item = &'static Migration>, SchemaError> {
    let known = newest(migrations);
    if found > known {
        return Err(SchemaError::Newer { found, known });
    }
    Ok(migrations.iter().filter(move |m| m.version > found))
}

/// Checks that a database with schema `found` needs no migration.
pub(crate) fn check(migrations: &'static [Migration], found: i64) -> Result<(), SchemaError> {
    match pending(migrations, found)?.next() {
        Some(_) => Err(SchemaError::Older {
            found,
            needed: newest(migrations),
        }),
        None => Ok(()),
    }
}

fn newest(migrations: &[Migration]) -> i64 {
    migrations.iter().map(|m| m.version).max().unwrap_or(0)
}
