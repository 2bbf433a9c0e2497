//! Accepting: once, whole, and for good.

use super::*;
use crate::deauth::EventState;

/// What is handed in comes out again, in the list and by lease.
pub async fn everything_of_an_event_is_kept(inbox: Arc<dyn DeauthInbox>) {
    let mut told = event(1, 12, 100);
    told.left_at = Timestamp::from_micros(1_600_000_000_123_456);
    told.received_at = Timestamp::from_micros(1_600_000_000_654_321);
    let mut found = event(2, 0, 101);
    found.member = "0000000000000007".parse().expect("digits");
    found.erasure = ErasureRequest::Unknown;
    found.discovery = Discovery::Reconciliation;
    let mut disconnected = event(3, 14, 102);
    disconnected.erasure = ErasureRequest::NotRequested;
    disconnected.discovery = Discovery::Disconnected;
    disconnected.left_at = Timestamp::UNIX_EPOCH;

    for event in [&told, &found, &disconnected] {
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
    assert_eq!(events, [told, found, disconnected]);
}

/// The same event again, even with another time received, is known.
pub async fn duplicates_change_nothing(inbox: Arc<dyn DeauthInbox>) {
    let first = event(1, 1, 1);
    accept(&inbox, &first).await;
    let before = (find(&inbox, &first).await, lines(&inbox).await);
    let mut again = first.clone();
    again.received_at = at(50);
    for duplicate in [&first, &again] {
        let accepted = inbox.accept(duplicate).await.expect("the inbox answers");
        assert_eq!(accepted, Accepted::Duplicate);
    }
    let after = (find(&inbox, &first).await, lines(&inbox).await);
    assert_eq!(before, after, "a duplicate left a trace");
    assert_eq!(lease(&inbox, at(60), 10).await.len(), 1);
}

/// Of many at once, one is new.
pub async fn concurrent_duplicates_are_accepted_once(inbox: Arc<dyn DeauthInbox>) {
    let tasks: Vec<_> = (0..200)
        .map(|i| {
            let inbox = inbox.clone();
            let event = event(i % 10, i % 10, 1);
            tokio::spawn(async move { inbox.accept(&event).await.expect("the inbox answers") })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        if matches!(task.await.expect("the task ends"), Accepted::New(_)) {
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

/// Done, a dead letter or stale: an event that was dealt with is known for ever.
pub async fn a_done_event_is_never_accepted_again(inbox: Arc<dyn DeauthInbox>) {
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
        settle(&inbox, &leased, &end, at(11)).await;
        let accepted = inbox.accept(&event).await.expect("the inbox answers");
        assert_eq!(accepted, Accepted::Duplicate, "after {end:?}");
        assert!(lease(&inbox, at(100), 10).await.is_empty());
    }
}
