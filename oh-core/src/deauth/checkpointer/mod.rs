//! Sealing the ledger: the [`Checkpointer`].
//!
//! The lines of the ledger are the leaves of a Merkle tree. From time to time its root over all
//! lines that can no longer move is signed, kept in the inbox, said in the log and given away. The
//! tree goes on from what was kept with the last checkpoint, so a round costs what the new lines
//! cost, however many there are. What it is good for and how it is checked: [`crate::ledger`].
//!
//! A tree must not fork. Where the last checkpoint that an archive, or this process, was given does not
//! lie on the way of the ledger as it is now, nothing is sealed, and that is said as an error in
//! the log and at the desk. After a backup was restored that is how it stands: what was sealed and
//! is gone cannot be had back. Whoever has looked then seals on under a new name, with a new key:
//! the lines that are there stay proved by the checkpoints of the old one.

mod archive;
mod round;

pub use archive::{CheckpointArchive, CheckpointFile};
pub use round::{Sealed, SigningError};

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::caught::caught;
use super::deauthorizer::Deauthorizer;
use super::inbox::{CheckpointQuery, InboxError};
use crate::Timestamp;
use crate::ledger::{Checkpoint, SigningKey};
use crate::transport::BoxError;
use round::Round;

/// The lock of the one process that seals.
const JOB: &str = "checkpoint";
/// How long it stays with a process that died.
const LOCK: Duration = Duration::from_secs(120);

/// Seals the ledger, one process of many at a time.
#[derive(Clone)]
#[must_use = "a checkpointer does nothing until it is started"]
pub struct Checkpointer {
    deauthorizer: Deauthorizer,
    keys: Vec<SigningKey>,
    archive: Option<Arc<dyn CheckpointArchive>>,
    interval: Duration,
    memory: Arc<Mutex<Memory>>,
}

/// What this process knows of the ledger.
#[derive(Default)]
struct Memory {
    /// Whether the archive was asked.
    asked: bool,
    /// The largest checkpoint that is known of outside of the inbox.
    known: Option<Checkpoint>,
    /// The note that the archive took last.
    archived: Option<String>,
}

/// When to seal again.
#[derive(Clone, Copy)]
enum Next {
    Usual,
    Later,
}

/// What the note of the lock says.
#[derive(Default, Serialize, Deserialize)]
struct Note {
    trouble: Option<String>,
}

/// How the sealing of a ledger stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStatus {
    /// The last checkpoint, as a signed note.
    pub checkpoint: Option<String>,
    /// How many lines it covers.
    pub size: u64,
    /// When it was made.
    pub at: Option<Timestamp>,
    /// Why nothing is sealed any more: the ledger does not agree with what was given away.
    pub trouble: Option<String>,
}

impl Checkpointer {
    /// One that signs with this key, whose name is the ledger's.
    pub fn new(deauthorizer: Deauthorizer, key: SigningKey) -> Self {
        Self {
            deauthorizer,
            keys: vec![key],
            archive: None,
            interval: Duration::from_secs(60),
            memory: Arc::default(),
        }
    }

    /// Signs with another key as well, of the same name: while one replaces the other. A key of
    /// another name signs nothing.
    pub fn also_sign_with(mut self, key: SigningKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Gives each checkpoint to an archive, too.
    pub fn archive(mut self, archive: impl CheckpointArchive) -> Self {
        self.archive = Some(Arc::new(archive));
        self
    }

    /// How often the ledger is sealed if it has new lines. Default 60 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Starts it on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> CheckpointerHandle {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(self.run_until(stopped));
        CheckpointerHandle {
            stop,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// Seals, again and again, until `stop` is ready; then once more, so that what was written
    /// before is sealed. Ends by itself if the inbox keeps no checkpoints.
    pub async fn run_until(self, stop: impl Future<Output = ()> + Send) {
        let holder = crate::random::hex();
        let work = async {
            loop {
                match self.try_to_seal(&holder).await {
                    Next::Usual => tokio::time::sleep(self.interval).await,
                    // All lines are read again to find that out.
                    Next::Later => tokio::time::sleep(10 * self.interval).await,
                }
            }
        };
        tokio::select! {
            () = stop => {}
            () = work => return,
        }
        self.try_to_seal(&holder).await;
    }

    async fn try_to_seal(&self, holder: &str) -> Next {
        let sealed = match caught(self.seal_if_free(holder)).await {
            Ok(Ok(())) => return Next::Usual,
            Ok(Err(error)) => error,
            Err(error) => {
                tracing::warn!(error = &*error, "the ledger could not be sealed for now");
                return Next::Usual;
            }
        };
        let error = &sealed as &dyn std::error::Error;
        match &sealed {
            SigningError::Forked { .. } => {
                tracing::error!(error, "the ledger does not agree with what was sealed");
                Next::Later
            }
            _ => {
                tracing::warn!(error, "the ledger could not be sealed for now");
                Next::Usual
            }
        }
    }

    /// Seals all there is, if no other process is at it.
    async fn seal_if_free(&self, holder: &str) -> Result<Result<(), SigningError>, BoxError> {
        let inbox = self.deauthorizer.inbox();
        loop {
            let now = self.deauthorizer.clock().now();
            let free = inbox.acquire_lock(JOB, holder, now, now + LOCK).await?;
            let Some(note) = free else {
                return Ok(Ok(()));
            };
            let sealed = self.sign_checkpoint().await;
            if sealed.as_ref().is_ok_and(|sealed| sealed.more) {
                continue;
            }
            // What passes says nothing of what was found before.
            let note = match &sealed {
                Ok(_) => serde_json::to_string(&Note::default())?,
                Err(error) if error.is_alarming() => serde_json::to_string(&Note {
                    trouble: Some(error.to_string()),
                })?,
                Err(_) => note,
            };
            let now = self.deauthorizer.clock().now();
            let _ = inbox.update_lock(JOB, holder, now, &note).await?;
            return Ok(sealed.map(drop));
        }
    }

    /// Seals once, now, whoever holds the lock: up to 50,000 lines. For tests, and for those who have a scheduler
    /// of their own.
    ///
    /// # Errors
    ///
    /// When the inbox or the archive does not answer, or the ledger is not the one that was sealed.
    pub async fn sign_checkpoint(&self) -> Result<Sealed, SigningError> {
        let mut memory = self.memory.lock().await;
        if let (false, Some(archive)) = (memory.asked, &self.archive) {
            memory.known = round::known_by(&**archive).await?;
            memory.asked = true;
        }
        let round = Round {
            deauthorizer: &self.deauthorizer,
            keys: &self.keys,
            origin: self.keys[0].name(),
        };
        let sealed = round.make(memory.known.as_ref()).await?;
        let Some(signed) = &sealed.checkpoint else {
            return Ok(sealed);
        };
        let checkpoint = signed.checkpoint();
        if sealed.lines > 0 {
            tracing::info!(
                lines = checkpoint.size,
                checkpoint = signed.note(),
                "the ledger was sealed"
            );
        }
        if memory
            .known
            .as_ref()
            .is_none_or(|known| known.size < checkpoint.size || known.origin != checkpoint.origin)
        {
            memory.known = Some(checkpoint.clone());
        }
        if let Some(archive) = &self.archive
            && memory.archived.as_deref() != Some(signed.note())
        {
            match archive.keep(signed).await {
                Ok(()) => memory.archived = Some(signed.note().to_owned()),
                Err(error) => tracing::warn!(
                    error = &*error,
                    "a checkpoint could not be archived; it is tried again"
                ),
            }
        }
        Ok(sealed)
    }
}

impl Deauthorizer {
    /// How the sealing of the ledger stands, whichever process does it.
    ///
    /// # Errors
    ///
    /// When the inbox cannot answer.
    pub async fn checkpoint_status(&self) -> Result<CheckpointStatus, InboxError> {
        let last = self.inbox().checkpoints(&CheckpointQuery::last()).await?;
        let now = self.clock().now();
        let lock = self.inbox().lock_state(JOB, now).await?;
        let note = match lock.held {
            true => None,
            false => serde_json::from_str::<Note>(&lock.note).ok(),
        };
        let mut state = CheckpointStatus {
            trouble: note.and_then(|note| note.trouble),
            ..CheckpointStatus::default()
        };
        if let Some(last) = last.into_iter().next() {
            state.size = last.size;
            state.at = Some(last.at);
            state.checkpoint = Some(last.note);
        }
        Ok(state)
    }
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer")
            .field("keys", &self.keys)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// A checkpointer at work. Dropping it ends it at once; [`stop`](Self::stop) seals what is there
/// first.
#[derive(Debug)]
#[must_use = "dropping it ends the checkpointer"]
pub struct CheckpointerHandle {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl CheckpointerHandle {
    /// Ends it, after it has sealed what there is.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the checkpointer panicked");
        }
    }
}

#[cfg(test)]
mod tests;
