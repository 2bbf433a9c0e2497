//! Checkpoints of the ledger, as an inbox stores them.

use crate::Timestamp;

/// A signed checkpoint of the ledger, with the state that is needed to add lines to it.
///
/// The texts have up to 4,096 characters, and the inbox does not interpret them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The number of ledger lines that the checkpoint covers, from the beginning of the ledger.
    pub size: u64,
    /// The sequence number of the last covered line; 0 if there is none.
    pub last_seq: i64,
    /// The root hash of the Merkle tree over the lines.
    pub root: String,
    /// When the checkpoint was created.
    pub at: Timestamp,
    /// The signed note.
    pub note: String,
    /// The nodes of the tree that are needed to append lines.
    pub tree: String,
}

/// The outcome of [`DeauthInbox::store_checkpoint`](super::DeauthInbox::store_checkpoint).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CheckpointOutcome {
    /// The checkpoint is stored durably.
    Stored,
    /// A checkpoint of this size with the same root exists. Nothing changed.
    Known,
    /// A checkpoint of this size with another root exists: the ledger was rewritten. Nothing changed.
    Forked,
}

/// Selects and orders checkpoints by size.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
#[must_use]
pub struct CheckpointQuery {
    /// Whether the largest checkpoint comes first.
    pub newest_first: bool,
    /// Only checkpoints after the one of this size, in the order of the list.
    pub after: Option<u64>,
    /// The maximum number of checkpoints.
    pub limit: usize,
}

impl CheckpointQuery {
    /// Selects the first `limit` checkpoints.
    pub fn first(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Selects the largest checkpoint.
    pub fn last() -> Self {
        Self::first(1).newest_first()
    }

    /// Orders from the largest to the smallest checkpoint.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Selects checkpoints after the one of this size, in the order of the list.
    pub fn after(mut self, size: impl Into<Option<u64>>) -> Self {
        self.after = size.into();
        self
    }
}
