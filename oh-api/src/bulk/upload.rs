//! How a directory is uploaded.

use super::{BulkEvent, CONCURRENCY, Events};

/// What happens to files that are at Open Humans already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Those of the same name are replaced, unless their MD5 is the same. Others stay.
    #[default]
    Default,
    /// All stay: a file of the same name is not uploaded.
    Safe,
    /// As the default, and the project's own files that are not in the directory are deleted.
    /// Hidden files count for nothing on either side. See
    /// [`plan_upload`](crate::MemberClient::plan_upload) for what that would be.
    Sync,
}

/// How to upload a directory.
///
/// Names are compared as Open Humans stores them, without outer blanks, and a file that a download
/// renamed is known as the one it was: see [`safe_file_name`](crate::safe_file_name).
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
    /// In this mode.
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

    /// No files of more bytes.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// How many files are sent at a time; four unless set.
    pub fn concurrency(mut self, files: usize) -> Self {
        self.concurrency = files.max(1);
        self
    }

    /// Sends each file's own MD5, whatever the manifest says. Otherwise a file with another MD5 than
    /// its metadata say is not sent.
    pub fn ignore_md5(mut self) -> Self {
        self.ignore_md5 = true;
        self
    }

    /// Uploads files again of which only the metadata have changed: Open Humans has no other way to
    /// change them. Otherwise such files stay, and are counted in
    /// [`BulkReport::metadata_differs`](super::BulkReport::metadata_differs).
    pub fn update_metadata(mut self) -> Self {
        self.update_metadata = true;
        self
    }

    /// Calls back for each file, and as bytes leave. The callback must be quick.
    pub fn on_event(mut self, callback: impl Fn(&BulkEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events = Events::new(callback);
        self
    }
}
