//! Creation, migration and checks of the tables.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use std::future::Future;
use std::time::Duration;

use common::{PgSchema, SqliteFile};
use oh_core::deauth::{
    Accepted, CheckpointOutcome, CheckpointQuery, Completion, DeauthEvent, DeauthInbox, Discovery,
    ErasureRequest, EventId, EventQuery, LeaseOutcome, LedgerQuery, Pseudonym, StoredCheckpoint,
};
use oh_core::store::{MemberRecord, PutOutcome, TokenStore, Tokens};
use oh_core::{ProjectMemberId, Timestamp};
use oh_sqlx::{PgStore, SchemaError, SqliteStore, postgres, sqlite};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

async fn empty_sqlite(file: &SqliteFile) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(file.path())
        .create_if_missing(true);
    SqlitePool::connect_with(options).await.unwrap()
}

/// Runs `migrate` eight times at once.
async fn eight_times<F: Future<Output = Result<(), SchemaError>> + Send + 'static>(
    migrate: impl Fn() -> F,
) {
    let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(migrate())).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_creates_sqlite_tables_once_when_processes_start_together() {
    let file = std::sync::Arc::new(SqliteFile::new());
    eight_times(|| {
        let file = std::sync::Arc::clone(&file);
        async move {
            let store = SqliteStore::connect(file.path()).await?;
            store.migrate().await
        }
    })
    .await;
    file.open().await.check_schema().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_creates_postgres_tables_once_when_processes_start_together() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let schema = std::sync::Arc::new(schema);
    eight_times(|| {
        let schema = std::sync::Arc::clone(&schema);
        async move { PgStore::new(schema.pool().await).migrate().await }
    })
    .await;
    schema.open().await.check_schema().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn check_schema_accepts_migrations_run_by_application() {
    let file = SqliteFile::new();
    let pool = empty_sqlite(&file).await;
    sqlx::raw_sql("CREATE TABLE users (id INTEGER PRIMARY KEY)")
        .execute(&pool)
        .await
        .unwrap();
    let store = SqliteStore::new(pool.clone());
    let missing = store.check_schema().await.unwrap_err();
    assert!(
        matches!(
            missing,
            SchemaError::Older {
                found: 0,
                needed: 1,
                ..
            }
        ),
        "{missing}"
    );
    for migration in sqlite::MIGRATIONS {
        sqlx::raw_sql(migration.sql).execute(&pool).await.unwrap();
    }
    store.check_schema().await.unwrap();
    store.migrate().await.unwrap();
    if let Some(schema) = PgSchema::new().await {
        let pool = schema.pool().await;
        let store = PgStore::new(pool.clone());
        let missing = store.check_schema().await.unwrap_err();
        assert!(
            matches!(
                missing,
                SchemaError::Older {
                    found: 0,
                    needed: 1,
                    ..
                }
            ),
            "{missing}"
        );
        for migration in postgres::MIGRATIONS {
            sqlx::raw_sql(migration.sql).execute(&pool).await.unwrap();
        }
        store.check_schema().await.unwrap();
        store.migrate().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_rejects_tables_of_newer_release() {
    let newer = "INSERT INTO oh_schema (version) VALUES (99)";
    let file = SqliteFile::new();
    let store = file.open().await;
    sqlx::raw_sql(newer).execute(store.pool()).await.unwrap();
    for rejected in [store.migrate().await, store.check_schema().await] {
        assert!(matches!(
            rejected,
            Err(SchemaError::Newer {
                found: 99,
                known: 1,
                ..
            })
        ));
    }
    assert!(SqliteStore::connect(file.path()).await.is_err());
    if let Some(schema) = PgSchema::new().await {
        let store = schema.open().await;
        sqlx::raw_sql(newer).execute(store.pool()).await.unwrap();
        for rejected in [store.migrate().await, store.check_schema().await] {
            assert!(matches!(
                rejected,
                Err(SchemaError::Newer {
                    found: 99,
                    known: 1,
                    ..
                })
            ));
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn connect_creates_files_readable_by_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let file = SqliteFile::new();
    let _store = file.open().await;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", file.path().display());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

/// Calls every method of the store once.
async fn call_every_method(store: &(impl TokenStore + DeauthInbox), round: u64) {
    let now = Timestamp::now();
    let until = now + Duration::from_secs(60);
    let member: ProjectMemberId = format!("{:08}", round % 10).parse().unwrap();
    let record = MemberRecord::authorized(member.clone(), Tokens::new("a", "r", until), now);
    let before = store.load(&member).await.unwrap();
    let put = store
        .put(&record, before.map(|record| record.version))
        .await;
    assert_eq!(put.unwrap(), PutOutcome::Stored);
    assert!(!store.page(None, 3).await.unwrap().is_empty());
    let pseudonym = Pseudonym::new(format!("{:032x}", round % 10));
    let id = |kind: u64| EventId::new(format!("{:032x}", 10 * round + kind));
    let event = |kind| DeauthEvent {
        id: id(kind),
        member: member.clone(),
        pseudonym: pseudonym.clone(),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: now,
        received_at: now,
    };
    assert!(matches!(
        store.accept(&event(1)).await.unwrap(),
        Accepted::New(_)
    ));
    assert!(matches!(
        store.quarantine(&event(2), "why").await.unwrap(),
        Accepted::New(_)
    ));
    assert!(store.release(&id(2), now).await.unwrap());
    for _ in 0..2 {
        let leased = store.lease(now, until, 1).await.unwrap().remove(0);
        store
            .mark_tokens_destroyed(&leased.event, now)
            .await
            .unwrap();
        assert_eq!(
            store.renew(&leased.lease, until).await.unwrap(),
            LeaseOutcome::Applied
        );
        let no = Completion::DeadLetter { note: "no".into() };
        assert_eq!(
            store.complete(&leased.lease, &no, now).await.unwrap(),
            LeaseOutcome::Applied
        );
        assert!(store.requeue(&leased.event.id, now).await.unwrap());
        let leased = store.lease(now, until, 1).await.unwrap().remove(0);
        let done = Completion::Done { note: None };
        assert_eq!(
            store.complete(&leased.lease, &done, now).await.unwrap(),
            LeaseOutcome::Applied
        );
    }
    let _ = store.stats().await.unwrap();
    let mut query = EventQuery::first(5);
    assert!(!store.events(&query).await.unwrap().is_empty());
    query.pseudonym = Some(pseudonym.clone());
    assert!(!store.events(&query).await.unwrap().is_empty());
    let mut query = LedgerQuery::first(5);
    assert_eq!(store.ledger(&query).await.unwrap().len(), 5);
    query.member = Some(pseudonym);
    assert_eq!(store.ledger(&query).await.unwrap().len(), 5);
    let lock = store.acquire_lock("job", "me", now, until).await.unwrap();
    assert!(lock.is_some());
    let updated = store.update_lock("job", "me", now, "note").await.unwrap();
    assert_eq!(updated, LeaseOutcome::Applied);
    let size = round + 1;
    let checkpoint = StoredCheckpoint {
        size,
        last_seq: 1,
        root: "root".into(),
        at: now,
        note: "note".into(),
        tree: "tree".into(),
    };
    let outcome = store.store_checkpoint(&checkpoint).await.unwrap();
    assert_eq!(outcome, CheckpointOutcome::Stored);
    let last = store.checkpoints(&CheckpointQuery::last()).await.unwrap();
    assert_eq!(last[0].size, size);
    let record = store.load(&member).await.unwrap().unwrap();
    assert_eq!(
        store.remove(&member, record.version).await.unwrap(),
        PutOutcome::Stored
    );
}

/// A later release may add columns while processes of this release run.
async fn add_columns_under_load<S>(store: S, alter: impl AsyncFn(&str))
where
    S: TokenStore + DeauthInbox + Clone,
{
    let (rounds, mut completed) = tokio::sync::watch::channel(0_u64);
    let working = tokio::spawn(async move {
        while !rounds.is_closed() {
            let round = *rounds.borrow() + 1;
            call_every_method(&store, round).await;
            rounds.send_replace(round);
        }
    });
    for table in [
        "oh_members",
        "oh_events",
        "oh_ledger",
        "oh_locks",
        "oh_checkpoints",
    ] {
        // Enough repetitions for the driver and the server to cache a plan.
        let next = *completed.borrow() + 8;
        completed.wait_for(|round| *round >= next).await.unwrap();
        alter(&format!("ALTER TABLE {table} ADD COLUMN later TEXT")).await;
        let next = *completed.borrow() + 2;
        completed.wait_for(|round| *round >= next).await.unwrap();
    }
    drop(completed);
    working.await.unwrap();
}

#[tokio::test]
async fn postgres_store_works_while_columns_are_added() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let (store, pool) = (schema.open().await, schema.pool().await);
    add_columns_under_load(store, async |sql| {
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn sqlite_store_works_while_columns_are_added() {
    let file = SqliteFile::new();
    let store = file.open().await;
    let pool = empty_sqlite(&file).await;
    add_columns_under_load(store, async |sql| {
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn connect_error_names_database_without_password() {
    let folder = tempfile::tempdir().unwrap();
    let missing_folder = folder.path().join("no/such/folder/openhumans.sqlite");
    let text_file = folder.path().join("text.sqlite");
    std::fs::write(
        &text_file,
        "a text file that is not a database, of sufficient length",
    )
    .unwrap();
    for path in [&missing_folder, &text_file, &folder.path().to_owned()] {
        let error = SqliteStore::connect(path).await.unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, SchemaError::Open { .. }), "{error:?}");
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
    let error = SqliteStore::connect(&missing_folder).await.unwrap_err();
    let SchemaError::Open { source, .. } = error else {
        panic!("{error:?}");
    };
    assert!(source.to_string().contains("os error"), "{source}");
    // No server listens on the port.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("postgres://app:topsecret@127.0.0.1:{port}/nights");
    let error = PgStore::connect(&url).await.unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, SchemaError::Open { .. }), "{error:?}");
    assert!(
        message.contains(&format!("127.0.0.1:{port}/nights")),
        "{message}"
    );
    assert!(
        !format!("{error:?} {message}").contains("topsecret"),
        "{error:?}"
    );
}
