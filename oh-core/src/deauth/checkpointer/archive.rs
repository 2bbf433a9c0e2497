//! Where checkpoints go besides the inbox, so that not only its keeper holds them.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::ledger::{SignedCheckpoint, checkpoint_record, notes_in};
use crate::transport::BoxError;

/// Takes each new checkpoint of the ledger: to post it, to mail it, to put it where those who keep
/// the database cannot reach.
///
/// A ledger that was written again from its beginning is consistent with itself. Only a checkpoint
/// that was given away before shows it. An archive that can also say which it was given
/// [last](Self::last) has the sealing stop, and say so, when the ledger no longer agrees with it:
/// as after a backup was restored that is older than that checkpoint.
///
/// A function from [`SignedCheckpoint`] to a future of a `Result` is one:
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
    /// Keeps a checkpoint, or passes it on. May be given the same one again: after a restart, and
    /// after an error.
    ///
    /// # Errors
    ///
    /// Any; it is tried again with the next checkpoint, or after the interval.
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<(), BoxError>;

    /// The last checkpoint it was given, as text, if it can say.
    ///
    /// # Errors
    ///
    /// When it cannot answer now. Nothing is sealed before it has.
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
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<(), BoxError> {
        self(checkpoint.clone()).await
    }
}

/// A shared archive is an archive.
#[async_trait]
impl CheckpointArchive for Arc<dyn CheckpointArchive> {
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<(), BoxError> {
        (**self).keep(checkpoint).await
    }

    async fn last(&self) -> Result<Option<String>, BoxError> {
        (**self).last().await
    }
}

/// A file that checkpoints are added to, a line each, as `oh ledger verify --checkpoint` reads it.
/// Best on another disk than the database, or on a share that can only be added to.
#[derive(Clone, Debug)]
pub struct CheckpointFile(PathBuf);

/// The last line of the file is within so many bytes of its end.
const TAIL: u64 = 64 * 1024;

impl CheckpointFile {
    /// At this path. It is made when there is something to keep.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

#[async_trait]
impl CheckpointArchive for CheckpointFile {
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<(), BoxError> {
        let (path, note) = (self.0.clone(), checkpoint.note().to_owned());
        tokio::task::spawn_blocking(move || add(&path, &note)).await??;
        Ok(())
    }

    async fn last(&self) -> Result<Option<String>, BoxError> {
        let path = self.0.clone();
        Ok(tokio::task::spawn_blocking(move || last(&path)).await??)
    }
}

fn add(path: &Path, note: &str) -> io::Result<()> {
    if last(path)?.as_deref() == Some(note) {
        return Ok(());
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // In one write, and after a break if an earlier one was cut in the middle.
    let begin = if ends_in_a_break(path)? { "" } else { "\n" };
    file.write_all(format!("{begin}{}\n", checkpoint_record(note)).as_bytes())?;
    file.sync_data()
}

fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    io::Read::read_to_end(&mut file, &mut tail)?;
    Ok(tail)
}

fn ends_in_a_break(path: &Path) -> io::Result<bool> {
    Ok(matches!(tail(path)?.last(), None | Some(b'\n')))
}

fn last(path: &Path) -> io::Result<Option<String>> {
    let tail = tail(path)?;
    let lines = BufReader::new(tail.as_slice()).split(b'\n');
    let whole = lines.filter_map(|line| String::from_utf8(line.ok()?).ok());
    let notes = whole.filter(|line| line.starts_with('{'));
    Ok(notes.flat_map(|line| notes_in(&line)).last())
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
    async fn a_file_keeps_each_checkpoint_once_and_knows_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.jsonl");
        let file = CheckpointFile::new(&path);
        assert_eq!(file.last().await.unwrap(), None);
        let all = checkpoints(400);
        for checkpoint in &all {
            file.keep(checkpoint).await.unwrap();
            file.keep(checkpoint).await.unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() > TAIL);
        let last = file.last().await.unwrap();
        assert_eq!(last.as_deref(), Some(all[399].note()));
        let text = std::fs::read_to_string(&path).unwrap();
        let notes: Vec<_> = all.iter().map(|kept| kept.note().to_owned()).collect();
        assert_eq!(notes_in(&text), notes);
        assert_eq!(text.lines().count(), notes.len(), "a line each");
    }

    #[tokio::test]
    async fn a_long_checkpoint_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::new(folder.path().join("checkpoints.jsonl"));
        // As with many keys while they are replaced.
        let keys: Vec<_> = (0..500)
            .map(|_| SigningKey::generate("app.example/erasure").unwrap())
            .collect();
        let long = Checkpoint::of(keys[0].name(), &Frontier::new()).sign(&keys);
        assert!(long.note().len() > 32 * 1024);
        file.keep(&long).await.unwrap();
        let last = file.last().await.unwrap();
        assert_eq!(last.as_deref(), Some(long.note()));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_opened_is_not_taken_for_one_that_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let no_folder = folder.path().join("a file");
        std::fs::write(&no_folder, "").unwrap();
        let file = CheckpointFile::new(no_folder.join("checkpoints.jsonl"));
        assert!(file.last().await.is_err());
    }

    #[tokio::test]
    async fn a_line_that_was_cut_in_the_middle_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.jsonl");
        let file = CheckpointFile::new(&path);
        let all = checkpoints(2);
        file.keep(&all[0]).await.unwrap();
        let whole = std::fs::read(&path).unwrap();
        let torn = [&whole[..], &whole[..40]].concat();
        std::fs::write(&path, torn).unwrap();
        assert_eq!(file.last().await.unwrap().as_deref(), Some(all[0].note()));
        file.keep(&all[1]).await.unwrap();
        assert_eq!(file.last().await.unwrap().as_deref(), Some(all[1].note()));
    }
}
