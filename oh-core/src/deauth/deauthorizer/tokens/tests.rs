use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;

use super::*;
use crate::deauth::Completion;
use crate::deauth::event::ErasureRequest;
use crate::deauth::test_support::{SECOND, Setting, at, authorized, event, member};
use crate::store::{MemoryStore, TokenStore};

async fn destroy(
    setting: &Setting,
    event: &DeauthEvent,
    progress: TokenProgress,
) -> TokenDestruction {
    let destroyed = setting.deauthorizer.destroy_tokens(event, progress).await;
    destroyed.unwrap()
}

#[tokio::test]
async fn destroy_ignores_older_tombstone_of_authorized_member() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    // Written by a clock that was ahead, before the member authorized again.
    setting
        .change(1, |record| record.deauthorized_at = Some(at(5_000)))
        .await;
    let _ = setting.report_webhook(1, at(50)).await;
    assert!(!setting.is_authorized(1).await);
}

#[tokio::test]
async fn destroy_writes_tombstone_of_unknown_member_and_renews_it() {
    let setting = Setting::new();
    for (left_at, deauthorized_at) in [(at(50), at(100)), (at(60), at(110))] {
        let _ = setting.report_webhook(1, left_at).await;
        let tombstone = setting.record(1).await.unwrap();
        assert!(!tombstone.is_authorized());
        assert_eq!(tombstone.deauthorized_at, Some(deauthorized_at));
        setting.clock.advance(10 * SECOND);
    }
}

#[tokio::test]
async fn destroy_keeps_tombstone_of_later_event() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    let event = &setting.lease(1).await[0].event;
    setting.clock.advance(10 * SECOND);
    let _ = setting.report_webhook(1, at(60)).await;
    let later = setting.record(1).await.unwrap();
    assert_eq!(later.deauthorized_at, Some(at(110)));
    for progress in [TokenProgress::Untouched, TokenProgress::Destroyed] {
        let destroyed = destroy(&setting, event, progress).await;
        assert_eq!(destroyed, TokenDestruction::Complete);
        assert_eq!(setting.record(1).await.unwrap().version, later.version);
    }

    // A tombstone that was removed is not written again.
    let removed = setting.store.remove(&later.member, later.version).await;
    assert_eq!(removed.unwrap(), PutOutcome::Stored);
    let destroyed = destroy(&setting, event, TokenProgress::Destroyed).await;
    assert_eq!(destroyed, TokenDestruction::Complete);
    assert!(setting.record(1).await.is_none());
}

#[tokio::test]
async fn webhook_after_token_loss_proves_departure() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    setting.report_token_loss(1).await;
    assert!(setting.record(1).await.unwrap().has_lost_tokens());
    let event = &setting.lease(1).await[0].event;
    setting.clock.advance(10 * SECOND);
    let _ = setting.report_webhook(1, at(60)).await;
    assert!(!setting.record(1).await.unwrap().has_lost_tokens());
    // The worker processes the older event later.
    let destroyed = destroy(&setting, event, TokenProgress::Destroyed).await;
    assert_eq!(destroyed, TokenDestruction::Complete);
    assert!(!setting.record(1).await.unwrap().has_lost_tokens());
}

#[tokio::test]
async fn event_is_stale_if_member_authorized_after_it() {
    let destroyed = TokenProgress::Destroyed;
    let requeued = TokenProgress::Requeued(at(102));
    let (complete, stale) = (TokenDestruction::Complete, TokenDestruction::Stale);
    for (authorized_at, progress, expected) in [
        (at(50), TokenProgress::Untouched, complete),
        (at(60), TokenProgress::Untouched, stale),
        // The operator who requeued the event knew of these authorizations.
        (at(60), requeued, complete),
        (at(102), requeued, complete),
        (at(103), requeued, stale),
        // Tokens that exist after the event's were destroyed come from a later login.
        (at(40), destroyed, stale),
    ] {
        let setting = Setting::new();
        setting.authorize(1, authorized_at).await;
        let outcome = destroy(&setting, &event(1), progress).await;
        assert_eq!(outcome, expected, "{authorized_at} {progress:?}");
        assert_eq!(setting.is_authorized(1).await, expected == stale);
    }
}

#[tokio::test]
async fn event_stays_stale_after_later_departure() {
    let setting = Setting::new();
    setting.authorize(1, at(60)).await;
    let _ = setting.report_missing(1).await.unwrap();
    let outcome = destroy(&setting, &event(1), TokenProgress::Untouched).await;
    assert_eq!(outcome, TokenDestruction::Stale);
}

#[tokio::test]
async fn requeued_stale_event_destroys_tokens() {
    let setting = Setting::new();
    setting.authorize(1, at(60)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    let leased = setting.lease(1).await.remove(0);
    let outcome = destroy(&setting, &leased.event, leased.tokens).await;
    assert_eq!(outcome, TokenDestruction::Stale);
    setting.complete(&leased, Completion::Stale).await;

    let requeued = setting.deauthorizer.requeue(&leased.event.id).await;
    assert!(requeued.unwrap());
    let leased = setting.lease(1).await.remove(0);
    assert_eq!(leased.tokens, TokenProgress::Requeued(at(100)));
    let outcome = destroy(&setting, &leased.event, leased.tokens).await;
    assert_eq!(outcome, TokenDestruction::Complete);
    assert!(!setting.is_authorized(1).await);
}

/// The inbox has destroyed the tokens in a shared database.
#[tokio::test]
async fn token_loss_mark_changes_record_version() {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    let record = setting.record(1).await.unwrap();
    let event = setting.deauthorizer.pseudonymizer().local_event(
        &record,
        ErasureRequest::Unknown,
        Discovery::TokenLoss,
        at(100),
    );
    setting
        .change(1, |record| *record = record.deauthorized(at(100)))
        .await;
    let before = setting.record(1).await.unwrap();
    let destroyed = destroy(&setting, &event, TokenProgress::Destroyed).await;
    assert_eq!(destroyed, TokenDestruction::Complete);
    assert!(setting.record(1).await.unwrap().has_lost_tokens());
    let overwrite = MemberRecord {
        version: Version::fresh(),
        ..before.clone()
    };
    let put = setting.store.put(&overwrite, Some(before.version)).await;
    assert_eq!(put.unwrap(), PutOutcome::Conflict);
}

/// A store in which another process wins the race for every other write.
struct Contended {
    inner: Arc<MemoryStore>,
    puts: AtomicUsize,
}

#[async_trait]
impl TokenStore for Contended {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        self.inner.load(member).await
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        let loses = self.puts.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        if let Some(stored) = self.inner.load(&record.member).await?
            && loses
        {
            let winner = MemberRecord {
                version: Version::fresh(),
                ..stored.clone()
            };
            let put = self.inner.put(&winner, Some(stored.version)).await?;
            assert_eq!(put, PutOutcome::Stored);
        }
        self.inner.put(record, expected).await
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        self.inner.remove(member, expected).await
    }

    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        self.inner.page(after, limit).await
    }
}

#[tokio::test]
async fn destroy_retries_after_concurrent_writes() {
    let setting = Setting::with_store(|inner, _, _| {
        Arc::new(Contended {
            inner: inner.clone(),
            puts: AtomicUsize::new(0),
        })
    });
    let put = setting.store.put(&authorized(1, at(0)), None).await;
    assert_eq!(put.unwrap(), PutOutcome::Stored);
    setting.report_token_loss(1).await;
    let record = setting.store.load(&member(1)).await.unwrap().unwrap();
    assert!(!record.is_authorized());
    assert!(record.has_lost_tokens());
}
