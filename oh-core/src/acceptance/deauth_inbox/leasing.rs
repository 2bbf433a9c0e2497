//! Leasing: one holder each, in order, and nothing lost with a holder.

use std::collections::HashSet;

use super::*;

/// By the time received, whatever the order they were accepted in; then by id.
pub async fn events_come_oldest_first(inbox: Arc<dyn DeauthInbox>) {
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
    // The ids of these events run backwards.
    assert_eq!(order, [b.id, d.id, c.id, a.id]);
    assert!(lease(&inbox, at(10), 10).await.is_empty());
}

/// A limit is reached although the oldest events cannot be taken.
pub async fn the_limit_counts_events_that_can_be_taken(inbox: Arc<dyn DeauthInbox>) {
    for i in 0..30 {
        // Ten events of one member, then twenty of others.
        accept(&inbox, &event(i, if i < 10 { 0 } else { i }, i)).await;
    }
    assert!(lease(&inbox, at(100), 0).await.is_empty());
    assert_eq!(lease(&inbox, at(100), 1).await.len(), 1);
    assert_eq!(lease(&inbox, at(100), 15).await.len(), 15);
    assert_eq!(lease(&inbox, at(100), 15).await.len(), 5);
}

/// The next one of a member is there when the one before is settled, and not sooner.
pub async fn events_of_a_member_come_in_order(inbox: Arc<dyn DeauthInbox>) {
    let (first, second, third) = (event(1, 1, 1), event(2, 1, 2), event(3, 1, 3));
    for event in [&third, &first, &second] {
        accept(&inbox, event).await;
    }
    let leased = lease(&inbox, at(10), 10).await;
    assert_eq!(leased.len(), 1, "one event of a member at a time");
    assert_eq!(leased[0].event, first);
    settle(&inbox, &leased[0], &Completion::Done { note: None }, at(11)).await;

    let leased = lease_one(&inbox, at(12)).await;
    assert_eq!(leased.event, second);
    let retry = Completion::Retry {
        due_at: at(100),
        note: "later".to_owned(),
    };
    settle(&inbox, &leased, &retry, at(13)).await;
    assert!(
        lease(&inbox, at(14), 10).await.is_empty(),
        "an event passed one of the same member that waits for another try"
    );

    let leased = lease_one(&inbox, at(100)).await;
    assert_eq!(leased.event, second);
    assert_eq!(leased.attempt, 2);
    let dead_letter = Completion::DeadLetter {
        note: "no".to_owned(),
    };
    settle(&inbox, &leased, &dead_letter, at(101)).await;
    assert_eq!(lease_one(&inbox, at(102)).await.event, third);
}

/// A member whose event is held or waits does not hold up others.
pub async fn a_busy_member_holds_up_only_its_own(inbox: Arc<dyn DeauthInbox>) {
    accept(&inbox, &event(1, 1, 1)).await;
    accept(&inbox, &event(2, 1, 2)).await;
    let held = lease_one(&inbox, at(3)).await;
    let other = event(3, 2, 4);
    accept(&inbox, &other).await;
    let leased = lease(&inbox, at(5), 10).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].event, other);
    let retry = Completion::Retry {
        due_at: at(1_000),
        note: String::new(),
    };
    settle(&inbox, &held, &retry, at(6)).await;
    let third = event(4, 3, 7);
    accept(&inbox, &third).await;
    let leased = lease(&inbox, at(8), 10).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].event, third);
}

/// An event that is older than one its member's holder is at work on, but arrived later, waits
/// until the holder is done, and then comes first.
pub async fn an_older_event_that_arrives_late_waits_for_the_holder(inbox: Arc<dyn DeauthInbox>) {
    let (older, newer, newest) = (event(1, 1, 1), event(2, 1, 2), event(3, 1, 3));
    accept(&inbox, &newer).await;
    let held = lease_one(&inbox, at(10)).await;
    assert_eq!(held.event, newer);
    accept(&inbox, &older).await;
    accept(&inbox, &newest).await;
    assert!(
        lease(&inbox, at(11), 10).await.is_empty(),
        "two events of one member are held"
    );
    let retry = Completion::Retry {
        due_at: at(12),
        note: String::new(),
    };
    settle(&inbox, &held, &retry, at(12)).await;
    for next in [&older, &newer, &newest] {
        let leased = lease(&inbox, at(13), 10).await;
        assert_eq!(leased.len(), 1, "one event of a member at a time");
        assert_eq!(leased[0].event, *next);
        settle(&inbox, &leased[0], &Completion::Done { note: None }, at(14)).await;
    }
}

/// So does an older one that is requeued, for as long as the holder's lease runs.
pub async fn an_older_event_that_is_requeued_waits_for_the_holder(inbox: Arc<dyn DeauthInbox>) {
    let (older, newer) = (event(1, 1, 1), event(2, 1, 2));
    accept(&inbox, &older).await;
    accept(&inbox, &newer).await;
    let first = lease_one(&inbox, at(10)).await;
    let dead_letter = Completion::DeadLetter {
        note: "no".to_owned(),
    };
    settle(&inbox, &first, &dead_letter, at(11)).await;
    let held = lease_one(&inbox, at(12)).await;
    assert_eq!(held.event, newer);
    assert!(
        inbox
            .requeue(&older.id, at(13))
            .await
            .expect("the inbox answers")
    );
    assert!(
        lease(&inbox, at(21), 10).await.is_empty(),
        "two events of one member are held"
    );
    // The holder died.
    let leased = lease(&inbox, at(22), 10).await;
    assert_eq!(leased.len(), 1, "one event of a member at a time");
    assert_eq!(leased[0].event, older);
}

/// Many workers at once never hold the same event, nor two events of one member, and leave none.
pub async fn each_event_has_one_holder(inbox: Arc<dyn DeauthInbox>) {
    let members = 40;
    for i in 0..members * 2 {
        accept(&inbox, &event(i, i % members, i)).await;
    }
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let leased = lease(&inbox, at(1_000), 3).await;
                    if leased.is_empty() {
                        return taken;
                    }
                    taken.extend(leased);
                }
            })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.expect("the task ends"));
    }
    let ids: HashSet<_> = taken.iter().map(|leased| &leased.event.id).collect();
    assert_eq!(ids.len(), taken.len(), "an event has two holders");
    let of: HashSet<_> = taken.iter().map(|leased| &leased.event.member).collect();
    assert_eq!(of.len(), taken.len(), "two events of one member are held");
    assert_eq!(taken.len() as i64, members, "an event was left");
    assert!(taken.iter().all(|leased| leased.attempt == 1));
}

/// When a lease has run out, another worker has the event, as the next attempt.
pub async fn a_dead_holder_is_replaced(inbox: Arc<dyn DeauthInbox>) {
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

/// What a clock in the future put off is due, and its leases have run out, once the clock is right.
pub async fn what_a_wrong_clock_put_off_is_due(inbox: Arc<dyn DeauthInbox>) {
    let far = i64::try_from(MAX_WAIT.as_secs()).expect("it fits");
    for number in 1..=3 {
        accept(&inbox, &event(number, number, number)).await;
    }
    let one = inbox.lease(at(far), at(far + 20), 1).await;
    assert_eq!(one.expect("the inbox answers").len(), 1);
    let one = inbox.lease(at(far), at(far + 20), 1).await;
    let retry = Completion::Retry {
        due_at: at(far + 20),
        note: "the clock is wrong".into(),
    };
    settle(&inbox, &one.expect("the inbox answers")[0], &retry, at(far)).await;
    // Kept by a clock that is further ahead still.
    let mut late = event(4, 4, 4);
    late.received_at = at(far + 40);
    accept(&inbox, &late).await;
    let taken = |leased: Vec<LeasedEvent>| -> Vec<_> {
        let mut members: Vec<_> = leased.into_iter().map(|one| one.event.member).collect();
        members.sort();
        members
    };
    // As far ahead as anything may be.
    assert_eq!(
        taken(lease(&inbox, at(20), 10).await),
        [member(3), member(4)]
    );
    assert_eq!(
        taken(lease(&inbox, at(19), 10).await),
        [member(1), member(2)]
    );
}

/// What nobody has tried is due, although it was accepted by a clock that is an hour ahead.
pub async fn what_a_clock_ahead_accepted_is_due(inbox: Arc<dyn DeauthInbox>) {
    let mut new = event(1, 1, 1);
    new.received_at = at(3_600);
    accept(&inbox, &new).await;
    assert_eq!(lease(&inbox, at(10), 10).await.len(), 1);
}

/// A holder that is still at work keeps the event, also after the lease ran out unnoticed; one
/// that was replaced does not.
pub async fn a_lease_can_be_prolonged(inbox: Arc<dyn DeauthInbox>) {
    accept(&inbox, &event(1, 1, 1)).await;
    let first = lease_one(&inbox, at(10)).await;
    let extend = async |leased: &LeasedEvent, until| {
        let held = inbox.renew(&leased.lease, until).await;
        held.expect("the inbox answers")
    };
    assert_eq!(extend(&first, at(30)).await, LeaseOutcome::Applied);
    assert!(lease(&inbox, at(29), 1).await.is_empty());
    assert_eq!(extend(&first, at(50)).await, LeaseOutcome::Applied);
    assert!(lease(&inbox, at(49), 1).await.is_empty());
    let second = lease_one(&inbox, at(50)).await;
    assert_eq!(extend(&first, at(90)).await, LeaseOutcome::Lost);
    assert_eq!(extend(&second, at(70)).await, LeaseOutcome::Applied);
    settle(&inbox, &second, &Completion::Done { note: None }, at(60)).await;
    assert_eq!(extend(&second, at(90)).await, LeaseOutcome::Lost);
}

/// The list says which events a worker has, and until when: a login waits for that.
pub async fn a_lease_is_listed(inbox: Inbox) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    assert_eq!(find(&inbox, &event).await.leased_until, None);
    let leased = lease_one(&inbox, at(10)).await;
    assert_eq!(find(&inbox, &event).await.leased_until, Some(at(20)));
    let held = inbox.renew(&leased.lease, at(30)).await;
    assert_eq!(held.expect("the inbox answers"), LeaseOutcome::Applied);
    assert_eq!(find(&inbox, &event).await.leased_until, Some(at(30)));
    let retry = Completion::Retry {
        due_at: at(40),
        note: String::new(),
    };
    settle(&inbox, &leased, &retry, at(12)).await;
    assert_eq!(find(&inbox, &event).await.leased_until, None);
}
