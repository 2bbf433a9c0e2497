//! One signing pass: continues from the last checkpoint with the lines that were written since.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::archive::CheckpointArchive;
use crate::deauth::deauthorizer::Deauthorizer;
use crate::deauth::inbox::{
    CheckpointOutcome, CheckpointQuery, InboxError, LedgerQuery, StoredCheckpoint,
};
use crate::ledger::{Checkpoint, Frontier, SignedCheckpoint, SigningKey, VerifyingKey};
use crate::transport::BoxError;

const PAGE_SIZE: usize = 2_000;
/// New lines in one checkpoint. A crash loses the work of at most one pass.
const MAX_NEW_LINES: u64 = 50_000;

/// An error while signing a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The inbox failed.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// The archive could not return its last checkpoint.
    #[error("the checkpoint archive failed")]
    Archive(#[source] BoxError),
    /// The ledger contradicts a checkpoint that the archive or this process has seen.
    #[error(
        "the ledger {origin} does not contain the {size} lines of an earlier checkpoint: lines were \
         changed or a backup was restored; nothing is signed until an operator has investigated"
    )]
    Forked {
        /// The name of the ledger.
        origin: String,
        /// The number of lines that the checkpoint covers.
        size: u64,
    },
}

/// The result of a signing pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SigningReport {
    /// The number of new lines that the checkpoint covers.
    pub lines: u64,
    /// The last checkpoint, if there is one.
    pub checkpoint: Option<SignedCheckpoint>,
    /// Whether more lines wait for the next pass.
    pub more: bool,
}

/// A signing pass. All keys have the name of the ledger.
pub(super) struct Pass<'a> {
    pub(super) deauthorizer: &'a Deauthorizer,
    pub(super) keys: &'a [SigningKey],
    /// The largest checkpoint that is known apart from the inbox, possibly of another ledger.
    pub(super) known: Option<&'a Checkpoint>,
}

/// A tree and the number of its last line.
struct Position {
    tree: Frontier,
    last_seq: Option<i64>,
}

impl Pass<'_> {
    pub(super) async fn run(&self) -> Result<SigningReport, SigningError> {
        let inbox = self.deauthorizer.inbox();
        let last = inbox.checkpoints(&CheckpointQuery::last()).await?.pop();
        let mut position = self.resume(last.as_ref()).await?;
        let size_before = last.as_ref().map_or(0, |last| last.size);
        let mut more = true;
        while more && position.tree.size() - size_before < MAX_NEW_LINES {
            more = self.read_page(&mut position, u64::MAX).await?;
        }
        let size = position.tree.size();
        if let Some(known) = self.known()
            && known.size > size
            && !more
        {
            return Err(forked(known));
        }
        if size == size_before {
            let opened = last.map(|last| SignedCheckpoint::unverified(&last.note));
            return Ok(SigningReport {
                lines: 0,
                checkpoint: opened.transpose().map_err(InboxError::new)?,
                more: false,
            });
        }
        let signed = Checkpoint::of(self.origin(), &position.tree).sign(self.keys);
        let stored = StoredCheckpoint {
            size,
            last_seq: position.last_seq.unwrap_or(0),
            root: STANDARD.encode(signed.checkpoint().root),
            at: self.deauthorizer.clock().now(),
            note: signed.note().to_owned(),
            tree: STANDARD.encode(position.tree.nodes().concat()),
        };
        match inbox.store_checkpoint(&stored).await? {
            CheckpointOutcome::Stored | CheckpointOutcome::Known => Ok(SigningReport {
                lines: size - size_before,
                checkpoint: Some(signed),
                more,
            }),
            CheckpointOutcome::Forked => Err(forked(signed.checkpoint())),
        }
    }

    fn origin(&self) -> &str {
        self.keys[0].name()
    }

    fn known(&self) -> Option<&Checkpoint> {
        self.known.filter(|known| known.origin == self.origin())
    }

    /// Returns the tree of the last checkpoint. A stored tree is trusted only if our signature covers
    /// it. Otherwise all lines are read again and must give the same root.
    async fn resume(&self, last: Option<&StoredCheckpoint>) -> Result<Position, SigningError> {
        let mut position = Position {
            tree: Frontier::new(),
            last_seq: None,
        };
        let Some(last) = last else {
            return Ok(position);
        };
        if let Some(tree) = self.verified_tree(last)
            && self.is_consistent(last).await?
        {
            return Ok(Position {
                tree,
                last_seq: Some(last.last_seq),
            });
        }
        let stored = SignedCheckpoint::unverified(&last.note).map_err(InboxError::new)?;
        tracing::warn!(
            lines = last.size,
            "cannot resume from the last checkpoint; reading all its lines again"
        );
        let mut more = true;
        while more && position.tree.size() < last.size {
            more = self.read_page(&mut position, last.size).await?;
        }
        let is_same = position.tree.size() == last.size
            && position.tree.root() == stored.checkpoint().root
            && position.last_seq == Some(last.last_seq);
        match is_same {
            true => Ok(position),
            false => Err(forked(stored.checkpoint())),
        }
    }

    fn verified_tree(&self, last: &StoredCheckpoint) -> Option<Frontier> {
        let keys: Vec<VerifyingKey> = self
            .keys
            .iter()
            .map(|key| key.verifying_key().clone())
            .collect();
        let (signed, _) = SignedCheckpoint::open(&last.note, &keys).ok()?;
        let bytes = STANDARD.decode(&last.tree).ok()?;
        let (nodes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() {
            return None;
        }
        let tree = Frontier::from_parts(last.size, nodes.to_vec())?;
        let checkpoint = signed.checkpoint();
        let matches = checkpoint.size == tree.size() && checkpoint.root == tree.root();
        matches.then_some(tree)
    }

    /// Whether the inbox has stored the known checkpoint. One that is ahead of the last checkpoint is
    /// checked when its lines are read.
    async fn is_consistent(&self, last: &StoredCheckpoint) -> Result<bool, InboxError> {
        let Some(known) = self
            .known()
            .filter(|known| known.size <= last.size && known.size > 0)
        else {
            return Ok(true);
        };
        let query = CheckpointQuery::first(1).after(known.size - 1);
        let stored = self.deauthorizer.inbox().checkpoints(&query).await?.pop();
        let signed = stored.and_then(|stored| SignedCheckpoint::unverified(&stored.note).ok());
        Ok(signed.is_some_and(|signed| {
            let stored = signed.checkpoint();
            stored.size == known.size && stored.root == known.root
        }))
    }

    /// Adds a page of lines to the tree, which grows to at most `max_size`. Returns whether there may
    /// be more lines.
    async fn read_page(
        &self,
        position: &mut Position,
        max_size: u64,
    ) -> Result<bool, SigningError> {
        let limit = usize::try_from(max_size - position.tree.size()).unwrap_or(PAGE_SIZE);
        let query = LedgerQuery::first(limit.min(PAGE_SIZE)).after(position.last_seq);
        let lines = self.deauthorizer.inbox().ledger(&query).await?;
        let more = lines.len() == query.limit;
        for line in lines {
            position.tree.push(&line.to_json());
            position.last_seq = Some(line.seq);
            if let Some(known) = self.known()
                && known.size == position.tree.size()
                && known.root != position.tree.root()
            {
                return Err(forked(known));
            }
        }
        Ok(more)
    }
}

fn forked(checkpoint: &Checkpoint) -> SigningError {
    SigningError::Forked {
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
    }
}

/// Returns the last checkpoint in the archive. Its signatures are not verified, because the archive is
/// more trustworthy than the database.
pub(super) async fn last_archived(
    archive: &dyn CheckpointArchive,
) -> Result<Option<Checkpoint>, SigningError> {
    let last = archive.last().await.map_err(SigningError::Archive)?;
    let opened = last.map(|note| SignedCheckpoint::unverified(&note));
    let opened = opened
        .transpose()
        .map_err(|error| SigningError::Archive(error.into()))?;
    Ok(opened.map(|signed| signed.checkpoint().clone()))
}
