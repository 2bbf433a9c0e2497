use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::Clock;
use crate::deauth::DeauthInbox;
use crate::deauth::test_support::{FaultyInbox, Setting, at, member};
use crate::store::{MemoryStore, StoreError, TokenStore, Version};

const INSTANT: Duration = Duration::from_micros(1);

async fn left(setting: &Setting, number: usize, left_at: Timestamp) {
    let record = MemberRecord::tombstone(member(number), left_at);
    let put = setting.store.put(&record, None).await;
    assert_eq!(put.unwrap(), PutOutcome::Stored);
}

#[tokio::test]
async fn a_tombstone_goes_once_it_is_older_than_an_hour() {
    let setting = Setting::new();
    setting.clock.set(at(0) + HOUR);
    left(&setting, 1, at(0)).await;
    left(&setting, 2, at(0) - INSTANT).await;
    let removed = sweep(&setting.deauthorizer, "a").await.unwrap();
    assert_eq!(removed, Some(1));
    assert!(setting.record(1).await.is_some());
    assert!(setting.record(2).await.is_none());
}

#[tokio::test]
async fn tombstones_are_looked_for_every_hour() {
    let setting = Setting::new();
    let sweep = async || sweep(&setting.deauthorizer, "a").await.unwrap();
    assert_eq!(sweep().await, Some(0));
    setting.clock.advance(HOUR - INSTANT);
    assert_eq!(sweep().await, None);
    setting.clock.advance(INSTANT);
    assert_eq!(sweep().await, Some(0));
}

/// A store that is so slow that a page of it takes half as long as the lock lasts. Meanwhile
/// another process is at hand.
struct Slow {
    inner: MemoryStore,
    inbox: Arc<FaultyInbox>,
    clock: Clock,
    pages: AtomicUsize,
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
        let taken = self.inbox.acquire_lock(JOB, "other", now, now).await;
        assert!(taken.unwrap().is_none(), "another process begins as well");
        self.inner.page(after, limit).await
    }
}

#[tokio::test]
async fn one_process_looks_at_a_time_however_long_it_takes() {
    let setting = Setting::new();
    let store = Arc::new(Slow {
        inner: MemoryStore::new(),
        inbox: setting.inbox.clone(),
        clock: setting.clock.clone(),
        pages: AtomicUsize::new(0),
    });
    // Two pages, and one that is empty.
    let members = 2 * PAGE;
    for number in 0..members {
        let record = MemberRecord::tombstone(member(number), at(0));
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
    }
    setting.clock.advance(HOUR);
    let deauthorizer = Deauthorizer::new(
        store.clone(),
        setting.inbox.clone(),
        setting.deauthorizer.names().clone(),
        setting.clock.clone(),
    );
    let removed = sweep(&deauthorizer, "a").await.unwrap();
    assert_eq!(removed, Some(members as u64));
    assert_eq!(store.pages.load(Ordering::SeqCst), 3);
}
