//! The content of an object.

use std::path::PathBuf;

use time::OffsetDateTime;

/// The content of one object. Dropping it deletes the file.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified: OffsetDateTime,
}

impl Drop for Content {
    fn drop(&mut self) {
        // Errors are ignored, because the store deletes its directory.
        let _ = std::fs::remove_file(&self.path);
    }
}
