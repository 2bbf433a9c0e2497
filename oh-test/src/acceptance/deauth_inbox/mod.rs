//! The acceptance suite for a [`DeauthInbox`].
//!
//! ```
//! use std::sync::Arc;
//! use oh_core::deauth::{DeauthInbox, MemoryInbox};
//! use oh_test::acceptance::deauth_inbox;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! deauth_inbox::all(async || Arc::new(MemoryInbox::new()) as Arc<dyn DeauthInbox>).await;
//! # }
//! ```
//!
//! An inbox that outlives the process also passes [`durable`].
//!
//! The suite uses no token store. An inbox that destroys tokens itself must accept events of members
//! without a record.

mod accepting;
mod checkpoints;
mod completing;
mod leasing;
mod listing;
mod locks;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use oh_core::deauth::{
    Accepted, CheckpointOutcome, CheckpointQuery, Completion, DeauthEvent, DeauthInbox, Discovery,
    ErasureRequest, EventId, EventQuery, EventRecord, LeaseOutcome, LeasedEvent, LedgerLine,
    LedgerQuery, LockState, MAX_WAIT, Pseudonym, Step, StoredCheckpoint,
};
use oh_core::{ProjectMemberId, Timestamp};

type Inbox = Arc<dyn DeauthInbox>;

/// Runs all checks. `fresh` opens a new, empty inbox each time.
///
/// # Panics
///
/// When a check fails.
pub async fn all<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn DeauthInbox>>,
{
    accepting::accept_stores_every_field(fresh().await).await;
    accepting::accept_ignores_duplicates(fresh().await).await;
    accepting::accept_stores_concurrent_duplicates_once(fresh().await).await;
    accepting::accept_ignores_completed_event(fresh().await).await;

    leasing::lease_returns_oldest_events_first(fresh().await).await;
    leasing::lease_limit_counts_available_events(fresh().await).await;
    leasing::lease_returns_events_of_member_in_order(fresh().await).await;
    leasing::lease_skips_only_busy_members(fresh().await).await;
    leasing::lease_waits_for_holder_when_older_event_arrives(fresh().await).await;
    leasing::lease_waits_for_holder_when_older_event_is_requeued(fresh().await).await;
    leasing::concurrent_workers_lease_each_event_once(fresh().await).await;
    leasing::expired_lease_is_available(fresh().await).await;
    leasing::renew_extends_lease_of_current_holder(fresh().await).await;
    leasing::new_event_is_due_when_accepted_by_fast_clock(fresh().await).await;
    leasing::lease_ignores_times_of_wrong_clock(fresh().await).await;
    leasing::events_contain_lease_end(fresh().await).await;

    completing::done_removes_member_id(fresh().await).await;
    completing::done_removes_member_id_from_superseded_events(fresh().await).await;
    completing::done_without_erasure_keeps_erasure_requests(fresh().await).await;
    completing::retry_waits_until_due(fresh().await).await;
    completing::requeue_restarts_dead_letter(fresh().await).await;
    completing::requeue_restarts_stale_event(fresh().await).await;
    completing::complete_with_lost_lease_changes_nothing(fresh().await).await;
    completing::complete_applies_after_expiry_without_new_holder(fresh().await).await;
    completing::concurrent_completions_apply_once(fresh().await).await;
    completing::leases_report_token_progress(fresh().await).await;
    completing::release_restarts_quarantined_event(fresh().await).await;
    completing::ledger_records_every_step(fresh().await).await;
    completing::stats_count_events_by_state(fresh().await).await;

    listing::pages_list_each_event_once(fresh().await).await;
    listing::leased_at_lists_valid_leases(fresh().await).await;
    listing::pages_list_each_ledger_line_once(fresh().await).await;

    checkpoints::ledger_lines_never_appear_before_listed_ones(fresh().await).await;
    checkpoints::store_checkpoint_stores_each_size_once(fresh().await).await;

    locks::lock_has_one_holder(fresh().await).await;
    locks::lock_of_wrong_clock_is_free(fresh().await).await;
    locks::lock_note_outlives_holder(fresh().await).await;
    locks::lock_state_reads_lock_without_acquiring_it(fresh().await).await;
}

/// Checks that events, leases, locks and checkpoints survive when the inbox is opened again, and that
/// two openings share the same data. `open` opens the same inbox each time, which is empty at first.
///
/// # Panics
///
/// When a check fails.
pub async fn durable<F, Fut>(open: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn DeauthInbox>>,
{
    let (done, waiting) = (event(1, 1, 1), event(2, 2, 2));
    let inbox = open().await;
    accept(&inbox, &done).await;
    accept(&inbox, &waiting).await;
    let leased = lease(&inbox, at(10), 2).await;
    complete(&inbox, &leased[0], &Completion::Done { note: None }, at(11)).await;
    assert_eq!(
        inbox
            .acquire_lock("job", "a", at(10), at(20))
            .await
            .expect("the inbox responds"),
        Some(String::new())
    );
    assert_eq!(
        inbox
            .update_lock("job", "a", at(20), "so far")
            .await
            .expect("the inbox responds"),
        LeaseOutcome::Applied
    );
    let checkpoint = checkpoint(3, "root");
    let outcome = inbox.store_checkpoint(&checkpoint).await;
    assert_eq!(
        outcome.expect("the inbox responds"),
        CheckpointOutcome::Stored
    );
    drop(inbox);

    let inbox = open().await;
    let other = open().await;
    assert_eq!(
        inbox.accept(&done).await.expect("the inbox responds"),
        Accepted::Duplicate
    );
    assert_eq!(
        other.accept(&waiting).await.expect("the inbox responds"),
        Accepted::Duplicate
    );
    assert!(
        lease(&other, at(12), 10).await.is_empty(),
        "the lease is lost after reopening"
    );
    complete(&inbox, &leased[1], &Completion::Done { note: None }, at(13)).await;
    assert_eq!(
        steps(&other, &waiting).await,
        [Step::Received, Step::Tried, Step::Done],
        "one opening does not see the changes of the other"
    );
    assert_eq!(
        other
            .acquire_lock("job", "b", at(12), at(30))
            .await
            .expect("the inbox responds"),
        None,
        "the lock is lost after reopening"
    );
    assert_eq!(
        other
            .acquire_lock("job", "b", at(21), at(30))
            .await
            .expect("the inbox responds"),
        Some("so far".to_owned())
    );
    let kept = other.checkpoints(&CheckpointQuery::last()).await;
    assert_eq!(
        kept.expect("the inbox responds"),
        [checkpoint],
        "the checkpoint is lost after reopening"
    );
    openings_lease_each_event_once(inbox, other).await;
}

/// Workers that lease through two openings never lease the same event.
async fn openings_lease_each_event_once(one: Inbox, other: Inbox) {
    let count = 60;
    for i in 0..count {
        let inbox = if i % 2 == 0 { &one } else { &other };
        accept(inbox, &event(1000 + i, 1000 + i, i)).await;
    }
    let lease_all = |inbox: Inbox| async move {
        let mut leased_ids = Vec::new();
        loop {
            let leased = lease(&inbox, at(10_000), 7).await;
            if leased.is_empty() {
                return leased_ids;
            }
            leased_ids.extend(leased.into_iter().map(|leased| leased.event.id));
        }
    };
    let tasks =
        [one.clone(), other.clone(), one, other].map(|inbox| tokio::spawn(lease_all(inbox)));
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("the task ends"));
    }
    let total = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), total, "an event was leased twice");
    assert_eq!(total as i64, count, "an event was not leased");
}

/// A time, `seconds` after a fixed start.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_600_000_000_000_000 + seconds * 1_000_000)
}

fn member(number: i64) -> ProjectMemberId {
    format!("{number:08}").parse().expect("digits")
}

fn pseudonym(number: i64) -> Pseudonym {
    Pseudonym::new(format!("{number:032x}"))
}

/// The event `number` of a member, received at `received`. The ids descend while the numbers ascend, so
/// that the order of ids is not the order of times.
fn event(number: i64, member_number: i64, received: i64) -> DeauthEvent {
    DeauthEvent {
        id: EventId::new(format!("{:032x}", 0xffff_ffff - number)),
        member: member(member_number),
        pseudonym: pseudonym(member_number),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: at(received - 1),
        received_at: at(received),
    }
}

async fn accept(inbox: &Inbox, event: &DeauthEvent) {
    let accepted = inbox.accept(event).await.expect("the inbox responds");
    assert!(
        matches!(accepted, Accepted::New(_)),
        "a new event is not a duplicate"
    );
}

/// Leases events at `now` for ten seconds.
async fn lease(inbox: &Inbox, now: Timestamp, limit: usize) -> Vec<LeasedEvent> {
    let until = now + Duration::from_secs(10);
    inbox
        .lease(now, until, limit)
        .await
        .expect("the inbox responds")
}

async fn lease_one(inbox: &Inbox, now: Timestamp) -> LeasedEvent {
    let mut leased = lease(inbox, now, 1).await;
    assert_eq!(leased.len(), 1, "one event is available");
    leased.remove(0)
}

async fn complete(inbox: &Inbox, leased: &LeasedEvent, completion: &Completion, now: Timestamp) {
    let outcome = inbox
        .complete(&leased.lease, completion, now)
        .await
        .expect("the inbox responds");
    assert_eq!(outcome, LeaseOutcome::Applied, "the lease is valid");
}

async fn lines(inbox: &Inbox) -> Vec<LedgerLine> {
    let query = LedgerQuery::first(10_000);
    inbox.ledger(&query).await.expect("the inbox responds")
}

/// The steps of the event, without the destruction of tokens, which only some inboxes record.
async fn steps(inbox: &Inbox, event: &DeauthEvent) -> Vec<Step> {
    let query = LedgerQuery::first(10_000).event(event.id.clone());
    let lines = inbox.ledger(&query).await.expect("the inbox responds");
    lines
        .into_iter()
        .map(|line| line.step)
        .filter(|step| *step != Step::TokensDestroyed)
        .collect()
}

async fn find(inbox: &Inbox, event: &DeauthEvent) -> EventRecord {
    let query = EventQuery::first(10_000);
    let found = inbox.events(&query).await.expect("the inbox responds");
    found
        .into_iter()
        .find(|record| record.id == event.id)
        .expect("the event is listed")
}

/// A checkpoint over `size` lines.
fn checkpoint(size: u64, root: &str) -> StoredCheckpoint {
    let last_seq = i64::try_from(10 * size).expect("a small number");
    StoredCheckpoint {
        size,
        last_seq,
        root: root.to_owned(),
        at: at(last_seq),
        note: "a\n\nnote: \u{2014}".to_owned(),
        tree: "t".repeat(4_096),
    }
}
