//! Accepted events and duplicates.

use super::*;
use oh_core::deauth::EventState;

/// The list and the leases contain every field of an accepted event.
pub(super) async fn accept_stores_every_field(inbox: Inbox) {
    let mut webhook = event(1, 12, 100);
    webhook.left_at = Timestamp::from_micros(1_600_000_000_123_456);
    webhook.received_at = Timestamp::from_micros(1_600_000_000_654_321);
    let mut reconciled = event(2, 0, 101);
    reconciled.member = "0000000000000007".parse().expect("digits");
    reconciled.erasure = ErasureRequest::Unknown;
    reconciled.discovery = Discovery::Reconciliation;
    let mut disconnected = event(3, 14, 102);
    disconnected.erasure = ErasureRequest::NotRequested;
    disconnected.discovery = Discovery::Disconnected;
    disconnected.left_at = Timestamp::UNIX_EPOCH;

    for event in [&webhook, &reconciled, &disconnected] {
        accept(&inbox, event).await;
        let record = find(&inbox, event).await;
        assert_eq!(record.member.as_ref(), Some(&event.member));
        assert_eq!(record.pseudonym, event.pseudonym);
        assert_eq!(record.erasure, event.erasure);
        assert_eq!(record.discovery, event.discovery);
        assert_eq!(record.left_at, event.left_at);
        assert_eq!(record.received_at, event.received_at);
        assert_eq!(record.state, EventState::Pending);
        assert_eq!(record.attempts, 0);
        assert!(record.due_at <= event.received_at, "a new event is due");
        assert_eq!(record.settled_at, None);
        assert_eq!(steps(&inbox, event).await, [Step::Received]);
    }
    let leased = lease(&inbox, at(1_000), 10).await;
    let events: Vec<_> = leased.into_iter().map(|leased| leased.event).collect();
    assert_eq!(events, [webhook, reconciled, disconnected]);
}

/// An event with a known id is a duplicate, even if it was received at another time.
pub(super) async fn accept_ignores_duplicates(inbox: Inbox) {
    let first = event(1, 1, 1);
    accept(&inbox, &first).await;
    let before = (find(&inbox, &first).await, lines(&inbox).await);
    let mut again = first.clone();
    again.received_at = at(50);
    for duplicate in [&first, &again] {
        let accepted = inbox.accept(duplicate).await.expect("the inbox responds");
        assert_eq!(accepted, Accepted::Duplicate);
    }
    let after = (find(&inbox, &first).await, lines(&inbox).await);
    assert_eq!(before, after, "a duplicate changes nothing");
    assert_eq!(lease(&inbox, at(60), 10).await.len(), 1);
}

/// Of several concurrent duplicates one is new.
pub(super) async fn accept_stores_concurrent_duplicates_once(inbox: Inbox) {
    let tasks: Vec<_> = (0..200)
        .map(|i| {
            let inbox = inbox.clone();
            let event = event(i % 10, i % 10, 1);
            tokio::spawn(async move { inbox.accept(&event).await.expect("the inbox responds") })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        if matches!(task.await.expect("the task finishes"), Accepted::New(_)) {
            new += 1;
        }
    }
    assert_eq!(new, 10, "each event is new once");
    let received = lines(&inbox)
        .await
        .into_iter()
        .filter(|line| line.step == Step::Received);
    assert_eq!(received.count(), 10);
}

/// An event that is done, a dead letter or stale remains known.
pub(super) async fn accept_ignores_completed_event(inbox: Inbox) {
    let ends = [
        Completion::Done { note: None },
        Completion::DeadLetter {
            note: "no".to_owned(),
        },
        Completion::Stale,
    ];
    for (i, end) in (1..).zip(ends) {
        let event = event(i, i, i);
        accept(&inbox, &event).await;
        let leased = lease_one(&inbox, at(10)).await;
        complete(&inbox, &leased, &end, at(11)).await;
        let accepted = inbox.accept(&event).await.expect("the inbox responds");
        assert_eq!(accepted, Accepted::Duplicate, "after {end:?}");
        assert!(lease(&inbox, at(100), 10).await.is_empty());
    }
}
