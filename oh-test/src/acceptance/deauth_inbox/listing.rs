//! Lists of events and ledger lines, page by page.

use oh_core::deauth::EventState;

use super::*;

/// Lists all events that a query selects, page by page.
async fn list_events(inbox: &Inbox, mut query: EventQuery) -> Vec<EventRecord> {
    let mut all: Vec<EventRecord> = Vec::new();
    loop {
        let page = inbox.events(&query).await.expect("the inbox responds");
        assert!(page.len() <= query.limit, "a page exceeds its limit");
        let Some(last) = page.last() else {
            return all;
        };
        query = query.after((last.received_at, last.id.clone()));
        all.extend(page);
    }
}

/// Lists all ledger lines that a query selects, page by page, without the destruction of tokens.
async fn list_lines(inbox: &Inbox, mut query: LedgerQuery) -> Vec<LedgerLine> {
    let mut all: Vec<LedgerLine> = Vec::new();
    loop {
        let page = inbox.ledger(&query).await.expect("the inbox responds");
        assert!(page.len() <= query.limit, "a page exceeds its limit");
        let Some(last) = page.last() else {
            all.retain(|line| line.step != Step::TokensDestroyed);
            return all;
        };
        query = query.after(last.seq);
        all.extend(page);
    }
}

/// Pages list each event once, ordered by time received and id, with every filter and in both orders.
pub(super) async fn pages_list_each_event_once(inbox: Inbox) {
    // Five events at each of five times, of five members.
    for i in 0..25 {
        accept(&inbox, &event(i, i % 5, i / 5)).await;
    }
    let leased = lease(&inbox, at(100), 2).await;
    for leased in &leased {
        complete(&inbox, leased, &Completion::Done { note: None }, at(101)).await;
    }
    let all = list_events(&inbox, EventQuery::first(4)).await;
    let position = |record: &EventRecord| (record.received_at, record.id.clone());
    assert!(
        all.windows(2)
            .all(|two| position(&two[0]) < position(&two[1])),
        "the list is out of order"
    );
    let done = |record: &EventRecord| record.state == EventState::Done;
    let of_member = |record: &EventRecord| record.pseudonym == pseudonym(3);
    let early = |record: &EventRecord| record.received_at < at(2);
    type Filter<'a> = &'a dyn Fn(&EventRecord) -> bool;
    let cases: [(EventQuery, Filter<'_>, usize); 7] = [
        (EventQuery::first(4), &|_| true, 25),
        (
            EventQuery::first(4).state(EventState::Pending),
            &|r| !done(r),
            23,
        ),
        (EventQuery::first(1).state(EventState::Done), &done, 2),
        (
            EventQuery::first(4).state(EventState::DeadLetter),
            &|_| false,
            0,
        ),
        (EventQuery::first(4).pseudonym(pseudonym(3)), &of_member, 5),
        (EventQuery::first(3).received_before(at(2)), &early, 10),
        (
            EventQuery::first(1)
                .state(EventState::Pending)
                .pseudonym(pseudonym(3))
                .received_before(at(2)),
            &|r| !done(r) && of_member(r) && early(r),
            2 - leased
                .iter()
                .filter(|leased| leased.event.member == member(3))
                .count(),
        ),
    ];
    for (query, filter, count) in cases {
        let mut expected: Vec<_> = all
            .iter()
            .filter(|record| filter(record))
            .cloned()
            .collect();
        assert_eq!(expected.len(), count, "{query:?}");
        assert_eq!(
            list_events(&inbox, query.clone()).await,
            expected,
            "{query:?}"
        );
        expected.reverse();
        let reverse = query.newest_first();
        assert_eq!(
            list_events(&inbox, reverse.clone()).await,
            expected,
            "{reverse:?}"
        );
    }
    let none = inbox.events(&EventQuery::default()).await;
    assert!(
        none.expect("the inbox responds").is_empty(),
        "a limit of zero lists nothing"
    );
}

/// `leased_at` lists events whose lease ends later.
pub(super) async fn leased_at_lists_valid_leases(inbox: Inbox) {
    for i in 0..5 {
        accept(&inbox, &event(i, i, i)).await;
    }
    let leased_at = |time| EventQuery::first(4).newest_first().leased_at(at(time));
    assert!(list_events(&inbox, leased_at(100)).await.is_empty());
    let leased = lease(&inbox, at(100), 2).await;
    complete(
        &inbox,
        &leased[0],
        &Completion::Done { note: None },
        at(101),
    )
    .await;
    let valid = list_events(&inbox, leased_at(101)).await;
    assert_eq!(valid.len(), 1, "a completed event has no lease");
    assert_eq!(valid[0].id, leased[1].event.id);
    let expired = list_events(&inbox, leased_at(100_000)).await;
    assert!(expired.is_empty(), "an expired lease is not valid");
}

/// Pages list each line once, in the order in which they were written, with every filter and in both
/// orders.
pub(super) async fn pages_list_each_ledger_line_once(inbox: Inbox) {
    for i in 0..10 {
        accept(&inbox, &event(i, i % 2, i)).await;
    }
    for _ in 0..5 {
        for leased in lease(&inbox, at(100), 10).await {
            complete(&inbox, &leased, &Completion::Done { note: None }, at(101)).await;
        }
    }
    let all = list_lines(&inbox, LedgerQuery::first(3)).await;
    assert!(all.windows(2).all(|two| two[0].seq < two[1].seq));
    let id = event(4, 0, 4).id;
    let of_member = |line: &LedgerLine| line.member == pseudonym(1);
    let of_event = |line: &LedgerLine| line.event == id;
    type Filter<'a> = &'a dyn Fn(&LedgerLine) -> bool;
    let cases: [(LedgerQuery, Filter<'_>, usize); 4] = [
        (LedgerQuery::first(4), &|_| true, 30),
        (LedgerQuery::first(4).member(pseudonym(1)), &of_member, 15),
        (
            LedgerQuery::first(1).event(id.clone()).member(pseudonym(0)),
            &of_event,
            3,
        ),
        (
            LedgerQuery::first(1).event(id.clone()).member(pseudonym(1)),
            &|_| false,
            0,
        ),
    ];
    for (query, filter, count) in cases {
        let mut expected: Vec<_> = all.iter().filter(|line| filter(line)).cloned().collect();
        assert_eq!(expected.len(), count, "{query:?}");
        assert_eq!(
            list_lines(&inbox, query.clone()).await,
            expected,
            "{query:?}"
        );
        expected.reverse();
        let reverse = query.newest_first();
        assert_eq!(
            list_lines(&inbox, reverse.clone()).await,
            expected,
            "{reverse:?}"
        );
    }
}
