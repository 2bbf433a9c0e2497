//! Listing: everything, once, in order, page by page.

use super::*;
use crate::deauth::EventState;

/// Each event once, by time received and id, under every filter.
pub async fn events_are_listed_page_by_page(inbox: Arc<dyn DeauthInbox>) {
    let count = 25;
    for i in 0..count {
        // Five times five received at once, of five members.
        accept(&inbox, &event(i, i % 5, i / 5)).await;
    }
    let page = async |query: &EventQuery| inbox.events(query).await.expect("the inbox answers");
    let walk = async |mut query: EventQuery| {
        let mut all: Vec<EventRecord> = Vec::new();
        loop {
            let records = page(&query).await;
            assert!(records.len() <= query.limit, "more than asked for");
            let Some(last) = records.last() else {
                return all;
            };
            query = query.after((last.received_at, last.id.clone()));
            all.extend(records);
        }
    };
    let limit = 4;
    let all = walk(EventQuery {
        limit,
        ..EventQuery::default()
    })
    .await;
    assert_eq!(all.len() as i64, count);
    assert!(
        all.windows(2)
            .all(|two| (two[0].received_at, &two[0].id) < (two[1].received_at, &two[1].id)),
        "the list is out of order"
    );

    let leased = lease(&inbox, at(100), 2).await;
    for leased in &leased {
        settle(&inbox, leased, &Completion::Done { note: None }, at(101)).await;
    }
    let of = async |state| {
        walk(EventQuery {
            state: Some(state),
            limit,
            ..EventQuery::default()
        })
        .await
        .len()
    };
    assert_eq!(of(EventState::Pending).await as i64, count - 2);
    assert_eq!(of(EventState::Done).await, 2);
    assert_eq!(of(EventState::DeadLetter).await, 0);

    let of_one = walk(EventQuery {
        pseudonym: Some(pseudonym(3)),
        limit,
        ..EventQuery::default()
    })
    .await;
    assert_eq!(of_one.len(), 5);
    assert!(of_one.iter().all(|record| record.pseudonym == pseudonym(3)));

    let early = walk(EventQuery::first(limit).received_before(at(2))).await;
    assert_eq!(early.len(), 10);

    let together = walk(EventQuery {
        state: Some(EventState::Pending),
        pseudonym: Some(pseudonym(3)),
        received_before: Some(at(3)),
        limit: 1,
        ..EventQuery::default()
    })
    .await;
    let done_of_3 = leased
        .iter()
        .filter(|leased| leased.event.member == member(3))
        .count();
    assert_eq!(together.len(), 3 - done_of_3);
    let none = page(&EventQuery::default()).await;
    assert!(none.is_empty(), "a limit of zero is zero");
}

/// The same events from the newest to the oldest, page by page, under every filter; and of all of
/// them those that are being worked on.
pub async fn events_are_listed_newest_first(inbox: Arc<dyn DeauthInbox>) {
    let count = 25;
    for i in 0..count {
        accept(&inbox, &event(i, i % 5, i / 5)).await;
    }
    let walk = async |mut query: EventQuery| {
        let mut all: Vec<EventRecord> = Vec::new();
        loop {
            let records = inbox.events(&query).await.expect("the inbox answers");
            assert!(records.len() <= query.limit, "more than asked for");
            let Some(last) = records.last() else {
                return all;
            };
            query = query.after((last.received_at, last.id.clone()));
            all.extend(records);
        }
    };
    let every = EventQuery {
        limit: 4,
        ..EventQuery::default()
    };
    let newest = EventQuery {
        newest_first: true,
        ..every.clone()
    };
    let mut forwards = walk(every).await;
    let backwards = walk(newest.clone()).await;
    forwards.reverse();
    assert_eq!(backwards, forwards, "one order is the other, turned around");

    let together = walk(EventQuery {
        state: Some(EventState::Pending),
        pseudonym: Some(pseudonym(3)),
        received_before: Some(at(3)),
        limit: 1,
        ..newest.clone()
    })
    .await;
    let times: Vec<_> = together.iter().map(|record| record.received_at).collect();
    assert_eq!(times, [at(2), at(1), at(0)]);

    let leased_at = |time| newest.clone().leased_at(time);
    assert!(walk(leased_at(at(100))).await.is_empty());
    let leased = lease(&inbox, at(100), 2).await;
    settle(
        &inbox,
        &leased[0],
        &Completion::Done { note: None },
        at(101),
    )
    .await;
    let running = walk(leased_at(at(101))).await;
    assert_eq!(running.len(), 1, "what is settled is worked on no more");
    assert_eq!(running[0].id, leased[1].event.id);
    assert!(
        walk(leased_at(at(100_000))).await.is_empty(),
        "a lease that has run out is none"
    );
}

/// Each line once, in the order written, under every filter.
pub async fn the_ledger_is_listed_page_by_page(inbox: Arc<dyn DeauthInbox>) {
    for i in 0..10 {
        accept(&inbox, &event(i, i % 2, i)).await;
    }
    for _ in 0..5 {
        for leased in lease(&inbox, at(100), 10).await {
            settle(&inbox, &leased, &Completion::Done { note: None }, at(101)).await;
        }
    }
    let walk = async |mut query: LedgerQuery| {
        let mut all: Vec<LedgerLine> = Vec::new();
        loop {
            let lines = inbox.ledger(&query).await.expect("the inbox answers");
            assert!(lines.len() <= query.limit, "more than asked for");
            let Some(last) = lines.last() else {
                all.retain(|line| line.step != Step::TokensDestroyed);
                return all;
            };
            query.after = Some(last.seq);
            all.extend(lines);
        }
    };
    let all = walk(LedgerQuery {
        limit: 3,
        ..LedgerQuery::default()
    })
    .await;
    assert_eq!(all.len(), 30);
    assert!(all.windows(2).all(|two| two[0].seq < two[1].seq));
    let mut backwards = walk(LedgerQuery::first(4).newest_first()).await;
    backwards.reverse();
    assert_eq!(backwards, all, "one order is the other, turned around");
    let of_one = walk(LedgerQuery {
        member: Some(pseudonym(1)),
        limit: 4,
        ..LedgerQuery::default()
    })
    .await;
    let mut backwards = walk(LedgerQuery::first(1).member(pseudonym(1)).newest_first()).await;
    backwards.reverse();
    assert_eq!(backwards, of_one);
    assert_eq!(of_one.len(), 15);
    assert!(of_one.iter().all(|line| line.member == pseudonym(1)));
    let of_event = walk(LedgerQuery {
        event: Some(event(4, 0, 4).id),
        member: Some(pseudonym(0)),
        limit: 1,
        ..LedgerQuery::default()
    })
    .await;
    let life: Vec<_> = of_event.iter().map(|line| line.step).collect();
    assert_eq!(life, [Step::Received, Step::Tried, Step::Done]);
    let mismatch = walk(LedgerQuery {
        event: Some(event(4, 0, 4).id),
        member: Some(pseudonym(1)),
        limit: 1,
        ..LedgerQuery::default()
    })
    .await;
    assert!(mismatch.is_empty());
}
