//! Leases: one holder for each event, in order, until they expire.

use std::collections::HashSet;

use super::*;

/// `lease` orders events by time received, then by id.
pub(super) async fn lease_returns_oldest_events_first(inbox: Inbox) {
    let (a, b, c, d) = (
        event(1, 1, 3),
        event(2, 2, 1),
        event(3, 3, 2),
        event(4, 4, 2),
    );
    for event in [&a, &b, &c, &d] {
        accept(&inbox, event).await;
    }
    let order: Vec<_> = lease(&inbox, at(10), 10)
        .await
        .into_iter()
        .map(|leased| leased.event.id)
        .collect();
    // The ids descend.
    assert_eq!(order, [b.id, d.id, c.id, a.id]);
    assert!(lease(&inbox, at(10), 10).await.is_empty());
}

/// Events that cannot be leased do not count towards the limit.
pub(super) async fn lease_limit_counts_available_events(inbox: Inbox) {
    for i in 0..30 {
        // Ten events of one member, then twenty of other members.
        accept(&inbox, &event(i, if i < 10 { 0 } else { i }, i)).await;
    }
    assert!(lease(&inbox, at(100), 0).await.is_empty());
    assert_eq!(lease(&inbox, at(100), 1).await.len(), 1);
    assert_eq!(lease(&inbox, at(100), 15).await.len(), 15);
    assert_eq!(lease(&inbox, at(100), 15).await.len(), 5);
}

/// The next event of a member is available when the previous one is completed.
pub(super) async fn lease_returns_events_of_member_in_order(inbox: Inbox) {
    let (first, second, third) = (event(1, 1, 1), event(2, 1, 2), event(3, 1, 3));
    for event in [&third, &first, &second] {
        accept(&inbox, event).await;
    }
    let leased = lease(&inbox, at(10), 10).await;
    assert_eq!(leased.len(), 1, "one event of a member at a time");
    assert_eq!(leased[0].event, first);
    complete(&inbox, &leased[0], &Completion::Done { note: None }, at(11)).await;

    let leased = lease_one(&inbox, at(12)).await;
    assert_eq!(leased.event, second);
    let retry = Completion::Retry {
        due_at: at(100),
        note: "later".to_owned(),
    };
    complete(&inbox, &leased, &retry, at(13)).await;
    assert!(
        lease(&inbox, at(14), 10).await.is_empty(),
        "an event is leased before an older one of the same member"
    );

    let leased = lease_one(&inbox, at(100)).await;
    assert_eq!(leased.event, second);
    assert_eq!(leased.attempt, 2);
    let dead_letter = Completion::DeadLetter {
        note: "no".to_owned(),
    };
    complete(&inbox, &leased, &dead_letter, at(101)).await;
    assert_eq!(lease_one(&inbox, at(102)).await.event, third);
}

/// A member's leased or waiting event does not delay events of other members.
pub(super) async fn lease_skips_only_busy_members(inbox: Inbox) {
    accept(&inbox, &event(1, 1, 1)).await;
    accept(&inbox, &event(2, 1, 2)).await;
    let leased_newer = lease_one(&inbox, at(3)).await;
    let other = event(3, 2, 4);
    accept(&inbox, &other).await;
    let leased = lease(&inbox, at(5), 10).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].event, other);
    let retry = Completion::Retry {
        due_at: at(1_000),
        note: String::new(),
    };
    complete(&inbox, &leased_newer, &retry, at(6)).await;
    let third = event(4, 3, 7);
    accept(&inbox, &third).await;
    let leased = lease(&inbox, at(8), 10).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].event, third);
}

/// An older event that arrives while a newer one of the member is leased waits until the attempt is
/// completed, and is leased next.
pub(super) async fn lease_waits_for_holder_when_older_event_arrives(inbox: Inbox) {
    let (older, newer, newest) = (event(1, 1, 1), event(2, 1, 2), event(3, 1, 3));
    accept(&inbox, &newer).await;
    let leased_newer = lease_one(&inbox, at(10)).await;
    assert_eq!(leased_newer.event, newer);
    accept(&inbox, &older).await;
    accept(&inbox, &newest).await;
    assert!(
        lease(&inbox, at(11), 10).await.is_empty(),
        "two events of one member are leased"
    );
    let retry = Completion::Retry {
        due_at: at(12),
        note: String::new(),
    };
    complete(&inbox, &leased_newer, &retry, at(12)).await;
    for next in [&older, &newer, &newest] {
        let leased = lease(&inbox, at(13), 10).await;
        assert_eq!(leased.len(), 1, "one event of a member at a time");
        assert_eq!(leased[0].event, *next);
        complete(&inbox, &leased[0], &Completion::Done { note: None }, at(14)).await;
    }
}

/// A requeued older event waits while a newer one of the member is leased.
pub(super) async fn lease_waits_for_holder_when_older_event_is_requeued(inbox: Inbox) {
    let (older, newer) = (event(1, 1, 1), event(2, 1, 2));
    accept(&inbox, &older).await;
    accept(&inbox, &newer).await;
    let first = lease_one(&inbox, at(10)).await;
    let dead_letter = Completion::DeadLetter {
        note: "no".to_owned(),
    };
    complete(&inbox, &first, &dead_letter, at(11)).await;
    let leased_newer = lease_one(&inbox, at(12)).await;
    assert_eq!(leased_newer.event, newer);
    assert!(
        inbox
            .requeue(&older.id, at(13))
            .await
            .expect("the inbox responds")
    );
    assert!(
        lease(&inbox, at(21), 10).await.is_empty(),
        "two events of one member are leased"
    );
    // The lease expires.
    let leased = lease(&inbox, at(22), 10).await;
    assert_eq!(leased.len(), 1, "one event of a member at a time");
    assert_eq!(leased[0].event, older);
}

/// Concurrent workers lease every available event, none twice, and never two events of one member.
pub(super) async fn concurrent_workers_lease_each_event_once(inbox: Inbox) {
    let members = 40;
    for i in 0..members * 2 {
        accept(&inbox, &event(i, i % members, i)).await;
    }
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                let mut all = Vec::new();
                loop {
                    let leased = lease(&inbox, at(1_000), 3).await;
                    if leased.is_empty() {
                        return all;
                    }
                    all.extend(leased);
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("the task finishes"));
    }
    let ids: HashSet<_> = all.iter().map(|leased| &leased.event.id).collect();
    assert_eq!(ids.len(), all.len(), "an event is leased twice");
    let of: HashSet<_> = all.iter().map(|leased| &leased.event.member).collect();
    assert_eq!(of.len(), all.len(), "two events of one member are leased");
    assert_eq!(all.len() as i64, members, "an event was not leased");
    assert!(all.iter().all(|leased| leased.attempt == 1));
}

/// After a lease expires, another worker leases the event, as the next attempt.
pub(super) async fn expired_lease_is_available(inbox: Inbox) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let first = lease_one(&inbox, at(10)).await;
    assert_eq!(first.attempt, 1);
    assert!(first.lease.holder.len() <= 32);
    assert!(lease(&inbox, at(19), 1).await.is_empty());
    let second = lease_one(&inbox, at(20)).await;
    assert_eq!(second.event, event);
    assert_eq!(second.attempt, 2);
    assert_ne!(second.lease.holder, first.lease.holder);
    assert_eq!(
        steps(&inbox, &event).await,
        [Step::Received, Step::Tried, Step::Tried]
    );
}

/// Due times and leases that a wrong clock set far in the future count as past.
pub(super) async fn lease_ignores_times_of_wrong_clock(inbox: Inbox) {
    let far = i64::try_from(MAX_WAIT.as_secs()).expect("a small number");
    for number in 1..=3 {
        accept(&inbox, &event(number, number, number)).await;
    }
    let one = inbox.lease(at(far), at(far + 20), 1).await;
    assert_eq!(one.expect("the inbox responds").len(), 1);
    let one = inbox.lease(at(far), at(far + 20), 1).await;
    let retry = Completion::Retry {
        due_at: at(far + 20),
        note: "the clock is wrong".into(),
    };
    complete(
        &inbox,
        &one.expect("the inbox responds")[0],
        &retry,
        at(far),
    )
    .await;
    // Accepted by a clock that is even further ahead.
    let mut late = event(4, 4, 4);
    late.received_at = at(far + 40);
    accept(&inbox, &late).await;
    let members = |leased: Vec<LeasedEvent>| -> Vec<_> {
        let mut members: Vec<_> = leased.into_iter().map(|one| one.event.member).collect();
        members.sort();
        members
    };
    // At most `MAX_WAIT` ahead is valid.
    assert_eq!(
        members(lease(&inbox, at(20), 10).await),
        [member(3), member(4)]
    );
    assert_eq!(
        members(lease(&inbox, at(19), 10).await),
        [member(1), member(2)]
    );
}

/// An event without an attempt is due although a clock that is an hour ahead accepted it.
pub(super) async fn new_event_is_due_when_accepted_by_fast_clock(inbox: Inbox) {
    let mut new = event(1, 1, 1);
    new.received_at = at(3_600);
    accept(&inbox, &new).await;
    assert_eq!(lease(&inbox, at(10), 10).await.len(), 1);
}

/// The holder can renew its lease, even after it expired, until another worker leases the event.
pub(super) async fn renew_extends_lease_of_current_holder(inbox: Inbox) {
    accept(&inbox, &event(1, 1, 1)).await;
    let first = lease_one(&inbox, at(10)).await;
    let renew = async |leased: &LeasedEvent, until| {
        let renewed = inbox.renew(&leased.lease, until).await;
        renewed.expect("the inbox responds")
    };
    assert_eq!(renew(&first, at(30)).await, LeaseOutcome::Applied);
    assert!(lease(&inbox, at(29), 1).await.is_empty());
    assert_eq!(renew(&first, at(50)).await, LeaseOutcome::Applied);
    assert!(lease(&inbox, at(49), 1).await.is_empty());
    let second = lease_one(&inbox, at(50)).await;
    assert_eq!(renew(&first, at(90)).await, LeaseOutcome::Lost);
    assert_eq!(renew(&second, at(70)).await, LeaseOutcome::Applied);
    complete(&inbox, &second, &Completion::Done { note: None }, at(60)).await;
    assert_eq!(renew(&second, at(90)).await, LeaseOutcome::Lost);
}

/// The list contains the end of each lease. Logins wait for it.
pub(super) async fn events_contain_lease_end(inbox: Inbox) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    assert_eq!(find(&inbox, &event).await.leased_until, None);
    let leased = lease_one(&inbox, at(10)).await;
    assert_eq!(find(&inbox, &event).await.leased_until, Some(at(20)));
    let renewed = inbox.renew(&leased.lease, at(30)).await;
    assert_eq!(renewed.expect("the inbox responds"), LeaseOutcome::Applied);
    assert_eq!(find(&inbox, &event).await.leased_until, Some(at(30)));
    let retry = Completion::Retry {
        due_at: at(40),
        note: String::new(),
    };
    complete(&inbox, &leased, &retry, at(12)).await;
    assert_eq!(find(&inbox, &event).await.leased_until, None);
}
