//! When a worker looks for events. Time is tokio's, and moves when nothing else does.

use super::*;
use crate::deauth::{DeauthEvent, Discovery, ErasureRequest};

const SECOND: Duration = Duration::from_secs(1);

/// As another process does that shares the inbox.
async fn told_elsewhere(setting: &Setting, number: usize) {
    let (member, wish) = (member(number), ErasureRequest::Requested);
    let names = setting.deauthorizer.names();
    let event = DeauthEvent {
        id: names.webhook_event_id(&member, at(50), wish),
        member: member.clone(),
        pseudonym: names.pseudonym(&member),
        erasure: wish,
        discovery: Discovery::Webhook,
        left_at: at(50),
        received_at: at(60),
    };
    let _ = setting.inbox.accept(&event).await.unwrap();
}

#[tokio::test]
async fn without_a_handle_it_works_until_it_is_told_to_stop() {
    let setting = Setting::new();
    let _ = setting.report_webhook(1, at(50)).await;
    let called = Arc::new(Notify::new());
    let call = called.clone();
    let handler = move |_: Departure| {
        call.notify_one();
        async { Ok(()) }
    };
    let stop = async move { called.notified().await };
    setting.worker(handler).run_until(stop).await;
    assert_eq!(setting.events(EventState::Done).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_accepted_is_seen_once_it_is_time_to_look() {
    let setting = Setting::new();
    let (calls, handler) = failing(0);
    let worker = setting.worker(handler).poll_interval(600 * SECOND).spawn();
    worker.drain().await;
    told_elsewhere(&setting, 1).await;
    tokio::time::sleep(599 * SECOND).await;
    assert!(calls.lock().unwrap().is_empty(), "it is too early to look");
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(calls.lock().unwrap().len(), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_woken_looks_at_once() {
    let setting = Setting::new();
    let (calls, handler) = failing(0);
    let worker = setting.worker(handler).poll_interval(DAY).spawn();
    worker.drain().await;
    told_elsewhere(&setting, 1).await;
    worker.wake();
    tokio::time::sleep(SECOND).await;
    assert_eq!(calls.lock().unwrap().len(), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_when_it_is_due_however_seldom_one_looks() {
    let setting = Setting::new();
    let (calls, handler) = failing(1);
    let worker = setting.worker(handler).poll_interval(DAY).spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    assert_eq!(calls.lock().unwrap().len(), 1);
    setting.clock.advance(2 * SECOND);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(calls.lock().unwrap().len(), 2);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_was_away_is_asked_soon_and_nothing_is_drained_before() {
    let setting = Setting::new();
    let (calls, handler) = failing(0);
    let _ = setting.report_webhook(1, at(50)).await;
    setting.inbox.set_down(true);
    let worker = setting.worker(handler).poll_interval(DAY).spawn();
    tokio::select! {
        biased;
        () = worker.drain() => panic!("nobody knows what is due"),
        () = tokio::time::sleep(600 * SECOND) => {}
    }
    setting.inbox.set_down(false);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(calls.lock().unwrap().len(), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_came_while_no_place_was_free_gets_the_first_that_is() {
    let setting = Setting::new();
    let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, wait) = (begun.clone(), go.clone());
    let handler = move |_: Departure| {
        count.fetch_add(1, Ordering::SeqCst);
        let wait = wait.clone();
        async move {
            wait.notified().await;
            Ok(())
        }
    };
    let worker = setting.worker(handler).poll_interval(DAY).concurrency(4);
    let _worker = worker.spawn();
    for number in 1..=4 {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(begun.load(Ordering::SeqCst), 4);
    let _ = setting.report_webhook(5, at(50)).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(begun.load(Ordering::SeqCst), 4, "no place is free");
    go.notify_one();
    tokio::time::sleep(SECOND).await;
    assert_eq!(begun.load(Ordering::SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn a_worker_clears_tombstones_away() {
    let setting = Setting::new();
    let worker = setting.worker(failing(0).1).spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    assert!(setting.record(1).await.is_some());
    let more_than_an_hour = 3_660 * SECOND;
    setting.clock.advance(more_than_an_hour);
    tokio::time::sleep(more_than_an_hour).await;
    assert!(setting.record(1).await.is_none());
    worker.stop().await;
}

#[test]
fn a_lease_and_a_pause_last_a_day_at_most() {
    let day = Duration::from_secs(86_400);
    let (_, handler) = failing(0);
    let worker = Setting::new().worker(handler).lease(Duration::MAX);
    let worker = worker.backoff(Duration::MAX, Duration::MAX);
    assert_eq!(worker.lease, day);
    assert_eq!((worker.backoff.first, worker.backoff.longest), (day, day));
    assert!(crate::deauth::MAX_WAIT == 7 * day, "inboxes count on it");
}
