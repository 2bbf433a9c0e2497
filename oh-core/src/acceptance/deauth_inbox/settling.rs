//! Settling: once, by the holder, and in the ledger.

use super::*;
use crate::deauth::{EventState, InboxStats, TokenOutcome, TokenProgress};

fn retry(due: i64) -> Completion {
    Completion::Retry {
        due_at: at(due),
        note: "the disk is full".to_owned(),
    }
}

fn dead_letter() -> Completion {
    Completion::DeadLetter {
        note: "it never works".to_owned(),
    }
}

async fn late(
    inbox: &Inbox,
    leased: &LeasedEvent,
    completion: &Completion,
    now: Timestamp,
) -> LeaseOutcome {
    inbox
        .complete(&leased.lease, completion, now)
        .await
        .expect("the inbox answers")
}

/// After success the member's id is nowhere in what the inbox tells.
pub async fn done_leaves_only_the_pseudonym(inbox: Arc<dyn DeauthInbox>) {
    let (event, other) = (event(1, 87_654_321, 1), event(2, 2, 2));
    accept(&inbox, &event).await;
    accept(&inbox, &other).await;
    let leased = lease_one(&inbox, at(10)).await;
    settle(&inbox, &leased, &Completion::Done { note: None }, at(11)).await;
    let record = find(&inbox, &event).await;
    assert_eq!(record.member, None);
    assert_eq!(record.pseudonym, event.pseudonym);
    assert_eq!(record.state, EventState::Done);
    assert_eq!(record.settled_at, Some(at(11)));
    assert_eq!(record.attempts, 1);
    let told = format!("{:?} {record:?}", lines(&inbox).await);
    assert!(!told.contains(event.member.as_str()), "{told}");
    assert!(find(&inbox, &other).await.member.is_some());
    assert!(
        !inbox
            .requeue(&event.id, at(12))
            .await
            .expect("the inbox answers"),
        "what is done stays done"
    );
}

/// Nor is the id in the member's events that were settled otherwise, once one is done that makes
/// up for them: all that are stale, and those dead letters that are not of a later leaving, be it
/// of the same moment.
pub async fn done_forgets_what_it_makes_up_for(inbox: Arc<dyn DeauthInbox>) {
    let stale = event(1, 87_654_321, 1);
    // Left when the one that is done did.
    let dead_letters = DeauthEvent {
        left_at: at(3),
        ..event(2, 87_654_321, 2)
    };
    let later = DeauthEvent {
        left_at: at(8),
        ..event(3, 87_654_321, 3)
    };
    let done = event(4, 87_654_321, 4);
    let (others, last) = (event(5, 5, 5), event(6, 87_654_321, 9));
    for event in [&stale, &dead_letters, &later, &done, &others, &last] {
        accept(&inbox, event).await;
    }
    let requeue = async |event: &DeauthEvent, now| {
        let requeued = inbox.requeue(&event.id, now).await;
        requeued.expect("the inbox answers")
    };
    let held = event(7, 87_654_321, 2);
    let kept = inbox.quarantine(&held, "told late").await;
    assert!(matches!(kept.expect("the inbox answers"), Accepted::New(_)));
    let waiting = async || {
        let stats = inbox.stats().await.expect("the inbox answers");
        (stats.dead_letters, stats.quarantined)
    };
    let leased = lease(&inbox, at(10), 10).await;
    assert_eq!(leased.len(), 2);
    settle(&inbox, &leased[0], &Completion::Stale, at(11)).await;
    settle(&inbox, &leased[1], &Completion::Stale, at(11)).await;
    for _ in [&dead_letters, &later] {
        let leased = lease_one(&inbox, at(12)).await;
        settle(&inbox, &leased, &dead_letter(), at(13)).await;
    }
    for settled in [&stale, &dead_letters, &later, &held] {
        assert!(find(&inbox, settled).await.member.is_some());
    }
    assert_eq!(waiting().await, (2, 1));

    let leased = lease_one(&inbox, at(14)).await;
    assert_eq!(leased.event, done);
    // Another try forgets nothing.
    settle(&inbox, &leased, &retry(15), at(14)).await;
    assert!(find(&inbox, &stale).await.member.is_some());
    let leased = lease_one(&inbox, at(15)).await;
    settle(&inbox, &leased, &Completion::Done { note: None }, at(16)).await;
    for (forgotten, state) in [
        (&stale, EventState::Stale),
        (&dead_letters, EventState::DeadLetter),
        (&held, EventState::Quarantined),
    ] {
        let record = find(&inbox, forgotten).await;
        assert_eq!(record.member, None);
        assert_eq!(record.pseudonym, forgotten.pseudonym);
        assert_eq!(record.state, state);
        assert!(!requeue(forgotten, at(17)).await, "nobody is left to erase");
        assert!(!steps(&inbox, forgotten).await.contains(&Step::Requeued));
    }
    let released = inbox.release(&held.id, at(17)).await;
    assert!(!released.expect("the inbox answers"));
    assert_eq!(waiting().await, (1, 0), "nobody need see to the others");
    for kept in [&later, &others, &last] {
        assert!(find(&inbox, kept).await.member.is_some());
    }
    assert!(requeue(&later, at(18)).await);
    assert!(requeue(&others, at(18)).await);
}

/// An end without erasure does not make up for a wish to be erased that failed, or waits.
pub async fn done_keeps_wishes_it_does_not_make_up_for(inbox: Arc<dyn DeauthInbox>) {
    let wish = event(1, 1, 1);
    let held = event(2, 1, 2);
    let less = DeauthEvent {
        erasure: ErasureRequest::NotRequested,
        ..event(3, 1, 3)
    };
    let again = event(4, 1, 4);
    accept(&inbox, &wish).await;
    let kept = inbox.quarantine(&held, "told late").await;
    assert!(matches!(kept.expect("the inbox answers"), Accepted::New(_)));
    let leased = lease_one(&inbox, at(10)).await;
    settle(&inbox, &leased, &dead_letter(), at(11)).await;
    for (event, wishes_stay) in [(&less, true), (&again, false)] {
        accept(&inbox, event).await;
        let leased = lease_one(&inbox, at(12)).await;
        settle(&inbox, &leased, &Completion::Done { note: None }, at(13)).await;
        for wish in [&wish, &held] {
            assert_eq!(find(&inbox, wish).await.member.is_some(), wishes_stay);
        }
    }
}

/// Not before, and with the count of attempts kept.
pub async fn a_retry_waits_until_it_is_due(inbox: Arc<dyn DeauthInbox>) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let leased = lease_one(&inbox, at(10)).await;
    settle(&inbox, &leased, &retry(50), at(11)).await;
    let record = find(&inbox, &event).await;
    assert_eq!(record.state, EventState::Pending);
    assert_eq!(record.due_at, at(50));
    assert_eq!(record.attempts, 1);
    assert_eq!(record.settled_at, None);
    assert!(lease(&inbox, at(49), 1).await.is_empty());
    let again = lease_one(&inbox, at(50)).await;
    assert_eq!(again.attempt, 2);
    assert_eq!(again.event, event);
    let failed = lines(&inbox)
        .await
        .into_iter()
        .find(|line| line.step == Step::Failed)
        .expect("the failure is in the ledger");
    assert_eq!(failed.attempt, 1);
    assert_eq!(failed.at, at(11));
    assert_eq!(failed.note.as_deref(), Some("the disk is full"));
    assert_eq!(failed.member, event.pseudonym);
}

/// A dead letter is out of the way until someone requeues it, with all attempts before it.
pub async fn a_dead_letter_can_be_requeued(inbox: Arc<dyn DeauthInbox>) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    assert!(
        !inbox
            .requeue(&event.id, at(2))
            .await
            .expect("the inbox answers"),
        "a pending event cannot be requeued"
    );
    let leased = lease_one(&inbox, at(10)).await;
    settle(&inbox, &leased, &dead_letter(), at(11)).await;
    let record = find(&inbox, &event).await;
    assert_eq!(record.state, EventState::DeadLetter);
    assert_eq!(record.settled_at, Some(at(11)));
    assert_eq!(record.member.as_ref(), Some(&event.member));
    assert!(lease(&inbox, at(1_000), 1).await.is_empty());

    assert!(
        inbox
            .requeue(&event.id, at(20))
            .await
            .expect("the inbox answers")
    );
    assert!(
        !inbox
            .requeue(&event.id, at(20))
            .await
            .expect("the inbox answers"),
        "it was requeued already"
    );
    assert_eq!(
        late(&inbox, &leased, &Completion::Done { note: None }, at(20)).await,
        LeaseOutcome::Lost
    );
    let record = find(&inbox, &event).await;
    assert_eq!(record.state, EventState::Pending);
    assert_eq!(record.attempts, 0);
    assert_eq!(record.settled_at, None);
    let leased = lease_one(&inbox, at(20)).await;
    assert_eq!(leased.attempt, 1);
    settle(&inbox, &leased, &Completion::Done { note: None }, at(21)).await;
    assert_eq!(
        steps(&inbox, &event).await,
        [
            Step::Received,
            Step::Tried,
            Step::DeadLettered,
            Step::Requeued,
            Step::Tried,
            Step::Done
        ]
    );
    let unknown = EventId::new("0".repeat(32));
    assert!(
        !inbox
            .requeue(&unknown, at(22))
            .await
            .expect("the inbox answers")
    );
}

/// Flagged, not forgotten.
pub async fn a_stale_event_is_kept(inbox: Arc<dyn DeauthInbox>) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let leased = lease_one(&inbox, at(10)).await;
    settle(&inbox, &leased, &Completion::Stale, at(11)).await;
    let record = find(&inbox, &event).await;
    assert_eq!(record.state, EventState::Stale);
    assert_eq!(record.settled_at, Some(at(11)));
    assert_eq!(record.member.as_ref(), Some(&event.member));
    assert!(lease(&inbox, at(1_000), 1).await.is_empty());
    assert!(
        inbox
            .requeue(&event.id, at(20))
            .await
            .expect("the inbox answers")
    );
    assert_eq!(lease_one(&inbox, at(20)).await.event, event);
}

/// Whoever lost the event changes nothing, whatever it wants, before and after the other is done.
pub async fn settling_after_a_takeover_does_nothing(inbox: Arc<dyn DeauthInbox>) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let first = lease_one(&inbox, at(10)).await;
    let second = lease_one(&inbox, at(20)).await;
    let all = [
        Completion::Done { note: None },
        retry(30),
        dead_letter(),
        Completion::Stale,
    ];
    let before = (find(&inbox, &event).await, lines(&inbox).await);
    for completion in &all {
        assert_eq!(
            late(&inbox, &first, completion, at(21)).await,
            LeaseOutcome::Lost
        );
    }
    let after = (find(&inbox, &event).await, lines(&inbox).await);
    assert_eq!(before, after, "whoever lost the event changed it");
    settle(&inbox, &second, &Completion::Done { note: None }, at(22)).await;
    let before = (find(&inbox, &event).await, lines(&inbox).await);
    for completion in &all {
        assert_eq!(
            late(&inbox, &first, completion, at(23)).await,
            LeaseOutcome::Lost
        );
        assert_eq!(
            late(&inbox, &second, completion, at(23)).await,
            LeaseOutcome::Lost
        );
    }
    let after = (find(&inbox, &event).await, lines(&inbox).await);
    assert_eq!(before, after, "a settled event was changed");
}

/// Work that took too long is not thrown away while nobody repeats it.
pub async fn settling_late_counts_if_nobody_took_over(inbox: Arc<dyn DeauthInbox>) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let leased = lease_one(&inbox, at(10)).await;
    settle(&inbox, &leased, &Completion::Done { note: None }, at(500)).await;
    assert_eq!(find(&inbox, &event).await.state, EventState::Done);
}

/// Of a completion sent twice at once, one counts.
pub async fn of_two_settlements_one_counts(inbox: Arc<dyn DeauthInbox>) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let leased = lease_one(&inbox, at(10)).await;
    let tasks: Vec<_> = (0..8)
        .map(|i| {
            let (inbox, leased) = (inbox.clone(), leased.clone());
            let completion = if i % 2 == 0 {
                Completion::Done { note: None }
            } else {
                retry(99)
            };
            tokio::spawn(async move { late(&inbox, &leased, &completion, at(11)).await })
        })
        .collect();
    let mut held = 0;
    for task in tasks {
        if task.await.expect("the task ends") == LeaseOutcome::Applied {
            held += 1;
        }
    }
    assert_eq!(held, 1, "one completion counts");
    assert_eq!(steps(&inbox, &event).await.len(), 3);
}

/// What became of the member's tokens is written down, and told with each lease from then on.
pub async fn leases_tell_what_became_of_the_tokens(inbox: Arc<dyn DeauthInbox>) {
    let event = event(1, 1, 1);
    let accepted = inbox.accept(&event).await.expect("the inbox answers");
    let first = lease_one(&inbox, at(2)).await;
    let expected = match accepted {
        Accepted::New(TokenOutcome::Destroyed) => TokenProgress::Destroyed,
        _ => TokenProgress::Untouched,
    };
    assert_eq!(first.tokens, expected);
    let before = find(&inbox, &event).await;
    destroyed(&inbox, &event, at(5)).await;
    let last = lines(&inbox).await.pop().expect("a line");
    assert_eq!(last.step, Step::TokensDestroyed);
    assert_eq!(last.at, at(5));
    assert_eq!(last.event, event.id);
    assert_eq!(last.member, event.pseudonym);
    assert_eq!(last.note, None);
    assert_eq!(find(&inbox, &event).await, before);
    settle(&inbox, &first, &retry(6), at(6)).await;
    let second = lease_one(&inbox, at(7)).await;
    assert_eq!(second.tokens, TokenProgress::Destroyed);

    // A dead letter that is put back stands where it stood.
    settle(&inbox, &second, &dead_letter(), at(8)).await;
    assert!(requeue(&inbox, &event, at(9)).await);
    let third = lease_one(&inbox, at(10)).await;
    assert_eq!(third.tokens, TokenProgress::Destroyed);

    // Whoever puts a stale event back has decided that it counts, from that moment on.
    settle(&inbox, &third, &Completion::Stale, at(11)).await;
    assert!(requeue(&inbox, &event, at(12)).await);
    let fourth = lease_one(&inbox, at(13)).await;
    assert_eq!(fourth.tokens, TokenProgress::Requeued(at(12)));
    destroyed(&inbox, &event, at(14)).await;
    settle(&inbox, &fourth, &dead_letter(), at(15)).await;
    assert!(requeue(&inbox, &event, at(16)).await);
    let fifth = lease_one(&inbox, at(17)).await;
    assert_eq!(fifth.tokens, TokenProgress::Requeued(at(16)));

    // A process that was slow to say it, after another has ended the event.
    settle(&inbox, &fifth, &Completion::Done { note: None }, at(18)).await;
    let ended = lines(&inbox).await;
    destroyed(&inbox, &event, at(19)).await;
    assert_eq!(
        lines(&inbox).await,
        ended,
        "a line after the end of the event"
    );
}

/// What is held is nobody's to work on, and leaves the member's tokens alone, until it is released.
pub async fn a_held_event_waits_to_be_released(inbox: Arc<dyn DeauthInbox>) {
    let (event, other) = (event(1, 1, 1), event(2, 1, 2));
    let held = inbox.quarantine(&event, "too many").await;
    assert_eq!(
        held.expect("the inbox answers"),
        Accepted::New(TokenOutcome::Untouched)
    );
    let again = inbox.quarantine(&event, "too many").await;
    assert_eq!(again.expect("the inbox answers"), Accepted::Duplicate);
    let again = inbox.accept(&event).await;
    assert_eq!(again.expect("the inbox answers"), Accepted::Duplicate);
    assert_eq!(find(&inbox, &event).await.state, EventState::Quarantined);
    assert_eq!(
        inbox.stats().await.expect("the inbox answers").quarantined,
        1
    );
    assert_eq!(
        steps(&inbox, &event).await,
        [Step::Received, Step::Quarantined]
    );
    let note = lines(&inbox).await.pop().expect("a line").note;
    assert_eq!(note.as_deref(), Some("too many"));
    assert!(lease(&inbox, at(1_000), 10).await.is_empty());
    assert!(!requeue(&inbox, &event, at(20)).await, "that is for others");

    assert!(release(&inbox, &event, at(30)).await);
    let released = [Step::Received, Step::Quarantined, Step::Released];
    assert_eq!(steps(&inbox, &event).await, released);
    assert!(
        !release(&inbox, &event, at(30)).await,
        "it was released already"
    );
    assert!(
        !release(&inbox, &other, at(30)).await,
        "there is no such event"
    );
    let leased = lease_one(&inbox, at(31)).await;
    assert_eq!(leased.event, event);
    assert_eq!(leased.tokens, TokenProgress::Untouched);
    settle(&inbox, &leased, &Completion::Done { note: None }, at(32)).await;
    let steps = steps(&inbox, &event).await;
    let expected = [
        Step::Received,
        Step::Quarantined,
        Step::Released,
        Step::Tried,
        Step::Done,
    ];
    assert_eq!(steps, expected);
}

async fn release(inbox: &Arc<dyn DeauthInbox>, event: &DeauthEvent, now: Timestamp) -> bool {
    let released = inbox.release(&event.id, now).await;
    released.expect("the inbox answers")
}

async fn destroyed(inbox: &Arc<dyn DeauthInbox>, event: &DeauthEvent, now: Timestamp) {
    let noted = inbox.mark_tokens_destroyed(event, now).await;
    noted.expect("the inbox answers");
}

async fn requeue(inbox: &Arc<dyn DeauthInbox>, event: &DeauthEvent, now: Timestamp) -> bool {
    let requeued = inbox.requeue(&event.id, now).await;
    requeued.expect("the inbox answers")
}

/// One line for each step, with its time and attempt, in the order of the steps.
pub async fn a_whole_life_is_in_the_ledger(inbox: Arc<dyn DeauthInbox>) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let first = lease_one(&inbox, at(10)).await;
    settle(&inbox, &first, &retry(20), at(11)).await;
    let second = lease_one(&inbox, at(20)).await;
    settle(&inbox, &second, &dead_letter(), at(21)).await;
    assert!(
        inbox
            .requeue(&event.id, at(30))
            .await
            .expect("the inbox answers")
    );
    let third = lease_one(&inbox, at(31)).await;
    settle(&inbox, &third, &Completion::Done { note: None }, at(32)).await;

    let all: Vec<_> = lines(&inbox)
        .await
        .into_iter()
        .filter(|line| line.step != Step::TokensDestroyed)
        .collect();
    assert!(all.windows(2).all(|two| two[0].seq < two[1].seq));
    assert!(all.iter().all(|line| line.event == event.id));
    let life: Vec<_> = all
        .iter()
        .map(|line| (line.step, line.at, line.attempt, line.note.as_deref()))
        .collect();
    assert_eq!(
        life,
        [
            (Step::Received, at(1), 0, None),
            (Step::Tried, at(10), 1, None),
            (Step::Failed, at(11), 1, Some("the disk is full")),
            (Step::Tried, at(20), 2, None),
            (Step::DeadLettered, at(21), 2, Some("it never works")),
            (Step::Requeued, at(30), 0, None),
            (Step::Tried, at(31), 1, None),
            (Step::Done, at(32), 1, None),
        ]
    );
}

/// The counts follow the events.
pub async fn statistics_add_up(inbox: Arc<dyn DeauthInbox>) {
    let stats = async || inbox.stats().await.expect("the inbox answers");
    assert_eq!(stats().await, InboxStats::default());
    for i in 1..=6 {
        accept(&inbox, &event(i, i, i)).await;
    }
    let leased = lease(&inbox, at(10), 4).await;
    let ends = [
        Completion::Done { note: None },
        dead_letter(),
        Completion::Stale,
        retry(99),
    ];
    for (leased, end) in leased.iter().zip(&ends) {
        settle(&inbox, leased, end, at(11)).await;
    }
    let expected = InboxStats {
        pending: 3,
        oldest_pending: Some(at(4)),
        done: 1,
        dead_letters: 1,
        stale: 1,
        ..InboxStats::default()
    };
    assert_eq!(stats().await, expected);
}
