use super::*;
use crate::deauth::test_support::{MINUTE, SECOND, Setting, at, member};
use crate::deauth::{ErasureRequest, EventState, Step, TokensOnly};

/// Returns whether an attempt succeeds with a handler that takes `seconds`, and the ledger note.
async fn run_slow_handler(seconds: u32) -> (bool, Option<String>) {
    let setting = Setting::new();
    let handler = move |_: Departure| async move {
        tokio::time::sleep(seconds * SECOND).await;
        Ok(())
    };
    let settings = WorkerSettings {
        handler_timeout: Some(MINUTE),
        max_attempts: 1,
        ..WorkerSettings::default()
    };
    let _ = setting.report_webhook(1, at(50)).await;
    setting.worker(handler, settings).run_until_idle().await;
    let note = setting.lines().await.pop().unwrap().note;
    (setting.events(EventState::Done).await.len() == 1, note)
}

#[tokio::test(start_paused = true)]
async fn attempt_fails_when_handler_exceeds_timeout() {
    assert_eq!(run_slow_handler(59).await, (true, None));
    let note = "the handler exceeded its timeout".to_owned();
    assert_eq!(run_slow_handler(61).await, (false, Some(note)));
}

#[tokio::test]
async fn ledger_notes_erasure_request_without_erasing_handler() {
    let erasing: Arc<dyn DeauthHandler> = Arc::new(|_: Departure| async { Ok(()) });
    let default: Arc<dyn DeauthHandler> = Arc::new(TokensOnly);
    for (handler, erasure, note) in [
        (&erasing, ErasureRequest::Requested, None),
        (&default, ErasureRequest::NotRequested, None),
        (&default, ErasureRequest::Requested, Some(TOKENS_ONLY)),
    ] {
        let setting = Setting::new();
        let member = member(1);
        let reported = setting
            .deauthorizer
            .report_webhook(MINUTE, &member, erasure, at(50));
        let _ = reported.await.unwrap();
        let worker = super::super::Worker::new(
            setting.deauthorizer.clone(),
            handler.clone(),
            DeletionPolicy::default(),
            WorkerSettings::default(),
        );
        worker.run_until_idle().await;
        let last = setting.lines().await.pop().unwrap();
        assert_eq!((last.step, last.note.as_deref()), (Step::Done, note));
    }
}

#[tokio::test(start_paused = true)]
async fn result_is_retried_with_backoff_until_lease_expires() {
    let setting = Setting::new();
    let _ = setting.report_webhook(1, at(50)).await;
    let leased = setting.lease(1).await.remove(0);
    let attempts = Attempts {
        deauthorizer: setting.deauthorizer.clone(),
        handler: Arc::new(TokensOnly),
        policy: DeletionPolicy::default(),
        settings: WorkerSettings::default(),
    };
    let lease = attempts.settings.lease;
    setting.inbox.set_down(true);
    let started = Instant::now();
    let mut completing = tokio::spawn(async move {
        let done = Completion::Done { note: None };
        attempts.complete(&leased, &done).await;
    });
    let mut tries = 0;
    loop {
        tokio::select! {
            biased;
            () = setting.inbox.call_failed.notified() => tries += 1,
            ended = &mut completing => break ended.unwrap(),
        }
    }
    // Delays double from 0.1 s to 5 s, and jitter extends each by up to its own length.
    assert!((11..=18).contains(&tries), "{tries}");
    assert!(started.elapsed() < lease, "{:?}", started.elapsed());
    setting.inbox.set_down(false);
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
}
