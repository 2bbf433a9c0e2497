//! Searches the files of the databases for tokens and for data of erased members.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{PgSchema, SqliteFile};
use futures_util::TryStreamExt;
use oh_core::deauth::{
    Completion, DeauthEvent, DeauthInbox, Departure, Discovery, ErasureRequest, EventId,
    EventQuery, Pseudonym, WorkerSettings,
};
use oh_core::store::{EncryptedStore, MemberRecord, PutOutcome, TokenStore, Tokens, Version};
use oh_core::{OpenHumans, ProjectMemberId, Settings, Timestamp};
use oh_ledger::{SigningKey, Verdict, Verifier, report};
use oh_sqlx::SqliteStore;
use sqlx::PgPool;

const MEMBERS: u32 = 300;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn id(number: u32) -> ProjectMemberId {
    format!("{number:08}").parse().unwrap()
}

/// A token of usual length, or of more than a page. It is random, so that PostgreSQL does not compress
/// it.
fn token(kind: &str, number: u32) -> String {
    let mut token = format!("<{kind}-token-{number:08}>");
    if number.is_multiple_of(50) {
        while token.len() < 6_000 {
            token += &format!("{:x}", Version::fresh().get());
        }
    }
    token
}

fn record(number: u32) -> MemberRecord {
    let tokens = Tokens::new(
        token("access", number),
        token("refresh", number),
        at(36_000),
    );
    let mut record = MemberRecord::authorized(id(number), tokens, at(0));
    record.username = Some(format!("user{number}"));
    record
}

fn event(number: u32) -> DeauthEvent {
    DeauthEvent {
        id: EventId::new(format!("e{number}")),
        member: id(number),
        pseudonym: Pseudonym::new(format!("p{number}")),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: at(100),
        received_at: at(101),
    }
}

/// Encrypts with the keys that an application has by default.
fn encrypted<S: TokenStore>(store: S) -> EncryptedStore<S> {
    let settings = Settings::builder("id", "client secret", "https://app.example").build();
    EncryptedStore::new(store, settings.unwrap().store_keys())
}

/// Stores, refreshes, deauthorizes and removes members. `search` is called after each step.
async fn change_members<S>(store: S, search: impl AsyncFn())
where
    S: TokenStore + DeauthInbox + Clone,
{
    let tokens = encrypted(store.clone());
    let mut versions = Vec::new();
    for number in 0..MEMBERS {
        let record = record(number);
        let stored = tokens.put(&record, None).await.unwrap();
        assert_eq!(stored, PutOutcome::Stored);
        versions.push(record.version);
    }
    search().await;
    for number in 0..MEMBERS {
        let record = record(number);
        let old = std::mem::replace(&mut versions[number as usize], record.version);
        let stored = tokens.put(&record, Some(old)).await.unwrap();
        assert_eq!(stored, PutOutcome::Stored);
    }
    search().await;
    for number in 0..MEMBERS {
        match number % 3 {
            0 => drop(store.accept(&event(number)).await.unwrap()),
            1 => {
                let removed = tokens.remove(&id(number), versions[number as usize]).await;
                assert_eq!(removed.unwrap(), PutOutcome::Stored);
            }
            _ => {
                let read = tokens.load(&id(number)).await.unwrap().unwrap();
                let access = read.tokens.unwrap().access_token;
                let prefix = format!("<access-token-{number:08}>");
                assert!(access.expose().starts_with(&prefix));
            }
        }
    }
    search().await;
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[track_caller]
fn assert_has_encrypted_tokens_only(bytes: &[u8]) {
    assert!(contains(bytes, "ohs1.cs-") && contains(bytes, "user2"));
    for plain in ["<access-", "<refresh-", "-token-"] {
        assert!(!contains(bytes, plain), "{plain} is in the files");
    }
}

/// Reads the database, its log, and all other files in the folder.
fn files(file: &SqliteFile) -> Vec<u8> {
    let path = file.path();
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_files_never_contain_plain_tokens() {
    let file = SqliteFile::new();
    let store = file.open().await;
    change_members(store, async || {
        assert_has_encrypted_tokens_only(&files(&file));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_files_never_contain_plain_tokens() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let pool = schema.pool().await;
    change_members(schema.open().await, async || {
        assert_has_encrypted_tokens_only(&heap(&pool).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_removes_ids_of_erased_members() {
    let file = SqliteFile::new();
    let store = file.open().await;
    for number in 0..MEMBERS {
        let _ = store.accept(&event(number)).await.unwrap();
    }
    let leased = store.lease(at(200), at(300), MEMBERS as usize).await;
    for leased in &leased.unwrap() {
        let done = Completion::Done { note: None };
        let _ = store.complete(&leased.lease, &done, at(201)).await.unwrap();
        let member = &leased.event.member;
        let version = store.load(member).await.unwrap().unwrap().version;
        let removed = store.remove(member, version).await.unwrap();
        assert_eq!(removed, PutOutcome::Stored);
    }
    store.purge().await.unwrap();
    let bytes = files(&file);
    let found = (0..MEMBERS).find(|number| contains(&bytes, &format!("{number:08}")));
    assert_eq!(found, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_store_leaves_all_data_in_the_database_file() {
    let file = SqliteFile::new();
    let store = file.open().await;
    for number in 0..MEMBERS {
        let _ = store.accept(&event(number)).await.unwrap();
    }
    // An open connection prevents SQLite from deleting the log by itself.
    let pool = store.pool().clone();
    drop(store);
    let log = format!("{}-wal", file.path().display());
    while std::fs::metadata(&log).unwrap().len() > 0 {
        tokio::task::yield_now().await;
    }
    let copy = file.path().with_extension("copy");
    std::fs::copy(file.path(), &copy).unwrap();
    let copied = SqliteStore::connect(&copy).await.unwrap();
    let events = copied.events(&EventQuery::first(usize::MAX)).await.unwrap();
    assert_eq!(events.len(), MEMBERS as usize);
    pool.close().await;
}

/// Members leave, a handler fails once and names the member in its error, the tombstones are removed,
/// and a checkpoint is signed. Returns the export and the reports.
async fn erase_members(store: &(impl TokenStore + DeauthInbox + Clone)) -> Vec<u8> {
    let failed = Arc::new(Mutex::new(BTreeSet::new()));
    let handler = move |departure: Departure| {
        let member = departure.event.member.to_string();
        let first = failed.lock().unwrap().insert(member.clone());
        async move {
            match first {
                true => Err(format!("no rows of {member} could be deleted").into()),
                false => Ok(()),
            }
        }
    };
    let key = SigningKey::generate("app.example/erasure").unwrap();
    let settings = Settings::builder("id", "secret", "https://app.example")
        .deauth_on_delete(false)
        .ledger_signing_key(key.to_secret_text().to_string())
        .build()
        .unwrap();
    let openhumans = OpenHumans::builder(settings)
        .unencrypted_token_store(store.clone())
        .deauth_inbox(store.clone())
        .deauth_handler(handler)
        .build()
        .unwrap();
    let joined_at = Timestamp::now() - Duration::from_secs(60);
    for n in 0..ERASED {
        let tokens = Tokens::new("access", "refresh", joined_at);
        let mut record = MemberRecord::authorized(erased(n), tokens, joined_at);
        record.username = Some(name(n));
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
        let member = erased(n);
        let disconnected = openhumans.disconnect(&member, ErasureRequest::Requested);
        disconnected.await.unwrap();
    }
    let settings = WorkerSettings {
        min_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(1),
        ..WorkerSettings::default()
    };
    while store.stats().await.unwrap().pending > 0 {
        openhumans.worker(settings.clone()).run_until_idle().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(store.stats().await.unwrap().done, u64::from(ERASED));
    for n in 0..ERASED {
        // The worker's housekeeping does this an hour later.
        let record = store.load(&erased(n)).await.unwrap().unwrap();
        let removed = store.remove(&erased(n), record.version).await.unwrap();
        assert_eq!(removed, PutOutcome::Stored);
    }
    let checkpointer = openhumans.checkpointer().unwrap();
    assert!(checkpointer.sign_checkpoint().await.unwrap().lines >= u64::from(5 * ERASED));
    let lines = openhumans.ledger().export_lines();
    let export = lines.try_collect::<Vec<_>>().await.unwrap().join(&b'\n');
    let as_of = Timestamp::now().as_micros();
    let keys = vec![key.verifying_key().clone()];
    let verified = Verifier::new(keys, as_of).read(&*export).unwrap();
    let in_time = verified.count(|group| group.verdict == Verdict::InTime);
    assert_eq!(in_time, u64::from(ERASED));
    let mut written = export.clone();
    report::write_csv(&*export, &verified, &mut written).unwrap();
    report::write_html(&*export, &verified, &mut written).unwrap();
    // The search works: the errors are there, without the member ids.
    assert!(contains(&written, "could be deleted") && contains(&written, "</html>"));
    written
}

const ERASED: u32 = 40;

fn erased(number: u32) -> ProjectMemberId {
    format!("{}", 73_519_200 + number).parse().unwrap()
}

fn name(number: u32) -> String {
    format!("Zoë Quux {number}")
}

fn assert_no_member_in(bytes: &[u8], place: &str) {
    for n in 0..ERASED {
        for needle in [erased(n).to_string(), name(n)] {
            assert!(!contains(bytes, &needle), "{needle} is in the {place}");
        }
    }
    assert!(!contains(bytes, "Quux"), "a name is in the {place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_members_are_in_neither_sqlite_file_nor_reports_after_purge() {
    let file = SqliteFile::new();
    let store = file.open().await;
    let written = erase_members(&store).await;
    assert_no_member_in(&written, "export or report");
    store.purge().await.unwrap();
    let bytes = files(&file);
    assert!(contains(&bytes, "app.example/erasure") && contains(&bytes, "could be deleted"));
    assert_no_member_in(&bytes, "database");
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_members_are_in_neither_postgres_files_nor_reports_after_purge() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let store = schema.open().await;
    let written = erase_members(&store).await;
    assert_no_member_in(&written, "export or report");
    store.purge().await.unwrap();
    let bytes = heap(&schema.pool().await).await;
    assert!(contains(&bytes, "app.example/erasure") && contains(&bytes, "could be deleted"));
    assert_no_member_in(&bytes, "database");
}

/// Reads the files of the tables, of their TOAST tables and of all indexes.
async fn heap(pool: &PgPool) -> Vec<u8> {
    sqlx::raw_sql("CHECKPOINT")
        .execute(pool)
        .await
        .expect("a superuser runs these tests");
    let files: Vec<Vec<u8>> = sqlx::query_scalar(
        "WITH tables AS ( \
             SELECT oid, reltoastrelid FROM pg_class \
             WHERE oid IN ('oh_members'::regclass, 'oh_events'::regclass, 'oh_ledger'::regclass, \
             'oh_locks'::regclass, 'oh_checkpoints'::regclass)), \
         relations AS ( \
             SELECT oid FROM tables UNION SELECT reltoastrelid FROM tables WHERE reltoastrelid > 0 \
             UNION SELECT indexrelid FROM pg_index WHERE indrelid IN ( \
                 SELECT oid FROM tables UNION SELECT reltoastrelid FROM tables)) \
         SELECT pg_read_binary_file(pg_relation_filepath(oid)) FROM relations",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    files.concat()
}
