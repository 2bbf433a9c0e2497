use super::*;
use crate::deauth::event::ErasureRequest;
use crate::deauth::inbox::{EventState, InboxError, TokenOutcome};
use crate::deauth::test_support::{DAY, HOUR, MINUTE, SECOND, Setting, at, member};

async fn report(
    setting: &Setting,
    number: usize,
    timeout: Duration,
) -> Result<Accepted, InboxError> {
    let member = member(number);
    let erasure = ErasureRequest::Requested;
    let deauthorizer = &setting.deauthorizer;
    deauthorizer
        .report_webhook(timeout, &member, erasure, at(50))
        .await
}

#[tokio::test(start_paused = true)]
async fn webhook_is_retried_within_timeout() {
    let setting = Setting::new();
    setting.inbox.set_down(true);
    let recovery = async {
        setting.inbox.call_failed.notified().await;
        setting.inbox.set_down(false);
    };
    let (accepted, ()) = tokio::join!(report(&setting, 1, 8 * SECOND), recovery);
    assert_eq!(accepted.unwrap(), Accepted::New(TokenOutcome::Untouched));
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn event_is_stored_after_outage_of_hours() {
    let setting = Setting::new();
    setting.inbox.set_down(true);
    let started = Instant::now();
    assert!(report(&setting, 1, 8 * SECOND).await.is_err());
    assert!(started.elapsed() <= 8 * SECOND, "{:?}", started.elapsed());
    tokio::time::sleep(3 * HOUR).await;
    setting.inbox.set_down(false);
    tokio::time::sleep(3 * MINUTE).await;
    let events = setting.events(EventState::Pending).await;
    assert_eq!(events[0].erasure, ErasureRequest::Requested);
    let repeated = report(&setting, 1, 8 * SECOND).await;
    assert_eq!(repeated.unwrap(), Accepted::Duplicate);
}

#[tokio::test(start_paused = true)]
async fn pending_accepts_are_limited_in_number_and_age() {
    let setting = Setting::new();
    let fail = async |number| {
        let reported = report(&setting, number, Duration::from_millis(1)).await;
        assert!(reported.is_err());
    };
    setting.inbox.set_down(true);
    for number in 0..1_001 {
        fail(number).await;
    }
    tokio::time::sleep(HOUR).await;
    setting.inbox.set_down(false);
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(setting.events(EventState::Pending).await.len(), 1_000);

    setting.inbox.set_down(true);
    fail(2_000).await;
    tokio::time::sleep(DAY + 5 * MINUTE).await;
    setting.inbox.set_down(false);
    tokio::time::sleep(DAY).await;
    assert_eq!(setting.events(EventState::Pending).await.len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn flush_retries_all_events_immediately() {
    let setting = Setting::new();
    setting.inbox.set_down(true);
    for number in 1..=3 {
        assert!(report(&setting, number, SECOND).await.is_err());
    }
    tokio::time::sleep(HOUR).await;
    setting.inbox.set_down(false);
    setting.deauthorizer.flush_pending_accepts(SECOND).await;
    assert_eq!(setting.events(EventState::Pending).await.len(), 3);
}
