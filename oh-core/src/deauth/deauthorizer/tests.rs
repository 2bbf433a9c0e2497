use super::*;
use crate::deauth::test_support::{DAY, MINUTE, SECOND, Setting, at, event, member};
use crate::deauth::{Step, WorkerSettings};
use crate::store::PutOutcome;

#[tokio::test]
async fn accept_destroys_tokens_and_ends_sessions() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    let epoch = setting.record(1).await.unwrap().epoch;
    let accepted = setting.report_webhook(1, at(50)).await;
    assert_eq!(accepted, Accepted::New(TokenOutcome::Untouched));
    let record = setting.record(1).await.unwrap();
    assert!(!record.is_authorized());
    assert!(record.epoch > epoch);
    assert_eq!(record.deauthorized_at, Some(at(100)));
    assert_eq!(*setting.ended.lock().unwrap(), [member(1)]);
    let steps = [Step::Received, Step::TokensDestroyed];
    assert_eq!(setting.steps().await, steps);

    let repeated = setting.report_webhook(1, at(50)).await;
    assert_eq!(repeated, Accepted::Duplicate);
    assert_eq!(setting.steps().await, steps);
}

#[tokio::test]
async fn accept_ends_sessions_after_inbox_destroyed_tokens() {
    let setting = Setting::new();
    setting.inbox.destroys.store(true, Ordering::SeqCst);
    // The record as the inbox leaves it in a shared database.
    setting.authorize(1, at(0)).await;
    setting
        .change(1, |record| *record = record.deauthorized(at(100)))
        .await;
    let accepted = setting.report_webhook(1, at(50)).await;
    assert_eq!(accepted, Accepted::New(TokenOutcome::Destroyed));
    assert_eq!(setting.steps().await, [Step::Received]);
    assert_eq!(*setting.ended.lock().unwrap(), [member(1)]);
    // The process whose worker handles the event ends its own sessions.
    let event = &setting.lease(1).await[0].event;
    let destroyed = setting
        .deauthorizer
        .destroy_tokens(event, TokenProgress::Destroyed);
    assert_eq!(destroyed.await.unwrap(), TokenDestruction::Complete);
    assert_eq!(setting.ended.lock().unwrap().len(), 2);
}

/// The inbox was constructed as if it shared its database with the token store.
#[tokio::test]
async fn accept_destroys_tokens_that_inbox_only_claims_to_have_destroyed() {
    let setting = Setting::new();
    setting.inbox.destroys.store(true, Ordering::SeqCst);
    for number in [1, 2] {
        setting.authorize(number, at(0)).await;
        let _ = setting.report_webhook(number, at(50)).await;
        assert!(!setting.is_authorized(number).await);
    }
    for leased in setting.lease(2).await {
        let destroyed = setting
            .deauthorizer
            .destroy_tokens(&leased.event, leased.tokens);
        assert_eq!(destroyed.await.unwrap(), TokenDestruction::Complete);
    }
}

#[tokio::test]
async fn accept_quarantines_webhook_that_is_more_than_three_days_old() {
    for (excess, state) in [(0, EventState::Pending), (1, EventState::Quarantined)] {
        let setting = Setting::new();
        setting.authorize(1, at(-10 * 24 * 3_600)).await;
        let left_at = at(100) - 3 * DAY - Duration::from_micros(excess);
        let _ = setting.report_webhook(1, left_at).await;
        let events = setting.events(state).await;
        assert_eq!(events.len(), 1, "{state}");
        assert_eq!(events[0].erasure, ErasureRequest::Requested);
        let quarantined = state == EventState::Quarantined;
        assert_eq!(setting.is_authorized(1).await, quarantined);
        let released = setting.deauthorizer.release(&events[0].id).await;
        assert_eq!(released.unwrap(), quarantined);
    }
}

/// A token store that is down.
struct Down;

#[async_trait::async_trait]
impl TokenStore for Down {
    async fn load(&self, _: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn put(
        &self,
        _: &MemberRecord,
        _: Option<crate::store::Version>,
    ) -> Result<PutOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn remove(
        &self,
        _: &ProjectMemberId,
        _: crate::store::Version,
    ) -> Result<PutOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn page(
        &self,
        _: Option<&ProjectMemberId>,
        _: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        Err(StoreError::unavailable("down"))
    }
}

#[tokio::test]
async fn accept_succeeds_while_token_store_is_down() {
    let setting = Setting::with_store(|_, _, _| Arc::new(Down));
    let accepted = setting.report_webhook(1, at(50)).await;
    assert!(matches!(accepted, Accepted::New(_)));
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
    assert_eq!(setting.steps().await, [Step::Received]);
}

#[tokio::test]
async fn accept_keeps_tokens_of_later_authorization() {
    let setting = Setting::new();
    setting.authorize(1, at(60)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    assert!(setting.is_authorized(1).await);
    assert_eq!(setting.steps().await, [Step::Received]);
}

#[tokio::test]
async fn release_all_releases_every_page() {
    let setting = Setting::new();
    for number in 0..501 {
        let _ = setting.report_webhook(number, at(-4 * 24 * 3_600)).await;
    }
    assert_eq!(setting.events(EventState::Quarantined).await.len(), 501);
    assert_eq!(setting.deauthorizer.release_all().await.unwrap(), 501);
    assert!(setting.events(EventState::Quarantined).await.is_empty());
}

#[tokio::test]
async fn stale_event_queues_inquiry_only_within_clock_tolerance() {
    for (seconds, first) in [(3_599, 1), (3_600, 2)] {
        let setting = Setting::new();
        setting.authorize(1, at(100)).await;
        let _ = setting.report_webhook(1, at(100 - seconds)).await;
        setting.run_worker(crate::deauth::TokensOnly).await;
        assert_eq!(setting.events(EventState::Stale).await.len(), 1);
        // A member with a stale event precedes a member from an unsigned notification.
        assert!(setting.deauthorizer.report_unsigned(&member(2)));
        assert_eq!(setting.next_inquiry().await, member(first), "{seconds}");
    }
}

/// Returns the events that the handler processed for a member with a stored erasure request and
/// another event, and the number of requests that are still quarantined.
async fn processed_after(report: impl AsyncFnOnce(&Setting)) -> (Vec<Discovery>, u64) {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    let record = setting.record(1).await.unwrap();
    erasure_requests::store(&setting.deauthorizer, &record)
        .await
        .unwrap();
    report(&setting).await;
    let processed = Arc::new(std::sync::Mutex::new(Vec::new()));
    let recorded = processed.clone();
    let handler = move |departure: crate::deauth::Departure| {
        recorded.lock().unwrap().push(departure.event.discovery);
        async { Ok(()) }
    };
    setting.run_worker(handler).await;
    let processed = processed.lock().unwrap().clone();
    (processed, setting.inbox.stats().await.unwrap().quarantined)
}

#[tokio::test]
async fn erasure_request_is_released_only_by_proof_of_departure() {
    let after_loss = processed_after(async |setting| setting.report_token_loss(1).await).await;
    assert_eq!(after_loss, (vec![Discovery::TokenLoss], 1));
    // The webhook itself requests erasure, which supersedes the stored request.
    let after_webhook = processed_after(async |setting| {
        let _ = setting.report_webhook(1, at(100)).await;
    });
    assert_eq!(after_webhook.await, (vec![Discovery::Webhook], 0));
    let after_plain_webhook = processed_after(async |setting| {
        let erasure = ErasureRequest::NotRequested;
        let member = member(1);
        let reported = setting
            .deauthorizer
            .report_webhook(MINUTE, &member, erasure, at(100));
        let _ = reported.await.unwrap();
    });
    let both = vec![Discovery::Webhook, Discovery::Disconnected];
    assert_eq!(after_plain_webhook.await, (both, 0));
}

#[tokio::test(start_paused = true)]
async fn accepted_event_wakes_worker() {
    let setting = Setting::new();
    let settings = WorkerSettings {
        poll_interval: DAY,
        ..WorkerSettings::default()
    };
    let worker = setting.worker(crate::deauth::TokensOnly, settings).spawn();
    tokio::time::sleep(SECOND).await;
    // Another process that shares the inbox wakes nobody here.
    let _ = setting.inbox.accept(&event(2)).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert!(setting.events(EventState::Done).await.is_empty());
    let _ = setting.report_webhook(1, at(50)).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(setting.events(EventState::Done).await.len(), 2);
    worker.stop().await;
}
