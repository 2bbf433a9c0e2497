//! One round of sealing: from the last checkpoint on, over the lines that were written since.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::archive::CheckpointArchive;
use crate::deauth::deauthorizer::Deauthorizer;
use crate::deauth::inbox::{
    CheckpointOutcome, CheckpointQuery, InboxError, LedgerQuery, StoredCheckpoint,
};
use crate::ledger::{Checkpoint, Frontier, SignedCheckpoint, SigningKey, VerifyingKey};
use crate::transport::BoxError;

/// Lines read together.
const PAGE: usize = 2_000;
/// Lines that one checkpoint adds at most: what was done so far is not to be done again after a
/// crash.
const MOST: u64 = 50_000;

/// Why the ledger could not be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The inbox could not answer.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// The archive could not say which checkpoint it was given last.
    #[error("the archive of checkpoints did not answer")]
    Archive(#[source] BoxError),
    /// The archive, or this process, holds a checkpoint that the ledger does not agree with.
    #[error(
        "the ledger is not the one that was sealed as {origin}: a checkpoint over {size} lines was \
         given away, and the first {size} lines, if there are so many, have another root. Lines \
         were changed, or a backup was restored. Nothing is sealed until someone has looked"
    )]
    Forked {
        /// Of which ledger the checkpoint is.
        origin: String,
        /// Over how many lines.
        size: u64,
    },
}

impl SigningError {
    /// Whether the ledger itself is wrong, rather than something that passes.
    pub fn is_alarming(&self) -> bool {
        matches!(self, Self::Forked { .. })
    }
}

/// What a round did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// How many lines were sealed in this round.
    pub lines: u64,
    /// The last checkpoint there is now, if there is one.
    pub checkpoint: Option<SignedCheckpoint>,
    /// Whether more lines wait to be sealed.
    pub more: bool,
}

/// What a round works with.
pub(super) struct Round<'a> {
    pub(super) deauthorizer: &'a Deauthorizer,
    pub(super) keys: &'a [SigningKey],
    pub(super) origin: &'a str,
}

/// A tree, and the number of the last line in it.
struct Place {
    tree: Frontier,
    after: Option<i64>,
}

impl Round<'_> {
    /// Seals what can no longer move. The ledger must agree with what is `known` of it.
    pub(super) async fn make(&self, known: Option<&Checkpoint>) -> Result<Sealed, SigningError> {
        let last = self.last().await?;
        let known = known.filter(|known| known.origin == self.origin);
        let mut place = self.resume(last.as_ref(), known).await?;
        let before = last.as_ref().map_or(0, |last| last.size);
        let mut more = true;
        while more && place.tree.size() - before < MOST {
            more = self.read(&mut place, known).await?;
        }
        if let Some(known) = known.filter(|known| known.size > place.tree.size()) {
            // Not so many lines as were sealed.
            if !more {
                return Err(forked(known));
            }
        }
        let lines = place.tree.size() - before;
        if lines == 0 {
            let opened = last.map(|last| SignedCheckpoint::unverified(&last.note));
            let checkpoint = opened.transpose().map_err(InboxError::new)?;
            return Ok(Sealed {
                lines,
                checkpoint,
                more: false,
            });
        }
        let signed = Checkpoint::of(self.origin, &place.tree).sign(self.keys);
        let kept = StoredCheckpoint::new(
            place.tree.size(),
            place.after.unwrap_or(0),
            STANDARD.encode(signed.checkpoint().root),
            self.deauthorizer.clock().now(),
            signed.note(),
            STANDARD.encode(place.tree.nodes().concat()),
        );
        match self.deauthorizer.inbox().store_checkpoint(&kept).await? {
            CheckpointOutcome::Stored | CheckpointOutcome::Known => Ok(Sealed {
                lines,
                checkpoint: Some(signed),
                more,
            }),
            CheckpointOutcome::Forked => Err(forked(signed.checkpoint())),
        }
    }

    async fn last(&self) -> Result<Option<StoredCheckpoint>, InboxError> {
        let query = CheckpointQuery::last();
        Ok(self.deauthorizer.inbox().checkpoints(&query).await?.pop())
    }

    /// The tree as the last checkpoint left it. What was not signed by us is not gone on from: then
    /// all lines are read again, and must give the root that was kept, and that is known.
    async fn resume(
        &self,
        last: Option<&StoredCheckpoint>,
        known: Option<&Checkpoint>,
    ) -> Result<Place, SigningError> {
        let mut again = Place {
            tree: Frontier::new(),
            after: None,
        };
        let Some(last) = last else { return Ok(again) };
        let opened = SignedCheckpoint::open(&last.note, &self.verifying()).ok();
        let ours = opened.and_then(|(signed, _)| {
            let tree = restore(last)?;
            let checkpoint = signed.checkpoint();
            let fits = checkpoint.size == tree.size() && checkpoint.root == tree.root();
            fits.then_some(tree)
        });
        if let Some(tree) = ours
            && self.agrees(last, known).await?
        {
            return Ok(Place {
                tree,
                after: Some(last.last_seq),
            });
        }
        let kept = SignedCheckpoint::unverified(&last.note).map_err(InboxError::new)?;
        tracing::warn!(
            lines = last.size,
            "the last checkpoint cannot be gone on from: all lines that it covers are read again"
        );
        let mut more = true;
        while more && again.tree.size() < last.size {
            more = self.read_up_to(&mut again, known, last.size).await?;
        }
        let same = again.tree.size() == last.size && again.tree.root() == kept.checkpoint().root;
        if same && again.after == Some(last.last_seq) {
            Ok(again)
        } else {
            Err(forked(kept.checkpoint()))
        }
    }

    /// Whether what is known lies on the way to the last checkpoint, as far as the checkpoints
    /// kept can tell. If it lies ahead, that shows when the lines are read.
    async fn agrees(
        &self,
        last: &StoredCheckpoint,
        known: Option<&Checkpoint>,
    ) -> Result<bool, InboxError> {
        let Some(known) = known.filter(|known| known.size <= last.size && known.size > 0) else {
            return Ok(true);
        };
        let query = CheckpointQuery::first(1).after(known.size - 1);
        let kept = self.deauthorizer.inbox().checkpoints(&query).await?.pop();
        Ok(kept.is_some_and(|kept| {
            let signed = SignedCheckpoint::unverified(&kept.note);
            signed.is_ok_and(|signed| {
                signed.checkpoint().size == known.size && signed.checkpoint().root == known.root
            })
        }))
    }

    fn verifying(&self) -> Vec<VerifyingKey> {
        let keys = self.keys.iter();
        keys.map(|key| key.verifying_key().clone()).collect()
    }

    async fn read(
        &self,
        place: &mut Place,
        known: Option<&Checkpoint>,
    ) -> Result<bool, SigningError> {
        self.read_up_to(place, known, u64::MAX).await
    }

    /// Reads a page of lines into the tree. Tells whether there may be more.
    async fn read_up_to(
        &self,
        place: &mut Place,
        known: Option<&Checkpoint>,
        size: u64,
    ) -> Result<bool, SigningError> {
        let limit = usize::try_from(size - place.tree.size()).unwrap_or(PAGE);
        let query = LedgerQuery::first(limit.min(PAGE)).after(place.after);
        let lines = self.deauthorizer.inbox().ledger(&query).await?;
        let more = lines.len() == query.limit;
        for line in lines {
            place.tree.push(&line.to_json());
            place.after = Some(line.seq);
            if let Some(known) = known.filter(|known| known.size == place.tree.size())
                && known.root != place.tree.root()
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

/// The tree that was kept with a checkpoint.
fn restore(kept: &StoredCheckpoint) -> Option<Frontier> {
    let bytes = STANDARD.decode(&kept.tree).ok()?;
    let (nodes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return None;
    }
    Frontier::from_parts(kept.size, nodes.to_vec())
}

/// What an archive holds of this ledger. Its signatures are not asked about: it is believed more
/// than the database is.
pub(super) async fn known_by(
    archive: &dyn CheckpointArchive,
) -> Result<Option<Checkpoint>, SigningError> {
    let last = archive.last().await.map_err(SigningError::Archive)?;
    let opened = last.map(|note| SignedCheckpoint::unverified(&note));
    let opened = opened
        .transpose()
        .map_err(|error| SigningError::Archive(error.into()))?;
    Ok(opened.map(|signed| signed.checkpoint().clone()))
}
