//! Detects that the database file was deleted or replaced.
//!
//! A process keeps writing to a deleted file, SQLite reports success, and the data is lost when the
//! process ends. So the backend checks the path before it replies.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use sqlx::{Error as SqlError, SqlitePool};

/// The database file and its identity at the first check.
pub(super) struct DatabaseFile {
    path: PathBuf,
    identity: OnceLock<Identity>,
}

/// Device and inode.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = ();

impl DatabaseFile {
    pub(super) fn of(pool: &SqlitePool) -> Self {
        Self {
            path: pool.connect_options().get_filename().to_owned(),
            identity: OnceLock::new(),
        }
    }

    /// Fails if the path names another file than at the first check, or none.
    pub(super) fn check(&self) -> Result<(), SqlError> {
        let found = identity(&self.path);
        match (self.identity.get(), found) {
            (Some(known), Ok(found)) if *known == found => Ok(()),
            (Some(_), _) => Err(SqlError::Io(io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "{} was deleted or replaced while the process used it, and writes would be lost; \
                     restore the file or restart the process",
                    self.path.display()
                ),
            ))),
            (None, Ok(found)) => {
                let _ = self.identity.set(found);
                Ok(())
            }
            // A database in memory, or a file that the pool has yet to create.
            (None, Err(_)) => Ok(()),
        }
    }
}

#[cfg(unix)]
fn identity(path: &std::path::Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(path: &std::path::Path) -> io::Result<Identity> {
    std::fs::metadata(path).map(drop)
}
