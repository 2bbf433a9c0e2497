//! Whole directories at once: everything members share, or everything a project gives back.
//!
//! What the `ohproj-*` commands of the Python package `open-humans-api` do, as calls. Files move
//! several at a time, with a limit; one that fails is written down and the others go on. Memory
//! does not grow with the number of members.
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
mod upload;
mod upload_dir;

use std::fmt;
use std::sync::Arc;

pub use csv_cell::{csv_cell, plain_cell};
pub use download::BulkDownload;
pub use manifest::Manifest;
pub use plan::{PlannedDeletion, PlannedUpload, UploadPlan};
pub use snapshot::Snapshot;
pub use upload::{BulkUpload, Mode};

use crate::{Error, ProjectMemberId};

/// How many files move at a time unless set.
const CONCURRENCY: usize = 4;

/// What came of it all.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct BulkReport {
    /// Files that were moved.
    pub done: u64,
    /// Files that were there already, and were left alone.
    pub kept: u64,
    /// Files that were there already with other metadata than were to be sent, and were left alone.
    pub kept_metadata: u64,
    /// Files that were not asked for: the project's own where shared ones were, the other way
    /// around, or of other sources.
    pub not_asked_for: u64,
    /// Files that would have been deleted, and were not because something else failed.
    pub spared: u64,
    /// Files that were too large.
    pub too_large: u64,
    /// Files that were deleted at Open Humans.
    pub deleted: u64,
    /// Bytes that were moved.
    pub bytes: u64,
    /// What went wrong.
    pub failed: Vec<BulkFailure>,
}

/// A file that could not be moved, or a member whose files could not be looked at.
#[derive(Debug)]
#[non_exhaustive]
pub struct BulkFailure {
    /// The member, where there are several.
    pub member: Option<ProjectMemberId>,
    /// The file's name; empty where it is not about one.
    pub name: String,
    /// Why.
    pub error: Error,
}

/// Something that has happened, for whoever watches.
#[derive(Debug)]
#[non_exhaustive]
pub enum BulkEvent<'a> {
    /// More is known of how much there is to do.
    Listed(Listed),
    /// A file of so many bytes was read and compared with the one at Open Humans.
    Compared(u64),
    /// So many more bytes have moved. Those of a file that is begun again count again.
    Moved(u64),
    /// A file is done with.
    File {
        /// The member, where there are several.
        member: Option<&'a ProjectMemberId>,
        /// Its name.
        name: &'a str,
        /// What came of it.
        outcome: Outcome<'a>,
    },
}

/// How much there is to do, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Members who were looked at.
    pub members: u64,
    /// Members there are, where that is known.
    pub of_members: Option<u64>,
    /// Files of those that are to be moved.
    pub files: u64,
    /// Bytes in them, where that is known.
    pub bytes: Option<u64>,
}

/// What came of one file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// It was moved; it has so many bytes.
    Done(u64),
    /// It was there already.
    Kept,
    /// It was there already, with other metadata than were to be sent.
    KeptMetadata,
    /// It is larger than was wanted.
    TooLarge,
    /// It was deleted at Open Humans.
    Deleted,
    /// It could not be moved.
    Failed(&'a Error),
}

type Callback = Arc<dyn Fn(&BulkEvent<'_>) + Send + Sync>;

/// A callback that may not be there.
#[derive(Clone, Default)]
struct Events(Option<Callback>);

impl Events {
    fn new(callback: impl Fn(&BulkEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    fn tell(&self, event: &BulkEvent<'_>) {
        if let Some(callback) = &self.0 {
            callback(event);
        }
    }

    /// A progress callback that tells of what has come since the last time.
    fn moved(&self) -> impl Fn(super::Progress) + Send + Sync + 'static {
        let events = self.clone();
        let before = std::sync::atomic::AtomicU64::new(0);
        move |progress| {
            let before = before.swap(progress.done, std::sync::atomic::Ordering::Relaxed);
            if progress.done > before {
                events.tell(&BulkEvent::Moved(progress.done - before));
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Events(..)"
        } else {
            "Events"
        })
    }
}

/// One file's end, as it comes out of the work.
struct Ended {
    member: Option<ProjectMemberId>,
    name: String,
    end: End,
}

enum End {
    Done(u64),
    Kept,
    KeptMetadata,
    TooLarge,
    Deleted,
    Failed(Error),
}

impl BulkReport {
    fn add(&mut self, ended: Ended, events: &Events) {
        let outcome = match &ended.end {
            End::Done(bytes) => Outcome::Done(*bytes),
            End::Kept => Outcome::Kept,
            End::KeptMetadata => Outcome::KeptMetadata,
            End::TooLarge => Outcome::TooLarge,
            End::Deleted => Outcome::Deleted,
            End::Failed(error) => Outcome::Failed(error),
        };
        events.tell(&BulkEvent::File {
            member: ended.member.as_ref(),
            name: &ended.name,
            outcome,
        });
        match ended.end {
            End::Done(bytes) => {
                self.done += 1;
                self.bytes += bytes;
            }
            End::Kept => self.kept += 1,
            End::KeptMetadata => self.kept_metadata += 1,
            End::TooLarge => self.too_large += 1,
            End::Deleted => self.deleted += 1,
            End::Failed(error) => self.failed.push(BulkFailure {
                member: ended.member,
                name: ended.name,
                error,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
