//! Completed attempts, requeued and released events, and their ledger lines.

use super::*;
use oh_core::deauth::{EventState, InboxStats, TokenOutcome, TokenProgress};

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

async fn try_complete(
    inbox: &Inbox,
    leased: &LeasedEvent,
    completion: &Completion,
    now: Timestamp,
) -> LeaseOutcome {
    inbox
        .complete(&leased.lease, completion, now)
        .await
        .expect("the inbox responds")
}

/// After `Done` the inbox contains the member's pseudonym, and not the member id.
pub(super) async fn done_removes_member_id(inbox: Inbox) {
    let (event, other) = (event(1, 87_654_321, 1), event(2, 2, 2));
    accept(&inbox, &event).await;
    accept(&inbox, &other).await;
    let leased = lease_one(&inbox, at(10)).await;
    complete(&inbox, &leased, &Completion::Done { note: None }, at(11)).await;
    let record = find(&inbox, &event).await;
    assert_eq!(record.member, None);
    assert_eq!(record.pseudonym, event.pseudonym);
    assert_eq!(record.state, EventState::Done);
    assert_eq!(record.settled_at, Some(at(11)));
    assert_eq!(record.attempts, 1);
    let text = format!("{:?} {record:?}", lines(&inbox).await);
    assert!(!text.contains(event.member.as_str()), "{text}");
    assert!(find(&inbox, &other).await.member.is_some());
    assert!(
        !inbox
            .requeue(&event.id, at(12))
            .await
            .expect("the inbox responds"),
        "a done event cannot be requeued"
    );
}

/// `Done` also removes the member id from the member's stale events, and from dead letters and
/// quarantined events of departures that were not later.
pub(super) async fn done_removes_member_id_from_superseded_events(inbox: Inbox) {
    let stale = event(1, 87_654_321, 1);
    // The same time of departure as the done event.
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
        requeued.expect("the inbox responds")
    };
    let quarantined = event(7, 87_654_321, 2);
    let accepted = inbox.quarantine(&quarantined, "late").await;
    assert!(matches!(
        accepted.expect("the inbox responds"),
        Accepted::New(_)
    ));
    let counts = async || {
        let stats = inbox.stats().await.expect("the inbox responds");
        (stats.dead_letters, stats.quarantined)
    };
    let leased = lease(&inbox, at(10), 10).await;
    assert_eq!(leased.len(), 2);
    complete(&inbox, &leased[0], &Completion::Stale, at(11)).await;
    complete(&inbox, &leased[1], &Completion::Stale, at(11)).await;
    for _ in [&dead_letters, &later] {
        let leased = lease_one(&inbox, at(12)).await;
        complete(&inbox, &leased, &dead_letter(), at(13)).await;
    }
    for settled in [&stale, &dead_letters, &later, &quarantined] {
        assert!(find(&inbox, settled).await.member.is_some());
    }
    assert_eq!(counts().await, (2, 1));

    let leased = lease_one(&inbox, at(14)).await;
    assert_eq!(leased.event, done);
    // A retry removes nothing.
    complete(&inbox, &leased, &retry(15), at(14)).await;
    assert!(find(&inbox, &stale).await.member.is_some());
    let leased = lease_one(&inbox, at(15)).await;
    complete(&inbox, &leased, &Completion::Done { note: None }, at(16)).await;
    for (superseded, state) in [
        (&stale, EventState::Stale),
        (&dead_letters, EventState::DeadLetter),
        (&quarantined, EventState::Quarantined),
    ] {
        let record = find(&inbox, superseded).await;
        assert_eq!(record.member, None);
        assert_eq!(record.pseudonym, superseded.pseudonym);
        assert_eq!(record.state, state);
        assert!(
            !requeue(superseded, at(17)).await,
            "an event without a member id cannot be requeued"
        );
        assert!(!steps(&inbox, superseded).await.contains(&Step::Requeued));
    }
    let released = inbox.release(&quarantined.id, at(17)).await;
    assert!(!released.expect("the inbox responds"));
    assert_eq!(counts().await, (1, 0), "superseded events are not counted");
    for unchanged in [&later, &others, &last] {
        assert!(find(&inbox, unchanged).await.member.is_some());
    }
    assert!(requeue(&later, at(18)).await);
    assert!(requeue(&others, at(18)).await);
}

/// A done event without erasure request does not supersede events with one.
pub(super) async fn done_without_erasure_keeps_erasure_requests(inbox: Inbox) {
    let request = event(1, 1, 1);
    let quarantined = event(2, 1, 2);
    let less = DeauthEvent {
        erasure: ErasureRequest::NotRequested,
        ..event(3, 1, 3)
    };
    let again = event(4, 1, 4);
    accept(&inbox, &request).await;
    let accepted = inbox.quarantine(&quarantined, "late").await;
    assert!(matches!(
        accepted.expect("the inbox responds"),
        Accepted::New(_)
    ));
    let leased = lease_one(&inbox, at(10)).await;
    complete(&inbox, &leased, &dead_letter(), at(11)).await;
    for (event, keeps_member) in [(&less, true), (&again, false)] {
        accept(&inbox, event).await;
        let leased = lease_one(&inbox, at(12)).await;
        complete(&inbox, &leased, &Completion::Done { note: None }, at(13)).await;
        for request in [&request, &quarantined] {
            assert_eq!(find(&inbox, request).await.member.is_some(), keeps_member);
        }
    }
}

/// A failed attempt is retried when it is due, and the attempts are counted.
pub(super) async fn retry_waits_until_due(inbox: Inbox) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let leased = lease_one(&inbox, at(10)).await;
    complete(&inbox, &leased, &retry(50), at(11)).await;
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
        .expect("the ledger contains the failure");
    assert_eq!(failed.attempt, 1);
    assert_eq!(failed.at, at(11));
    assert_eq!(failed.note.as_deref(), Some("the disk is full"));
    assert_eq!(failed.member, event.pseudonym);
}

/// A dead letter is not leased until it is requeued, with its attempts reset.
pub(super) async fn requeue_restarts_dead_letter(inbox: Inbox) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    assert!(
        !inbox
            .requeue(&event.id, at(2))
            .await
            .expect("the inbox responds"),
        "a pending event cannot be requeued"
    );
    let leased = lease_one(&inbox, at(10)).await;
    complete(&inbox, &leased, &dead_letter(), at(11)).await;
    let record = find(&inbox, &event).await;
    assert_eq!(record.state, EventState::DeadLetter);
    assert_eq!(record.settled_at, Some(at(11)));
    assert_eq!(record.member.as_ref(), Some(&event.member));
    assert!(lease(&inbox, at(1_000), 1).await.is_empty());

    assert!(
        inbox
            .requeue(&event.id, at(20))
            .await
            .expect("the inbox responds")
    );
    assert!(
        !inbox
            .requeue(&event.id, at(20))
            .await
            .expect("the inbox responds"),
        "a pending event cannot be requeued"
    );
    assert_eq!(
        try_complete(&inbox, &leased, &Completion::Done { note: None }, at(20)).await,
        LeaseOutcome::Lost
    );
    let record = find(&inbox, &event).await;
    assert_eq!(record.state, EventState::Pending);
    assert_eq!(record.attempts, 0);
    assert_eq!(record.settled_at, None);
    let leased = lease_one(&inbox, at(20)).await;
    assert_eq!(leased.attempt, 1);
    complete(&inbox, &leased, &Completion::Done { note: None }, at(21)).await;
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
            .expect("the inbox responds")
    );
}

/// A stale event is not leased until it is requeued.
pub(super) async fn requeue_restarts_stale_event(inbox: Inbox) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let leased = lease_one(&inbox, at(10)).await;
    complete(&inbox, &leased, &Completion::Stale, at(11)).await;
    let record = find(&inbox, &event).await;
    assert_eq!(record.state, EventState::Stale);
    assert_eq!(record.settled_at, Some(at(11)));
    assert_eq!(record.member.as_ref(), Some(&event.member));
    assert!(lease(&inbox, at(1_000), 1).await.is_empty());
    assert!(
        inbox
            .requeue(&event.id, at(20))
            .await
            .expect("the inbox responds")
    );
    assert_eq!(lease_one(&inbox, at(20)).await.event, event);
}

/// A worker with a lost lease changes nothing, before and after the new holder completes the attempt.
pub(super) async fn complete_with_lost_lease_changes_nothing(inbox: Inbox) {
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
            try_complete(&inbox, &first, completion, at(21)).await,
            LeaseOutcome::Lost
        );
    }
    let after = (find(&inbox, &event).await, lines(&inbox).await);
    assert_eq!(before, after, "a lost lease changed the event");
    complete(&inbox, &second, &Completion::Done { note: None }, at(22)).await;
    let before = (find(&inbox, &event).await, lines(&inbox).await);
    for completion in &all {
        assert_eq!(
            try_complete(&inbox, &first, completion, at(23)).await,
            LeaseOutcome::Lost
        );
        assert_eq!(
            try_complete(&inbox, &second, completion, at(23)).await,
            LeaseOutcome::Lost
        );
    }
    let after = (find(&inbox, &event).await, lines(&inbox).await);
    assert_eq!(before, after, "a completed event was changed");
}

/// An attempt with an expired lease completes if no other worker leased the event.
pub(super) async fn complete_applies_after_expiry_without_new_holder(inbox: Inbox) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let leased = lease_one(&inbox, at(10)).await;
    complete(&inbox, &leased, &Completion::Done { note: None }, at(500)).await;
    assert_eq!(find(&inbox, &event).await.state, EventState::Done);
}

/// Of several concurrent completions one applies.
pub(super) async fn concurrent_completions_apply_once(inbox: Inbox) {
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
            tokio::spawn(async move { try_complete(&inbox, &leased, &completion, at(11)).await })
        })
        .collect();
    let mut applied = 0;
    for task in tasks {
        if task.await.expect("the task finishes") == LeaseOutcome::Applied {
            applied += 1;
        }
    }
    assert_eq!(applied, 1, "one completion applies");
    assert_eq!(steps(&inbox, &event).await.len(), 3);
}

/// The inbox records the destruction of tokens, and each later lease reports it.
pub(super) async fn leases_report_token_progress(inbox: Inbox) {
    let event = event(1, 1, 1);
    let accepted = inbox.accept(&event).await.expect("the inbox responds");
    let first = lease_one(&inbox, at(2)).await;
    let expected = match accepted {
        Accepted::New(TokenOutcome::Destroyed) => TokenProgress::Destroyed,
        _ => TokenProgress::Untouched,
    };
    assert_eq!(first.tokens, expected);
    let before = find(&inbox, &event).await;
    mark_destroyed(&inbox, &event, at(5)).await;
    let last = lines(&inbox).await.pop().expect("the ledger has a line");
    assert_eq!(last.step, Step::TokensDestroyed);
    assert_eq!(last.at, at(5));
    assert_eq!(last.event, event.id);
    assert_eq!(last.member, event.pseudonym);
    assert_eq!(last.note, None);
    assert_eq!(find(&inbox, &event).await, before);
    complete(&inbox, &first, &retry(6), at(6)).await;
    let second = lease_one(&inbox, at(7)).await;
    assert_eq!(second.tokens, TokenProgress::Destroyed);

    // A requeued dead letter keeps the progress.
    complete(&inbox, &second, &dead_letter(), at(8)).await;
    assert!(requeue(&inbox, &event, at(9)).await);
    let third = lease_one(&inbox, at(10)).await;
    assert_eq!(third.tokens, TokenProgress::Destroyed);

    // A requeued stale event counts from the time at which it was requeued.
    complete(&inbox, &third, &Completion::Stale, at(11)).await;
    assert!(requeue(&inbox, &event, at(12)).await);
    let fourth = lease_one(&inbox, at(13)).await;
    assert_eq!(fourth.tokens, TokenProgress::Requeued(at(12)));
    mark_destroyed(&inbox, &event, at(14)).await;
    complete(&inbox, &fourth, &dead_letter(), at(15)).await;
    assert!(requeue(&inbox, &event, at(16)).await);
    let fifth = lease_one(&inbox, at(17)).await;
    assert_eq!(fifth.tokens, TokenProgress::Requeued(at(16)));

    // Another process completed the event before.
    complete(&inbox, &fifth, &Completion::Done { note: None }, at(18)).await;
    let before = lines(&inbox).await;
    mark_destroyed(&inbox, &event, at(19)).await;
    assert_eq!(
        lines(&inbox).await,
        before,
        "a completed event gets no more lines"
    );
}

/// A quarantined event is not leased, and the member's tokens are unchanged, until it is released.
pub(super) async fn release_restarts_quarantined_event(inbox: Inbox) {
    let (event, other) = (event(1, 1, 1), event(2, 1, 2));
    let accepted = inbox.quarantine(&event, "too many").await;
    assert_eq!(
        accepted.expect("the inbox responds"),
        Accepted::New(TokenOutcome::Untouched)
    );
    let again = inbox.quarantine(&event, "too many").await;
    assert_eq!(again.expect("the inbox responds"), Accepted::Duplicate);
    let again = inbox.accept(&event).await;
    assert_eq!(again.expect("the inbox responds"), Accepted::Duplicate);
    assert_eq!(find(&inbox, &event).await.state, EventState::Quarantined);
    assert_eq!(
        inbox.stats().await.expect("the inbox responds").quarantined,
        1
    );
    assert_eq!(
        steps(&inbox, &event).await,
        [Step::Received, Step::Quarantined]
    );
    let note = lines(&inbox)
        .await
        .pop()
        .expect("the ledger has a line")
        .note;
    assert_eq!(note.as_deref(), Some("too many"));
    assert!(lease(&inbox, at(1_000), 10).await.is_empty());
    assert!(
        !requeue(&inbox, &event, at(20)).await,
        "a quarantined event cannot be requeued"
    );

    assert!(release(&inbox, &event, at(30)).await);
    let released = [Step::Received, Step::Quarantined, Step::Released];
    assert_eq!(steps(&inbox, &event).await, released);
    assert!(
        !release(&inbox, &event, at(30)).await,
        "a pending event cannot be released"
    );
    assert!(
        !release(&inbox, &other, at(30)).await,
        "an unknown event cannot be released"
    );
    let leased = lease_one(&inbox, at(31)).await;
    assert_eq!(leased.event, event);
    assert_eq!(leased.tokens, TokenProgress::Untouched);
    complete(&inbox, &leased, &Completion::Done { note: None }, at(32)).await;
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

async fn release(inbox: &Inbox, event: &DeauthEvent, now: Timestamp) -> bool {
    let released = inbox.release(&event.id, now).await;
    released.expect("the inbox responds")
}

async fn mark_destroyed(inbox: &Inbox, event: &DeauthEvent, now: Timestamp) {
    let marked = inbox.mark_tokens_destroyed(event, now).await;
    marked.expect("the inbox responds");
}

async fn requeue(inbox: &Inbox, event: &DeauthEvent, now: Timestamp) -> bool {
    let requeued = inbox.requeue(&event.id, now).await;
    requeued.expect("the inbox responds")
}

/// The ledger has one line for each step, with time and attempt, in order.
pub(super) async fn ledger_records_every_step(inbox: Inbox) {
    let event = event(1, 1, 1);
    accept(&inbox, &event).await;
    let first = lease_one(&inbox, at(10)).await;
    complete(&inbox, &first, &retry(20), at(11)).await;
    let second = lease_one(&inbox, at(20)).await;
    complete(&inbox, &second, &dead_letter(), at(21)).await;
    assert!(
        inbox
            .requeue(&event.id, at(30))
            .await
            .expect("the inbox responds")
    );
    let third = lease_one(&inbox, at(31)).await;
    complete(&inbox, &third, &Completion::Done { note: None }, at(32)).await;

    let all: Vec<_> = lines(&inbox)
        .await
        .into_iter()
        .filter(|line| line.step != Step::TokensDestroyed)
        .collect();
    assert!(all.windows(2).all(|two| two[0].seq < two[1].seq));
    assert!(all.iter().all(|line| line.event == event.id));
    let entries: Vec<_> = all
        .iter()
        .map(|line| (line.step, line.at, line.attempt, line.note.as_deref()))
        .collect();
    assert_eq!(
        entries,
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

/// `stats` counts the events in each state.
pub(super) async fn stats_count_events_by_state(inbox: Inbox) {
    let stats = async || inbox.stats().await.expect("the inbox responds");
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
        complete(&inbox, leased, end, at(11)).await;
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
