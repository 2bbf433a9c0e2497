//! The token refresh against the sandbox.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use oh_core::deauth::{Discovery, EventQuery};
use oh_core::store::{MemberRecord, MemoryStore, PutOutcome, TokenStore, Tokens, Version};
use oh_core::{AccessToken, Clock, Error, OpenHumans, Timestamp};
use oh_sandbox::{Endpoint, Fault, Sandbox};
use support::*;
use tokio::task::JoinHandle;

struct Setup {
    sandbox: Sandbox,
    store: Arc<MemoryStore>,
    clock: Clock,
}

impl Setup {
    /// A member whose access token has expired.
    async fn new() -> Self {
        let sandbox = sandbox().await;
        let issued = sandbox.issue_tokens(ALICE);
        sandbox.expire_tokens(ALICE);
        let store = Arc::new(MemoryStore::new());
        let now = Timestamp::now();
        let tokens = Tokens::new(issued.access_token, issued.refresh_token, now);
        let record = MemberRecord::authorized(alice(), tokens, now);
        let put = store.put(&record, None).await.unwrap();
        assert_eq!(put, PutOutcome::Stored);
        Self {
            sandbox,
            store,
            clock: Clock::manual(now),
        }
    }

    /// One process of the application.
    fn process(&self) -> OpenHumans {
        let store: Arc<dyn TokenStore> = self.store.clone();
        app(&self.sandbox)
            .unencrypted_token_store(store)
            .clock(self.clock.clone())
            .build()
            .unwrap()
    }

    async fn record(&self) -> MemberRecord {
        self.store.load(&alice()).await.unwrap().unwrap()
    }

    /// Starts a refresh whose token request has this fault and waits for it to arrive.
    async fn start_refresh(
        &self,
        oh: &OpenHumans,
        fault: Fault,
    ) -> JoinHandle<Result<AccessToken, Error>> {
        self.sandbox.fault_next(Endpoint::Token, 1, fault);
        let oh = oh.clone();
        let caller = tokio::spawn(async move { oh.access_token(&alice()).await });
        self.sandbox.wait_for(Endpoint::Token, 1).await;
        caller
    }
}

async fn discoveries(oh: &OpenHumans) -> Vec<Discovery> {
    let events = oh.inbox().events(&EventQuery::first(10)).await.unwrap();
    events.iter().map(|event| event.discovery).collect()
}

async fn is_deauthorized(oh: &OpenHumans, member: &str) -> bool {
    let token = oh.access_token(&member.parse().unwrap()).await;
    matches!(token, Err(Error::Deauthorized))
}

#[tokio::test]
async fn refresh_is_shared_by_a_thousand_callers() {
    let setup = Setup::new().await;
    let oh = setup.process();
    let calls = (0..1_000).map(|_| {
        let oh = oh.clone();
        tokio::spawn(async move { oh.access_token(&alice()).await })
    });
    let mut tokens = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        tokens.push(call.await.unwrap().unwrap().expose().to_owned());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_eq!(setup.sandbox.token_requests(), 1);
    let record = setup.record().await;
    assert!(record.refresh.is_none() && !record.refresh_unanswered);
}

#[tokio::test]
async fn refresh_is_shared_by_two_processes() {
    let setup = Setup::new().await;
    let (one, two) = (setup.process(), setup.process());
    let member = alice();
    let (a, b) = tokio::join!(one.access_token(&member), two.access_token(&member));
    assert_eq!(a.unwrap().expose(), b.unwrap().expose());
    assert_eq!(setup.sandbox.token_requests(), 1);
}

#[tokio::test]
async fn refresh_continues_when_caller_is_canceled() {
    let setup = Setup::new().await;
    let oh = setup.process();
    let caller = setup.start_refresh(&oh, Fault::Hang).await;
    caller.abort();
    setup.sandbox.release();
    assert!(oh.access_token(&alice()).await.is_ok());
    assert_eq!(setup.sandbox.token_requests(), 1);
}

#[tokio::test]
async fn refresh_passes_rate_limit_on_and_stays_usable() {
    let setup = Setup::new().await;
    let oh = setup.process();
    let limit = Fault::RateLimited {
        retry_after: Some(7),
    };
    setup.sandbox.fault_next(Endpoint::Token, 1, limit);
    let error = oh.access_token(&alice()).await.unwrap_err();
    let expected = Some(Duration::from_secs(7));
    assert!(
        matches!(error, Error::RateLimited { retry_after } if retry_after == expected),
        "{error:?}"
    );
    let record = setup.record().await;
    assert!(record.refresh.is_none() && !record.refresh_unanswered);
    assert!(oh.access_token(&alice()).await.is_ok());
}

#[tokio::test]
async fn rejection_is_ignored_when_member_has_logged_in_meanwhile() {
    let setup = Setup::new().await;
    let oh = setup.process();
    let caller = setup.start_refresh(&oh, Fault::Hang).await;
    // The login revokes the pair that is being refreshed.
    setup.sandbox.revoke_tokens(ALICE);
    let mut browser = Browser::default();
    browser.log_in(&oh, &setup.sandbox).await;
    let new = setup.record().await.tokens.unwrap().access_token;
    setup.sandbox.release();
    assert_eq!(caller.await.unwrap().unwrap().expose(), new.expose());
    assert!(discoveries(&oh).await.is_empty());
    assert!(browser.is_logged_in(&oh).await);
}

#[tokio::test]
async fn rejection_reports_member_who_left_once() {
    let setup = Setup::new().await;
    let oh = setup.process();
    setup.sandbox.delete_account(ALICE);
    for _ in 0..2 {
        assert!(is_deauthorized(&oh, ALICE).await);
        assert_eq!(discoveries(&oh).await, [Discovery::Reconciliation]);
        assert!(!setup.record().await.is_authorized());
        assert_eq!(setup.sandbox.token_requests(), 1);
    }
}

#[tokio::test]
async fn rejection_is_undecided_when_earlier_response_was_lost() {
    let setup = Setup::new().await;
    let oh = setup.process();
    let lost = Fault::ResetAfter;
    setup.sandbox.fault_next(Endpoint::Token, 1, lost);
    // The first call loses the response, the second is rejected.
    for _ in 0..2 {
        let error = oh.access_token(&alice()).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        let record = setup.record().await;
        assert!(record.refresh.is_none() && record.is_authorized());
    }
    assert!(discoveries(&oh).await.is_empty());
}

#[tokio::test]
async fn refresh_does_not_revive_deauthorized_member() {
    let setup = Setup::new().await;
    let oh = setup.process();
    let caller = setup.start_refresh(&oh, Fault::HangAfter).await;
    deauthorize(&oh, oh.clock().now()).await;
    setup.sandbox.release();
    assert!(matches!(caller.await.unwrap(), Err(Error::Deauthorized)));
    assert!(!setup.record().await.is_authorized());
}

#[tokio::test]
async fn server_errors_deauthorize_nobody() {
    let setup = Setup::new().await;
    let oh = setup.process();
    let limit = Fault::RateLimited {
        retry_after: Some(1),
    };
    for fault in [Fault::Html500, limit, Fault::Reset] {
        setup.sandbox.fault_next(Endpoint::Token, 1, fault);
        assert!(oh.access_token(&alice()).await.unwrap_err().is_retryable());
        assert!(setup.record().await.is_authorized());
    }
    assert!(oh.access_token(&alice()).await.is_ok());
    assert!(!setup.record().await.refresh_unanswered);
}

#[tokio::test]
async fn client_replaces_refused_token_within_the_call() {
    let setup = Setup::new().await;
    let old = setup.record().await;
    let mut record = old.clone();
    record.version = Version::fresh();
    // The application considers the token valid, but Open Humans does not.
    let tokens = record.tokens.as_mut().unwrap();
    tokens.expires_at = record.authorized_at + Duration::from_secs(36_000);
    let put = setup.store.put(&record, Some(old.version)).await.unwrap();
    assert_eq!(put, PutOutcome::Stored);
    let client = setup.process().member_client(&alice());
    let identity = client.exchange_member().await.unwrap();
    assert_eq!(identity.project_member_id, alice());
    assert_eq!(setup.sandbox.token_requests(), 1);
}

#[tokio::test]
async fn access_token_of_unknown_member_sends_no_request() {
    let setup = Setup::new().await;
    assert!(is_deauthorized(&setup.process(), "99999999").await);
    assert_eq!(setup.sandbox.token_requests(), 0);
}
