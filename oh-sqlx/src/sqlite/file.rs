//! Whether the database is still the file that its path names.
//!
//! A process goes on writing into a file that was deleted or replaced, and SQLite reports success:
//! what is committed then is gone with the process. So the file is looked at before an answer is
//! given.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use sqlx::{Error as SqlError, SqlitePool};

/// The file, as it was when it was first looked at.
pub(super) struct DatabaseFile {
    path: PathBuf,
    identity: OnceLock<Identity>,
}

/// Device and inode, where there are such.
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

    /// Fails if the path no longer names the file that it named at first.
    pub(super) fn check(&self) -> Result<(), SqlError> {
        let found = identity(&self.path);
        match (self.identity.get(), found) {
            (Some(known), Ok(found)) if *known == found => Ok(()),
            (Some(_), _) => Err(SqlError::Io(io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "{} was removed or replaced while it was in use: nothing that is written \
                     would be kept; put it back, or start again",
                    self.path.display()
                ),
            ))),
            (None, Ok(found)) => {
                let _ = self.identity.set(found);
                Ok(())
            }
            // Not there yet, or a database in memory.
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
