use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::deauth::test_support::{DAY, FaultyInbox, HOUR, SECOND, Setting, at, event, member};
use crate::deauth::{DeauthInbox, Departure, EventState, MAX_WAIT, Step, TokensOnly};
use crate::store::TokenStore;

/// A handler that records its calls and fails the first `failures` times.
#[derive(Clone, Default)]
struct Recorder {
    calls: Arc<Mutex<Vec<Departure>>>,
    failures: usize,
}

impl Recorder {
    fn failing(failures: usize) -> Self {
        Self {
            failures,
            ..Self::default()
        }
    }

    fn attempts(&self) -> Vec<u32> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|departure| departure.attempt).collect()
    }
}

#[async_trait::async_trait]
impl DeauthHandler for Recorder {
    async fn deauthorized(&self, departure: &Departure) -> Result<(), crate::transport::BoxError> {
        let mut calls = self.calls.lock().unwrap();
        calls.push(departure.clone());
        match calls.len() <= self.failures {
            true => Err(format!("cannot delete {}", departure.event.member).into()),
            false => Ok(()),
        }
    }
}

/// A handler that signals when it starts and waits until it may finish.
#[derive(Clone, Default)]
struct Gate {
    started: Arc<Notify>,
    starts: Arc<AtomicUsize>,
    finish: Arc<Notify>,
    /// Notified when a running handler ends or is cancelled.
    ended: Arc<Notify>,
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Gate {
    fn starts(&self) -> usize {
        self.starts.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl DeauthHandler for Gate {
    async fn deauthorized(&self, _: &Departure) -> Result<(), crate::transport::BoxError> {
        let _ended = NotifyOnDrop(self.ended.clone());
        self.starts.fetch_add(1, Ordering::SeqCst);
        self.started.notify_one();
        self.finish.notified().await;
        Ok(())
    }
}

fn polling_daily() -> WorkerSettings {
    WorkerSettings {
        poll_interval: DAY,
        ..WorkerSettings::default()
    }
}

#[tokio::test]
async fn worker_retries_failed_event_when_due() {
    let setting = Setting::new();
    let handler = Recorder::failing(2);
    setting.authorize(1, at(0)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    for attempts in 1..=3 {
        for _ in 0..2 {
            setting.run_worker(handler.clone()).await;
            assert_eq!(handler.attempts().len(), attempts);
        }
        setting.clock.advance(5 * SECOND);
    }
    assert_eq!(handler.attempts(), [1, 2, 3]);
    assert!(handler.calls.lock().unwrap()[0].delete_data);
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
}

#[tokio::test]
async fn worker_dead_letters_event_after_last_attempt() {
    let setting = Setting::new();
    let handler = Recorder::failing(3);
    let _ = setting.report_webhook(1, at(50)).await;
    let settings = WorkerSettings {
        max_attempts: 3,
        ..WorkerSettings::default()
    };
    for _ in 0..5 {
        let worker = setting.worker(handler.clone(), settings.clone());
        worker.run_until_idle().await;
        setting.clock.advance(HOUR);
    }
    assert_eq!(handler.attempts(), [1, 2, 3]);
    let dead_letters = setting.events(EventState::DeadLetter).await;
    assert_eq!(dead_letters.len(), 1);
    let requeued = setting.deauthorizer.requeue(&dead_letters[0].id).await;
    assert!(requeued.unwrap());
    setting.run_worker(handler.clone()).await;
    assert_eq!(handler.attempts(), [1, 2, 3, 1]);
    assert_eq!(setting.events(EventState::Done).await.len(), 1);
}

#[tokio::test]
async fn worker_dead_letters_event_whose_attempts_all_ended_with_their_process() {
    let setting = Setting::new();
    let _ = setting.report_webhook(1, at(50)).await;
    for _ in 0..3 {
        let now = setting.clock.now();
        assert_eq!(setting.inbox.lease(now, now, 1).await.unwrap().len(), 1);
    }
    let handler = Recorder::default();
    let settings = WorkerSettings {
        max_attempts: 3,
        ..WorkerSettings::default()
    };
    let worker = setting.worker(handler.clone(), settings);
    worker.run_until_idle().await;
    assert!(handler.attempts().is_empty());
    assert_eq!(setting.events(EventState::DeadLetter).await.len(), 1);
}

#[tokio::test]
async fn worker_records_panic_as_failed_attempt() {
    let setting = Setting::new();
    let _ = setting.report_webhook(1, at(50)).await;
    let handler = |departure: Departure| async move { panic!("no {}", departure.event.member) };
    setting.run_worker(handler).await;
    let last = setting.lines().await.pop().unwrap();
    assert_eq!(last.step, Step::Failed);
    let note = last.note.unwrap();
    assert!(note.starts_with("the handler panicked: no "), "{note}");
    assert!(!note.contains(member(1).as_str()), "{note}");
}

/// The process that stored the event died before it destroyed the tokens.
#[tokio::test]
async fn worker_destroys_tokens_before_it_calls_handler() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    let _ = setting.inbox.accept(&event(1)).await.unwrap();
    let store = setting.store.clone();
    let handler = move |departure: Departure| {
        let store = store.clone();
        async move {
            let record = store.load(&departure.event.member).await?;
            match record {
                Some(record) if !record.is_authorized() => Ok(()),
                _ => Err("the tokens still exist".into()),
            }
        }
    };
    setting.run_worker(handler).await;
    assert_eq!(
        setting.steps().await,
        [
            Step::Received,
            Step::Tried,
            Step::TokensDestroyed,
            Step::Done
        ]
    );
}

#[tokio::test]
async fn worker_skips_event_of_member_who_authorized_again() {
    let setting = Setting::new();
    let handler = Recorder::default();
    setting.authorize(1, at(60)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    setting.run_worker(handler.clone()).await;
    assert!(handler.attempts().is_empty());
    assert!(setting.is_authorized(1).await);
    assert_eq!(setting.events(EventState::Stale).await.len(), 1);
    assert_eq!(setting.next_inquiry().await, member(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_limits_concurrency_and_orders_events_of_a_member() {
    let setting = Setting::new();
    for number in 0..300 {
        let left_at = at(i64::try_from(number).unwrap());
        let _ = setting.report_webhook(number % 100, left_at).await;
        setting.clock.advance(Duration::from_micros(1));
    }
    let running = Arc::new(AtomicUsize::new(0));
    let max_running = Arc::new(AtomicUsize::new(0));
    let last_of = Arc::new(Mutex::new(HashMap::new()));
    let highest = max_running.clone();
    let handler = move |departure: Departure| {
        let (running, highest, last_of) = (running.clone(), highest.clone(), last_of.clone());
        async move {
            let now_running = running.fetch_add(1, Ordering::SeqCst) + 1;
            highest.fetch_max(now_running, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let event = departure.event;
            let mut last_of = last_of.lock().unwrap();
            let before = last_of.insert(event.member, event.received_at);
            assert!(before.is_none_or(|before| before < event.received_at));
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    };
    let settings = WorkerSettings {
        concurrency: 5,
        ..WorkerSettings::default()
    };
    setting.worker(handler, settings).run_until_idle().await;
    assert_eq!(setting.inbox.stats().await.unwrap().done, 300);
    assert!(max_running.load(Ordering::SeqCst) <= 5);
}

/// One handler is asynchronous. The other blocks its thread.
#[tokio::test(flavor = "multi_thread")]
async fn worker_renews_lease_while_handler_runs() {
    for blocks in [false, true] {
        let setting = Setting::new();
        let inbox = setting.inbox.clone();
        let handler = move |_: Departure| {
            let inbox = inbox.clone();
            async move {
                while inbox.renewals.load(Ordering::SeqCst) < 5 {
                    match blocks {
                        true => std::thread::yield_now(),
                        false => inbox.lease_renewed.notified().await,
                    }
                }
                Ok(())
            }
        };
        let settings = WorkerSettings {
            lease: Duration::from_millis(100),
            ..WorkerSettings::default()
        };
        let _ = setting.report_webhook(1, at(50)).await;
        setting.worker(handler, settings).run_until_idle().await;
        assert_eq!(setting.events(EventState::Done).await[0].attempts, 1);
    }
}

#[tokio::test]
async fn worker_cancels_handler_when_lease_is_lost() {
    let setting = Setting::new();
    let gate = Gate::default();
    let settings = WorkerSettings {
        lease: Duration::from_millis(300),
        ..WorkerSettings::default()
    };
    let worker = setting.worker(gate.clone(), settings).spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    gate.started.notified().await;
    setting.clock.advance(SECOND);
    assert_eq!(setting.lease(1).await[0].attempt, 2);
    gate.ended.notified().await;
    worker.stop().await;
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
}

#[tokio::test]
async fn worker_continues_after_another_worker_died() {
    let setting = Setting::new();
    let gate = Gate::default();
    let worker = setting.worker(gate.clone(), polling_daily()).spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    gate.started.notified().await;
    drop(worker);

    let handler = Recorder::default();
    setting.run_worker(handler.clone()).await;
    assert!(handler.attempts().is_empty(), "the lease has not expired");
    setting.clock.advance(61 * SECOND);
    setting.run_worker(handler.clone()).await;
    assert_eq!(handler.attempts(), [2]);
    assert_eq!(setting.events(EventState::Done).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn worker_survives_failures_and_panics_of_inbox() {
    for set_faulty in [FaultyInbox::set_down, FaultyInbox::set_panics] {
        let setting = Setting::new();
        let handler = Recorder::default();
        let _ = setting.report_webhook(1, at(50)).await;
        set_faulty(&setting.inbox, true);
        let worker = setting.worker(handler.clone(), polling_daily());
        let mut idle = std::pin::pin!(worker.run_until_idle());
        tokio::select! {
            biased;
            () = &mut idle => panic!("it is unknown whether events are due"),
            () = tokio::time::sleep(600 * SECOND) => {}
        }
        set_faulty(&setting.inbox, false);
        let recovered = tokio::time::timeout(10 * SECOND, idle).await;
        assert!(recovered.is_ok(), "the backoff exceeds its limit");
        assert_eq!(handler.attempts(), [1]);
    }
}

#[tokio::test]
async fn worker_records_success_after_inbox_recovers() {
    let setting = Setting::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let (count, inbox) = (calls.clone(), setting.inbox.clone());
    let handler = move |_: Departure| {
        count.fetch_add(1, Ordering::SeqCst);
        inbox.set_down(true);
        async { Ok(()) }
    };
    let _ = setting.report_webhook(1, at(50)).await;
    let recovery = async {
        for _ in 0..2 {
            setting.inbox.call_failed.notified().await;
        }
        setting.inbox.set_down(false);
    };
    tokio::join!(setting.run_worker(handler), recovery);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(setting.events(EventState::Done).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stop_finishes_running_handlers_and_starts_no_others() {
    let setting = Setting::new();
    let gate = Gate::default();
    let settings = WorkerSettings {
        concurrency: 1,
        ..WorkerSettings::default()
    };
    let worker = setting.worker(gate.clone(), settings).spawn();
    for number in [1, 2] {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    gate.started.notified().await;
    let stopped = tokio::spawn(worker.stop());
    tokio::task::yield_now().await;
    gate.finish.notify_one();
    stopped.await.unwrap();
    let stats = setting.inbox.stats().await.unwrap();
    assert_eq!((stats.done, stats.pending), (1, 1));
    assert_eq!(gate.starts(), 1);
}

#[tokio::test(start_paused = true)]
async fn stop_cancels_handlers_after_timeout() {
    let setting = Setting::new();
    let gate = Gate::default();
    let worker = setting.worker(gate.clone(), polling_daily()).spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    gate.started.notified().await;
    let started = Instant::now();
    worker.stop().await;
    assert_eq!(started.elapsed(), WorkerSettings::default().stop_timeout);
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn worker_polls_for_events_of_other_processes() {
    let setting = Setting::new();
    let handler = Recorder::default();
    let settings = WorkerSettings {
        poll_interval: 600 * SECOND,
        ..WorkerSettings::default()
    };
    let worker = setting.worker(handler.clone(), settings).spawn();
    tokio::time::sleep(SECOND).await;
    let _ = setting.inbox.accept(&event(1)).await.unwrap();
    for (seconds, attempts) in [(598, 0), (2, 1)] {
        tokio::time::sleep(seconds * SECOND).await;
        assert_eq!(handler.attempts().len(), attempts);
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn worker_starts_waiting_event_when_a_handler_ends() {
    let setting = Setting::new();
    let gate = Gate::default();
    let settings = WorkerSettings {
        concurrency: 4,
        ..polling_daily()
    };
    let _worker = setting.worker(gate.clone(), settings).spawn();
    for number in 1..=4 {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    tokio::time::sleep(SECOND).await;
    let _ = setting.report_webhook(5, at(50)).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(gate.starts(), 4);
    gate.finish.notify_one();
    tokio::time::sleep(SECOND).await;
    assert_eq!(gate.starts(), 5);
}

#[tokio::test(start_paused = true)]
async fn worker_removes_tombstones_every_hour() {
    let setting = Setting::new();
    let worker = setting
        .worker(TokensOnly, WorkerSettings::default())
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    tokio::time::sleep(SECOND).await;
    assert!(setting.record(1).await.is_some());
    setting.clock.advance(HOUR + 60 * SECOND);
    tokio::time::sleep(HOUR + 60 * SECOND).await;
    assert!(setting.record(1).await.is_none());
    worker.stop().await;
}

#[test]
fn worker_settings_are_limited() {
    let settings = WorkerSettings {
        concurrency: 0,
        lease: Duration::MAX,
        poll_interval: Duration::ZERO,
        max_attempts: 0,
        min_backoff: Duration::MAX,
        max_backoff: Duration::MAX,
        ..WorkerSettings::default()
    };
    let expected = WorkerSettings {
        concurrency: 1,
        lease: DAY,
        poll_interval: Duration::from_millis(10),
        max_attempts: 1,
        min_backoff: DAY,
        max_backoff: DAY,
        ..WorkerSettings::default()
    };
    assert_eq!(settings.clamped(), expected);
    let short = WorkerSettings {
        lease: Duration::ZERO,
        ..WorkerSettings::default()
    };
    assert_eq!(short.clamped().lease, Duration::from_millis(100));
    // Inboxes treat longer waits as errors of a wrong clock. Jitter doubles a backoff at most.
    assert!(2 * DAY < MAX_WAIT);
}
