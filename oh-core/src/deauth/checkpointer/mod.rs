//! The checkpointer, which signs checkpoints of the ledger.
//!
//! The lines of the ledger are the leaves of a Merkle tree. Each signing pass signs the root over all
//! lines that can no longer change, stores the checkpoint in the inbox, logs it and passes it to an
//! archive. The tree is stored with the checkpoint, so a pass reads new lines only. See
//! [`crate::ledger`] for verification.
//!
//! A ledger must not fork. If it does not contain the lines that a checkpoint covers, which the archive
//! or this process knows, nothing is signed any more, and the log and the dashboard show the problem.
//! The usual cause is a restored backup: the lines after it are lost. After an investigation the
//! operator continues under a new ledger name with a new key. Checkpoints of the old name still prove
//! the lines that exist.

mod archive;
mod pass;

pub use archive::{CheckpointArchive, CheckpointFile};
pub use pass::{SigningError, SigningReport};

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::checkpoint_status::{JOB, Note};
use super::deauthorizer::Deauthorizer;
use super::job_lock::JobLock;
use super::task::{TaskHandle, catch_panic};
use crate::ledger::{Checkpoint, SigningKey};
use crate::transport::BoxError;
use pass::Pass;

/// How long the lock stays with a process that has died.
const LOCK_TTL: Duration = Duration::from_secs(120);

/// A checkpointer that has not started yet.
///
/// [`OpenHumans::start_background`](crate::OpenHumans::start_background) runs one in the background if
/// a [signing key](crate::SettingsBuilder::ledger_signing_key) is configured. One process at a time
/// signs.
#[must_use = "a checkpointer does nothing until it runs"]
pub struct Checkpointer {
    deauthorizer: Deauthorizer,
    keys: Vec<SigningKey>,
    archive: Option<Arc<dyn CheckpointArchive>>,
    known: Mutex<Known>,
}

/// What this process knows apart from the inbox.
#[derive(Default)]
struct Known {
    archive_was_read: bool,
    /// The largest checkpoint that the archive or this process has seen.
    largest: Option<Checkpoint>,
    /// The last note that was stored in the archive.
    archived: Option<String>,
}

impl Checkpointer {
    /// Signs with all keys, which must have the same name: the name of the ledger.
    pub(crate) fn new(
        deauthorizer: Deauthorizer,
        keys: Vec<SigningKey>,
        archive: Option<Arc<dyn CheckpointArchive>>,
    ) -> Self {
        Self {
            deauthorizer,
            keys,
            archive,
            known: Mutex::default(),
        }
    }

    /// Runs the checkpointer as a background task, which signs new lines every `interval` and once
    /// more when it is stopped.
    pub(crate) fn spawn(self, interval: Duration) -> TaskHandle {
        TaskHandle::spawn("checkpointer", move |stop| self.run_until(interval, stop))
    }

    async fn run_until(self, interval: Duration, stop: impl Future<Output = ()> + Send) {
        let lock = JobLock::new(&self.deauthorizer, JOB, LOCK_TTL);
        let work = async {
            loop {
                let pause = match self.sign_all(&lock).await {
                    // Each attempt reads all lines again.
                    Err(SigningError::Forked { .. }) => 10 * interval,
                    _ => interval,
                };
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = work => {}
        }
        let _ = self.sign_all(&lock).await;
    }

    /// Signs all lines, unless another process holds the lock, and logs errors.
    async fn sign_all(&self, lock: &JobLock) -> Result<(), SigningError> {
        match catch_panic(self.sign_all_if_free(lock)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                match &error {
                    SigningError::Forked { .. } => {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "the ledger contradicts an earlier checkpoint");
                    }
                    other => {
                        let error = other as &dyn std::error::Error;
                        tracing::warn!(error, "failed to sign a checkpoint");
                    }
                }
                Err(error)
            }
            Err(error) => {
                tracing::warn!(error = &*error, "failed to sign a checkpoint");
                Ok(())
            }
        }
    }

    async fn sign_all_if_free(&self, lock: &JobLock) -> Result<Result<(), SigningError>, BoxError> {
        loop {
            let Some(note) = lock.acquire().await? else {
                return Ok(Ok(()));
            };
            let result = self.sign_checkpoint().await;
            if result.as_ref().is_ok_and(|report| report.more) {
                continue;
            }
            let note = match &result {
                Ok(_) => serde_json::to_string(&Note::default())?,
                Err(error @ SigningError::Forked { .. }) => serde_json::to_string(&Note {
                    problem: Some(error.to_string()),
                })?,
                // A temporary error does not disprove a problem that was found before.
                Err(_) => note,
            };
            lock.release(&note).await?;
            return Ok(result.map(drop));
        }
    }

    /// Performs one signing pass, which signs up to 50,000 new lines, without the lock that the
    /// background task holds.
    ///
    /// # Errors
    ///
    /// When the inbox or the archive fails, or the ledger contradicts an earlier checkpoint.
    pub async fn sign_checkpoint(&self) -> Result<SigningReport, SigningError> {
        let mut known = self.known.lock().await;
        if let (false, Some(archive)) = (known.archive_was_read, &self.archive) {
            known.largest = pass::last_archived(&**archive).await?;
            known.archive_was_read = true;
        }
        let pass = Pass {
            deauthorizer: &self.deauthorizer,
            keys: &self.keys,
            known: known.largest.as_ref(),
        };
        let report = pass.run().await?;
        let Some(signed) = &report.checkpoint else {
            return Ok(report);
        };
        let checkpoint = signed.checkpoint();
        if report.lines > 0 {
            tracing::info!(
                lines = checkpoint.size,
                checkpoint = signed.note(),
                "signed a checkpoint"
            );
        }
        let is_larger = known.largest.as_ref().is_none_or(|largest| {
            largest.size < checkpoint.size || largest.origin != checkpoint.origin
        });
        if is_larger {
            known.largest = Some(checkpoint.clone());
        }
        if let Some(archive) = &self.archive
            && known.archived.as_deref() != Some(signed.note())
        {
            match archive.store(signed).await {
                Ok(()) => known.archived = Some(signed.note().to_owned()),
                Err(error) => {
                    tracing::warn!(
                        error = &*error,
                        "failed to archive a checkpoint; will retry"
                    );
                }
            }
        }
        Ok(report)
    }
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
