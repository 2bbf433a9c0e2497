//! A token store in files: one folder per member, with one JSON file.
//!
//! ```text
//! DIR/01026778/record.json      the member's record
//! DIR/01026778/record.json.new  the next record, while it is written
//! DIR/locks/78                  the lock for members whose ids end with 78
//! ```
//!
//! Several processes may use the same `DIR` on a local disk. The guarantees of a [`TokenStore`]
//! rest on four properties of the operating system:
//!
//! - **Compare and swap:** a writer holds an exclusive lock while it compares and writes. The system
//!   releases the lock when the file is closed, and so when a process dies.
//! - **Atomicity:** a record is written to a new file, which then replaces the old one by a rename.
//!   Readers see one or the other and need no lock.
//! - **Durability:** the file is flushed before the rename, its folder after it.
//! - **Stable listing:** a member's folder stays in place while its file is replaced, so a listing
//!   of `DIR` never misses a member.
//!
//! Lock files must not be removed, because another process may be waiting for one. The set is
//! fixed, instead of one per member, so that no file reveals a removed member.
//!
//! Files and folders are readable by their owner only. Tokens are stored in plain text unless the
//! store is wrapped in an [`EncryptedStore`](oh_core::store::EncryptedStore).

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use oh_core::ProjectMemberId;
use oh_core::store::{MemberRecord, PlainRecord, PutOutcome, StoreError, TokenStore, Version};

const RECORD: &str = "record.json";
const NEW_RECORD: &str = "record.json.new";
const LOCKS: &str = "locks";

/// A token store in a directory. Clones share the directory.
#[derive(Clone, Debug)]
pub(crate) struct FileStore(Arc<Path>);

impl FileStore {
    /// Opens the store in `dir` and creates the directory if its parent exists.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be created.
    pub(crate) fn open(dir: impl AsRef<Path>) -> io::Result<Self> {
        let dir = std::path::absolute(dir)?;
        if create_dir(&dir)?
            && let Some(parent) = dir.parent()
        {
            sync_dir(parent)?;
        }
        create_dir(&dir.join(LOCKS))?;
        Ok(Self(dir.into()))
    }

    // A member id has only digits, so the path cannot leave the directory.
    fn folder(&self, member: &ProjectMemberId) -> PathBuf {
        self.0.join(member.as_str())
    }

    /// Waits for the exclusive lock of a member, which is released when the file is dropped.
    fn lock(&self, member: &ProjectMemberId) -> io::Result<File> {
        let id = member.as_str();
        let suffix = &id[id.len().saturating_sub(2)..];
        let file = create(&self.0.join(LOCKS).join(suffix))?;
        file.lock()?;
        Ok(file)
    }

    fn read(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        match fs::read(self.folder(member).join(RECORD)) {
            Ok(json) => decode(member, &json).map(Some),
            // Without the locks folder the disk is probably not mounted, so do not report `None`.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let locks = fs::metadata(self.0.join(LOCKS));
                locks.map(|_| None).map_err(StoreError::unavailable)
            }
            Err(error) => Err(StoreError::unavailable(error)),
        }
    }

    /// Runs `write` under the member's lock if the stored version is `expected`.
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

    /// Returns all members that have a folder, sorted by id.
    fn members(&self) -> io::Result<BTreeSet<ProjectMemberId>> {
        let mut members = BTreeSet::new();
        for entry in fs::read_dir(&self.0)? {
            // The name of the locks folder is not a member id.
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
                create_dir(folder)?;
                let mut file = create(&folder.join(NEW_RECORD))?;
                // A writer may have died before its rename.
                file.set_len(0)?;
                file.write_all(&encode(&record)?)?;
                file.sync_all()?;
                fs::rename(folder.join(NEW_RECORD), folder.join(RECORD))?;
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
                // Both files may contain tokens. The record goes last, so that a retry finds it.
                match fs::remove_file(folder.join(NEW_RECORD)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => fs::remove_file(folder.join(RECORD))?,
                }
                fs::remove_dir(folder)?;
                sync_dir(&store.0)
            })
        })
        .await
    }

    /// Lists the directory for each page, which is fast enough for some ten thousand members.
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

/// Runs blocking work on a separate thread. It continues if the caller is cancelled.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let result = tokio::task::spawn_blocking(work).await;
    result.unwrap_or_else(|error| Err(StoreError::unavailable(error)))
}

/// Opens a file for writing and creates it, readable by its owner only, if necessary.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path)
}

/// Creates a folder, accessible by its owner only. Returns false if it already existed.
fn create_dir(path: &Path) -> io::Result<bool> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has file modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    match builder.create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Flushes a folder, so that created, renamed and removed entries survive a power failure.
fn sync_dir(path: &Path) -> io::Result<()> {
    // Only Unix can open a folder as a file.
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

fn encode(record: &MemberRecord) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec_pretty(&PlainRecord(record.clone()))?)
}

fn decode(member: &ProjectMemberId, json: &[u8]) -> Result<MemberRecord, StoreError> {
    let PlainRecord(record) = serde_json::from_slice(json).map_err(|error| {
        // The message of the error could contain a token.
        let (line, column) = (error.line(), error.column());
        StoreError::unreadable(format!(
            "{member}/{RECORD}, line {line}, column {column}: invalid record"
        ))
    })?;
    if record.member != *member {
        let reason = format!("{member}/{RECORD} contains the record of another member");
        return Err(StoreError::unreadable(reason));
    }
    Ok(record)
}
