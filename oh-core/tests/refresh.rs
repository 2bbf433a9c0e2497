//! Live tokens against the sandbox: refreshed once, by one, and never against the truth.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use oh_core::deauth::{Discovery, EventQuery};
use oh_core::store::{MemberRecord, MemoryStore, PutOutcome, TokenStore, Tokens, Version};
use oh_core::{Clock, Error, OpenHumans, Timestamp};
use oh_sandbox::{Endpoint, Fault, Sandbox};
use support::*;

struct World {
    sandbox: Sandbox,
    store: Arc<MemoryStore>,
    clock: Clock,
}

impl World {
    /// A member whose access token has expired.
    async fn new() -> Self {
        let sandbox = sandbox().await;
        let issued = sandbox.issue_tokens(ALICE);
        sandbox.expire_tokens(ALICE);
        let store = Arc::new(MemoryStore::new());
        let now = Timestamp::now();
        let tokens = Tokens::new(issued.access_token, issued.refresh_token, now);
        let record = MemberRecord::authorized(alice(), tokens, now);
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
        Self {
            sandbox,
            store,
            clock: Clock::manual(now),
        }
    }

    /// One process of the app.
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

    async fn change(&self, change: impl FnOnce(&mut MemberRecord)) {
        let old = self.record().await;
        let mut new = {
            let mut record = old.clone();
            record.version = Version::fresh();
            record
        };
        change(&mut new);
        assert_eq!(
            self.store.put(&new, Some(old.version)).await.unwrap(),
            PutOutcome::Stored
        );
    }
}

async fn sources(oh: &OpenHumans) -> Vec<Discovery> {
    let query = EventQuery::first(10);
    oh.inbox()
        .events(&query)
        .await
        .unwrap()
        .iter()
        .map(|event| event.discovery)
        .collect()
}

#[tokio::test]
async fn a_thousand_callers_share_one_refresh() {
    let world = World::new().await;
    let oh = world.process();
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
    assert_eq!(world.sandbox.token_requests(), 1);
    let record = world.record().await;
    assert!(record.refresh.is_none() && !record.refresh_unanswered);
}

#[tokio::test]
async fn processes_share_one_refresh_by_lease() {
    let world = World::new().await;
    let (one, two) = (world.process(), world.process());
    let member = alice();
    let (a, b) = tokio::join!(one.access_token(&member), two.access_token(&member));
    assert_eq!(a.unwrap().expose(), b.unwrap().expose());
    assert_eq!(world.sandbox.token_requests(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_cancel_the_refresh() {
    let world = World::new().await;
    let oh = world.process();
    world.sandbox.fault_next(Endpoint::Token, 1, Fault::Hang);
    let caller = tokio::spawn({
        let oh = oh.clone();
        async move { oh.access_token(&alice()).await }
    });
    world.sandbox.wait_for(Endpoint::Token, 1).await;
    caller.abort();
    world.sandbox.release();
    assert!(oh.access_token(&alice()).await.is_ok());
    assert_eq!(world.sandbox.token_requests(), 1);
}

#[tokio::test]
async fn being_asked_to_wait_is_passed_on_and_uses_nothing_up() {
    let world = World::new().await;
    let oh = world.process();
    let throttled = Fault::RateLimited {
        retry_after: Some(7),
    };
    world.sandbox.fault_next(Endpoint::Token, 1, throttled);
    let refused = oh.access_token(&alice()).await;
    let asked = Some(Duration::from_secs(7));
    assert!(
        matches!(refused, Err(Error::RateLimited { retry_after }) if retry_after == asked),
        "{refused:?}"
    );
    let record = world.record().await;
    assert!(record.refresh.is_none() && !record.refresh_unanswered);
    assert!(oh.access_token(&alice()).await.is_ok());
}

#[tokio::test]
async fn invalid_grant_is_not_believed_when_someone_else_was_faster() {
    let world = World::new().await;
    let oh = world.process();
    world.sandbox.fault_next(Endpoint::Token, 1, Fault::Hang);
    let caller = tokio::spawn({
        let oh = oh.clone();
        async move { oh.access_token(&alice()).await }
    });
    world.sandbox.wait_for(Endpoint::Token, 1).await;
    // Meanwhile the member logs in anew, and the pair that is being refreshed is revoked.
    world.sandbox.revoke_tokens(ALICE);
    let mut browser = Browser::default();
    browser.log_in(&oh, &world.sandbox, ALICE).await;
    let fresh = world.record().await.tokens.unwrap();
    world.sandbox.release();
    assert_eq!(
        caller.await.unwrap().unwrap().expose(),
        fresh.access_token.expose()
    );
    assert!(sources(&oh).await.is_empty());
    assert!(oh.member(browser.session).await.unwrap().is_some());
}

#[tokio::test]
async fn a_member_who_left_is_found_by_the_refresh() {
    let world = World::new().await;
    let oh = world.process();
    world.sandbox.delete_account(ALICE);
    assert!(matches!(
        oh.access_token(&alice()).await,
        Err(Error::Deauthorized)
    ));
    assert_eq!(sources(&oh).await, [Discovery::Reconciliation]);
    assert!(!world.record().await.is_authorized());
    // No second question, no second event.
    assert!(matches!(
        oh.access_token(&alice()).await,
        Err(Error::Deauthorized)
    ));
    assert_eq!(world.sandbox.token_requests(), 1);
    assert_eq!(sources(&oh).await.len(), 1);
}

#[tokio::test]
async fn a_pair_that_we_may_have_used_up_says_nothing_of_the_member() {
    let world = World::new().await;
    let oh = world.process();
    // The refresh happened; the answer was lost on the way.
    world
        .sandbox
        .fault_next(Endpoint::Token, 1, Fault::ResetAfter);
    let error = oh.access_token(&alice()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(world.record().await.refresh.is_none());
    // Refused now, and nothing is concluded: another process may hold the pair.
    let error = oh.access_token(&alice()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(sources(&oh).await.is_empty());
    assert!(world.record().await.is_authorized());
}

#[tokio::test]
async fn a_refresh_in_flight_does_not_bring_back_who_has_left() {
    let world = World::new().await;
    let oh = world.process();
    world
        .sandbox
        .fault_next(Endpoint::Token, 1, Fault::HangAfter);
    let caller = tokio::spawn({
        let oh = oh.clone();
        async move { oh.access_token(&alice()).await }
    });
    world.sandbox.wait_for(Endpoint::Token, 1).await;
    let record = world.record().await;
    let _ = oh
        .deauthorizer()
        .report_missing(&record)
        .await
        .unwrap()
        .unwrap();
    world.sandbox.release();
    assert!(matches!(caller.await.unwrap(), Err(Error::Deauthorized)));
    assert!(!world.record().await.is_authorized());
}

#[tokio::test]
async fn a_server_in_trouble_costs_nobody_the_login() {
    let world = World::new().await;
    let oh = world.process();
    for fault in [
        Fault::Html500,
        Fault::RateLimited {
            retry_after: Some(1),
        },
        Fault::Reset,
    ] {
        world.sandbox.fault_next(Endpoint::Token, 1, fault);
        assert!(oh.access_token(&alice()).await.unwrap_err().is_retryable());
        assert!(world.record().await.is_authorized());
    }
    assert!(oh.access_token(&alice()).await.is_ok());
    assert!(!world.record().await.refresh_unanswered);
}

#[tokio::test]
async fn a_refused_token_is_replaced_within_the_call() {
    let world = World::new().await;
    world
        .change(|record| {
            let tokens = record.tokens.as_mut().unwrap();
            tokens.expires_at = record.authorized_at + Duration::from_secs(36_000);
        })
        .await;
    // We think the token is good; Open Humans knows that it has expired.
    let oh = world.process();
    let who = oh.member_client(&alice()).exchange_member().await.unwrap();
    assert_eq!(who.project_member_id, alice());
    assert_eq!(world.sandbox.token_requests(), 1);
}

#[tokio::test]
async fn nobody_is_asked_about_a_stranger() {
    let world = World::new().await;
    let oh = world.process();
    let stranger = "99999999".parse().unwrap();
    assert!(matches!(
        oh.access_token(&stranger).await,
        Err(Error::Deauthorized)
    ));
    assert_eq!(world.sandbox.token_requests(), 0);
}
