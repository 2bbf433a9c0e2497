//! The public acceptance suite on the store, and what only a store in files has to show.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use async_trait::async_trait;
use oh_core::acceptance::token_store::Subject;
use oh_core::store::{Epoch, MemberRecord, PutOutcome, StoreError, TokenStore, Tokens, Version};
use oh_core::{ProjectMemberId, Timestamp};
use tempfile::TempDir;

use crate::store::FileStore;

struct InFiles(TempDir);

#[async_trait]
impl Subject for InFiles {
    async fn open(&self) -> Arc<dyn TokenStore> {
        Arc::new(FileStore::open(self.0.path()).unwrap())
    }
}

async fn empty() -> InFiles {
    InFiles(tempfile::tempdir().unwrap())
}

oh_core::token_store_acceptance!(empty);

mod sealed {
    use oh_core::store::{EncryptedStore, Keyring};

    use super::{Arc, InFiles, Subject, TokenStore, empty};

    struct Sealed(InFiles);

    #[async_trait::async_trait]
    impl Subject for Sealed {
        async fn open(&self) -> Arc<dyn TokenStore> {
            let keys = Keyring::parse("test:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=");
            Arc::new(EncryptedStore::new(self.0.open().await, keys.unwrap()))
        }
    }

    async fn subject() -> Sealed {
        Sealed(empty().await)
    }

    oh_core::token_store_acceptance!(subject);
}

const ALICE: &str = "01026778";

fn id(text: &str) -> ProjectMemberId {
    text.parse().unwrap()
}

fn record() -> MemberRecord {
    let at = Timestamp::from_micros(1_800_000_000_000_000);
    {
        let mut record = MemberRecord::tombstone(id(ALICE), at);
        record.epoch = Epoch::from_stored(0);
        record.tokens = Some(Tokens::new("secret-access", "secret-refresh", at));
        record
    }
}

fn next(record: &MemberRecord) -> MemberRecord {
    {
        let mut record = record.clone();
        record.epoch = Epoch::from_stored(record.epoch.get() + 1);
        record.version = Version::fresh();
        record
    }
}

/// Everything in the directory, and in the folders in it.
fn all_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test]
async fn the_example_runs() {
    let dir = tempfile::tempdir().unwrap();
    crate::show(&dir.path().join("members")).await.unwrap();
    let record = FileStore::open(dir.path().join("members"))
        .unwrap()
        .load(&id(ALICE))
        .await
        .unwrap();
    assert!(record.unwrap().is_authorized());
}

const EACH: i64 = 25;
const CHILD: &str = "CUSTOM_STORE_TEST_DIR";

/// Several processes that read, change, and write if unchanged lose nothing.
#[tokio::test]
async fn processes_lose_no_write_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    assert_eq!(
        store.put(&record(), None).await.unwrap(),
        PutOutcome::Stored
    );
    let start = || -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::one_of_the_processes", "--ignored"])
            .env(CHILD, dir.path())
            .spawn()
            .unwrap()
    };
    for mut process in [start(), start(), start(), start()] {
        assert!(process.wait().unwrap().success());
    }
    let counted = store.load(&id(ALICE)).await.unwrap().unwrap().epoch.get();
    assert_eq!(counted, 4 * EACH);
}

#[tokio::test]
#[ignore = "a part of processes_lose_no_write_of_each_other"]
async fn one_of_the_processes() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let store = FileStore::open(dir).unwrap();
    let mut written = 0;
    while written < EACH {
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
async fn a_writer_that_died_leaves_nothing_that_matters_or_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    // It died before its first record was there.
    let half = dir.path().join(ALICE).join("record.json.new");
    fs::create_dir(dir.path().join(ALICE)).unwrap();
    fs::write(&half, "{\"half".repeat(1_000)).unwrap();
    assert!(store.load(&id(ALICE)).await.unwrap().is_none());
    assert!(store.page(None, 10).await.unwrap().is_empty());
    let first = record();
    assert_eq!(store.put(&first, None).await.unwrap(), PutOutcome::Stored);
    let stored = store.load(&id(ALICE)).await.unwrap().unwrap();
    assert_eq!(stored.version, first.version);
    assert!(!half.exists());
    // It died before the next one was.
    fs::write(&half, "secret-access").unwrap();
    let stored = store.load(&id(ALICE)).await.unwrap().unwrap();
    assert_eq!(stored.version, first.version);
    let removed = store.remove(&id(ALICE), first.version).await;
    assert_eq!(removed.unwrap(), PutOutcome::Stored);
    for path in all_below(dir.path()) {
        let text = path.to_str().unwrap();
        assert!(!text.contains(ALICE), "{text}");
        assert!(
            path.is_dir() || fs::read(&path).unwrap().is_empty(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_said_without_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).unwrap();
    let first = record();
    assert_eq!(store.put(&first, None).await.unwrap(), PutOutcome::Stored);
    let path = dir.path().join(ALICE).join("record.json");
    let whole = fs::read_to_string(&path).unwrap();
    for damaged in [
        whole.replace(ALICE, "01026779"),
        whole.replace("2027-01-15T08:00:00Z", "secret-access"),
        whole.replace('}', ""),
        String::new(),
    ] {
        assert_ne!(damaged, whole);
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
            let said = format!("{error:?}");
            assert!(said.contains(ALICE) && !said.contains("secret"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_directory_that_is_gone_is_not_available() {
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
async fn everything_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path().join("store")).unwrap();
    assert_eq!(
        store.put(&record(), None).await.unwrap(),
        PutOutcome::Stored
    );
    let paths = all_below(dir.path());
    assert_eq!(
        paths.len(),
        5,
        "the store, a lock in locks, a record: {paths:?}"
    );
    for path in paths {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{}", path.display());
    }
}
