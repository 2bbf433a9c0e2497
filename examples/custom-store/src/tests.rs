//! The public acceptance suite, and tests specific to a store in files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use async_trait::async_trait;
use oh_core::store::{Epoch, MemberRecord, PutOutcome, StoreError, TokenStore, Tokens, Version};
use oh_core::{ProjectMemberId, Timestamp};
use oh_test::acceptance::token_store::Subject;
use tempfile::TempDir;

use crate::store::FileStore;

struct FileSubject(TempDir);

#[async_trait]
impl Subject for FileSubject {
    async fn open(&self) -> Arc<dyn TokenStore> {
        Arc::new(FileStore::open(self.0.path()).unwrap())
    }
}

async fn empty() -> FileSubject {
    FileSubject(tempfile::tempdir().unwrap())
}

oh_test::token_store_acceptance!(empty);

mod encrypted {
    use oh_test::acceptance::token_store::Encrypted;

    use super::{FileSubject, empty};

    async fn subject() -> Encrypted<FileSubject> {
        Encrypted(empty().await)
    }

    oh_test::token_store_acceptance!(subject);
}

const ALICE: &str = "01026778";

fn id(text: &str) -> ProjectMemberId {
    text.parse().unwrap()
}

fn record() -> MemberRecord {
    let at = Timestamp::from_micros(1_800_000_000_000_000);
    let mut record = MemberRecord::tombstone(id(ALICE), at);
    record.epoch = Epoch::from_stored(0);
    record.tokens = Some(Tokens::new("secret-access", "secret-refresh", at));
    record
}

fn next(record: &MemberRecord) -> MemberRecord {
    let mut record = record.clone();
    record.epoch = Epoch::from_stored(record.epoch.get() + 1);
    record.version = Version::fresh();
    record
}

/// Returns all files and folders below `dir`.
fn all_paths(dir: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths.extend(all_paths(&path));
        }
        paths.push(path);
    }
    paths
}

#[tokio::test]
async fn example_runs() {
    let dir = tempfile::tempdir().unwrap();
    crate::run(&dir.path().join("members")).await.unwrap();
    let record = FileStore::open(dir.path().join("members"))
        .unwrap()
        .load(&id(ALICE))
        .await
        .unwrap();
    assert!(record.unwrap().is_authorized());
}

const WRITES_PER_PROCESS: i64 = 25;
const CHILD: &str = "CUSTOM_STORE_TEST_DIR";

#[tokio::test]
async fn put_loses_no_write_of_concurrent_processes() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    assert_eq!(
        store.put(&record(), None).await.unwrap(),
        PutOutcome::Stored
    );
    let spawn_child = || -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::child_process", "--ignored"])
            .env(CHILD, dir.path())
            .spawn()
            .unwrap()
    };
    for mut process in [spawn_child(), spawn_child(), spawn_child(), spawn_child()] {
        assert!(process.wait().unwrap().success());
    }
    let epoch = store.load(&id(ALICE)).await.unwrap().unwrap().epoch.get();
    assert_eq!(epoch, 4 * WRITES_PER_PROCESS);
}

#[tokio::test]
#[ignore = "a child process of put_loses_no_write_of_concurrent_processes"]
async fn child_process() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let store = FileStore::open(dir).unwrap();
    let mut written = 0;
    while written < WRITES_PER_PROCESS {
        let before = store.load(&id(ALICE)).await.unwrap().unwrap();
        if store
            .put(&next(&before), Some(before.version))
            .await
            .unwrap()
            == PutOutcome::Stored
        {
            written += 1;
        }
    }
}

#[tokio::test]
async fn put_and_remove_clean_up_after_a_crashed_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    // The writer crashed before its first record was complete.
    let partial = dir.path().join(ALICE).join("record.json.new");
    fs::create_dir(dir.path().join(ALICE)).unwrap();
    fs::write(&partial, "{\"half".repeat(1_000)).unwrap();
    assert!(store.load(&id(ALICE)).await.unwrap().is_none());
    assert!(store.page(None, 10).await.unwrap().is_empty());
    let first = record();
    assert_eq!(store.put(&first, None).await.unwrap(), PutOutcome::Stored);
    let stored = store.load(&id(ALICE)).await.unwrap().unwrap();
    assert_eq!(stored.version, first.version);
    assert!(!partial.exists());
    // The writer crashed before the next record was complete.
    fs::write(&partial, "secret-access").unwrap();
    let stored = store.load(&id(ALICE)).await.unwrap().unwrap();
    assert_eq!(stored.version, first.version);
    let removed = store.remove(&id(ALICE), first.version).await;
    assert_eq!(removed.unwrap(), PutOutcome::Stored);
    for path in all_paths(dir.path()) {
        let text = path.to_str().unwrap();
        assert!(!text.contains(ALICE), "{text}");
        assert!(
            path.is_dir() || fs::read(&path).unwrap().is_empty(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn unreadable_record_error_contains_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    let first = record();
    assert_eq!(store.put(&first, None).await.unwrap(), PutOutcome::Stored);
    let path = dir.path().join(ALICE).join("record.json");
    let original = fs::read_to_string(&path).unwrap();
    for damaged in [
        original.replace(ALICE, "01026779"),
        original.replace("2027-01-15T08:00:00Z", "secret-access"),
        original.replace('}', ""),
        String::new(),
    ] {
        assert_ne!(damaged, original);
        fs::write(&path, damaged).unwrap();
        for error in [
            store.load(&id(ALICE)).await.unwrap_err(),
            store.page(None, 10).await.unwrap_err(),
            store
                .put(&next(&first), Some(first.version))
                .await
                .unwrap_err(),
            store.remove(&id(ALICE), first.version).await.unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Unreadable(_)), "{error:?}");
            let text = format!("{error:?}");
            assert!(text.contains(ALICE) && !text.contains("secret"), "{text}");
        }
    }
}

#[tokio::test]
async fn missing_directory_is_a_retryable_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(FileStore::open(dir.path().join("not/there")).is_err());
    let store = FileStore::open(dir.path().join("store")).unwrap();
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    for error in [
        store.load(&id(ALICE)).await.unwrap_err(),
        store.put(&record(), None).await.unwrap_err(),
        store.page(None, 10).await.unwrap_err(),
    ] {
        assert!(error.is_retryable(), "{error:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_accessible_by_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path().join("store")).unwrap();
    assert_eq!(
        store.put(&record(), None).await.unwrap(),
        PutOutcome::Stored
    );
    let paths = all_paths(dir.path());
    assert_eq!(
        paths.len(),
        5,
        "the store, a lock in locks, a record: {paths:?}"
    );
    for path in paths {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}", path.display());
    }
}
