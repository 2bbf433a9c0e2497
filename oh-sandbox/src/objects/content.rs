//! What one object holds.

use std::path::PathBuf;

use time::OffsetDateTime;

/// The content of one object. The file goes when nobody needs it any more.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified: OffsetDateTime,
}

impl Drop for Content {
    fn drop(&mut self) {
        // Best effort: the folder goes with the store anyway.
        let _ = std::fs::remove_file(&self.path);
    }
}
