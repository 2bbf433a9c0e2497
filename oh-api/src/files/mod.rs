//! Uploads, downloads and deletion of files of any size in constant memory.

pub(crate) mod delete;
pub(crate) mod download;
pub(crate) mod hashing;
pub(crate) mod metadata;
pub(crate) mod object_store;
pub(crate) mod progress;
pub(crate) mod upload;

pub use download::{Download, DownloadStream, Downloaded, safe_file_name};
pub use metadata::FileMetadata;
pub use progress::Progress;
pub use upload::{
    DirectUpload, MatchBy, StartedUpload, Upload, UploadMethod, UploadOutcome, Uploaded,
};
