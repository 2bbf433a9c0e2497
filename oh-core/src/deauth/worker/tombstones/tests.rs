use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::Clock;
use crate::deauth::test_support::{FaultyInbox, SECOND, Setting, at, member};
use crate::deauth::{Completion, DeauthInbox};
use crate::store::{MemoryStore, StoreError, TokenStore, Version};

const MICROSECOND: Duration = Duration::from_micros(1);

async fn run_once(setting: &Setting) -> Option<u64> {
    let lock = JobLock::new(&setting.deauthorizer, JOB, LOCK_TTL);
    remove_old(&setting.deauthorizer, &lock).await.unwrap()
}

#[tokio::test]
async fn tombstone_is_removed_after_an_hour() {
    let setting = Setting::new();
    setting.clock.set(at(0) + MAX_AGE);
    for (number, left_at) in [(1, at(0)), (2, at(0) - MICROSECOND)] {
        let record = MemberRecord::tombstone(member(number), left_at);
        let put = setting.store.put(&record, None).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
    }
    assert_eq!(run_once(&setting).await, Some(1));
    assert!(setting.record(1).await.is_some());
    assert!(setting.record(2).await.is_none());
}

#[tokio::test]
async fn tombstones_are_removed_by_one_process_every_hour() {
    let setting = Setting::new();
    for (advance, removed) in [
        (Duration::ZERO, Some(0)),
        (INTERVAL - MICROSECOND, None),
        (MICROSECOND, Some(0)),
    ] {
        setting.clock.advance(advance);
        assert_eq!(run_once(&setting).await, removed);
    }
}

#[tokio::test]
async fn tombstone_is_kept_while_event_is_pending_or_tokens_are_lost() {
    let setting = Setting::new();
    let done = || Completion::Done { note: None };
    for number in 1..=4 {
        setting.authorize(number, at(0)).await;
    }
    let _ = setting.report_webhook(1, at(50)).await;
    setting.complete(&setting.lease(1).await[0], done()).await;
    setting.report_token_loss(2).await;
    setting.complete(&setting.lease(1).await[0], done()).await;
    let _ = setting.report_webhook(3, at(50)).await;

    setting.clock.advance(MAX_AGE + SECOND);
    assert_eq!(run_once(&setting).await, Some(1));
    assert!(setting.record(1).await.is_none());
    assert!(setting.record(2).await.unwrap().has_lost_tokens());
    assert!(setting.record(3).await.is_some());
    assert!(setting.is_authorized(4).await);
}

/// A store whose pages take half of the lock's lifetime, while another process tries to acquire the
/// lock.
struct Slow {
    inner: Arc<MemoryStore>,
    inbox: Arc<FaultyInbox>,
    clock: Clock,
    pages: Arc<AtomicUsize>,
}

#[async_trait]
impl TokenStore for Slow {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        self.inner.load(member).await
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
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
        self.pages.fetch_add(1, Ordering::SeqCst);
        self.clock.advance(LOCK_TTL / 2);
        let now = self.clock.now();
        let acquired = self.inbox.acquire_lock(JOB, "other", now, now).await;
        assert!(acquired.unwrap().is_none(), "another process starts too");
        self.inner.page(after, limit).await
    }
}

#[tokio::test]
async fn lock_is_renewed_with_every_page() {
    let pages = Arc::new(AtomicUsize::new(0));
    let setting = Setting::with_store(|inner, inbox, clock| {
        Arc::new(Slow {
            inner: inner.clone(),
            inbox: inbox.clone(),
            clock: clock.clone(),
            pages: pages.clone(),
        })
    });
    // Two full pages and an empty one.
    let members = 2 * PAGE_SIZE;
    for number in 0..members {
        let record = MemberRecord::tombstone(member(number), at(0));
        let put = setting.store.put(&record, None).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
    }
    setting.clock.advance(MAX_AGE);
    assert_eq!(run_once(&setting).await, Some(members as u64));
    assert_eq!(pages.load(Ordering::SeqCst), 3);
}
