//! What is flushed, and when the file is tidied.

use oh_core::Timestamp;
use oh_core::store::{PutOutcome, TokenStore, Tokens};
use sqlx::sqlite::SqlitePoolOptions;
use tempfile::TempDir;

use super::*;
use crate::SqliteStore;
use crate::sqlite::BUSY_TIMEOUT;

#[tokio::test]
async fn what_is_committed_is_flushed_and_what_is_deleted_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("openhumans.sqlite"))
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Off);
    let pool = SqlitePoolOptions::new().connect_with(options).await;
    let backend = SqliteBackend::new(pool.unwrap(), true);
    let set = backend.write(async |conn| {
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *conn)
            .await?;
        let secure_delete: i64 = sqlx::query_scalar("PRAGMA secure_delete")
            .fetch_one(conn)
            .await?;
        Ok((synchronous, secure_delete))
    });
    // FULL and ON, whatever the app's pool has.
    assert_eq!(set.await.unwrap(), (2, 1));
}

/// Over a file of its own, with nothing to tidy.
async fn tidy_backend() -> (TempDir, SqliteBackend) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(folder.path().join("openhumans.sqlite"))
        .await
        .unwrap();
    let backend = SqliteBackend::new(store.pool().clone(), true);
    while backend.tidy_at().is_some() {
        backend.tidy().await;
    }
    (folder, backend)
}

async fn run_sql(backend: &SqliteBackend, sql: &'static str) {
    let done = backend.write(async |conn| sqlx::query(sql).execute(conn).await);
    done.await.unwrap();
}

/// Someone who reads what is there now, until it is dropped.
async fn reader(backend: &SqliteBackend) -> sqlx::Transaction<'static, sqlx::Sqlite> {
    let mut reader = backend.pool.begin().await.unwrap();
    let _: i64 = sqlx::query_scalar("SELECT count(*) FROM oh_tokens")
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    reader
}

/// More than a long log takes: pages have 4 KiB.
async fn write_much(backend: &SqliteBackend) {
    run_sql(backend, "CREATE TABLE much AS SELECT zeroblob(20000000)").await;
}

async fn put(backend: &SqliteBackend, record: &MemberRecord, expected: Option<Version>) {
    let record = record.clone();
    let put = [Job::Op(Op::Put { record, expected })];
    backend.commit(&put).await.unwrap();
}

fn someone() -> MemberRecord {
    let now = Timestamp::from_micros(1_764_000_000_000_000);
    let tokens = Tokens::new("an access token", "a refresh token", now);
    MemberRecord::authorized("01234567".parse().unwrap(), tokens, now)
}

#[tokio::test]
async fn what_deletes_tokens_is_tidied_up_after_and_what_does_not_is_not() {
    let (_folder, backend) = tidy_backend().await;
    let member = someone();
    put(&backend, &member, None).await;
    let mut refreshed = member.clone();
    refreshed.version = Version::fresh();
    put(&backend, &refreshed, Some(member.version)).await;
    assert_eq!(backend.tidy_at(), None);
    let before = Instant::now();
    put(
        &backend,
        &refreshed.deauthorized(member.authorized_at),
        Some(refreshed.version),
    )
    .await;
    assert!(backend.tidy_at().unwrap() > before);
}

#[tokio::test]
async fn it_is_known_how_much_of_the_log_is_left_behind_one_who_reads() {
    let (_folder, backend) = tidy_backend().await;
    let reader = reader(&backend).await;
    write_much(&backend).await;
    assert!(backend.shorten_log().await.unwrap() > LONG_LOG);
    reader.rollback().await.unwrap();
    assert_eq!(backend.shorten_log().await.unwrap(), 0);
}

#[tokio::test]
async fn the_log_is_cut_as_soon_as_nobody_reads_it() {
    let (_folder, backend) = tidy_backend().await;
    let reader = reader(&backend).await;
    run_sql(&backend, "CREATE TABLE little (what BLOB)").await;
    let before = Instant::now();
    assert_eq!(backend.tidy_up().await.unwrap(), Some(TIDY_AFTER));
    assert!(
        before.elapsed() < BUSY_TIMEOUT / 2,
        "others cannot write meanwhile"
    );
    reader.rollback().await.unwrap();
    assert_eq!(backend.tidy_up().await.unwrap(), None);
}

#[tokio::test]
async fn while_the_log_is_long_no_tokens_are_moved() {
    let (_folder, backend) = tidy_backend().await;
    let member = someone();
    put(&backend, &member, None).await;
    let reader = reader(&backend).await;
    put(
        &backend,
        &member.deauthorized(member.authorized_at),
        Some(member.version),
    )
    .await;
    write_much(&backend).await;
    assert_eq!(backend.tidy_up().await.unwrap(), Some(TIDY_AFTER));
    reader.rollback().await.unwrap();
    let next = backend.tidy_up().await.unwrap();
    assert_ne!(next, Some(TIDY_AFTER), "a piece is moved");
    assert!(next.is_some());
}

#[tokio::test]
async fn a_database_in_memory_can_be_written_to() {
    let pool = SqlitePoolOptions::new().min_connections(1);
    let store = SqliteStore::new(pool.connect("sqlite::memory:").await.unwrap());
    store.migrate().await.unwrap();
    assert_eq!(
        store.put(&someone(), None).await.unwrap(),
        PutOutcome::Stored
    );
}
