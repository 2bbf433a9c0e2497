use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::deauth::test_support::{FaultyInbox, Setting, at, member};
use crate::deauth::{DeauthInbox, Departure, EventState, Step};
use crate::store::TokenStore;

mod looks;
mod wishes;

/// A handler that says what it was called with, and fails the first `failures` times.
fn failing(failures: usize) -> (Arc<Mutex<Vec<Departure>>>, impl DeauthHandler) {
    let calls = Arc::new(Mutex::new(Vec::<Departure>::new()));
    let seen = calls.clone();
    let handler = move |departure: Departure| {
        let mut calls = calls.lock().unwrap();
        calls.push(departure.clone());
        let fail = calls.len() <= failures;
        async move {
            if fail {
                Err(format!("cannot delete {}", departure.event.member).into())
            } else {
                Ok(())
            }
        }
    };
    (seen, handler)
}

#[tokio::test]
async fn what_fails_is_tried_again_when_it_is_due() {
    let setting = Setting::new();
    let (calls, handler) = failing(2);
    let worker = setting.worker(handler).spawn();
    setting.authorize(1, at(0)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    assert_eq!(calls.lock().unwrap().len(), 1);
    for expected in [2, 3] {
        setting.clock.advance(Duration::from_secs(5));
        worker.drain().await;
        assert_eq!(calls.lock().unwrap().len(), expected);
    }
    let attempts: Vec<_> = calls.lock().unwrap().iter().map(|d| d.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert!(calls.lock().unwrap()[0].delete_data);
    assert_eq!(
        setting.steps().await,
        [
            Step::Received,
            Step::TokensDestroyed,
            Step::Tried,
            Step::Failed,
            Step::Tried,
            Step::Failed,
            Step::Tried,
            Step::Done,
        ]
    );
    let ledger = format!("{:?}", setting.lines().await);
    assert!(ledger.contains("cannot delete"), "{ledger}");
    assert!(!ledger.contains(member(1).as_str()), "{ledger}");
    worker.stop().await;
}

#[tokio::test]
async fn an_event_of_this_process_is_acted_on_at_once() {
    let setting = Setting::new();
    let called = Arc::new(Notify::new());
    let calls = called.clone();
    let handler = move |_: Departure| {
        calls.notify_one();
        async { Ok(()) }
    };
    let worker = setting.worker(handler);
    let worker = worker
        .poll_interval(Duration::from_secs(24 * 3_600))
        .spawn();
    worker.drain().await;
    let _ = setting.report_webhook(1, at(50)).await;
    let patience = Duration::from_secs(60);
    let called = tokio::time::timeout(patience, called.notified()).await;
    assert!(called.is_ok(), "nobody woke the worker");
    worker.stop().await;
}

#[tokio::test]
async fn what_fails_too_often_is_a_dead_letter_and_can_be_requeued() {
    let setting = Setting::new();
    let (calls, handler) = failing(3);
    let worker = setting.worker(handler).max_attempts(3).spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    for _ in 0..5 {
        worker.drain().await;
        setting.clock.advance(Duration::from_secs(3_600));
    }
    assert_eq!(calls.lock().unwrap().len(), 3);
    let dead_letters = setting.events(EventState::DeadLetter).await;
    assert_eq!(dead_letters.len(), 1);
    let requeued = setting
        .inbox
        .requeue(&dead_letters[0].id, setting.clock.now())
        .await;
    assert!(requeued.unwrap());
    worker.drain().await;
    assert_eq!(calls.lock().unwrap().last().unwrap().attempt, 1);
    assert_eq!(setting.events(EventState::Done).await.len(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_failure() {
    let setting = Setting::new();
    let worker = setting
        .worker(|departure: Departure| async move { panic!("no {}", departure.event.member) })
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    let last = setting.lines().await.pop().unwrap();
    assert_eq!(last.step, Step::Failed);
    let note = last.note.unwrap();
    assert!(note.starts_with("the handler panicked: no "), "{note}");
    assert!(!note.contains(member(1).as_str()), "{note}");
    worker.stop().await;
}

#[tokio::test]
async fn tokens_that_were_left_go_before_the_handler_is_called() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    // As a process leaves it that dies right after the event was kept.
    let id = setting.deauthorizer.names().webhook_event_id(
        &member(1),
        at(50),
        crate::deauth::ErasureRequest::Requested,
    );
    let event = crate::deauth::DeauthEvent {
        id,
        member: member(1),
        pseudonym: setting.deauthorizer.names().pseudonym(&member(1)),
        erasure: crate::deauth::ErasureRequest::Requested,
        discovery: crate::deauth::Discovery::Webhook,
        left_at: at(50),
        received_at: at(60),
    };
    let _ = setting.inbox.accept(&event).await.unwrap();
    let store = setting.store.clone();
    let worker = setting
        .worker(move |departure: Departure| {
            let store = store.clone();
            async move {
                let record = store.load(&departure.event.member).await?;
                match record {
                    Some(record) if !record.is_authorized() => Ok(()),
                    _ => Err("the tokens were still there".into()),
                }
            }
        })
        .spawn();
    worker.drain().await;
    assert_eq!(
        setting.steps().await,
        [
            Step::Received,
            Step::Tried,
            Step::TokensDestroyed,
            Step::Done
        ]
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_member_who_came_back_is_left_alone_and_asked_about() {
    let setting = Setting::new();
    let (calls, handler) = failing(0);
    setting.authorize(1, at(60)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    let worker = setting.worker(handler).spawn();
    worker.drain().await;
    assert!(calls.lock().unwrap().is_empty());
    assert!(setting.record(1).await.unwrap().is_authorized());
    assert_eq!(setting.events(EventState::Stale).await.len(), 1);
    let hint = setting.hint().await;
    assert_eq!(hint, member(1));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_asked_for_run_at_once_and_all_are_done() {
    let setting = Setting::new();
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let last_of = Arc::new(Mutex::new(std::collections::HashMap::new()));
    for i in 0..300 {
        let left_at = at(i64::try_from(i).unwrap());
        let _ = setting.report_webhook(i % 100, left_at).await;
        setting.clock.advance(Duration::from_micros(1));
    }
    let (counted, highest, order) = (running.clone(), most.clone(), last_of.clone());
    let worker = setting
        .worker(move |departure: Departure| {
            let (running, most, last_of) = (counted.clone(), highest.clone(), order.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let event = departure.event;
                let before = last_of
                    .lock()
                    .unwrap()
                    .insert(event.member, event.received_at);
                assert!(before.is_none_or(|before| before < event.received_at));
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
        .concurrency(5)
        .spawn();
    worker.drain().await;
    assert_eq!(setting.inbox.stats().await.unwrap().done, 300);
    assert!(most.load(Ordering::SeqCst) <= 5);
    worker.stop().await;
}

#[tokio::test]
async fn a_slow_handler_keeps_its_event() {
    let setting = Setting::new();
    let go = Arc::new(Notify::new());
    let waiting = go.clone();
    let worker = setting
        .worker(move |_: Departure| {
            let go = waiting.clone();
            async move {
                go.notified().await;
                Ok(())
            }
        })
        .lease(Duration::from_millis(100))
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    while setting.inbox.extended.load(Ordering::SeqCst) < 5 {
        setting.inbox.extending.notified().await;
    }
    go.notify_one();
    worker.drain().await;
    let done = setting.events(EventState::Done).await;
    assert_eq!(done[0].attempts, 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_handler_whose_event_was_taken_over_is_stopped() {
    struct Told(Arc<Notify>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let setting = Setting::new();
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begin, drop_told) = (begun.clone(), dropped.clone());
    let worker = setting
        .worker(move |_: Departure| {
            let (begin, told) = (begin.clone(), Told(drop_told.clone()));
            async move {
                let _told = told;
                begin.notify_one();
                std::future::pending().await
            }
        })
        .lease(Duration::from_millis(300))
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    begun.notified().await;
    setting.clock.advance(Duration::from_secs(1));
    let now = setting.clock.now();
    let taken = setting
        .inbox
        .lease(now, now + Duration::from_secs(60), 1)
        .await
        .unwrap();
    assert_eq!(taken[0].attempt, 2);
    dropped.notified().await;
    worker.stop().await;
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
}

#[tokio::test]
async fn an_event_outlives_a_worker_that_dies() {
    let setting = Setting::new();
    let begun = Arc::new(Notify::new());
    let begin = begun.clone();
    let worker = setting
        .worker(move |_: Departure| {
            let begin = begin.clone();
            async move {
                begin.notify_one();
                std::future::pending().await
            }
        })
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    begun.notified().await;
    drop(worker);

    let (calls, handler) = failing(0);
    let worker = setting.worker(handler).spawn();
    worker.drain().await;
    assert!(calls.lock().unwrap().is_empty(), "the lease still runs");
    setting.clock.advance(Duration::from_secs(61));
    worker.drain().await;
    assert_eq!(calls.lock().unwrap()[0].attempt, 2);
    assert_eq!(setting.events(EventState::Done).await.len(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn events_that_end_every_process_are_dead_letters_in_the_end() {
    let setting = Setting::new();
    let _ = setting.report_webhook(1, at(50)).await;
    for _ in 0..3 {
        let now = setting.clock.now();
        let leased = setting.inbox.lease(now, now, 1).await.unwrap();
        assert_eq!(leased.len(), 1);
    }
    let (calls, handler) = failing(0);
    let worker = setting.worker(handler).max_attempts(3).spawn();
    worker.drain().await;
    assert!(calls.lock().unwrap().is_empty());
    assert_eq!(setting.events(EventState::DeadLetter).await.len(), 1);
    worker.stop().await;
}

async fn a_worker_outlives(trouble: impl Fn(&FaultyInbox, bool)) {
    let setting = Setting::new();
    let (calls, handler) = failing(0);
    let _ = setting.report_webhook(1, at(50)).await;
    trouble(&setting.inbox, true);
    let worker = setting.worker(handler).spawn();
    for _ in 0..3 {
        setting.inbox.refused.notified().await;
    }
    trouble(&setting.inbox, false);
    worker.drain().await;
    assert_eq!(calls.lock().unwrap().len(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_outlives_its_database() {
    a_worker_outlives(FaultyInbox::set_down).await;
}

#[tokio::test]
async fn a_worker_outlives_an_inbox_that_panics() {
    a_worker_outlives(FaultyInbox::set_panics).await;
}

#[tokio::test]
async fn success_is_written_down_once_the_database_is_back() {
    let setting = Setting::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let (count, inbox) = (calls.clone(), setting.inbox.clone());
    let worker = setting
        .worker(move |_: Departure| {
            let (count, inbox) = (count.clone(), inbox.clone());
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                inbox.set_down(true);
                Ok(())
            }
        })
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    for _ in 0..2 {
        setting.inbox.refused.notified().await;
    }
    setting.inbox.set_down(false);
    worker.drain().await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(setting.events(EventState::Done).await.len(), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_was_begun_and_begins_nothing() {
    let setting = Setting::new();
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let calls = Arc::new(AtomicUsize::new(0));
    let (begin, wait, count) = (begun.clone(), go.clone(), calls.clone());
    let worker = setting
        .worker(move |_: Departure| {
            let (begin, wait) = (begin.clone(), wait.clone());
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                begin.notify_one();
                wait.notified().await;
                Ok(())
            }
        })
        .concurrency(1)
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    let _ = setting.report_webhook(2, at(50)).await;
    begun.notified().await;
    let stopped = tokio::spawn(worker.stop());
    tokio::task::yield_now().await;
    go.notify_one();
    stopped.await.unwrap();
    let stats = setting.inbox.stats().await.unwrap();
    assert_eq!((stats.done, stats.pending), (1, 1));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn tombstones_are_cleared_away_by_one_process_an_hour_later() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    setting.authorize(2, at(0)).await;
    setting.authorize(3, at(0)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    let _ = setting.report_webhook(2, at(50)).await;
    let lease = setting
        .inbox
        .lease(at(100), at(160), 1)
        .await
        .unwrap()
        .remove(0);
    let settled = setting
        .inbox
        .complete(
            &lease.lease,
            &crate::deauth::Completion::Done { note: None },
            at(101),
        )
        .await;
    assert_eq!(settled.unwrap(), crate::deauth::LeaseOutcome::Applied);
    let sweep = async |holder: &str| {
        housekeeping::sweep(&setting.deauthorizer, holder)
            .await
            .unwrap()
    };
    assert_eq!(sweep("a").await, Some(0), "an hour has not passed");
    assert_eq!(sweep("a").await, None, "it was done lately");

    setting.authorize(4, at(0)).await;
    let observed = setting.record(4).await.unwrap();
    let reported = setting.deauthorizer.report_token_loss(&observed).await;
    assert!(reported.unwrap().is_some());
    let leased = setting
        .inbox
        .lease(at(102), at(160), 9)
        .await
        .unwrap()
        .into_iter()
        .find(|leased| leased.event.member == member(4))
        .unwrap();
    let done = crate::deauth::Completion::Done { note: None };
    let settled = setting.inbox.complete(&leased.lease, &done, at(103)).await;
    assert_eq!(settled.unwrap(), crate::deauth::LeaseOutcome::Applied);

    setting.clock.advance(Duration::from_secs(3_700));
    assert_eq!(sweep("b").await, Some(1));
    assert!(
        setting.record(4).await.unwrap().has_lost_tokens(),
        "whoever may be there still is kept in mind"
    );
    let done = usize::from(lease.event.member == member(2)) + 1;
    assert!(
        setting.record(done).await.is_none(),
        "the done one's is gone"
    );
    assert!(
        setting.record(3 - done).await.is_some(),
        "the pending one's stays"
    );
    assert!(setting.record(3).await.unwrap().is_authorized());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_blocks_its_thread_keeps_its_event() {
    let setting = Setting::new();
    let inbox = setting.inbox.clone();
    let worker = setting
        .worker(move |_: Departure| {
            let inbox = inbox.clone();
            async move {
                // Not asynchronous, and longer than the lease.
                while inbox.extended.load(Ordering::SeqCst) < 5 {
                    std::thread::yield_now();
                }
                Ok(())
            }
        })
        .lease(Duration::from_millis(100))
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    let done = setting.events(EventState::Done).await;
    assert_eq!(done[0].attempts, 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_handler_that_takes_too_long_has_failed() {
    let setting = Setting::new();
    let worker = setting
        .worker(|_: Departure| std::future::pending())
        .handler_timeout(Duration::from_millis(20))
        .max_attempts(1)
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    assert_eq!(setting.events(EventState::DeadLetter).await.len(), 1);
    let note = setting.lines().await.pop().unwrap().note.unwrap();
    assert_eq!(note, "the handler took longer than it may");
    worker.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let setting = Setting::new();
    let begun = Arc::new(Notify::new());
    let begin = begun.clone();
    let worker = setting
        .worker(move |_: Departure| {
            begin.notify_one();
            std::future::pending()
        })
        .stop_timeout(Duration::from_millis(20))
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    begun.notified().await;
    worker.stop().await;
    // Whoever comes next takes it up.
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
}

#[tokio::test]
async fn the_ledger_says_where_only_the_tokens_were_destroyed() {
    let setting = Setting::new();
    let worker = setting.worker(crate::deauth::TokensOnly).spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    worker.stop().await;
    let last = setting.lines().await.pop().unwrap();
    assert_eq!(last.step, Step::Done);
    assert!(last.note.unwrap().contains("no DeauthHandler"));
}

#[tokio::test]
async fn the_ledger_says_no_such_thing_of_a_handler_that_deletes() {
    let setting = Setting::new();
    let (calls, handler) = failing(0);
    let worker = setting.worker(handler).spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    worker.stop().await;
    assert!(calls.lock().unwrap()[0].delete_data);
    let last = setting.lines().await.pop().unwrap();
    assert_eq!((last.step, last.note), (Step::Done, None));
}
