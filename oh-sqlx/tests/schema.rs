//! Making the tables, finding them made, and opening those of each released schema.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use common::{PgSchema, SqliteFile};
use oh_core::deauth::{
    Accepted, CheckpointOutcome, CheckpointQuery, Checkpointer, Completion, DeauthEvent,
    DeauthInbox, Deauthorizer, Discovery, ErasureRequest, EventId, EventQuery, EventState,
    LeaseOutcome, Ledger, LedgerQuery, Pseudonym, Pseudonymizer, StoredCheckpoint,
};
use oh_core::ledger::{SigningKey, Verifier};
use oh_core::store::{MemberRecord, PutOutcome, TokenStore, Tokens, Version};
use oh_core::{Clock, KeyMaterial, ProjectMemberId, Timestamp};
use oh_sqlx::{PgStore, SchemaError, SqliteStore, postgres, sqlite};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

async fn empty_sqlite(file: &SqliteFile) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(file.path())
        .create_if_missing(true);
    SqlitePool::connect_with(options).await.unwrap()
}

/// What was put into each released schema before it was dumped, and that it still works.
async fn assert_schema_1_is_whole(store: &(impl TokenStore + DeauthInbox)) {
    let members = store.page(None, 10).await.unwrap();
    let ids: Vec<_> = members.iter().map(|m| m.member.as_str()).collect();
    assert_eq!(ids, ["00000001", "00000002", "01026778"]);
    let (live, busy, gone) = (&members[0], &members[1], &members[2]);
    assert_eq!(live.username.as_deref(), Some("Zoë O'Hara 名前"));
    let tokens = live.tokens.as_ref().unwrap();
    assert_eq!(tokens.access_token.expose(), "schema-1-access");
    assert_eq!(tokens.refresh_token.expose(), "schema-1-refresh");
    assert_eq!(tokens.expires_at.as_micros(), 1_764_000_036_000_001);
    assert_eq!(live.version.get(), 9_223_372_036_854_775_807);
    assert_eq!(
        busy.refresh.as_ref().unwrap().holder,
        "0123456789abcdef0123456789abcdef"
    );
    assert!(busy.refresh_unanswered);
    assert!(gone.tokens.is_none() && gone.deauthorized_at.is_some());
    assert_eq!(gone.epoch.get(), 1_764_000_100_000_000);

    let query = EventQuery::first(10);
    let events = store.events(&query).await.unwrap();
    let states: Vec<_> = events.iter().map(|e| e.state).collect();
    assert_eq!(
        states,
        [
            EventState::Done,
            EventState::DeadLetter,
            EventState::Stale,
            EventState::Pending
        ]
    );
    assert!(events[0].member.is_none());
    let query = LedgerQuery::first(100);
    let lines = store.ledger(&query).await.unwrap();
    assert_eq!(lines.len(), 13);
    assert_eq!(
        lines
            .iter()
            .filter(|l| l.note.as_deref() == Some("it's full: 名前"))
            .count(),
        1
    );

    // And it can be worked with.
    let next = {
        let mut record = live.clone();
        record.version = Version::fresh();
        record
    };
    assert_eq!(
        store.put(&next, Some(live.version)).await.unwrap(),
        PutOutcome::Stored
    );
    let now = Timestamp::from_micros(1_764_100_000_000_000);
    let leased = store.lease(now, now, 10).await.unwrap();
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].attempt, 2);
    let _ = store
        .complete(&leased[0].lease, &Completion::Done { note: None }, now)
        .await
        .unwrap();
    let after = lines.last().map(|line| line.seq);
    let query = LedgerQuery::first(100).after(after);
    assert_eq!(store.ledger(&query).await.unwrap().len(), 2);
    let note = store
        .acquire_lock("reconcile", "me", now, now)
        .await
        .unwrap();
    assert_eq!(note.as_deref(), Some("{\"offset\":300}"));
}

/// The lines from before there were checkpoints are sealed with the first one.
async fn assert_old_lines_are_sealed(store: &(impl TokenStore + DeauthInbox + Clone)) {
    let names = Pseudonymizer::new(&KeyMaterial::new("k".repeat(32)));
    let (tokens, inbox) = (Arc::new(store.clone()), Arc::new(store.clone()));
    let deauthorizer = Deauthorizer::new(tokens, inbox, names, Clock::system());
    let key = SigningKey::generate("app.example/erasure").unwrap();
    let checkpointer = Checkpointer::new(deauthorizer.clone(), key.clone());
    assert_eq!(checkpointer.sign_checkpoint().await.unwrap().lines, 15);
    let mut export = Vec::new();
    let ledger = Ledger::new(&deauthorizer);
    assert_eq!(ledger.export(&mut export).await.unwrap(), 15);
    let as_of = Timestamp::now().as_micros();
    let verified = Verifier::new(vec![key.verifying_key().clone()], as_of).read(&*export);
    assert_eq!(verified.unwrap().signed_lines, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sqlite_file_of_schema_1_is_opened() {
    let file = SqliteFile::new();
    let pool = empty_sqlite(&file).await;
    let dump = include_str!("fixtures/schema-1.sqlite.sql");
    sqlx::raw_sql(dump).execute(&pool).await.unwrap();
    pool.close().await;
    let store = file.open().await;
    store.check_schema().await.unwrap();
    assert_schema_1_is_whole(&store).await;
    assert_old_lines_are_sealed(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_database_of_schema_1_is_opened() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let dump = include_str!("fixtures/schema-1.postgres.sql");
    sqlx::raw_sql(dump)
        .execute(&schema.pool().await)
        .await
        .unwrap();
    let store = schema.open().await;
    store.check_schema().await.unwrap();
    assert_schema_1_is_whole(&store).await;
    assert_old_lines_are_sealed(&store).await;
}

/// All at once, as when many processes start together.
async fn eight_times<F: Future<Output = Result<(), SchemaError>> + Send + 'static>(
    migrate: impl Fn() -> F,
) {
    let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(migrate())).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_make_the_sqlite_tables_once() {
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
async fn processes_that_start_together_make_the_postgres_tables_once() {
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
async fn an_app_can_run_the_migrations_itself() {
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
                needed: 2,
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
                    needed: 2,
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
async fn tables_of_a_newer_release_are_left_alone() {
    let newer = "INSERT INTO oh_schema (version) VALUES (99)";
    let file = SqliteFile::new();
    let store = file.open().await;
    sqlx::raw_sql(newer).execute(store.pool()).await.unwrap();
    for refused in [store.migrate().await, store.check_schema().await] {
        assert!(matches!(
            refused,
            Err(SchemaError::Newer {
                found: 99,
                known: 2,
                ..
            })
        ));
    }
    assert!(SqliteStore::connect(file.path()).await.is_err());
    if let Some(schema) = PgSchema::new().await {
        let store = schema.open().await;
        sqlx::raw_sql(newer).execute(store.pool()).await.unwrap();
        for refused in [store.migrate().await, store.check_schema().await] {
            assert!(matches!(
                refused,
                Err(SchemaError::Newer {
                    found: 99,
                    known: 2,
                    ..
                })
            ));
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_sqlite_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let file = SqliteFile::new();
    let _store = file.open().await;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", file.path().display());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

/// Everything a running process does, once.
async fn one_of_each(store: &(impl TokenStore + DeauthInbox), round: u64) {
    let now = Timestamp::now();
    let until = now + Duration::from_secs(60);
    let who: ProjectMemberId = format!("{:08}", round % 10).parse().unwrap();
    let record = MemberRecord::authorized(who.clone(), Tokens::new("a", "r", until), now);
    let before = store.load(&who).await.unwrap();
    let put = store
        .put(&record, before.map(|record| record.version))
        .await;
    assert_eq!(put.unwrap(), PutOutcome::Stored);
    assert!(!store.page(None, 3).await.unwrap().is_empty());
    let pseudonym = Pseudonym::new(format!("{:032x}", round % 10));
    let id = |kind: u64| EventId::new(format!("{:032x}", 10 * round + kind));
    let (told, wish) = (Discovery::Webhook, ErasureRequest::Requested);
    let event = |kind| DeauthEvent {
        id: id(kind),
        member: who.clone(),
        pseudonym: pseudonym.clone(),
        erasure: wish,
        discovery: told,
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
    let held = store.update_lock("job", "me", now, "note").await.unwrap();
    assert_eq!(held, LeaseOutcome::Applied);
    let size = round + 1;
    let checkpoint = StoredCheckpoint::new(size, 1, "root", now, "note", "tree");
    let fate = store.store_checkpoint(&checkpoint).await.unwrap();
    assert_eq!(fate, CheckpointOutcome::Stored);
    let last = store.checkpoints(&CheckpointQuery::last()).await.unwrap();
    assert_eq!(last[0].size, size);
    let record = store.load(&who).await.unwrap().unwrap();
    assert_eq!(
        store.remove(&who, record.version).await.unwrap(),
        PutOutcome::Stored
    );
}

/// What a later schema may do is to add columns: a process of this release goes on beside it.
async fn columns_can_be_added_under_load<S>(store: S, alter: impl AsyncFn(&str))
where
    S: TokenStore + DeauthInbox + Clone,
{
    let (rounds, mut made) = tokio::sync::watch::channel(0_u64);
    let working = tokio::spawn(async move {
        while !rounds.is_closed() {
            let round = *rounds.borrow() + 1;
            one_of_each(&store, round).await;
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
        // More often than it takes a driver or a server to settle on a plan.
        let next = *made.borrow() + 8;
        made.wait_for(|round| *round >= next).await.unwrap();
        alter(&format!("ALTER TABLE {table} ADD COLUMN later TEXT")).await;
        let next = *made.borrow() + 2;
        made.wait_for(|round| *round >= next).await.unwrap();
    }
    drop(made);
    working.await.unwrap();
}

#[tokio::test]
async fn columns_can_be_added_to_postgres_under_load() {
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let (store, pool) = (schema.open().await, schema.pool().await);
    columns_can_be_added_under_load(store, async |sql| {
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn columns_can_be_added_to_sqlite_under_load() {
    let file = SqliteFile::new();
    let store = file.open().await;
    let pool = empty_sqlite(&file).await;
    columns_can_be_added_under_load(store, async |sql| {
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no/such/folder/openhumans.sqlite");
    let no_database = folder.path().join("a text.sqlite");
    std::fs::write(
        &no_database,
        "not a database at all, but a text of some length",
    )
    .unwrap();
    for path in [&nowhere, &no_database, &folder.path().to_owned()] {
        let error = SqliteStore::connect(path).await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, SchemaError::Open { .. }), "{error:?}");
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }
    // The system's own word for it, too.
    let error = SqliteStore::connect(&nowhere).await.unwrap_err();
    let SchemaError::Open { source, .. } = error else {
        panic!("{error:?}");
    };
    assert!(source.to_string().contains("os error"), "{source}");
    // Nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("postgres://app:topsecret@127.0.0.1:{port}/nights");
    let error = PgStore::connect(&url).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, SchemaError::Open { .. }), "{error:?}");
    assert!(said.contains(&format!("127.0.0.1:{port}/nights")), "{said}");
    assert!(
        !format!("{error:?} {said}").contains("topsecret"),
        "{error:?}"
    );
}
