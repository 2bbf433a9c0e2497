//! The journal of a job: a file with a line for each finished member, so that the job can resume.
//!
//! Lines are appended and synchronized one by one. An incomplete last line, which a crash leaves, is
//! ignored. The file is locked during a run.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::hashing::blocking;
use crate::{Error, ProjectMemberId};

/// The first line. A file with another first line is not a journal and is not changed.
const HEADER: &str = "# Members finished by an Open Humans job. Delete this file to start over.\n";

/// The locked file.
pub(super) struct Journal {
    path: PathBuf,
    file: Arc<File>,
}

impl Journal {
    /// Opens or creates the file and returns the finished members.
    pub(super) async fn open(path: &Path) -> Result<(Self, HashSet<ProjectMemberId>), Error> {
        let path = path.to_owned();
        let file_path = path.clone();
        let opened = blocking(move |_| read(&path)).await;
        let (file, done) = opened.map_err(|error| error.at(&file_path))?;
        let (path, file) = (file_path, Arc::new(file));
        Ok((Self { path, file }, done))
    }

    /// Appends a finished member.
    pub(super) async fn add(&self, member: &ProjectMemberId) -> Result<(), Error> {
        let (file, line) = (self.file.clone(), format!("{member}\n"));
        let written = blocking(move |_| {
            // A single write, so that a crash can only truncate the line.
            (&*file).write_all(line.as_bytes())?;
            file.sync_data()
        });
        written.await.map_err(|error| error.at(&self.path))
    }

    /// Removes the file.
    pub(super) async fn remove(self) -> Result<(), Error> {
        let path = self.path.clone();
        let removed = blocking(move |_| std::fs::remove_file(path)).await;
        removed.map_err(|error| error.at(&self.path))
    }
}

fn read(path: &Path) -> Result<(File, HashSet<ProjectMemberId>), Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(invalid("another run uses it")),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let complete = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&bytes[..complete]).map_err(|_| invalid(NOT_A_JOURNAL))?;
    let done = match text.strip_prefix(HEADER) {
        Some(ids) => ids.lines().map(str::parse).collect(),
        None if text.is_empty() && HEADER.as_bytes().starts_with(&bytes) => Ok(HashSet::new()),
        None => return Err(invalid(NOT_A_JOURNAL)),
    };
    let done = done.map_err(|_| invalid(NOT_A_JOURNAL))?;
    // Removes an incomplete line.
    file.set_len(complete as u64)?;
    file.seek(SeekFrom::End(0))?;
    if complete == 0 {
        file.write_all(HEADER.as_bytes())?;
        file.sync_data()?;
    }
    Ok((file, done))
}

const NOT_A_JOURNAL: &str = "it is not the journal of a job and was not changed";

fn invalid(reason: &str) -> Error {
    Error::invalid_input("journal", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ProjectMemberId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn journal_keeps_complete_lines_after_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("job.done");
        let (journal, done) = Journal::open(&path).await.unwrap();
        assert!(done.is_empty());
        journal.add(&id("01026778")).await.unwrap();
        let second = Journal::open(&path).await.err().unwrap();
        assert!(
            second.to_string().contains("another run uses it"),
            "{second}"
        );
        drop(journal);

        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"0016").unwrap();
        let (journal, done) = Journal::open(&path).await.unwrap();
        assert_eq!(done, HashSet::from([id("01026778")]));
        journal.add(&id("00169953")).await.unwrap();
        drop(journal);
        let (journal, done) = Journal::open(&path).await.unwrap();
        assert_eq!(done, HashSet::from([id("01026778"), id("00169953")]));
        journal.remove().await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn journal_does_not_change_other_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("thesis.txt");
        for text in [
            "Chapter 1",
            "01026778\n",
            "# Members\n",
            "\u{0}\n",
            &format!("{HEADER}x\n"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Journal::open(&path).await.err().unwrap();
            assert!(error.to_string().contains("was not changed"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        // A crash truncated the first line.
        for cut in [0, 1, HEADER.len() - 1] {
            std::fs::write(&path, &HEADER[..cut]).unwrap();
            assert!(Journal::open(&path).await.unwrap().1.is_empty());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), HEADER);
        }
        let missing = Journal::open(Path::new("/no/such/folder/x"))
            .await
            .err()
            .unwrap();
        assert!(
            missing.to_string().contains("/no/such/folder/x"),
            "{missing}"
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn journal_is_readable_only_by_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("job.done");
        let _journal = Journal::open(&path).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
