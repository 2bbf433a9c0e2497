//! What can go wrong only where many processes share a server: orders, locks, clocks and settings.
//!
//! Triggers bring about here what elsewhere takes luck: a writer that is slow at the worst moment.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use std::time::Duration;

use common::PgSchema;
use oh_core::deauth::{
    Accepted, DeauthEvent, DeauthEvents, DeauthRecords, Discovery, Erasure, EventId, Held, Leased,
    LedgerQuery, MAX_WAIT, NamedLocks, Pseudonym, Settlement, Step,
};
use oh_core::store::{MemberRecord, Put, TokenStore, Tokens};
use oh_core::{ProjectMemberId, Timestamp};
use oh_sqlx::PgStore;
use sqlx::{AssertSqlSafe, PgPool};

/// The store's locks are one for each database, whatever the schema: these tests, which have
/// holders of them wait, run one at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The advisory lock that the triggers of these tests wait for.
const GATE: i64 = 4_242;

fn member(number: u32) -> ProjectMemberId {
    format!("{number:08}").parse().unwrap()
}

/// The event `name` of a member, received so many seconds after some time.
fn event(name: &str, who: u32, received: i64) -> DeauthEvent {
    let at = Timestamp::from_micros(1_600_000_000_000_000 + received * 1_000_000);
    DeauthEvent::new(
        EventId::new(format!("{name:0>32}")),
        member(who),
        Pseudonym::new(format!("{who:032x}")),
        Erasure::Requested,
        Discovery::Told,
        at,
        at,
    )
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

async fn lease(store: &PgStore, limit: usize) -> Vec<Leased> {
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

/// Looks until a connection of this name waits for a lock, or the work has ended.
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

/// A trigger on a table, with this body.
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

/// Whoever holds this keeps the triggers' writers waiting.
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
async fn what_the_inbox_writes_is_flushed_whatever_the_default() {
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

    let dead_letter = Settlement::DeadLetter { note: "no".into() };
    accept(&store, &event("a", 1, 1)).await;
    let leased = lease(&store, 1).await;
    let settled = store.settle(&leased[0].lease, &dead_letter, now()).await;
    assert_eq!(settled.unwrap(), Held::Yes);
    assert!(store.requeue(&event("a", 1, 1).id, now()).await.unwrap());
    let _ = store.hold(&event("b", 2, 2), "why").await.unwrap();
    assert!(store.release(&event("b", 2, 2).id, now()).await.unwrap());
    let elsewhere = store.clone().inbox_only();
    let last = event("c", 3, 3);
    accept(&elsewhere, &last).await;
    elsewhere.tokens_destroyed(&last, now()).await.unwrap();

    let sql = "SELECT step, setting FROM flushed";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
    let steps: std::collections::BTreeSet<_> = rows.iter().map(|(step, _)| &**step).collect();
    let all = [
        "dead_lettered",
        "held",
        "received",
        "released",
        "requeued",
        "tokens_destroyed",
        "tried",
    ];
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), all);
    assert!(rows.iter().all(|(_, setting)| setting == "on"), "{rows:?}");
}

/// Line numbers are drawn before they can be seen. Whoever has read up to one must have seen all
/// before it, whatever wrote them.
#[tokio::test]
async fn no_line_of_the_ledger_appears_before_one_that_was_read() {
    let _alone = ALONE.lock().await;
    for step in [
        Step::Received,
        Step::Held,
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

        // One event of each state to go on from.
        accept(&quick, &event("a", 1, 1)).await;
        let leased = lease(&quick, 1).await.remove(0).lease;
        let dead_letter = Settlement::DeadLetter { note: "no".into() };
        match step {
            Step::Tried => {
                accept(&quick, &event("b", 2, 2)).await;
            }
            Step::Requeued => {
                let settled = quick.settle(&leased, &dead_letter, now()).await;
                assert_eq!(settled.unwrap(), Held::Yes);
            }
            Step::Released => {
                let _ = quick.hold(&event("c", 3, 3), "why").await.unwrap();
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
                Step::Held => drop(slow.hold(&event("d", 4, 4), "why").await.unwrap()),
                Step::Released => {
                    assert!(slow.release(&event("c", 3, 3).id, now()).await.unwrap());
                }
                Step::Tried => assert_eq!(lease(&slow, 1).await.len(), 1),
                Step::Requeued => {
                    assert!(slow.requeue(&event("a", 1, 1).id, now()).await.unwrap());
                }
                _ => {
                    let settled = slow.settle(&leased, &dead_letter, now()).await;
                    assert_eq!(settled.unwrap(), Held::Yes);
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

/// A worker that looks while another takes an event sees what that one takes.
#[tokio::test]
async fn those_who_lease_wait_for_one_another() {
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
    // An older event of the same member arrives late: it waits for the one that is being taken.
    accept(&store, &event("a", 1, 1)).await;
    let looking = tokio::spawn(async move { lease(&other, 1).await });
    until_it_waits(store.pool(), &second, &looking).await;
    gate.commit().await.unwrap();
    assert_eq!(leasing.await.unwrap()[0].event.id, event("b", 1, 5).id);
    assert_eq!(looking.await.unwrap().len(), 0);
}

/// Webhooks are sent to whichever process answers, so two may have the same ones, in any order.
#[tokio::test]
async fn the_same_events_in_two_orders_do_not_deadlock() {
    let _alone = ALONE.lock().await;
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let store = schema.open().await;
    let names = [1, 2].map(|n| format!("{}_{n}", schema.name()));
    // An event named "plug" waits at the first gate, and so do those behind it. Whoever has put in
    // one event waits at the second gate before the next.
    let second = GATE + 1;
    // Numbers drawn stay drawn, whatever becomes of the transaction.
    run(store.pool(), "CREATE SEQUENCE written").await;
    trigger(
        store.pool(),
        "wait",
        "TRIGGER wait BEFORE INSERT ON oh_events",
        &format!(
            "PERFORM nextval('written'); \
             IF NEW.id LIKE '%plug%' THEN PERFORM pg_advisory_xact_lock_shared({GATE}); \
             ELSIF current_setting('test.one', true) = 'in' THEN \
             PERFORM pg_advisory_xact_lock_shared({second}); \
             ELSE PERFORM set_config('test.one', 'in', true); END IF;"
        ),
    )
    .await;
    let first = shut_gate(store.pool()).await;
    let second = shut(store.pool(), second).await;
    let mut accepting = Vec::new();
    for (name, [one, other]) in names.iter().zip([["a", "b"], ["b", "a"]]) {
        let pool = schema.pool_of(1, &[("application_name", name)]).await;
        let process = PgStore::new(pool);
        let accept = |id: &str, who: u32| {
            let (process, event) = (process.clone(), event(id, who, 1));
            tokio::spawn(async move { process.accept(&event).await })
        };
        let plug = accept(&format!("plug{one}"), 9);
        until_it_waits(store.pool(), name, &plug).await;
        // Into the queue in this order.
        let one = accept(one, 1);
        tokio::task::yield_now().await;
        accepting.push((plug, one, accept(other, 2)));
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
    assert_eq!(new, 2);
    // The two plugs, and two events for each process: none had to do its batch again.
    let sql = "SELECT last_value FROM written";
    let written: i64 = sqlx::query_scalar(sql)
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(written, 6);
}

/// A statement that nobody waits for any more does not keep its connection from the others.
#[tokio::test]
async fn a_caller_who_gives_up_leaves_no_connection_that_is_busy() {
    let _alone = ALONE.lock().await;
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let name = format!("{}_one", schema.name());
    let store = schema.open().await;
    let tokens = Tokens::new("access", "refresh", now());
    let record = MemberRecord::authorized(member(1), tokens, now());
    assert_eq!(store.put(&record, None).await.unwrap(), Put::Done);
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

/// A process whose clock is an hour ahead takes nothing from those whose clocks are right.
#[tokio::test]
async fn leases_and_locks_are_in_the_time_of_the_database() {
    let _alone = ALONE.lock().await;
    let Some(schema) = PgSchema::new().await else {
        return;
    };
    let store = schema.open().await;
    accept(&store, &event("a", 1, 1)).await;
    accept(&store, &event("b", 1, 1)).await;
    accept(&store, &event("c", 2, 2)).await;
    // To a process whose clock is ahead, the database's is behind.
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
    // And what it takes or prolongs ends when it should.
    let later = now() + minute - Duration::from_secs(1);
    assert!(lease_at(&store, later).await.is_empty());
    let until = its_now + 2 * minute;
    assert_eq!(
        ahead.extend(&left[0].lease, until).await.unwrap(),
        Held::Yes
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
    assert_eq!(held.await.unwrap(), Held::Yes);
    assert!(lock(&store, "a", later).await.unwrap().is_some());
}

async fn lease_at(store: &PgStore, at: Timestamp) -> Vec<Leased> {
    let until = at + Duration::from_secs(60);
    assert!(at < now() + MAX_WAIT);
    store.lease(at, until, 10).await.unwrap()
}
