//! The tables: versions, and how one follows another.
//!
//! A schema version is one SQL file, which also writes its number into `oh_schema`. So it makes
//! no difference whether the store runs the files (`migrate`) or the app does, with its own
//! migration tool, from `MIGRATIONS`. Released files never change; a new version is a new file.

use oh_core::transport::BoxError;

/// One step from a schema version to the next.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Migration {
    /// The version it leads to. The first is 1.
    pub version: i64,
    /// What it brings, for a file name.
    pub name: &'static str,
    /// The statements. To be run in one transaction.
    pub sql: &'static str,
}

/// Why the tables cannot be brought up to date, or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The tables were made by a newer release of this crate.
    #[error("the tables are at schema {found}, this release knows {known}: use the newer release")]
    Newer {
        /// The version in the database.
        found: i64,
        /// The newest this release knows.
        known: i64,
    },
    /// The tables are missing, or older than this release needs.
    #[error("the tables are at schema {found}, this release needs {needed}: run the migrations")]
    Older {
        /// The version in the database; 0 if there are no tables.
        found: i64,
        /// The version this release needs.
        needed: i64,
    },
    /// The database could not be opened.
    #[error("the database {place} cannot be opened")]
    Open {
        /// The path of its file, or its host, port and name.
        place: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The database did not do as told.
    #[error("the database cannot be used")]
    Database(#[source] BoxError),
}

impl SchemaError {
    /// What was wrong while `place` was being opened.
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

/// The newest version of a list.
pub(crate) fn newest(migrations: &[Migration]) -> i64 {
    migrations.iter().map(|m| m.version).max().unwrap_or(0)
}

/// What is left to run from `found`.
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

/// Whether this release can work with what it found.
pub(crate) fn check(migrations: &[Migration], found: i64) -> Result<(), SchemaError> {
    let needed = newest(migrations);
    match found {
        found if found > needed => Err(SchemaError::Newer {
            found,
            known: needed,
        }),
        found if found < needed => Err(SchemaError::Older { found, needed }),
        _ => Ok(()),
    }
}
