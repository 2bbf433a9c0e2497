//! What every [`DeauthInbox`] must do.
//!
//! ```
//! use std::sync::Arc;
//! use oh_core::acceptance::deauth_inbox;
//! use oh_core::deauth::{DeauthInbox, MemoryInbox};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! deauth_inbox::all(async || Arc::new(MemoryInbox::new()) as Arc<dyn DeauthInbox>).await;
//! # }
//! ```
//!
//! An inbox that outlives the process also passes [`durable`], which is given a way to open one
//! and the same inbox again and again.
//!
//! An inbox that keeps no checkpoints, because it does not implement
//! [`store_checkpoint`](crate::deauth::DeauthInbox::store_checkpoint), passes as well.
//!
//! The checks tell no token store anything. An inbox that sees to the tokens itself must take a
//! member without a record for one that has nothing to destroy.

mod accepting;
mod checkpoints;
mod leasing;
mod listing;
mod locks;
mod settling;

pub use accepting::{
    a_done_event_is_never_accepted_again, concurrent_duplicates_are_accepted_once,
    duplicates_change_nothing, everything_of_an_event_is_kept,
};
pub use checkpoints::{
    checkpoints_are_kept_once_and_listed, no_line_appears_before_one_that_was_listed,
};
pub use leasing::{
    a_busy_member_holds_up_only_its_own, a_dead_holder_is_replaced, a_lease_can_be_prolonged,
    a_lease_is_listed, an_older_event_that_arrives_late_waits_for_the_holder,
    an_older_event_that_is_requeued_waits_for_the_holder, each_event_has_one_holder,
    events_come_oldest_first, events_of_a_member_come_in_order,
    the_limit_counts_events_that_can_be_taken, what_a_clock_ahead_accepted_is_due,
    what_a_wrong_clock_put_off_is_due,
};
pub use listing::{
    events_are_listed_newest_first, events_are_listed_page_by_page,
    the_ledger_is_listed_page_by_page,
};
pub use locks::{a_lock_of_a_wrong_clock_is_over, a_note_outlives_its_holder, one_holds_the_lock};
pub use settling::{
    a_dead_letter_can_be_requeued, a_held_event_waits_to_be_released,
    a_retry_waits_until_it_is_due, a_stale_event_is_kept, a_whole_life_is_in_the_ledger,
    done_forgets_what_it_makes_up_for, done_keeps_wishes_it_does_not_make_up_for,
    done_leaves_only_the_pseudonym, leases_tell_what_became_of_the_tokens,
    of_two_settlements_one_counts, settling_after_a_takeover_does_nothing,
    settling_late_counts_if_nobody_took_over, statistics_add_up,
};

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::deauth::{
    Accepted, CheckpointOutcome, CheckpointQuery, Completion, DeauthEvent, DeauthInbox, Discovery,
    ErasureRequest, EventId, EventQuery, EventRecord, LeaseOutcome, LeasedEvent, LedgerLine,
    LedgerQuery, MAX_WAIT, Pseudonym, Step, StoredCheckpoint,
};
use crate::{ProjectMemberId, Timestamp};

type Inbox = Arc<dyn DeauthInbox>;

/// Runs every check. `fresh` gives an empty inbox, another one each time.
///
/// # Panics
///
/// When the inbox breaks a promise.
pub async fn all<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn DeauthInbox>>,
{
    everything_of_an_event_is_kept(fresh().await).await;
    duplicates_change_nothing(fresh().await).await;
    concurrent_duplicates_are_accepted_once(fresh().await).await;
    a_done_event_is_never_accepted_again(fresh().await).await;

    events_come_oldest_first(fresh().await).await;
    the_limit_counts_events_that_can_be_taken(fresh().await).await;
    events_of_a_member_come_in_order(fresh().await).await;
    a_busy_member_holds_up_only_its_own(fresh().await).await;
    an_older_event_that_arrives_late_waits_for_the_holder(fresh().await).await;
    an_older_event_that_is_requeued_waits_for_the_holder(fresh().await).await;
    each_event_has_one_holder(fresh().await).await;
    a_dead_holder_is_replaced(fresh().await).await;
    a_lease_can_be_prolonged(fresh().await).await;
    what_a_clock_ahead_accepted_is_due(fresh().await).await;
    what_a_wrong_clock_put_off_is_due(fresh().await).await;
    a_lease_is_listed(fresh().await).await;

    done_leaves_only_the_pseudonym(fresh().await).await;
    done_forgets_what_it_makes_up_for(fresh().await).await;
    done_keeps_wishes_it_does_not_make_up_for(fresh().await).await;
    a_retry_waits_until_it_is_due(fresh().await).await;
    a_dead_letter_can_be_requeued(fresh().await).await;
    a_stale_event_is_kept(fresh().await).await;
    settling_after_a_takeover_does_nothing(fresh().await).await;
    settling_late_counts_if_nobody_took_over(fresh().await).await;
    of_two_settlements_one_counts(fresh().await).await;
    leases_tell_what_became_of_the_tokens(fresh().await).await;
    a_held_event_waits_to_be_released(fresh().await).await;
    a_whole_life_is_in_the_ledger(fresh().await).await;
    statistics_add_up(fresh().await).await;

    events_are_listed_page_by_page(fresh().await).await;
    events_are_listed_newest_first(fresh().await).await;
    the_ledger_is_listed_page_by_page(fresh().await).await;

    no_line_appears_before_one_that_was_listed(fresh().await).await;
    checkpoints_are_kept_once_and_listed(fresh().await).await;

    one_holds_the_lock(fresh().await).await;
    a_lock_of_a_wrong_clock_is_over(fresh().await).await;
    a_note_outlives_its_holder(fresh().await).await;
}

/// Checks that what is accepted, leased, settled and noted is there when the inbox is opened
/// again, and that two that are open at once are one. `open` opens the same inbox each time, which
/// is empty at first.
///
/// # Panics
///
/// When the inbox breaks a promise.
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
    settle(&inbox, &leased[0], &Completion::Done { note: None }, at(11)).await;
    assert_eq!(
        inbox
            .acquire_lock("job", "a", at(10), at(20))
            .await
            .expect("an answer"),
        Some(String::new())
    );
    assert_eq!(
        inbox
            .update_lock("job", "a", at(20), "so far")
            .await
            .expect("an answer"),
        LeaseOutcome::Applied
    );
    let checkpoint = StoredCheckpoint::new(3, 3, "root", at(12), "note", "tree");
    let fate = inbox.store_checkpoint(&checkpoint).await;
    let keeps_checkpoints = fate.expect("an answer") == CheckpointOutcome::Stored;
    drop(inbox);

    let inbox = open().await;
    let other = open().await;
    assert_eq!(
        inbox.accept(&done).await.expect("an answer"),
        Accepted::Duplicate
    );
    assert_eq!(
        other.accept(&waiting).await.expect("an answer"),
        Accepted::Duplicate
    );
    assert!(
        lease(&other, at(12), 10).await.is_empty(),
        "a lease did not survive reopening"
    );
    settle(&inbox, &leased[1], &Completion::Done { note: None }, at(13)).await;
    assert_eq!(
        steps(&other, &waiting).await,
        [Step::Received, Step::Tried, Step::Done],
        "one inbox did not see what the other did"
    );
    assert_eq!(
        other
            .acquire_lock("job", "b", at(12), at(30))
            .await
            .expect("an answer"),
        None,
        "a lock did not survive reopening"
    );
    assert_eq!(
        other
            .acquire_lock("job", "b", at(21), at(30))
            .await
            .expect("an answer"),
        Some("so far".to_owned())
    );
    if keeps_checkpoints {
        let kept = other.checkpoints(&CheckpointQuery::last()).await;
        assert_eq!(
            kept.expect("an answer"),
            [checkpoint],
            "a checkpoint did not survive reopening"
        );
    }
    two_openings_share_the_work(inbox, other).await;
}

/// Many events, taken through two openings of one inbox at once: none is held twice.
async fn two_openings_share_the_work(one: Inbox, other: Inbox) {
    let count = 60;
    for i in 0..count {
        let inbox = if i % 2 == 0 { &one } else { &other };
        accept(inbox, &event(1000 + i, 1000 + i, i)).await;
    }
    let take = |inbox: Inbox| async move {
        let mut taken = Vec::new();
        loop {
            let leased = lease(&inbox, at(10_000), 7).await;
            if leased.is_empty() {
                return taken;
            }
            taken.extend(leased.into_iter().map(|leased| leased.event.id));
        }
    };
    let tasks = [one.clone(), other.clone(), one, other].map(|inbox| tokio::spawn(take(inbox)));
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("the task ends"));
    }
    let total = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), total, "an event was held twice");
    assert_eq!(total as i64, count, "not every event was taken");
}

/// A moment, `seconds` after some beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_600_000_000_000_000 + seconds * 1_000_000)
}

fn member(number: i64) -> ProjectMemberId {
    format!("{number:08}").parse().expect("digits")
}

fn pseudonym(number: i64) -> Pseudonym {
    Pseudonym::new(format!("{number:032x}"))
}

/// The event `name` of member `who`, received at `received`. Ids run against the time received, so
/// that an order by one is not an order by the other.
fn event(name: i64, who: i64, received: i64) -> DeauthEvent {
    DeauthEvent {
        id: EventId::new(format!("{:032x}", 0xffff_ffff - name)),
        member: member(who),
        pseudonym: pseudonym(who),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: at(received - 1),
        received_at: at(received),
    }
}

async fn accept(inbox: &Inbox, event: &DeauthEvent) {
    let accepted = inbox.accept(event).await.expect("the inbox answers");
    assert!(
        matches!(accepted, Accepted::New(_)),
        "a new event was taken for a known one"
    );
}

/// Leases at `now` for ten seconds.
async fn lease(inbox: &Inbox, now: Timestamp, limit: usize) -> Vec<LeasedEvent> {
    let until = now + Duration::from_secs(10);
    inbox
        .lease(now, until, limit)
        .await
        .expect("the inbox answers")
}

async fn lease_one(inbox: &Inbox, now: Timestamp) -> LeasedEvent {
    let mut leased = lease(inbox, now, 1).await;
    assert_eq!(leased.len(), 1, "there is one event to take");
    leased.remove(0)
}

async fn settle(inbox: &Inbox, leased: &LeasedEvent, completion: &Completion, now: Timestamp) {
    let held = inbox
        .complete(&leased.lease, completion, now)
        .await
        .expect("the inbox answers");
    assert_eq!(
        held,
        LeaseOutcome::Applied,
        "a lease that holds was taken for lost"
    );
}

async fn lines(inbox: &Inbox) -> Vec<LedgerLine> {
    let query = LedgerQuery {
        limit: 10_000,
        ..LedgerQuery::default()
    };
    inbox.ledger(&query).await.expect("the inbox answers")
}

/// What the ledger says of the event, but for the tokens: an inbox may see to them or not.
async fn steps(inbox: &Inbox, event: &DeauthEvent) -> Vec<Step> {
    let query = LedgerQuery {
        event: Some(event.id.clone()),
        limit: 10_000,
        ..LedgerQuery::default()
    };
    let lines = inbox.ledger(&query).await.expect("the inbox answers");
    lines
        .into_iter()
        .map(|line| line.step)
        .filter(|step| *step != Step::TokensDestroyed)
        .collect()
}

async fn find(inbox: &Inbox, event: &DeauthEvent) -> EventRecord {
    let query = EventQuery {
        limit: 10_000,
        ..EventQuery::default()
    };
    let found = inbox.events(&query).await.expect("the inbox answers");
    found
        .into_iter()
        .find(|record| record.id == event.id)
        .expect("an accepted event is listed")
}
