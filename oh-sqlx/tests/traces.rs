//! Of tokens that were destroyed nothing is left in the files, looked at byte by byte.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{PgSchema, SqliteFile};
use oh_core::deauth::{
    Accepted, Checkpointer, Completion, DeauthEvent, DeauthInbox, Deauthorizer, Departure,
    Discovery, ErasureRequest, EventId, Ledger, Pseudonym, Pseudonymizer, Worker,
};
use oh_core::store::{
    EncryptedStore, Keyring, MemberRecord, PutOutcome, TokenStore, Tokens, Version,
};
use oh_core::{Clock, DeletionPolicy, KeyMaterial, ProjectMemberId, Timestamp};
use oh_ledger::{SigningKey, Verdict, Verifier, report};
use sqlx::PgPool;

const MEMBERS: u32 = 600;
const REFRESHES: u32 = 3;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn id(number: u32) -> ProjectMemberId {
    format!("{number:08}").parse().unwrap()
}

/// What to search for. Each holds its number, so that none is part of another.
fn needle(kind: &str, number: u32, refresh: u32) -> String {
    format!("<{kind}-{number:08}-{refresh}>")
}

/// Most tokens are as short as Open Humans', some are longer than a page. Random, or PostgreSQL
/// would compress them.
fn token(kind: &str, number: u32, refresh: u32) -> String {
    let mut token = needle(kind, number, refresh);
    if number.is_multiple_of(50) {
        while token.len() < 6_000 {
            token += &format!("{:x}", Version::fresh().get());
        }
    }
    token
}

fn record(number: u32, refresh: u32) -> MemberRecord {
    let tokens = Tokens::new(
        token("access", number, refresh),
        token("refresh", number, refresh),
        at(36_000),
    );
    {
        let mut record = MemberRecord::authorized(id(number), tokens, at(0));
        record.username = Some(format!("user{number}"));
        record
    }
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

fn leaves(number: u32) -> bool {
    number.is_multiple_of(3)
}

fn is_removed(number: u32) -> bool {
    number % 3 == 1
}

/// Members log in, are refreshed a few times, and two of three go, by webhook or by removal.
async fn a_busy_time(store: &(impl TokenStore + DeauthInbox)) {
    let mut versions = Vec::new();
    for n in 0..MEMBERS {
        let record = record(n, 0);
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
        versions.push(record.version);
    }
    for refresh in 1..=REFRESHES {
        for n in 0..MEMBERS {
            let record = record(n, refresh);
            let old = std::mem::replace(&mut versions[n as usize], record.version);
            assert_eq!(
                store.put(&record, Some(old)).await.unwrap(),
                PutOutcome::Stored
            );
        }
    }
    for n in 0..MEMBERS {
        if leaves(n) {
            let _ = store.accept(&event(n)).await.unwrap();
        } else if is_removed(n) {
            let version = versions[n as usize];
            assert_eq!(
                store.remove(&id(n), version).await.unwrap(),
                PutOutcome::Stored
            );
        }
    }
}

fn holds(bytes: &[u8], needle: &str) -> bool {
    memchr::memmem::find(bytes, needle.as_bytes()).is_some()
}

/// Which of the tokens that should be gone are still there.
fn traces(bytes: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in memchr::memchr_iter(b'<', bytes) {
        let after = &bytes[start..];
        if !after.starts_with(b"<access-") && !after.starts_with(b"<refresh-") {
            continue;
        }
        // What is cut off in the middle is a trace as well.
        let end = after
            .iter()
            .take(24)
            .position(|b| *b == b'>')
            .map_or(12, |end| end + 1);
        found.insert(String::from_utf8_lossy(&after[..end]).into_owned());
    }
    for n in (2..MEMBERS).step_by(3) {
        for kind in ["access", "refresh"] {
            found.remove(&needle(kind, n, REFRESHES));
        }
    }
    found
}

/// That the search finds what is there.
fn assert_live_are_there(bytes: &[u8]) {
    for n in (2..MEMBERS).step_by(3) {
        let live = needle("access", n, REFRESHES);
        assert!(holds(bytes, &live), "{live}");
    }
}

/// The database, its log, and whatever else lies beside them.
fn files(file: &SqliteFile) -> Vec<u8> {
    let folder = file.path();
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder.parent().unwrap()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_in_sqlites_files() {
    let file = SqliteFile::new();
    let store = file.open().await;
    a_busy_time(&store).await;
    // It sees to that by itself.
    let gone = async {
        while !traces(&files(&file)).is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .is_err()
    {
        let found = traces(&files(&file));
        panic!("{} traces, {:?} …", found.len(), found.first());
    }
    store.purge().await.unwrap();
    assert_live_are_there(&files(&file));
    for n in (2..MEMBERS).step_by(3) {
        let tokens = store.load(&id(n)).await.unwrap().unwrap().tokens.unwrap();
        assert!(
            tokens
                .access_token
                .expose()
                .starts_with(&needle("access", n, REFRESHES))
        );
    }
}

/// More members than are rewritten at a time.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_however_many_members_there_are() {
    const MANY: u32 = 6_000;
    let file = SqliteFile::new();
    let store = file.open().await;
    let mut versions = Vec::new();
    for numbers in (0..MANY).collect::<Vec<_>>().chunks(250) {
        let records: Vec<_> = numbers.iter().map(|n| short(*n, 0)).collect();
        let puts = records.iter().map(|record| store.put(record, None));
        for put in futures_util::future::join_all(puts).await {
            assert_eq!(put.unwrap(), PutOutcome::Stored);
        }
        versions.extend(records.iter().map(|record| record.version));
    }
    // Longer than before, so that rows move.
    for numbers in (0..MANY).step_by(3).collect::<Vec<_>>().chunks(250) {
        let records: Vec<_> = numbers.iter().map(|n| short(*n, 1)).collect();
        let puts = records.iter().map(|record| {
            let number: usize = record.member.as_str().parse().unwrap();
            store.put(
                record,
                Some(std::mem::replace(&mut versions[number], record.version)),
            )
        });
        for put in futures_util::future::join_all(puts).await {
            assert_eq!(put.unwrap(), PutOutcome::Stored);
        }
    }
    let leaving: Vec<_> = (0..MANY).filter(|n| n % 3 != 1).collect();
    for numbers in leaving.chunks(250) {
        let events: Vec<_> = numbers.iter().map(|n| event(*n)).collect();
        let accepts = events.iter().map(|event| store.accept(event));
        for accepted in futures_util::future::join_all(accepts).await {
            let _ = accepted.unwrap();
        }
    }
    let gone = |bytes: &[u8]| {
        let mut found = traces(bytes);
        found.retain(|trace| {
            let number = trace.split('-').nth(1).and_then(|n| n.parse::<u32>().ok());
            number.is_none_or(|number| number % 3 != 1)
        });
        found
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !gone(&files(&file)).is_empty() {
        if tokio::time::Instant::now() > deadline {
            let found = gone(&files(&file));
            panic!("{} traces, {:?} …", found.len(), found.first());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for n in (1..MANY).step_by(3) {
        let record = store.load(&id(n)).await.unwrap().unwrap();
        assert_eq!(
            record.tokens.unwrap().access_token.expose(),
            needle("access", n, 0)
        );
    }
}

fn short(number: u32, refresh: u32) -> MemberRecord {
    let pad = if refresh == 0 {
        String::new()
    } else {
        "x".repeat(40)
    };
    let tokens = Tokens::new(
        needle("access", number, refresh) + &pad,
        needle("refresh", number, refresh) + &pad,
        at(36_000),
    );
    MemberRecord::authorized(id(number), tokens, at(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_have_moved_are_found_changed_and_deleted() {
    let file = SqliteFile::new();
    let store = file.open().await;
    for n in 0..4 {
        assert_eq!(
            store.put(&short(n, 0), None).await.unwrap(),
            PutOutcome::Stored
        );
    }
    // As it is half way through.
    sqlx::raw_sql(
        "INSERT INTO oh_tokens_moved SELECT * FROM oh_tokens; DELETE FROM oh_tokens; \
         UPDATE oh_tokens_moves SET cleared = 1, needed = 1",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let access = async |n: u32| {
        let stored = store.load(&id(n)).await.unwrap()?;
        Some(stored.tokens?.access_token.expose().to_owned())
    };
    let written = |n: u32, refresh: u32| {
        let tokens = short(n, refresh).tokens.unwrap();
        Some(tokens.access_token.expose().to_owned())
    };
    assert_eq!(access(0).await, written(0, 0));
    assert_eq!(store.page(None, 10).await.unwrap().len(), 4);
    let version = async |n: u32| store.load(&id(n)).await.unwrap().unwrap().version;
    let put = store.put(&short(1, 1), Some(version(1).await)).await;
    assert_eq!(put.unwrap(), PutOutcome::Stored);
    assert_eq!(access(1).await, written(1, 1));
    let _ = store.accept(&event(2)).await.unwrap();
    assert_eq!(access(2).await, None);
    let removed = store.remove(&id(3), version(3).await).await;
    assert_eq!(removed.unwrap(), PutOutcome::Stored);
    // One who logs in meanwhile.
    assert_eq!(
        store.put(&short(5, 0), None).await.unwrap(),
        PutOutcome::Stored
    );
    // Each has one row, in one table or the other, until both were cleared.
    let rows = "SELECT (SELECT count(*) FROM oh_tokens), (SELECT count(*) FROM oh_tokens_moved), \
        (SELECT cleared FROM oh_tokens_moves)";
    let back = async {
        loop {
            let (first, second, cleared): (i64, i64, i64) =
                sqlx::query_as(rows).fetch_one(store.pool()).await.unwrap();
            assert_eq!(first + second, 3);
            if cleared == 3 {
                return (first, second);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let moved = tokio::time::timeout(Duration::from_secs(30), back).await;
    assert_eq!(moved.expect("they move"), (0, 3));
    assert_eq!(access(0).await, written(0, 0));
    assert_eq!(access(1).await, written(1, 1));
    assert_eq!(access(5).await, written(5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn clearing_traces_leaves_the_apps_tables_alone() {
    let file = SqliteFile::new();
    let store = file.open().await;
    sqlx::raw_sql(
        "CREATE TABLE app_profiles ( \
             member TEXT NOT NULL REFERENCES oh_members (member) ON DELETE CASCADE); \
         CREATE TABLE app_log (member TEXT NOT NULL); \
         CREATE TRIGGER app_gone AFTER DELETE ON oh_members \
             BEGIN INSERT INTO app_log VALUES (old.member); END;",
    )
    .execute(store.pool())
    .await
    .unwrap();
    for n in 0..3 {
        let record = record(n, 0);
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
        sqlx::query("INSERT INTO app_profiles VALUES (?1)")
            .bind(id(n).as_str())
            .execute(store.pool())
            .await
            .unwrap();
    }
    let _ = store.accept(&event(1)).await.unwrap();
    let removed = record(2, 0).member;
    let version = store.load(&removed).await.unwrap().unwrap().version;
    assert_eq!(
        store.remove(&removed, version).await.unwrap(),
        PutOutcome::Stored
    );
    let (left, removed) = (needle("access", 1, 0), needle("access", 2, 0));
    let gone = async {
        while [&left, &removed].iter().any(|n| holds(&files(&file), n)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .expect("the traces go");
    // The member who was removed took its row along; nobody else's went.
    let profiles: Vec<String> = sqlx::query_scalar("SELECT member FROM app_profiles ORDER BY 1")
        .fetch_all(store.pool())
        .await
        .unwrap();
    assert_eq!(profiles, ["00000000", "00000001"]);
    let log: Vec<String> = sqlx::query_scalar("SELECT member FROM app_log")
        .fetch_all(store.pool())
        .await
        .unwrap();
    assert_eq!(log, ["00000002"]);
    // And the search finds what is there.
    assert!(holds(&files(&file), &needle("access", 0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_id_that_was_erased() {
    let file = SqliteFile::new();
    let store = file.open().await;
    for n in 0..MEMBERS {
        let _ = store.accept(&event(n)).await.unwrap();
    }
    let leased = store
        .lease(at(200), at(300), MEMBERS as usize)
        .await
        .unwrap();
    for one in &leased {
        let _ = store
            .complete(&one.lease, &Completion::Done { note: None }, at(201))
            .await
            .unwrap();
        let version = store
            .load(&one.event.member)
            .await
            .unwrap()
            .unwrap()
            .version;
        assert_eq!(
            store.remove(&one.event.member, version).await.unwrap(),
            PutOutcome::Stored
        );
    }
    store.purge().await.unwrap();
    let bytes = files(&file);
    let found: Vec<_> = (0..MEMBERS)
        .filter(|n| holds(&bytes, &format!("{n:08}")))
        .collect();
    assert!(
        found.is_empty(),
        "{} ids, {:?} …",
        found.len(),
        &found[..found.len().min(5)]
    );
}

/// An app's members leave by the library's own ways, with a handler that fails once and says whom it
/// failed on; their tombstones go, and the ledger is sealed. Gives the export and the report.
async fn members_are_erased(store: &(impl TokenStore + DeauthInbox + Clone)) -> Vec<u8> {
    let names = Pseudonymizer::new(&KeyMaterial::new("k".repeat(32)));
    let (tokens, inbox) = (Arc::new(store.clone()), Arc::new(store.clone()));
    let deauthorizer = Deauthorizer::new(tokens, inbox, names, Clock::system());
    // A wish that is told days late would be held.
    let left_at = Timestamp::now();
    let joined_at = left_at - Duration::from_secs(60);
    for n in 0..ERASED {
        let tokens = Tokens::new("access", "refresh", joined_at);
        let mut record = MemberRecord::authorized(erased(n), tokens, joined_at);
        record.username = Some(name(n));
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
        let member = erased(n);
        let told = deauthorizer.report_webhook(&member, ErasureRequest::Requested, left_at);
        assert!(matches!(told.await.unwrap(), Accepted::New(_)));
    }
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
    let moment = Duration::from_millis(1);
    let worker = Worker::new(
        deauthorizer.clone(),
        Arc::new(handler),
        DeletionPolicy::default(),
    );
    let worker = worker.backoff(moment, moment).poll_interval(moment).spawn();
    while store.stats().await.unwrap().pending > 0 {
        worker.drain().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(store.stats().await.unwrap().done, u64::from(ERASED));
    worker.stop().await;
    for n in 0..ERASED {
        // As the worker's housekeeping does an hour later.
        let record = store.load(&erased(n)).await.unwrap().unwrap();
        let removed = store.remove(&erased(n), record.version).await.unwrap();
        assert_eq!(removed, PutOutcome::Stored);
    }
    let key = SigningKey::generate("app.example/erasure").unwrap();
    let checkpointer = Checkpointer::new(deauthorizer.clone(), key.clone());
    assert!(checkpointer.sign_checkpoint().await.unwrap().lines >= u64::from(5 * ERASED));
    let mut export = Vec::new();
    let ledger = Ledger::new(&deauthorizer);
    ledger.export(&mut export).await.unwrap();
    let as_of = Timestamp::now().as_micros();
    let keys = vec![key.verifying_key().clone()];
    let verified = Verifier::new(keys, as_of).read(&*export).unwrap();
    let in_time = verified
        .summary
        .count(|group| group.verdict == Verdict::InTime);
    assert_eq!(in_time, u64::from(ERASED));
    let mut written = export.clone();
    report::write_csv(&*export, &verified, &mut written).unwrap();
    report::write_html(&*export, &verified, &mut written).unwrap();
    // That the search would find something: the errors are there, without their members.
    assert!(holds(&written, "could be deleted") && holds(&written, "</html>"));
    written
}

const ERASED: u32 = 40;

fn erased(number: u32) -> ProjectMemberId {
    format!("{}", 73_519_200 + number).parse().unwrap()
}

fn name(number: u32) -> String {
    format!("Zoë Quux {number} of the erased")
}

fn assert_nobody_is_in(bytes: &[u8], place: &str) {
    for n in 0..ERASED {
        for needle in [erased(n).to_string(), name(n)] {
            assert!(!holds(bytes, &needle), "{needle} is in the {place}");
        }
    }
    assert!(!holds(bytes, "Quux"), "a name is in the {place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_erasure_nothing_of_the_person_is_left_on_sqlite_nor_in_export_and_report() {
    let file = SqliteFile::new();
    let store = file.open().await;
    let written = members_are_erased(&store).await;
    assert_nobody_is_in(&written, "export or report");
    store.purge().await.unwrap();
    let bytes = files(&file);
    assert!(holds(&bytes, "app.example/erasure") && holds(&bytes, "could be deleted"));
    assert_nobody_is_in(&bytes, "database");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_erasure_nothing_of_the_person_is_left_on_postgresql_nor_in_export_and_report() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let store = schema.open().await;
    let written = members_are_erased(&store).await;
    assert_nobody_is_in(&written, "export or report");
    store.purge().await.unwrap();
    let bytes = heap(&schema.pool().await).await;
    assert!(holds(&bytes, "app.example/erasure") && holds(&bytes, "could be deleted"));
    assert_nobody_is_in(&bytes, "database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_store_shows_no_token_at_all() {
    let keys = || Keyring::parse("k:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=").unwrap();
    let written = record(2, 0);
    let file = SqliteFile::new();
    let sealed = EncryptedStore::new(file.open().await, keys());
    assert_eq!(
        sealed.put(&written, None).await.unwrap(),
        PutOutcome::Stored
    );
    let bytes = files(&file);
    assert!(holds(&bytes, "ohs1.k.") && holds(&bytes, "user2"));
    assert!(!holds(&bytes, "<access") && !holds(&bytes, "<refresh"));

    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let pool = schema.pool().await;
    let sealed = EncryptedStore::new(schema.open().await, keys());
    assert_eq!(
        sealed.put(&written, None).await.unwrap(),
        PutOutcome::Stored
    );
    let bytes = heap(&pool).await;
    assert!(holds(&bytes, "ohs1.k.") && holds(&bytes, "user2"));
    assert!(!holds(&bytes, "<access") && !holds(&bytes, "<refresh"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_in_postgresqls_heap_after_vacuum() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let store = schema.open().await;
    a_busy_time(&store).await;
    store.purge().await.unwrap();
    let bytes = heap(&schema.pool().await).await;
    assert_live_are_there(&bytes);
    let found = traces(&bytes);
    assert!(
        found.is_empty(),
        "{} traces, {:?} …",
        found.len(),
        found.first()
    );
}

/// The files of the tables, with what was moved out of line and their indexes, as on the disk.
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
