//! Several processes on one server: order of commits, locks, clocks and settings.
//!
//! Triggers make writers slow at chosen moments.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use std::time::Duration;

use common::PgSchema;
use oh_core::deauth::{
    Accepted, Completion, DeauthEvent, DeauthInbox, Discovery, ErasureRequest, EventId, EventQuery,
    EventState, LeaseOutcome, LeasedEvent, LedgerQuery, MAX_WAIT, Pseudonym, Step,
};
use oh_core::store::{MemberRecord, PutOutcome, TokenStore, Tokens};
use oh_core::{ProjectMemberId, Timestamp};
use oh_sqlx::PgStore;
use sqlx::{AssertSqlSafe, PgPool};

/// The advisory locks are shared by all schemas of a database, so the tests that block their holders run
/// one at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The advisory lock for which the triggers wait.
const GATE: i64 = 4_242;

fn member(number: u32) -> ProjectMemberId {
    format!("{number:08}").parse().unwrap()
}

/// The event `name` of a member, received at `received` seconds after a fixed time.
fn event(name: &str, number: u32, received: i64) -> DeauthEvent {
    let at = Timestamp::from_micros(1_600_000_000_000_000 + received * 1_000_000);
    DeauthEvent {
        id: EventId::new(format!("{name:0>32}")),
        member: member(number),
        pseudonym: Pseudonym::new(format!("{number:032x}")),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: at,
        received_at: at,
    }
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

async fn lease(store: &PgStore, limit: usize) -> Vec<LeasedEvent> {
    let until = now() + Duration::from_secs(60);
    store.lease(now(), until, limit).await.unwrap()
}

async fn accept(store: &PgStore, event: &DeauthEvent) {
    let accepted = store.accept(event).await.unwrap();
    assert!(matches!(accepted, Accepted::New(_)));
}

async fn run(pool: &PgPool, sql: impl Into<String>) {
    let sql = AssertSqlSafe(sql.into());
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

/// Waits until a connection of this name waits for a lock, or the work has ended.
async fn until_it_waits<T>(pool: &PgPool, name: &str, work: &tokio::task::JoinHandle<T>) {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity \
        WHERE application_name = $1 AND wait_event_type = 'Lock')";
    loop {
        let waits: bool = sqlx::query_scalar(sql)
            .bind(name)
            .fetch_one(pool)
            .await
            .unwrap();
        if waits || work.is_finished() {
            return;
        }
    }
}

/// Creates a trigger on a table.
async fn trigger(pool: &PgPool, name: &str, when: &str, body: &str) {
    run(
        pool,
        format!(
            "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN {body} RETURN NEW; END $$; \
             CREATE {when} FOR EACH ROW EXECUTE FUNCTION {name}()"
        ),
    )
    .await;
}

/// Makes the writers wait in their triggers until the transaction ends.
async fn shut_gate(pool: &PgPool) -> sqlx::Transaction<'static, sqlx::Postgres> {
    shut(pool, GATE).await
}

async fn shut(pool: &PgPool, number: i64) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut gate = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(number)
        .execute(&mut *gate)
        .await
        .unwrap();
    gate
}

#[tokio::test]
async fn inbox_flushes_commits_when_synchronous_commit_is_off() {
    let _alone = ALONE.lock().await;
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let settings = [("synchronous_commit", "off")];
    let store = PgStore::new(schema.pool_of(2, &settings).await);
    store.migrate().await.unwrap();
    let pool = store.pool();
    run(pool, "CREATE TABLE flushed (step TEXT, setting TEXT)").await;
    trigger(
        pool,
        "look",
        "CONSTRAINT TRIGGER look AFTER INSERT ON oh_ledger DEFERRABLE INITIALLY DEFERRED",
        "INSERT INTO flushed VALUES (NEW.step, current_setting('synchronous_commit'));",
    )
    .await;

    let dead_letter = Completion::DeadLetter { note: "no".into() };
    accept(&store, &event("a", 1, 1)).await;
    let leased = lease(&store, 1).await;
    let settled = store.complete(&leased[0].lease, &dead_letter, now()).await;
    assert_eq!(settled.unwrap(), LeaseOutcome::Applied);
    assert!(store.requeue(&event("a", 1, 1).id, now()).await.unwrap());
    let _ = store.quarantine(&event("b", 2, 2), "why").await.unwrap();
    assert!(store.release(&event("b", 2, 2).id, now()).await.unwrap());
    let elsewhere = store.clone().inbox_only();
    let last = event("c", 3, 3);
    accept(&elsewhere, &last).await;
    elsewhere.mark_tokens_destroyed(&last, now()).await.unwrap();

    let sql = "SELECT step, setting FROM flushed";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
    let steps: std::collections::BTreeSet<_> = rows.iter().map(|(step, _)| &**step).collect();
    let all = [
        "dead_lettered",
        "quarantined",
        "received",
        "released",
        "requeued",
        "tokens_destroyed",
        "tried",
    ];
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), all);
    assert!(rows.iter().all(|(_, setting)| setting == "on"), "{rows:?}");
}

/// PostgreSQL assigns line numbers before the commit. A reader must not see a line before all lines with
/// lower numbers are visible.
#[tokio::test]
async fn ledger_waits_for_uncommitted_lines_of_every_step() {
    let _alone = ALONE.lock().await;
    for step in [
        Step::Received,
        Step::Quarantined,
        Step::Released,
        Step::Tried,
        Step::DeadLettered,
        Step::Requeued,
    ] {
        let Some(schema) = PgSchema::new().await else {
            return;
        };
        let reader = format!("{}_reader", schema.name());
        let writer = format!("{}_writer", schema.name());
        let quick = schema.open().await;
        let slow = [("application_name", &*writer)];
        let slow = PgStore::new(schema.pool_of(2, &slow).await);
        let reading = [("application_name", &*reader)];
        let reading = PgStore::new(schema.pool_of(2, &reading).await);

        // One event in each state.
        accept(&quick, &event("a", 1, 1)).await;
        let leased = lease(&quick, 1).await.remove(0).lease;
        let dead_letter = Completion::DeadLetter { note: "no".into() };
        match step {
            Step::Tried => {
                accept(&quick, &event("b", 2, 2)).await;
            }
            Step::Requeued => {
                let settled = quick.complete(&leased, &dead_letter, now()).await;
                assert_eq!(settled.unwrap(), LeaseOutcome::Applied);
            }
            Step::Released => {
                let _ = quick.quarantine(&event("c", 3, 3), "why").await.unwrap();
            }
            _ => {}
        }
        trigger(
            quick.pool(),
            "wait",
            "TRIGGER wait AFTER INSERT ON oh_ledger",
            &format!(
                "IF NEW.step = '{}' AND current_setting('application_name') = '{writer}' THEN \
                 PERFORM pg_advisory_xact_lock_shared({GATE}); END IF;",
                step.as_str()
            ),
        )
        .await;
        let gate = shut_gate(quick.pool()).await;
        let writing = tokio::spawn(async move {
            match step {
                Step::Received => accept(&slow, &event("d", 4, 4)).await,
                Step::Quarantined => drop(slow.quarantine(&event("d", 4, 4), "why").await.unwrap()),
                Step::Released => {
                    assert!(slow.release(&event("c", 3, 3).id, now()).await.unwrap());
                }
                Step::Tried => assert_eq!(lease(&slow, 1).await.len(), 1),
                Step::Requeued => {
                    assert!(slow.requeue(&event("a", 1, 1).id, now()).await.unwrap());
                }
                _ => {
                    let settled = slow.complete(&leased, &dead_letter, now()).await;
                    assert_eq!(settled.unwrap(), LeaseOutcome::Applied);
                }
            }
        });
        until_it_waits(quick.pool(), &writer, &writing).await;
        assert!(!writing.is_finished(), "{step:?}");
        accept(&quick, &event("e", 5, 5)).await;

        let lines = async move |after: Option<i64>| {
            let mut query = LedgerQuery::first(100);
            query.after = after;
            reading.ledger(&query).await.unwrap()
        };
        let reading = tokio::spawn(async move { (lines(None).await, lines) });
        until_it_waits(quick.pool(), &reader, &reading).await;
        gate.commit().await.unwrap();
        let (mut read, lines) = reading.await.unwrap();
        writing.await.unwrap();
        read.extend(lines(read.last().map(|line| line.seq)).await);
        let sql = "SELECT seq FROM oh_ledger ORDER BY seq";
        let all: Vec<i64> = sqlx::query_scalar(sql)
            .fetch_all(quick.pool())
            .await
            .unwrap();
        let read: Vec<_> = read.iter().map(|line| line.seq).collect();
        assert_eq!(read, all, "{step:?}");
    }
}

#[tokio::test]
async fn lease_waits_for_concurrent_lease() {
    let _alone = ALONE.lock().await;
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let slow = format!("{}_slow", schema.name());
    let second = format!("{}_second", schema.name());
    let store = schema.open().await;
    let first = PgStore::new(schema.pool_of(2, &[("application_name", &slow)]).await);
    let other = PgStore::new(schema.pool_of(2, &[("application_name", &second)]).await);
    accept(&store, &event("b", 1, 5)).await;
    trigger(
        store.pool(),
        "wait",
        "TRIGGER wait AFTER UPDATE ON oh_events",
        &format!(
            "IF current_setting('application_name') = '{slow}' THEN \
             PERFORM pg_advisory_xact_lock_shared({GATE}); END IF;"
        ),
    )
    .await;
    let gate = shut_gate(store.pool()).await;
    let leasing = tokio::spawn(async move { lease(&first, 1).await });
    until_it_waits(store.pool(), &slow, &leasing).await;
    // An older event of the same member arrives while the newer one is being leased.
    accept(&store, &event("a", 1, 1)).await;
    let looking = tokio::spawn(async move { lease(&other, 1).await });
    until_it_waits(store.pool(), &second, &looking).await;
    gate.commit().await.unwrap();
    assert_eq!(leasing.await.unwrap()[0].event.id, event("b", 1, 5).id);
    assert_eq!(looking.await.unwrap().len(), 0);
}

/// Two processes can receive the same webhooks in different orders.
#[tokio::test]
async fn accept_does_not_deadlock_on_same_events_in_two_orders() {
    let batches = [[("a", 1), ("b", 2)], [("b", 2), ("a", 1)]];
    let Some((new, written)) =
        accept_in_two_orders("oh_events", "NEW.id LIKE '%plug%'", batches).await
    else {
        return;
    };
    assert_eq!(new, 2);
    // Two blocking events and two events for each process. No batch was repeated.
    assert_eq!(written, 6);
}

/// Two processes can receive events of the same members.
#[tokio::test]
async fn accept_does_not_deadlock_on_same_members_in_two_orders() {
    let batches = [[("a", 1), ("b", 2)], [("c", 2), ("d", 1)]];
    let plugs = "NEW.member IN ('00000008', '00000009')";
    let Some((new, written)) = accept_in_two_orders("oh_members", plugs, batches).await else {
        return;
    };
    assert_eq!(new, 4);
    assert_eq!(written, 6);
}

/// Two processes each accept a batch of two events at the same time, and each waits for the other
/// between its first and its second row. Returns how many events were new, and how many rows were tried.
async fn accept_in_two_orders(
    table: &str,
    is_plug: &str,
    batches: [[(&str, u32); 2]; 2],
) -> Option<(u32, i64)> {
    let _alone = ALONE.lock().await;
    let schema = PgSchema::new().await?;
    let store = schema.open().await;
    let names = [1, 2].map(|n| format!("{}_{n}", schema.name()));
    // A blocking event waits at the first gate, and the events behind it wait in the queue. After its
    // first row each process waits at the second gate.
    let second = GATE + 1;
    // A sequence counts rows even if the transaction is rolled back.
    run(store.pool(), "CREATE SEQUENCE written").await;
    trigger(
        store.pool(),
        "wait",
        &format!("TRIGGER wait BEFORE INSERT ON {table}"),
        &format!(
            "PERFORM nextval('written'); \
             IF {is_plug} THEN PERFORM pg_advisory_xact_lock_shared({GATE}); \
             ELSIF current_setting('test.one', true) = 'in' THEN \
             PERFORM pg_advisory_xact_lock_shared({second}); \
             ELSE PERFORM set_config('test.one', 'in', true); END IF;"
        ),
    )
    .await;
    let first = shut_gate(store.pool()).await;
    let second = shut(store.pool(), second).await;
    let mut accepting = Vec::new();
    for ((name, [one, other]), plug) in names.iter().zip(batches).zip([8, 9]) {
        let pool = schema.pool_of(1, &[("application_name", name)]).await;
        let process = PgStore::new(pool);
        let accept = |id: &str, who: u32| {
            let (process, event) = (process.clone(), event(id, who, 1));
            tokio::spawn(async move { process.accept(&event).await })
        };
        let plug = accept(&format!("plug{plug}"), plug);
        until_it_waits(store.pool(), name, &plug).await;
        // Queued in this order.
        let one = accept(one.0, one.1);
        tokio::task::yield_now().await;
        accepting.push((plug, one, accept(other.0, other.1)));
        tokio::task::yield_now().await;
    }
    first.commit().await.unwrap();
    let mut waiting = Vec::new();
    for (name, (plug, one, other)) in names.iter().zip(accepting) {
        assert!(matches!(plug.await.unwrap(), Ok(Accepted::New(_))));
        until_it_waits(store.pool(), name, &one).await;
        waiting.extend([one, other]);
    }
    second.commit().await.unwrap();
    let mut new = 0;
    for one in waiting {
        new += u32::from(matches!(one.await.unwrap().unwrap(), Accepted::New(_)));
    }
    let sql = "SELECT last_value FROM written";
    let written = sqlx::query_scalar(sql).fetch_one(store.pool()).await;
    Some((new, written.unwrap()))
}

#[tokio::test]
async fn cancelled_call_closes_its_connection() {
    let _alone = ALONE.lock().await;
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let name = format!("{}_one", schema.name());
    let store = schema.open().await;
    let tokens = Tokens::new("access", "refresh", now());
    let record = MemberRecord::authorized(member(1), tokens, now());
    assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
    let mut holding = store.pool().begin().await.unwrap();
    sqlx::query("SELECT 1 FROM oh_members FOR UPDATE")
        .execute(&mut *holding)
        .await
        .unwrap();

    let one = PgStore::new(schema.pool_of(1, &[("application_name", &name)]).await);
    let (version, writer) = (record.version, one.clone());
    let removing = tokio::spawn(async move { writer.remove(&member(1), version).await });
    until_it_waits(store.pool(), &name, &removing).await;
    removing.abort();
    assert!(removing.await.unwrap_err().is_cancelled());
    assert!(one.load(&member(1)).await.unwrap().is_some());
    holding.rollback().await.unwrap();
}

/// The clock of one process is an hour ahead.
#[tokio::test]
async fn leases_and_locks_use_the_clock_of_the_database() {
    let _alone = ALONE.lock().await;
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let store = schema.open().await;
    accept(&store, &event("a", 1, 1)).await;
    accept(&store, &event("b", 1, 1)).await;
    accept(&store, &event("c", 2, 2)).await;
    // For a process with a fast clock, the database's clock is slow.
    let hour = Duration::from_secs(3_600);
    run(
        store.pool(),
        "CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql \
         AS $$ SELECT pg_catalog.clock_timestamp() - interval '1 hour' $$",
    )
    .await;
    let path = format!("{},pg_catalog", schema.name());
    let ahead = PgStore::new(schema.pool_of(2, &[("search_path", &path)]).await);

    let minute = Duration::from_secs(60);
    let taken = store.lease(now(), now() + minute, 1).await.unwrap();
    assert_eq!(taken.len(), 1);
    let its_now = now() + hour;
    let left = ahead.lease(its_now, its_now + minute, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].event.id, event("c", 2, 2).id);
    // Its leases and renewed leases end in time.
    let later = now() + minute - Duration::from_secs(1);
    assert!(lease_at(&store, later).await.is_empty());
    let until = its_now + 2 * minute;
    assert_eq!(
        ahead.renew(&left[0].lease, until).await.unwrap(),
        LeaseOutcome::Applied
    );
    let free = lease_at(&store, now() + minute).await;
    assert_eq!(free.len(), 1);
    assert_eq!(free[0].event.id, event("a", 1, 1).id);
    let free = lease_at(&store, now() + 2 * minute).await;
    assert!(free.iter().any(|one| one.event.id == event("c", 2, 2).id));

    let lock = |store: &PgStore, holder: &'static str, at: Timestamp| {
        let store = store.clone();
        async move { store.acquire_lock("job", holder, at, at + minute).await }
    };
    assert!(lock(&store, "a", now()).await.unwrap().is_some());
    assert!(lock(&ahead, "b", its_now).await.unwrap().is_none());
    let over = its_now + minute;
    assert!(lock(&ahead, "b", over).await.unwrap().is_some());
    let later = now() + minute + Duration::from_secs(30);
    assert!(lock(&store, "a", later).await.unwrap().is_none());
    let held = ahead.update_lock("job", "b", its_now + minute, "note");
    assert_eq!(held.await.unwrap(), LeaseOutcome::Applied);
    assert!(lock(&store, "a", later).await.unwrap().is_some());

    // Its retries are due in time.
    accept(&store, &event("d", 4, 4)).await;
    let then = now() + 10 * minute;
    let leased = ahead.lease(then + hour, then + hour + minute, 10).await;
    let leased = leased.unwrap();
    let last = leased.iter().find(|one| one.event.member == member(4));
    let retry = Completion::Retry {
        due_at: then + hour + minute,
        note: "not yet".into(),
    };
    let settled = ahead
        .complete(&last.unwrap().lease, &retry, then + hour)
        .await;
    assert_eq!(settled.unwrap(), LeaseOutcome::Applied);
    let is_due = async |at| {
        let leased = lease_at(&store, at).await;
        leased.iter().any(|one| one.event.member == member(4))
    };
    assert!(!is_due(then + minute - Duration::from_secs(1)).await);
    assert!(is_due(then + minute).await);
}

async fn lease_at(store: &PgStore, at: Timestamp) -> Vec<LeasedEvent> {
    let until = at + Duration::from_secs(60);
    assert!(at < now() + MAX_WAIT);
    store.lease(at, until, 10).await.unwrap()
}

/// A worker of actix-web has one thread, which a handler can block.
#[test]
fn accept_works_while_handler_blocks_its_thread() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(schema) = runtime.block_on(PgSchema::new()) else {
        return;
    };
    let (opened, store) = std::sync::mpsc::channel();
    let (written, wait) = std::sync::mpsc::channel();
    let its = std::sync::Arc::new(schema);
    let schema = std::sync::Arc::clone(&its);
    let blocked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let store = its.open().await;
            accept(&store, &event("a", 1, 1)).await;
            opened.send(store).unwrap();
            wait.recv_timeout(Duration::from_secs(60)).is_ok()
        })
    });
    let store = store.recv().unwrap();
    let accepted = runtime.block_on(async { store.accept(&event("b", 2, 2)).await });
    assert!(matches!(accepted, Ok(Accepted::New(_))), "{accepted:?}");
    written.send(()).unwrap();
    assert!(blocked.join().unwrap());
    drop(schema);
}

#[tokio::test]
async fn accept_and_leases_work_while_handlers_hold_all_connections() {
    let _alone = ALONE.lock().await;
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    schema.open().await;
    let pool = schema.pool_of(1, &[]).await;
    let store = PgStore::new(pool.clone());
    accept(&store, &event("a", 1, 1)).await;
    accept(&store, &event("b", 2, 2)).await;
    let leased = lease(&store, 2).await;
    let mut held = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM oh_events")
        .execute(&mut *held)
        .await
        .unwrap();

    accept(&store, &event("c", 3, 3)).await;
    let until = now() + Duration::from_secs(120);
    let extended = store.renew(&leased[0].lease, until).await;
    assert_eq!(extended.unwrap(), LeaseOutcome::Applied);
    // Jobs in one batch get their own outputs.
    let done = Completion::Done { note: None };
    let [one, other] = [&leased[0].lease, &leased[1].lease];
    let (first, second, again, third) = tokio::join!(
        store.complete(one, &done, now()),
        store.renew(other, until),
        store.complete(one, &done, now()),
        store.complete(other, &done, now()),
    );
    assert_eq!(first.unwrap(), LeaseOutcome::Applied);
    assert_eq!(second.unwrap(), LeaseOutcome::Applied);
    assert_eq!(again.unwrap(), LeaseOutcome::Lost);
    assert_eq!(third.unwrap(), LeaseOutcome::Applied);
    held.rollback().await.unwrap();
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.pending, stats.done), (1, 2));
}

/// How many rows of a table the server has read, with and without indexes.
async fn rows_read(pool: &PgPool, table: &str) -> i64 {
    // Publish the statistics of this connection.
    run(pool, "SELECT pg_stat_force_next_flush()").await;
    sqlx::query_scalar(
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables \
         WHERE relid = $1::regclass",
    )
    .bind(table)
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Tables can grow faster than the server updates its statistics.
#[tokio::test]
async fn queries_read_few_rows_with_outdated_statistics() {
    let _alone = ALONE.lock().await;
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    schema.open().await;
    let name = format!("{}_plans", schema.name());
    let pool = schema.pool_of(1, &[("application_name", &name)]).await;
    let store = PgStore::new(pool.clone());
    for table in ["oh_events", "oh_ledger", "oh_members"] {
        run(
            &pool,
            format!("ALTER TABLE {table} SET (autovacuum_enabled = false)"),
        )
        .await;
    }
    let fill = |from: u32, to: u32| {
        format!(
            "INSERT INTO oh_events (id, member, pseudonym, erasure, discovery, left_at, \
             received_at, due_at, state, settled_at) \
             SELECT lpad(i::text, 32, '0'), NULL, lpad((i / 5)::text, 32, '0'), 'requested', \
             'webhook', i, i, i, 'done', i FROM generate_series({from}, {to}) AS i; \
             INSERT INTO oh_ledger (event, member, at, step, attempt) \
             SELECT id, pseudonym, received_at, 'done', 1 FROM oh_events \
             WHERE received_at BETWEEN {from} AND {to}; \
             INSERT INTO oh_members (member, epoch, authorized_at, confirmed_at, \
             refresh_unanswered, version) \
             SELECT lpad(i::text, 8, '0'), 1, 1, 1, false, 1 FROM generate_series({from}, {to}) AS i"
        )
    };
    // According to the statistics all rows belong to this member.
    run(&pool, fill(1, 4)).await;
    run(
        &pool,
        "ANALYZE oh_events; ANALYZE oh_ledger; ANALYZE oh_members",
    )
    .await;
    run(&pool, fill(5, 100_000)).await;

    let pseudonym = Pseudonym::new(format!("{:032}", 0));
    let of_member = EventQuery::first(100).pseudonym(pseudonym.clone());
    let mut lines = LedgerQuery::first(100);
    lines.member = Some(pseudonym);
    let mut of_event = LedgerQuery::first(100);
    of_event.event = Some(EventId::new(format!("{:032}", 1)));
    let pending = EventQuery::first(100).state(EventState::Pending);
    let mut both = of_member.clone();
    both.state = Some(EventState::Done);
    let mut newest = both.clone();
    newest.newest_first = true;

    let tables = ["oh_events", "oh_ledger", "oh_members"];
    let mut before = [0; 3];
    for (count, table) in before.iter_mut().zip(tables) {
        *count = rows_read(&pool, table).await;
    }
    // Enough executions for the server to choose a generic plan.
    for round in 0..8 {
        for query in [&of_member, &both, &newest] {
            assert_eq!(store.events(query).await.unwrap().len(), 4);
        }
        assert_eq!(store.ledger(&lines).await.unwrap().len(), 4);
        assert_eq!(store.ledger(&of_event).await.unwrap().len(), 1);
        assert_eq!(store.events(&pending).await.unwrap().len(), 0);
        assert!(store.load(&member(54_321)).await.unwrap().is_some());
        let after = member(54_321);
        assert_eq!(store.page(Some(&after), 10).await.unwrap().len(), 10);
        let who = 50_000 + round;
        let webhook = event(&format!("webhook{round}"), who, 1);
        accept(&store, &webhook).await;
        let leased = lease(&store, 5).await;
        assert_eq!(leased.len(), 1);
        let later = now() + Duration::from_secs(90);
        let lease = &leased[0].lease;
        assert_eq!(
            store.renew(lease, later).await.unwrap(),
            LeaseOutcome::Applied
        );
        let done = Completion::Done { note: None };
        assert_eq!(
            store.complete(lease, &done, now()).await.unwrap(),
            LeaseOutcome::Applied
        );
    }
    // Closing the writers' connections publishes their statistics.
    drop(store);
    let others = "SELECT count(*) FROM pg_stat_activity \
        WHERE application_name = $1 AND pid <> pg_backend_pid()";
    loop {
        let others: i64 = sqlx::query_scalar(others)
            .bind(&name)
            .fetch_one(&pool)
            .await
            .unwrap();
        if others == 0 {
            break;
        }
    }
    for (count, table) in before.into_iter().zip(tables) {
        let read = rows_read(&pool, table).await - count;
        assert!(read < 5_000, "{read} rows of {table}");
    }
}
