//! Events that look older than an authorization.

use super::*;

#[tokio::test]
async fn a_stale_event_less_than_an_hour_too_old_is_put_back_if_the_member_is_gone() {
    let (put_back, new) = (Accepted::Duplicate, Accepted::New(TokenOutcome::Untouched));
    for (seconds, expected) in [(3_599, put_back), (3_600, new), (7_200, new)] {
        let setting = Setting::with(&authorized(at(0))).await;
        let _ = setting.report_webhook(at(-seconds)).await;
        let leased = setting.inbox.lease(at(100), at(160), 1).await.unwrap();
        let stale = Completion::Stale;
        let settled = setting.inbox.complete(&leased[0].lease, &stale, at(101));
        assert_eq!(settled.await.unwrap(), LeaseOutcome::Applied);
        let record = setting.record().await.unwrap();
        let found = setting.deauthorizer.report_missing(&record).await.unwrap();
        assert_eq!(found, Some(expected), "{seconds}");
    }
}

#[tokio::test]
async fn a_stale_event_less_than_an_hour_old_has_the_member_asked_about() {
    for (seconds, first) in [(3_599, 1), (3_600, 2)] {
        let setting = test_support::Setting::new();
        setting.authorize(1, at(100)).await;
        let _ = setting.report_webhook(1, at(100 - seconds)).await;
        let worker = setting.worker(crate::deauth::TokensOnly).spawn();
        worker.drain().await;
        worker.stop().await;
        assert_eq!(setting.events(EventState::Stale).await.len(), 1);
        // Our own doubts come before what anyone may say.
        assert!(setting.deauthorizer.hint(&test_support::member(2)));
        let hint = setting.hint().await;
        assert_eq!(hint, test_support::member(first), "{seconds}");
    }
}

#[tokio::test]
async fn an_authorization_of_the_moment_an_event_was_put_back_was_known_of() {
    let setting = Setting::with(&authorized(at(102))).await;
    let _ = setting.report_webhook(at(50)).await;
    assert!(setting.record().await.unwrap().is_authorized());
    let leased = setting.inbox.lease(at(100), at(160), 1).await.unwrap();
    let put_back = TokenProgress::Requeued(at(102));
    let ready = setting.deauthorizer.ready(&leased[0].event, put_back);
    assert_eq!(ready.await.unwrap(), Ready::Yes);
    assert!(!setting.record().await.unwrap().is_authorized());
}
