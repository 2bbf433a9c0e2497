use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::deauth::test_support::{Setting, at, member};
use crate::deauth::{DeauthInbox, ErasureRequest, EventState, Step, TokensOnly};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_when_due_however_seldom_the_worker_looks() {
    let setting = Setting::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let handler = move |_: Departure| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            match first {
                true => Err("not yet".into()),
                false => Ok(()),
            }
        }
    };
    let worker = setting
        .worker(handler)
        .backoff(5 * SECOND, 5 * SECOND)
        .poll_interval(24 * 3_600 * SECOND)
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    for _ in 0..60 {
        tokio::time::sleep(SECOND).await;
        setting.clock.advance(SECOND);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_as_long_as_it_is_given() {
    let setting = Setting::new();
    let handler = |_: Departure| async {
        tokio::time::sleep(59 * SECOND).await;
        Ok(())
    };
    let worker = setting
        .worker(handler)
        .handler_timeout(60 * SECOND)
        .max_attempts(1)
        .spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    assert_eq!(setting.events(EventState::Done).await.len(), 1);
    worker.stop().await;
}

/// What the ledger says of an event that is done.
async fn note_of_done(handler: impl DeauthHandler, erasure: ErasureRequest) -> Option<String> {
    let setting = Setting::new();
    let _ = setting
        .deauthorizer
        .report_webhook(&member(1), erasure, at(50))
        .await
        .unwrap();
    let worker = setting.worker(handler).spawn();
    worker.drain().await;
    worker.stop().await;
    let last = setting.lines().await.pop().unwrap();
    assert_eq!(last.step, Step::Done);
    last.note
}

#[tokio::test]
async fn nothing_is_missing_where_the_handler_erases_or_nothing_was_to_be_erased() {
    let erasing = |_: Departure| async { Ok(()) };
    assert_eq!(note_of_done(erasing, ErasureRequest::Requested).await, None);
    assert_eq!(
        note_of_done(TokensOnly, ErasureRequest::NotRequested).await,
        None
    );
    let missing = note_of_done(TokensOnly, ErasureRequest::Requested).await;
    assert_eq!(missing.as_deref(), Some(TOKENS_ONLY));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_kept_is_tried_ever_less_often_while_the_lease_lasts() {
    let setting = Setting::new();
    let _ = setting.report_webhook(1, at(50)).await;
    let lease = 60 * SECOND;
    let now = setting.clock.now();
    let leased = setting.inbox.lease(now, now + lease, 1).await.unwrap();
    let attempts = Attempts {
        deauthorizer: setting.deauthorizer.clone(),
        handler: Arc::new(TokensOnly),
        policy: DeletionPolicy::default(),
        lease,
        max_attempts: 1,
        backoff: TROUBLE,
        handler_timeout: None,
    };
    setting.inbox.set_down(true);
    let began = Instant::now();
    let mut settling = tokio::spawn(async move {
        let done = Completion::Done { note: None };
        attempts.settle(&leased[0], &done).await;
    });
    let mut tries = 0;
    loop {
        tokio::select! {
            biased;
            () = setting.inbox.refused.notified() => tries += 1,
            ended = &mut settling => break ended.unwrap(),
        }
    }
    // From a tenth of a second to five, each a quarter more or less.
    assert!((15..=23).contains(&tries), "{tries}");
    assert!(began.elapsed() < lease, "{:?}", began.elapsed());
    setting.inbox.set_down(false);
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
}
