//! Uploads and downloads of whole directories.
//!
//! This module offers the `ohproj-*` commands of the Python package `open-humans-api` as functions.
//! Several files are transferred at a time. A file that fails is added to the report and the others
//! continue. Memory use does not grow with the number of members.
//!
//! ```no_run
//! use oh_api::bulk::BulkDownload;
//!
//! # async fn example(project: oh_api::ProjectClient) -> Result<(), oh_api::Error> {
//! let shared = BulkDownload::shared().source("direct-sharing-1").max_size(128 << 20);
//! let report = project.download_all("data", &shared).await?;
//! println!("{} files, {} failed", report.done, report.failed.len());
//! # Ok(())
//! # }
//! ```

mod csv_cell;
mod download;
mod download_all;
mod file_list;
mod local;
mod manifest;
mod matching;
mod plan;
mod snapshot;
mod text;
mod upload;
mod upload_dir;

use std::fmt;
use std::sync::Arc;

pub use csv_cell::{csv_cell, plain_cell};
pub use download::BulkDownload;
pub use manifest::Manifest;
pub use plan::{PlannedDeletion, PlannedUpload, UploadPlan};
pub use snapshot::Snapshot;
pub use text::decode_text;
pub use upload::{BulkUpload, Mode};

use crate::{Error, ProjectMemberId};

/// The default number of files that are transferred at a time.
const CONCURRENCY: usize = 4;

/// The result of a bulk upload or download.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct BulkReport {
    /// Files that were transferred.
    pub done: u64,
    /// Files that already existed with the same content.
    pub unchanged: u64,
    /// Files that already existed with the same content and different metadata.
    pub metadata_differs: u64,
    /// Files that the options exclude: files of other sources, the project's own files in a download
    /// of shared files, and the reverse.
    pub filtered_out: u64,
    /// Deletions that were skipped because another operation for the same member failed.
    pub deletions_skipped: u64,
    /// Files that exceed the size limit.
    pub too_large: u64,
    /// Files that were deleted at Open Humans.
    pub deleted: u64,
    /// Bytes that were transferred.
    pub bytes: u64,
    /// Failures.
    pub failed: Vec<BulkFailure>,
}

/// A file that could not be transferred, or a member whose files could not be listed.
#[derive(Debug)]
#[non_exhaustive]
pub struct BulkFailure {
    /// The member, if the operation covers several members.
    pub member: Option<ProjectMemberId>,
    /// The file's name; empty if the failure concerns all of the member's files.
    pub name: String,
    /// The cause.
    pub error: Error,
}

/// A progress event of a bulk operation.
#[derive(Debug)]
#[non_exhaustive]
pub enum BulkEvent<'a> {
    /// The totals changed because another member was listed.
    Listed(Listed),
    /// A local file of this many bytes was compared with the file at Open Humans.
    Compared(u64),
    /// This many more bytes were transferred. Bytes of a file that is restarted count again.
    Transferred(u64),
    /// A file is finished.
    File {
        /// The member, if the operation covers several members.
        member: Option<&'a ProjectMemberId>,
        /// The file's name; empty if all of the member's files failed.
        name: &'a str,
        /// The result.
        outcome: &'a FileOutcome,
    },
}

/// The known amount of work of a bulk operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Members whose files were listed so far.
    pub members: u64,
    /// The total number of members, if known.
    pub of_members: Option<u64>,
    /// Files to transfer for the members listed so far.
    pub files: u64,
    /// Bytes in these files, if known.
    pub bytes: Option<u64>,
}

/// The result of one file in a bulk operation.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileOutcome {
    /// The file was transferred; its size in bytes.
    Done(u64),
    /// The file already existed.
    Unchanged,
    /// The file already existed with different metadata.
    MetadataDiffers,
    /// The file exceeds the size limit.
    TooLarge,
    /// The file was deleted at Open Humans.
    Deleted,
    /// The file could not be transferred.
    Failed(Error),
}

type Callback = Arc<dyn Fn(&BulkEvent<'_>) + Send + Sync>;

/// An optional event callback.
#[derive(Clone, Default)]
struct Events(Option<Callback>);

impl Events {
    fn new(callback: impl Fn(&BulkEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    fn emit(&self, event: &BulkEvent<'_>) {
        if let Some(callback) = &self.0 {
            callback(event);
        }
    }

    /// Returns a progress callback that emits the bytes since its last call.
    fn transferred(&self) -> impl Fn(super::Progress) + Send + Sync + 'static {
        let events = self.clone();
        let before = std::sync::atomic::AtomicU64::new(0);
        move |progress| {
            let before = before.swap(progress.done, std::sync::atomic::Ordering::Relaxed);
            if progress.done > before {
                events.emit(&BulkEvent::Transferred(progress.done - before));
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").finish_non_exhaustive()
    }
}

/// One finished file.
struct FileResult {
    member: Option<ProjectMemberId>,
    name: String,
    outcome: FileOutcome,
}

impl BulkReport {
    fn add(&mut self, result: FileResult, events: &Events) {
        events.emit(&BulkEvent::File {
            member: result.member.as_ref(),
            name: &result.name,
            outcome: &result.outcome,
        });
        match result.outcome {
            FileOutcome::Done(bytes) => {
                self.done += 1;
                self.bytes += bytes;
            }
            FileOutcome::Unchanged => self.unchanged += 1,
            FileOutcome::MetadataDiffers => self.metadata_differs += 1,
            FileOutcome::TooLarge => self.too_large += 1,
            FileOutcome::Deleted => self.deleted += 1,
            FileOutcome::Failed(error) => self.failed.push(BulkFailure {
                member: result.member,
                name: result.name,
                error,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
