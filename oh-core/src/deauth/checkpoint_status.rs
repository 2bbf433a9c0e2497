//! The state of ledger signing, for dashboards. Any process can read it.

use serde::{Deserialize, Serialize};

use super::deauthorizer::Deauthorizer;
use super::inbox::{CheckpointQuery, InboxError};
use crate::Timestamp;

/// The name of the checkpointer's lock.
pub(super) const JOB: &str = "checkpoint";

/// The note of the checkpointer's lock.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) problem: Option<String>,
}

/// The last checkpoint of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStatus {
    /// The last checkpoint, as a signed note.
    pub checkpoint: Option<String>,
    /// The number of ledger lines that it covers.
    pub size: u64,
    /// When it was signed.
    pub at: Option<Timestamp>,
    /// Whether this process signs checkpoints: it has the feature `checkpoints` and a signing key.
    pub enabled: bool,
    /// Why no further checkpoint is signed: the ledger contradicts an earlier checkpoint.
    pub problem: Option<String>,
}

pub(crate) async fn read(deauthorizer: &Deauthorizer) -> Result<CheckpointStatus, InboxError> {
    let inbox = deauthorizer.inbox();
    let last = inbox.checkpoints(&CheckpointQuery::last()).await?.pop();
    let lock = inbox.lock_state(JOB, deauthorizer.clock().now()).await?;
    let note = serde_json::from_str::<Note>(&lock.note).unwrap_or_default();
    let mut status = CheckpointStatus {
        problem: note.problem.filter(|_| !lock.held),
        ..CheckpointStatus::default()
    };
    if let Some(last) = last {
        status.size = last.size;
        status.at = Some(last.at);
        status.checkpoint = Some(last.note);
    }
    Ok(status)
}
