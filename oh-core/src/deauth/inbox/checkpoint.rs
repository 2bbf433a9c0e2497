//! Checkpoints of the ledger, as an inbox keeps them.

use crate::Timestamp;

/// A checkpoint as an inbox keeps it: what was signed, and what is needed to go on from there.
///
/// The texts are up to 4,096 characters long and mean nothing to the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredCheckpoint {
    /// How many lines of the ledger it covers: the first ones, in their order.
    pub size: u64,
    /// The number of the last of them; 0 if there is none.
    pub last_seq: i64,
    /// The root of the tree over them.
    pub root: String,
    /// When it was made.
    pub at: Timestamp,
    /// The signed note.
    pub note: String,
    /// The tree, as far as is needed to go on with it.
    pub tree: String,
}

impl StoredCheckpoint {
    /// The checkpoint over the first `size` lines, the last of which has the number `last_seq`: its
    /// root, when it was made, the signed note, and the tree as far as is needed to go on with it.
    pub fn new(
        size: u64,
        last_seq: i64,
        root: impl Into<String>,
        at: Timestamp,
        note: impl Into<String>,
        tree: impl Into<String>,
    ) -> Self {
        Self {
            size,
            last_seq,
            root: root.into(),
            at,
            note: note.into(),
            tree: tree.into(),
        }
    }
}

/// What became of a checkpoint that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CheckpointOutcome {
    /// It is durably kept.
    Stored,
    /// One over so many lines, with the same root, was there already; nothing changed.
    Known,
    /// One over so many lines, with another root, is there: the ledger was written again. Nothing
    /// changed.
    Forked,
}

/// Which checkpoints to list, by how many lines they cover.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
#[must_use]
pub struct CheckpointQuery {
    /// From the largest to the smallest, rather than from the smallest on.
    pub newest_first: bool,
    /// Only those that cover more lines than this; fewer, if [`newest_first`](Self::newest_first).
    pub after: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

impl CheckpointQuery {
    /// The first `limit` checkpoints.
    pub fn first(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// The last one.
    pub fn last() -> Self {
        Self::first(1).newest_first()
    }

    /// From the largest to the smallest.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Only those after the one of this size, in the order of the list.
    pub fn after(mut self, size: impl Into<Option<u64>>) -> Self {
        self.after = size.into();
        self
    }
}
