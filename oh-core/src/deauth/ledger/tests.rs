use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::TryStreamExt;

use super::*;
use crate::deauth::test_support::{SECOND, Setting, at, event, member};
use crate::deauth::{CheckpointOutcome, Completion, DeauthEvent, Step};

fn dead_letter() -> Completion {
    Completion::DeadLetter {
        note: String::new(),
    }
}

#[tokio::test]
async fn superseded_event_is_not_overdue() {
    let setting = Setting::new();
    let ledger = Ledger::new(&setting.deauthorizer);
    let done = Completion::Done { note: None };
    for (id, completion, overdue) in [("1", dead_letter(), 1), ("2", done, 0)] {
        let event = DeauthEvent {
            id: crate::deauth::EventId::new(id.repeat(32)),
            ..event(1)
        };
        let _ = setting.inbox.accept(&event).await.unwrap();
        let leased = setting.lease(1).await;
        setting.complete(&leased[0], completion).await;
        setting.clock.advance(ERASURE_DEADLINE);
        let events = ledger.overdue(EventQuery::first(10)).await.unwrap();
        assert_eq!(events.len(), overdue);
    }
}

#[tokio::test]
async fn open_events_are_overdue_after_deadline() {
    let setting = Setting::new();
    let ledger = Ledger::new(&setting.deauthorizer);
    for number in 1..=4 {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    let leased = setting.lease(2).await;
    let done = Completion::Done { note: None };
    for (leased, completion) in leased.iter().zip([done, dead_letter()]) {
        setting.complete(leased, completion).await;
    }
    for (advance, overdue) in [(Duration::ZERO, 0), (ERASURE_DEADLINE, 0), (SECOND, 3)] {
        setting.clock.advance(advance);
        let events = ledger.overdue(EventQuery::first(10)).await.unwrap();
        assert_eq!(events.len(), overdue);
        assert!(events.iter().all(|event| event.state != EventState::Done));
        assert!(
            events
                .iter()
                .all(|event| event.is_overdue(setting.clock.now()))
        );
    }
    let _ = setting.report_webhook(5, setting.clock.now()).await;
    assert_eq!(ledger.events(EventState::Pending).await.unwrap().len(), 3);

    let oldest = ledger.overdue(EventQuery::first(10)).await.unwrap();
    let mut newest = ledger
        .overdue(EventQuery::first(10).newest_first())
        .await
        .unwrap();
    newest.reverse();
    assert_eq!(oldest, newest);
    let first = ledger.overdue(EventQuery::first(1)).await.unwrap();
    assert_eq!(first, oldest[..1]);
}

#[tokio::test]
async fn export_contains_all_lines_in_order_and_no_member_ids() {
    let setting = Setting::new();
    let ledger = Ledger::new(&setting.deauthorizer);
    for number in 0..=PAGE_SIZE {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    let _ = setting.inbox.ledger_reads();
    let exported: Vec<_> = ledger.export_lines().try_collect().await.unwrap();
    let lines: Vec<LedgerLine> = exported
        .iter()
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    // Each page is read once.
    let page_ends = [PAGE_SIZE, 2 * PAGE_SIZE].map(|end| Some(lines[end - 1].seq));
    assert_eq!(
        setting.inbox.ledger_reads(),
        [None, page_ends[0], page_ends[1]]
    );
    assert_eq!(lines, setting.lines().await);
    let text = String::from_utf8(exported.concat()).unwrap();
    assert!(!text.contains(member(7).as_str()));

    let of_member = ledger.of_member(&member(7)).await.unwrap();
    let steps: Vec<_> = of_member.iter().map(|line| line.step).collect();
    assert_eq!(steps, [Step::Received, Step::TokensDestroyed]);
}

#[tokio::test]
async fn export_places_checkpoint_after_its_last_line() {
    let setting = Setting::new();
    for number in 0..2 {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    let checkpoint = StoredCheckpoint {
        size: 2,
        last_seq: 1,
        root: "root".into(),
        at: at(100),
        note: "a\nnote".into(),
        tree: "tree".into(),
    };
    let stored = setting.inbox.store_checkpoint(&checkpoint).await.unwrap();
    assert_eq!(stored, CheckpointOutcome::Stored);
    let ledger = Ledger::new(&setting.deauthorizer);
    let exported: Vec<_> = ledger.export_lines().try_collect().await.unwrap();
    assert_eq!(exported.len(), 5);
    assert_eq!(exported[2], br#"{"checkpoint":"a\nnote"}"#);
    #[cfg(feature = "checkpoints")]
    assert_eq!(
        exported[2],
        crate::ledger::checkpoint_record("a\nnote").into_bytes()
    );
    assert_eq!(setting.inbox.ledger_reads(), [None]);
    // The last one, then a page.
    assert_eq!(setting.inbox.checkpoint_reads.load(Ordering::SeqCst), 2);
}
