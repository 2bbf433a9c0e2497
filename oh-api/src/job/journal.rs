//! Which members are done, in a file: so that a job that broke off goes on where it was.
//!
//! A line of text for each, appended and synchronised when the member is done. A line that was cut off
//! by a crash counts for nothing. One run has the file at a time.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::hashing::blocking;
use crate::{Error, ProjectMemberId};

/// The first line: whatever has another is no such file, and is left alone.
const HEADER: &str = "# Members an Open Humans job is done with. Delete this to begin anew.\n";

/// The file, locked for as long as this lives.
pub(super) struct Journal {
    path: PathBuf,
    file: Arc<File>,
}

impl Journal {
    /// Opens the file, which is made if need be, and reads who is done.
    pub(super) async fn open(path: &Path) -> Result<(Self, HashSet<ProjectMemberId>), Error> {
        let path = path.to_owned();
        let named = path.clone();
        let opened = blocking(move |_| read(&path)).await;
        let (file, done) = opened.map_err(|error| error.at(&named))?;
        let (path, file) = (named, Arc::new(file));
        Ok((Self { path, file }, done))
    }

    /// Writes down that a member is done.
    pub(super) async fn add(&self, member: &ProjectMemberId) -> Result<(), Error> {
        let (file, line) = (self.file.clone(), format!("{member}\n"));
        let written = blocking(move |_| {
            // In one write, so that only its end can be missing.
            (&*file).write_all(line.as_bytes())?;
            file.sync_data()
        });
        written.await.map_err(|error| error.at(&self.path))
    }

    /// Removes the file: everything is done.
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
        Err(TryLockError::WouldBlock) => return Err(invalid("another run has it")),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&bytes[..whole]).map_err(|_| invalid(NOT_ONE))?;
    let done = match text.strip_prefix(HEADER) {
        Some(ids) => ids.lines().map(str::parse).collect(),
        None if text.is_empty() && HEADER.as_bytes().starts_with(&bytes) => Ok(HashSet::new()),
        None => return Err(invalid(NOT_ONE)),
    };
    let done = done.map_err(|_| invalid(NOT_ONE))?;
    // What a crash cut off is written anew.
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    if whole == 0 {
        file.write_all(HEADER.as_bytes())?;
        file.sync_data()?;
    }
    Ok((file, done))
}

const NOT_ONE: &str = "it is not the journal of a job, and was left as it is";

fn invalid(reason: &str) -> Error {
    Error::InvalidInput {
        argument: "journal",
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ProjectMemberId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn what_is_done_stays_done_and_what_was_cut_off_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("job.done");
        let (journal, done) = Journal::open(&path).await.unwrap();
        assert!(done.is_empty());
        journal.add(&id("01026778")).await.unwrap();
        let second = Journal::open(&path).await.err().unwrap();
        assert!(
            second.to_string().contains("another run has it"),
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
    async fn a_file_of_another_kind_is_left_as_it_is() {
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
            assert!(error.to_string().contains("left as it is"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        // A crash while the first line was written.
        for cut in [0, 1, HEADER.len() - 1] {
            std::fs::write(&path, &HEADER[..cut]).unwrap();
            assert!(Journal::open(&path).await.unwrap().1.is_empty());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), HEADER);
        }
        let nowhere = Journal::open(Path::new("/no/such/folder/x"))
            .await
            .err()
            .unwrap();
        assert!(
            nowhere.to_string().contains("/no/such/folder/x"),
            "{nowhere}"
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("job.done");
        let _journal = Journal::open(&path).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
