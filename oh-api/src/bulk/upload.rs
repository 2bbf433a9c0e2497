//! Options of a bulk upload.

use super::{BulkEvent, CONCURRENCY, Events};

/// What happens to files that already exist at Open Humans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Replaces a file of the same name if its MD5 differs, and keeps all others.
    #[default]
    Default,
    /// Keeps all existing files and does not upload files whose names exist.
    Safe,
    /// Like the default, and deletes the project's own files that are not in the directory. Hidden
    /// files are ignored on both sides. [`plan_upload`](crate::MemberClient::plan_upload) shows
    /// what would be deleted.
    Sync,
}

/// Options of a bulk upload.
///
/// Names are compared as Open Humans stores them, without leading and trailing blanks. A file that a
/// download renamed is matched with its original, see [`safe_file_name`](crate::safe_file_name).
#[derive(Clone, Debug)]
#[must_use]
pub struct BulkUpload {
    pub(super) mode: Mode,
    pub(super) max_size: u64,
    pub(super) concurrency: usize,
    pub(super) ignore_md5: bool,
    pub(super) update_metadata: bool,
    pub(super) events: Events,
}

impl Default for BulkUpload {
    fn default() -> Self {
        Self::new(Mode::Default)
    }
}

impl BulkUpload {
    /// Creates options with this mode.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            max_size: u64::MAX,
            concurrency: CONCURRENCY,
            ignore_md5: false,
            update_metadata: false,
            events: Events::default(),
        }
    }

    /// Excludes files of more bytes.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Sets how many files are uploaded at a time. The default is four.
    pub fn concurrency(mut self, files: usize) -> Self {
        self.concurrency = files.max(1);
        self
    }

    /// Ignores the MD5s in the manifest and sends each file's actual one. By default a file with
    /// another MD5 than in the manifest is not uploaded.
    pub fn ignore_md5(mut self) -> Self {
        self.ignore_md5 = true;
        self
    }

    /// Uploads files again if only their metadata changed, which is the only way to change metadata
    /// at Open Humans. By default such files are kept and counted in
    /// [`BulkReport::metadata_differs`](super::BulkReport::metadata_differs).
    pub fn update_metadata(mut self) -> Self {
        self.update_metadata = true;
        self
    }

    /// Calls `callback` for each event. The callback must return quickly.
    pub fn on_event(mut self, callback: impl Fn(&BulkEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events = Events::new(callback);
        self
    }
}
