//! Archives that store checkpoints outside of the inbox's database.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::ledger::{SignedCheckpoint, checkpoint_record, notes_in};
use crate::transport::BoxError;

/// Stores each new checkpoint where the administrators of the database cannot change it, for instance
/// by sending it to an auditor.
///
/// A ledger that was rewritten from its beginning is consistent with itself. Only a checkpoint that was
/// stored elsewhere reveals it. If the archive can return its [last](Self::last) checkpoint, signing
/// stops with an error when the ledger contradicts it, as after a restored backup.
///
/// Functions from [`SignedCheckpoint`] to a future of a `Result` implement the trait:
///
/// ```
/// use oh_core::ledger::SignedCheckpoint;
/// use oh_core::transport::BoxError;
///
/// let post = |checkpoint: SignedCheckpoint| async move {
///     // Send `checkpoint.note()` to the auditor.
///     Ok::<(), BoxError>(())
/// };
/// # fn takes(_: impl oh_core::deauth::CheckpointArchive) {}
/// # takes(post);
/// ```
#[async_trait]
pub trait CheckpointArchive: Send + Sync + 'static {
    /// Stores or forwards a checkpoint. The same one may arrive again after a restart or an error.
    ///
    /// # Errors
    ///
    /// Any error makes the checkpointer retry with the next checkpoint or after its interval.
    async fn store(&self, checkpoint: &SignedCheckpoint) -> Result<(), BoxError>;

    /// Returns the note of the last checkpoint, or `None` if the archive is empty or cannot be read,
    /// which is the default.
    ///
    /// # Errors
    ///
    /// While this fails, nothing is signed.
    async fn last(&self) -> Result<Option<String>, BoxError> {
        Ok(None)
    }
}

#[async_trait]
impl<F, Fut> CheckpointArchive for F
where
    F: Fn(SignedCheckpoint) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send,
{
    async fn store(&self, checkpoint: &SignedCheckpoint) -> Result<(), BoxError> {
        self(checkpoint.clone()).await
    }
}

/// An archive in a file, one checkpoint on each line, as `oh ledger verify --checkpoint` reads it.
///
/// The file belongs on another disk than the database, or on a share that only permits appending.
#[derive(Clone, Debug)]
pub struct CheckpointFile(PathBuf);

/// The last line is read from the last bytes of the file.
const TAIL_BYTES: u64 = 64 * 1024;

impl CheckpointFile {
    /// Uses the file at this path, which is created with the first checkpoint.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

#[async_trait]
impl CheckpointArchive for CheckpointFile {
    async fn store(&self, checkpoint: &SignedCheckpoint) -> Result<(), BoxError> {
        let (path, note) = (self.0.clone(), checkpoint.note().to_owned());
        tokio::task::spawn_blocking(move || append(&path, &note)).await??;
        Ok(())
    }

    async fn last(&self) -> Result<Option<String>, BoxError> {
        let path = self.0.clone();
        let tail = tokio::task::spawn_blocking(move || read_tail(&path)).await??;
        Ok(last_note(&tail))
    }
}

fn append(path: &Path, note: &str) -> io::Result<()> {
    let tail = read_tail(path)?;
    if last_note(&tail).as_deref() == Some(note) {
        return Ok(());
    }
    // An earlier write may have been cut off within a line.
    let separator = match tail.last() {
        None | Some(b'\n') => "",
        Some(_) => "\n",
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{separator}{}\n", checkpoint_record(note)).as_bytes())?;
    file.sync_data()
}

fn read_tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail)
}

fn last_note(tail: &[u8]) -> Option<String> {
    let lines = tail.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
    let records = lines.filter(|line| line.starts_with('{'));
    records.flat_map(notes_in).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Checkpoint, Frontier, SigningKey};

    fn checkpoints(count: usize) -> Vec<SignedCheckpoint> {
        let key = SigningKey::generate("app.example/erasure").unwrap();
        let mut tree = Frontier::new();
        let next = |_| {
            tree.push(b"line");
            Checkpoint::of(key.name(), &tree).sign(std::slice::from_ref(&key))
        };
        (0..count).map(next).collect()
    }

    #[tokio::test]
    async fn checkpoint_file_stores_each_checkpoint_once_and_returns_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.jsonl");
        let file = CheckpointFile::new(&path);
        assert_eq!(file.last().await.unwrap(), None);
        let all = checkpoints(400);
        for checkpoint in &all {
            file.store(checkpoint).await.unwrap();
            file.store(checkpoint).await.unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() > TAIL_BYTES);
        let last = file.last().await.unwrap();
        assert_eq!(last.as_deref(), Some(all[399].note()));
        let text = std::fs::read_to_string(&path).unwrap();
        let notes: Vec<_> = all
            .iter()
            .map(|checkpoint| checkpoint.note().to_owned())
            .collect();
        assert_eq!(notes_in(&text), notes);
        assert_eq!(text.lines().count(), notes.len(), "one line for each");
    }

    #[tokio::test]
    async fn checkpoint_file_returns_long_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::new(folder.path().join("checkpoints.jsonl"));
        // Signed by many keys.
        let keys: Vec<_> = (0..500)
            .map(|_| SigningKey::generate("app.example/erasure").unwrap())
            .collect();
        let long = Checkpoint::of(keys[0].name(), &Frontier::new()).sign(&keys);
        assert!(long.note().len() > 32 * 1024);
        file.store(&long).await.unwrap();
        let last = file.last().await.unwrap();
        assert_eq!(last.as_deref(), Some(long.note()));
    }

    #[tokio::test]
    async fn checkpoint_file_fails_if_it_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let not_a_folder = folder.path().join("file");
        std::fs::write(&not_a_folder, "").unwrap();
        let file = CheckpointFile::new(not_a_folder.join("checkpoints.jsonl"));
        assert!(file.last().await.is_err());
    }

    #[tokio::test]
    async fn checkpoint_file_recovers_from_truncated_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.jsonl");
        let file = CheckpointFile::new(&path);
        let all = checkpoints(2);
        file.store(&all[0]).await.unwrap();
        let complete = std::fs::read(&path).unwrap();
        let truncated = [&complete[..], &complete[..40]].concat();
        std::fs::write(&path, truncated).unwrap();
        assert_eq!(file.last().await.unwrap().as_deref(), Some(all[0].note()));
        file.store(&all[1]).await.unwrap();
        assert_eq!(file.last().await.unwrap().as_deref(), Some(all[1].note()));
    }
}
