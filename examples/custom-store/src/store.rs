//! A token store over plain files: one folder for each member, with one JSON file in it.
//!
//! ```text
//! DIR/01026778/record.json      the member's record
//! DIR/01026778/record.json.new  the next one, while it is being written
//! DIR/locks/78                  held by whoever writes a member whose id ends so
//! ```
//!
//! Several processes may use one `DIR`, on a local disk. What a [`TokenStore`] promises comes from
//! four things that the operating system promises:
//!
//! - **Compare and write as one:** a writer holds an exclusive lock while it does both. The system
//!   lets go of it when the file is closed, and so when a process dies.
//! - **Whole or nothing:** a record is written beside the old one and renamed over it. A reader
//!   finds the one or the other, and needs no lock.
//! - **Durable:** the file is flushed before it is renamed, and its folder after.
//! - **Found while it changes:** a member's folder stays where it is while the file in it is
//!   replaced, so that a walk through `DIR` cannot miss it.
//!
//! A lock file must not be removed, since somebody may be waiting for it. There is a fixed set of
//! them, not one for each member, so that no file is left to tell of a member who was removed.
//!
//! Files and folders are for their owner only. The tokens in them are plain text: wrap the store in
//! a [`EncryptedStore`](oh_core::store::EncryptedStore) to have them encrypted.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use oh_core::ProjectMemberId;
use oh_core::store::{Exposed, MemberRecord, PutOutcome, StoreError, TokenStore, Version};

const RECORD: &str = "record.json";
const NEXT: &str = "record.json.new";
const LOCKS: &str = "locks";

/// Keeps records in a directory. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct FileStore(Arc<Path>);

impl FileStore {
    /// Opens the store in `dir`, which is made if only its parent is there. Blocks, shortly.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or written to.
    pub(crate) fn open(dir: impl AsRef<Path>) -> io::Result<Self> {
        let dir = std::path::absolute(dir)?;
        if make_dir(&dir)?
            && let Some(parent) = dir.parent()
        {
            sync_dir(parent)?;
        }
        make_dir(&dir.join(LOCKS))?;
        Ok(Self(dir.into()))
    }

    /// Digits only, so it cannot lead out of the directory.
    fn folder(&self, member: &ProjectMemberId) -> PathBuf {
        self.0.join(member.as_str())
    }

    /// Waits for the right to write this member. It ends when the file is dropped.
    fn lock(&self, member: &ProjectMemberId) -> io::Result<File> {
        let id = member.as_str();
        let ending = &id[id.len().saturating_sub(2)..];
        let file = create(&self.0.join(LOCKS).join(ending))?;
        file.lock()?;
        Ok(file)
    }

    fn read(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        match fs::read(self.folder(member).join(RECORD)) {
            Ok(json) => decode(member, &json).map(Some),
            // An empty place where a disk should be mounted knows no member either.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let here = fs::metadata(self.0.join(LOCKS));
                here.map(|_| None).map_err(StoreError::unavailable)
            }
            Err(error) => Err(StoreError::unavailable(error)),
        }
    }

    /// Runs `write` under the member's lock, if the stored version is `expected`.
    fn write_if(
        &self,
        member: &ProjectMemberId,
        expected: Option<Version>,
        write: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<PutOutcome, StoreError> {
        let _lock = self.lock(member).map_err(StoreError::unavailable)?;
        if self.read(member)?.map(|stored| stored.version) != expected {
            return Ok(PutOutcome::Conflict);
        }
        write(&self.folder(member)).map_err(StoreError::unavailable)?;
        Ok(PutOutcome::Stored)
    }

    /// All members that have a folder, in the order of their ids.
    fn members(&self) -> io::Result<BTreeSet<ProjectMemberId>> {
        let mut members = BTreeSet::new();
        for entry in fs::read_dir(&self.0)? {
            // The locks are no member's.
            members.extend(entry?.file_name().to_str().and_then(|n| n.parse().ok()));
        }
        Ok(members)
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        let (store, member) = (self.clone(), member.clone());
        blocking(move || store.read(&member)).await
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        let (store, record) = (self.clone(), record.clone());
        blocking(move || {
            store.write_if(&record.member, expected, |folder| {
                make_dir(folder)?;
                let mut next = create(&folder.join(NEXT))?;
                // What a writer left that died before it could rename.
                next.set_len(0)?;
                next.write_all(&encode(&record)?)?;
                next.sync_all()?;
                fs::rename(folder.join(NEXT), folder.join(RECORD))?;
                sync_dir(folder)?;
                match expected {
                    Some(_) => Ok(()),
                    None => sync_dir(&store.0),
                }
            })
        })
        .await
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        let (store, member) = (self.clone(), member.clone());
        blocking(move || {
            store.write_if(&member, Some(expected), |folder| {
                // Tokens may be in both, and the record says whether there is something to remove.
                match fs::remove_file(folder.join(NEXT)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => fs::remove_file(folder.join(RECORD))?,
                }
                fs::remove_dir(folder)?;
                sync_dir(&store.0)
            })
        })
        .await
    }

    /// Lists the whole directory for each page: fine for some ten thousand members.
    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        let (store, after) = (self.clone(), after.cloned());
        blocking(move || {
            let members = store.members().map_err(StoreError::unavailable)?;
            members
                .iter()
                .filter(|member| after.as_ref().is_none_or(|after| *member > after))
                .filter_map(|member| store.read(member).transpose())
                .take(limit)
                .collect()
        })
        .await
    }
}

/// Runs what may wait for the disk or a lock where it holds up nobody else. It runs to its end even
/// if the caller stops waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|ended| Err(StoreError::unavailable(ended)))
}

/// Opens a file for writing; makes it if it is not there, for its owner only.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path)
}

/// Makes a folder for its owner only, and says whether it was not there.
fn make_dir(path: &Path) -> io::Result<bool> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there are no modes to set"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    match builder.create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes what was made, renamed or removed in a folder outlive a loss of power.
fn sync_dir(path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file.
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

fn encode(record: &MemberRecord) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec_pretty(&Exposed(record))?)
}

fn decode(member: &ProjectMemberId, json: &[u8]) -> Result<MemberRecord, StoreError> {
    let Exposed(record): Exposed<MemberRecord> = serde_json::from_slice(json).map_err(|error| {
        // The error's own words may quote a token.
        let (line, column) = (error.line(), error.column());
        let place = format!("{member}/{RECORD}, line {line}, column {column}");
        StoreError::unreadable(format!("{place}: not what belongs there"))
    })?;
    if record.member != *member {
        let what = format!("{member}/{RECORD} is another member's");
        return Err(StoreError::unreadable(what));
    }
    Ok(record)
}
