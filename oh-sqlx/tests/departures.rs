//! An accepted event and the destruction of the member's tokens are one commit.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

mod common;

use common::{PgSchema, SqliteFile};
use oh_core::deauth::{
    Accepted, DeauthEvent, DeauthInbox, Discovery, ErasureRequest, EventId, EventQuery, EventState,
    LedgerQuery, Pseudonym, Step, TokenOutcome,
};
use oh_core::store::{MemberRecord, PutOutcome, RefreshLease, TokenStore, Tokens, Version};
use oh_core::{ProjectMemberId, Timestamp};
use oh_sqlx::{PgStore, SqliteStore};

trait Both: TokenStore + DeauthInbox + Clone {}
impl Both for SqliteStore {}
impl Both for PgStore {}

/// Defines each test for both databases.
macro_rules! on_both {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let file = super::SqliteFile::new();
                    super::$test(file.open().await).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let Some(schema) = super::PgSchema::new().await else { return };
                    super::$test(schema.open().await).await;
                }
            )+
        }
    };
}

on_both! {
    accept_destroys_tokens_in_the_same_commit
    accept_stores_tombstone_for_unknown_member
    accept_settles_event_as_stale_after_later_authorization
    accept_settles_event_as_stale_after_later_membership_ended
    accept_advances_epoch_for_each_event
    put_conflicts_after_member_left
    concurrent_accepts_report_outcome_of_each_event
    accept_handles_one_member_many_times_in_one_batch
    ledger_reader_misses_no_line_while_others_write
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn id(number: u32) -> ProjectMemberId {
    format!("{number:08}").parse().unwrap()
}

/// Member `number` left at `left`; the webhook arrived a second later.
fn event(name: &str, number: u32, left: i64) -> DeauthEvent {
    DeauthEvent {
        id: EventId::new(name),
        member: id(number),
        pseudonym: Pseudonym::new(format!("p{number}")),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: at(left),
        received_at: at(left + 1),
    }
}

fn authorized(number: u32, when: i64) -> MemberRecord {
    let tokens = Tokens::new("access", "refresh", at(when + 36_000));
    let mut record = MemberRecord::authorized(id(number), tokens, at(when));
    record.username = Some("someone".into());
    record.refresh = Some(RefreshLease::new("h", at(when + 60)));
    record.refresh_unanswered = true;
    record
}

async fn steps(inbox: &impl DeauthInbox, name: &str) -> Vec<Step> {
    let query = LedgerQuery::first(100).event(EventId::new(name));
    inbox
        .ledger(&query)
        .await
        .unwrap()
        .into_iter()
        .map(|line| line.step)
        .collect()
}

async fn state(inbox: &impl DeauthInbox, name: &str) -> EventState {
    let query = EventQuery::first(10_000);
    let events = inbox.events(&query).await.unwrap();
    events
        .into_iter()
        .find(|e| e.id.as_str() == name)
        .unwrap()
        .state
}

async fn load(store: &impl TokenStore, number: u32) -> MemberRecord {
    store.load(&id(number)).await.unwrap().unwrap()
}

/// Compares everything except the version.
fn assert_same(found: &MemberRecord, expected: &MemberRecord) {
    let fields = |r: &MemberRecord| {
        (
            (
                r.member.clone(),
                r.username.clone(),
                r.tokens.is_some(),
                r.epoch,
            ),
            (r.authorized_at, r.deauthorized_at, r.confirmed_at),
            (r.refresh.clone(), r.refresh_unanswered),
        )
    };
    assert_eq!(fields(found), fields(expected));
}

async fn accept_destroys_tokens_in_the_same_commit(store: impl Both) {
    let before = authorized(1, 0);
    assert_eq!(store.put(&before, None).await.unwrap(), PutOutcome::Stored);
    let accepted = store.accept(&event("e", 1, 100)).await.unwrap();
    assert_eq!(accepted, Accepted::New(TokenOutcome::Destroyed));
    let after = load(&store, 1).await;
    assert_same(&after, &before.deauthorized(at(101)));
    assert_ne!(after.version, before.version);
    assert_eq!(
        steps(&store, "e").await,
        [Step::Received, Step::TokensDestroyed]
    );
    // A duplicate changes nothing, not even the version.
    assert_eq!(
        store.accept(&event("e", 1, 100)).await.unwrap(),
        Accepted::Duplicate
    );
    assert_eq!(load(&store, 1).await.version, after.version);
    assert_eq!(steps(&store, "e").await.len(), 2);
    let leased = store.lease(at(200), at(260), 10).await.unwrap();
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].event, event("e", 1, 100));
}

async fn accept_stores_tombstone_for_unknown_member(store: impl Both) {
    let accepted = store.accept(&event("e", 2, 100)).await.unwrap();
    assert_eq!(accepted, Accepted::New(TokenOutcome::Destroyed));
    assert_same(
        &load(&store, 2).await,
        &MemberRecord::tombstone(id(2), at(101)),
    );
}

async fn accept_settles_event_as_stale_after_later_authorization(store: impl Both) {
    let back = authorized(3, 200);
    assert_eq!(store.put(&back, None).await.unwrap(), PutOutcome::Stored);
    let accepted = store.accept(&event("old", 3, 100)).await.unwrap();
    assert_eq!(accepted, Accepted::New(TokenOutcome::Stale));
    assert_eq!(load(&store, 3).await.version, back.version);
    assert_eq!(state(&store, "old").await, EventState::Stale);
    assert_eq!(steps(&store, "old").await, [Step::Received, Step::Stale]);
    assert!(store.lease(at(500), at(600), 10).await.unwrap().is_empty());
    // An authorization at the time of the departure is not later.
    let accepted = store.accept(&event("now", 3, 200)).await.unwrap();
    assert_eq!(accepted, Accepted::New(TokenOutcome::Destroyed));
    // An operator requeues the stale event.
    assert!(store.requeue(&EventId::new("old"), at(700)).await.unwrap());
    let leased = store.lease(at(700), at(800), 10).await.unwrap();
    assert_eq!(leased[0].event.id.as_str(), "old");
}

async fn accept_settles_event_as_stale_after_later_membership_ended(store: impl Both) {
    let back = authorized(7, 200);
    assert_eq!(store.put(&back, None).await.unwrap(), PutOutcome::Stored);
    let accepted = store.accept(&event("later", 7, 300)).await.unwrap();
    assert_eq!(accepted, Accepted::New(TokenOutcome::Destroyed));
    let left = load(&store, 7).await;
    let accepted = store.accept(&event("earlier", 7, 100)).await.unwrap();
    assert_eq!(accepted, Accepted::New(TokenOutcome::Stale));
    assert_eq!(load(&store, 7).await.version, left.version);
    assert_eq!(state(&store, "earlier").await, EventState::Stale);
    // An unknown member has no later membership.
    let accepted = store.accept(&event("first", 8, 300)).await.unwrap();
    assert_eq!(accepted, Accepted::New(TokenOutcome::Destroyed));
    let accepted = store.accept(&event("second", 8, 100)).await.unwrap();
    assert_eq!(accepted, Accepted::New(TokenOutcome::Destroyed));
}

async fn accept_advances_epoch_for_each_event(store: impl Both) {
    let before = authorized(4, 0);
    assert_eq!(store.put(&before, None).await.unwrap(), PutOutcome::Stored);
    let _ = store.accept(&event("one", 4, 10)).await.unwrap();
    let first = load(&store, 4).await;
    // The epoch grows although both events were received in the same microsecond.
    let _ = store.accept(&event("two", 4, 10)).await.unwrap();
    let second = load(&store, 4).await;
    assert!(before.epoch < first.epoch && first.epoch < second.epoch);
    // The second event of the member waits for the first.
    let leased = store.lease(at(20), at(30), 10).await.unwrap();
    let names: Vec<_> = leased.iter().map(|l| l.event.id.as_str()).collect();
    assert_eq!(names, ["one"]);
}

async fn put_conflicts_after_member_left(store: impl Both) {
    let before = authorized(5, 0);
    assert_eq!(store.put(&before, None).await.unwrap(), PutOutcome::Stored);
    let _ = store.accept(&event("e", 5, 10)).await.unwrap();
    let late = {
        let mut record = before.clone();
        record.version = Version::fresh();
        record
    };
    assert_eq!(
        store.put(&late, Some(before.version)).await.unwrap(),
        PutOutcome::Conflict
    );
    assert_eq!(store.put(&late, None).await.unwrap(), PutOutcome::Conflict);
    assert!(!load(&store, 5).await.is_authorized());
}

async fn concurrent_accepts_report_outcome_of_each_event(store: impl Both) {
    // One third is authorized, one third authorized again later, one third is unknown.
    for n in 0..200 {
        match n % 3 {
            0 => assert_eq!(
                store.put(&authorized(n, 0), None).await.unwrap(),
                PutOutcome::Stored
            ),
            1 => assert_eq!(
                store.put(&authorized(n, 500), None).await.unwrap(),
                PutOutcome::Stored
            ),
            _ => {}
        }
    }
    // Each event is sent three times.
    let mut tasks = Vec::new();
    for n in (0..200).chain(0..200).chain(0..200) {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            (
                n,
                store
                    .accept(&event(&format!("e{n:03}"), n, 100))
                    .await
                    .unwrap(),
            )
        }));
    }
    let mut new = std::collections::BTreeMap::new();
    for task in tasks {
        let (n, accepted) = task.await.unwrap();
        if let Accepted::New(outcome) = accepted {
            assert!(new.insert(n, outcome).is_none(), "accepted twice: {n}");
        }
    }
    for n in 0..200 {
        let expected = if n % 3 == 1 {
            TokenOutcome::Stale
        } else {
            TokenOutcome::Destroyed
        };
        assert_eq!(new[&n], expected, "{n}");
        assert_eq!(load(&store, n).await.is_authorized(), n % 3 == 1);
        assert_eq!(steps(&store, &format!("e{n:03}")).await.len(), 2);
    }
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.stale, stats.pending), (67, 133));
    assert_eq!(stats.oldest_pending, Some(at(101)));
}

async fn accept_handles_one_member_many_times_in_one_batch(store: impl Both) {
    assert_eq!(
        store.put(&authorized(6, 50), None).await.unwrap(),
        PutOutcome::Stored
    );
    let mut tasks = Vec::new();
    for n in 0..40 {
        let store = store.clone();
        // Half of the events are older than the authorization.
        let event = event(&format!("e{n}"), 6, if n % 2 == 0 { 40 } else { 60 });
        tasks.push(tokio::spawn(
            async move { store.accept(&event).await.unwrap() },
        ));
    }
    for (n, task) in tasks.into_iter().enumerate() {
        let accepted = task.await.unwrap();
        if n % 2 == 1 {
            assert_eq!(accepted, Accepted::New(TokenOutcome::Destroyed), "{n}");
        } else {
            assert_ne!(accepted, Accepted::Duplicate, "{n}");
        }
    }
    assert!(!load(&store, 6).await.is_authorized());
}

async fn ledger_reader_misses_no_line_while_others_write(store: impl Both) {
    let mut writers = Vec::new();
    for n in 0..8 {
        let store = store.clone();
        writers.push(tokio::spawn(async move {
            for i in 0..25 {
                let event = event(&format!("e{n}-{i}"), n * 100 + i, 1);
                let _ = store.accept(&event).await.unwrap();
                store.mark_tokens_destroyed(&event, at(3)).await.unwrap();
            }
        }));
    }
    let (mut seen, mut after) = (0, None);
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let query = LedgerQuery::first(50).after(after);
        let lines = store.ledger(&query).await.unwrap();
        after = lines.last().map(|line| line.seq).or(after);
        seen += lines.len();
        if done && lines.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 8 * 25 * 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn inbox_only_leaves_members_unchanged() {
    let file = SqliteFile::new();
    let inbox = file.open().await.inbox_only();
    let accepted = inbox.accept(&event("e", 1, 100)).await.unwrap();
    assert_eq!(accepted, Accepted::New(TokenOutcome::Untouched));
    assert!(TokenStore::load(&inbox, &id(1)).await.unwrap().is_none());
    assert_eq!(steps(&inbox, "e").await, [Step::Received]);
    if let Some(schema) = PgSchema::new().await {
        let inbox = schema.open().await.inbox_only();
        let accepted = inbox.accept(&event("e", 1, 100)).await.unwrap();
        assert_eq!(accepted, Accepted::New(TokenOutcome::Untouched));
        assert!(TokenStore::load(&inbox, &id(1)).await.unwrap().is_none());
        assert_eq!(steps(&inbox, "e").await, [Step::Received]);
    }
}
