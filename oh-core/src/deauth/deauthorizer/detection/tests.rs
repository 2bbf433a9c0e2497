use std::collections::HashSet;

use futures_util::FutureExt;

use super::*;
use crate::Clock;
use crate::deauth::inbox::{Accepted, Completion, DeauthInbox, Step, TokenOutcome};
use crate::deauth::test_support::{HOUR, Log, SECOND, Setting, at, member, pseudonymizer};
use crate::deauth::{Deauthorizer, MemoryInbox};
use crate::store::MemoryStore;

const NEW: Option<Accepted> = Some(Accepted::New(TokenOutcome::Untouched));

#[tokio::test]
async fn missing_member_is_reported_once_for_each_authorization() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    let observed = setting.record(1).await.unwrap();
    assert_eq!(setting.report_missing(1).await, NEW);
    // A concurrent observation of the same record is outdated.
    let repeated = setting.deauthorizer.report_missing(&observed).await;
    assert_eq!(repeated.unwrap(), None);
    setting.authorize(1, at(200)).await;
    assert_eq!(setting.report_missing(1).await, NEW);
}

/// The time of authorization comes from the clock of Open Humans, which may be ahead.
#[tokio::test]
async fn missing_member_who_authorized_in_the_future_is_deauthorized() {
    for authorized_at in [at(500), at(5_000)] {
        let setting = Setting::new();
        setting.authorize(1, authorized_at).await;
        assert_eq!(setting.report_missing(1).await, NEW);
        assert!(!setting.is_authorized(1).await);
    }
}

#[tokio::test]
async fn observation_is_void_after_tokens_were_refreshed() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    let observed = setting.record(1).await.unwrap();
    let refresh = |record: &mut MemberRecord| {
        record.tokens.as_mut().unwrap().access_token = "refreshed".into();
    };
    setting.change(1, refresh).await;
    let reported = setting.deauthorizer.report_missing(&observed).await;
    assert_eq!(reported.unwrap(), None);
    assert!(setting.is_authorized(1).await);
}

#[tokio::test]
async fn observation_is_void_after_lost_tokens_were_resolved() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    setting.report_token_loss(1).await;
    let observed = setting.record(1).await.unwrap();
    assert!(observed.has_lost_tokens());
    setting
        .change(1, |record| record.refresh_unanswered = false)
        .await;
    let reported = setting.deauthorizer.report_missing(&observed).await;
    assert_eq!(reported.unwrap(), None);
}

#[tokio::test]
async fn stale_event_is_requeued_if_member_is_missing_within_clock_tolerance() {
    for (seconds, expected) in [
        (3_599, Some(Accepted::Duplicate)),
        (3_600, NEW),
        (7_200, NEW),
    ] {
        let setting = Setting::new();
        setting.authorize(1, at(0)).await;
        let _ = setting.report_webhook(1, at(-seconds)).await;
        let leased = setting.lease(1).await;
        setting.complete(&leased[0], Completion::Stale).await;
        assert_eq!(setting.report_missing(1).await, expected, "{seconds}");
    }
}

#[tokio::test]
async fn listed_member_is_reported_as_token_loss() {
    for (listed, discovery) in [
        (Some(member(1)), Discovery::TokenLoss),
        (None, Discovery::Reconciliation),
    ] {
        let store = Arc::new(MemoryStore::new());
        let inbox = Arc::new(MemoryInbox::new());
        let clock = Clock::manual(at(100));
        let members = HashSet::from_iter(listed);
        let read = move || {
            let members = members.clone();
            async { Ok(members) }.boxed()
        };
        let member_list = MemberList::with_reader(Some(Box::new(read)), clock.clone());
        let context = Context {
            store: store.clone(),
            inbox: inbox.clone(),
            pseudonymizer: pseudonymizer(),
            clock,
        };
        let deauthorizer = Deauthorizer::new(
            context,
            CircuitBreaker::default(),
            Arc::new(member_list),
            Box::new(|_| {}),
        );
        let record = crate::deauth::test_support::authorized(1, at(0));
        let _ = crate::store::TokenStore::put(&*store, &record, None)
            .await
            .unwrap();
        let _ = deauthorizer.report_missing(&record).await.unwrap();
        let events = inbox.events(&EventQuery::first(10)).await.unwrap();
        assert_eq!(events[0].discovery, discovery);
    }
}

/// Reports all of `count` members as missing. Returns how many keep their tokens.
async fn all_missing(setting: &Setting, count: usize) -> usize {
    for number in 0..count {
        setting.authorize(number, at(0)).await;
    }
    let mut kept = 0;
    for number in 0..count {
        let reported = setting.report_missing(number).await;
        assert!(matches!(reported, Some(Accepted::New(_))));
        kept += usize::from(setting.is_authorized(number).await);
    }
    kept
}

#[tokio::test]
async fn mass_deauthorization_is_quarantined_until_released() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let setting = Setting::new();
    // A tenth is accepted.
    assert_eq!(all_missing(&setting, 200).await, 180);
    assert_eq!(setting.events(EventState::Quarantined).await.len(), 180);
    assert_eq!(setting.events(EventState::Pending).await.len(), 20);
    assert_eq!(log.errors(), 1);
    // Signed webhooks are accepted nevertheless.
    let _ = setting.report_webhook(199, at(60)).await;
    assert!(!setting.is_authorized(199).await);

    assert_eq!(setting.deauthorizer.release_all().await.unwrap(), 180);
    assert!(setting.events(EventState::Quarantined).await.is_empty());
    let last = setting.lines().await.pop().unwrap();
    assert_eq!(last.step, Step::Released);
}

#[tokio::test]
async fn few_deauthorizations_are_accepted_whatever_the_share() {
    let setting = Setting::new();
    assert_eq!(all_missing(&setting, 10).await, 0);
    assert!(setting.events(EventState::Quarantined).await.is_empty());
}

#[tokio::test]
async fn deauthorizations_over_several_hours_are_accepted() {
    let setting = Setting::new();
    for number in 0..30 {
        setting.authorize(number, at(0)).await;
    }
    for number in 0..30 {
        let _ = setting.report_missing(number).await;
        assert!(!setting.is_authorized(number).await);
        setting.clock.advance(HOUR / 3);
    }
}

#[tokio::test]
async fn breaker_closes_when_last_event_is_released() {
    let setting = Setting::new();
    assert_eq!(all_missing(&setting, 30).await, 20);
    setting.clock.advance(SECOND);
    for event in setting.events(EventState::Quarantined).await {
        assert!(setting.deauthorizer.release(&event.id).await.unwrap());
    }
    setting.authorize(500, at(0)).await;
    let _ = setting.report_missing(500).await;
    assert!(!setting.is_authorized(500).await);
}
