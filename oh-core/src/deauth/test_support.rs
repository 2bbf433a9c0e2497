//! What tests of this module share: an inbox that can be made to fail or panic, and a small setting.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::store::{MemberRecord, MemoryStore, PutOutcome, TokenStore, Tokens};
use crate::{Clock, DeletionPolicy, KeyMaterial, ProjectMemberId, Timestamp};

mod log;

pub(crate) use log::Log;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_600_000_000_000_000 + seconds * 1_000_000)
}

pub(crate) fn member(number: usize) -> ProjectMemberId {
    format!("{number:08}").parse().unwrap()
}

/// The record of a member who authorized at `authorized_at`.
pub(crate) fn authorized(member: &ProjectMemberId, authorized_at: Timestamp) -> MemberRecord {
    let tokens = Tokens::new(
        format!("token of {member}"),
        "r",
        authorized_at + Duration::from_secs(36_000),
    );
    MemberRecord::authorized(member.clone(), tokens, authorized_at)
}

/// Stores, a deauthorizer over them, and a clock that stands at second 100.
pub(crate) struct Setting {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) inbox: Arc<FaultyInbox>,
    pub(crate) clock: Clock,
    pub(crate) deauthorizer: Deauthorizer,
}

impl Setting {
    pub(crate) fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let inbox = Arc::new(FaultyInbox::default());
        let clock = Clock::manual(at(100));
        let names = Pseudonymizer::new(&KeyMaterial::new("k".repeat(32)));
        let deauthorizer = Deauthorizer::new(store.clone(), inbox.clone(), names, clock.clone());
        Self {
            store,
            inbox,
            clock,
            deauthorizer,
        }
    }

    pub(crate) async fn authorize(&self, number: usize, authorized_at: Timestamp) {
        let record = authorized(&member(number), authorized_at);
        let before = self.store.load(&record.member).await.unwrap();
        let put = self.store.put(&record, before.map(|r| r.version)).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
    }

    pub(crate) async fn report_webhook(&self, number: usize, left_at: Timestamp) -> Accepted {
        self.deauthorizer
            .report_webhook(&member(number), ErasureRequest::Requested, left_at)
            .await
            .unwrap()
    }

    pub(crate) fn worker(&self, handler: impl DeauthHandler) -> Worker {
        Worker::new(
            self.deauthorizer.clone(),
            Arc::new(handler),
            DeletionPolicy::default(),
        )
    }

    pub(crate) async fn record(&self, number: usize) -> Option<MemberRecord> {
        self.store.load(&member(number)).await.unwrap()
    }

    /// The next member about whom the reconciler is asked to look sooner.
    pub(crate) async fn hint(&self) -> ProjectMemberId {
        let hints = self.deauthorizer.hints();
        hints.receiver().await.recv().await.unwrap()
    }

    pub(crate) async fn events(&self, state: EventState) -> Vec<EventRecord> {
        let query = EventQuery {
            state: Some(state),
            limit: 10_000,
            ..EventQuery::default()
        };
        self.inbox.events(&query).await.unwrap()
    }

    pub(crate) async fn lines(&self) -> Vec<LedgerLine> {
        let query = LedgerQuery {
            limit: 10_000,
            ..LedgerQuery::default()
        };
        self.inbox.ledger(&query).await.unwrap()
    }

    pub(crate) async fn steps(&self) -> Vec<Step> {
        self.lines()
            .await
            .into_iter()
            .map(|line| line.step)
            .collect()
    }
}

/// An inbox in memory that is down, or panics, when told to.
#[derive(Default)]
pub(crate) struct FaultyInbox {
    inner: Mutex<Arc<MemoryInbox>>,
    down: AtomicBool,
    panics: AtomicBool,
    /// Says of tokens that they went with the acceptance.
    pub(crate) destroys: AtomicBool,
    /// Told of each call that failed.
    pub(crate) refused: Notify,
    /// How often a lease was prolonged, and told of each time.
    pub(crate) extended: AtomicUsize,
    pub(crate) extending: Notify,
    /// After which line each reading of the ledger began.
    readings: Mutex<Vec<Option<i64>>>,
    /// How often it was asked for checkpoints.
    pub(crate) asked_for_checkpoints: AtomicUsize,
    /// How often a lock was asked for.
    pub(crate) locks_asked: AtomicUsize,
    /// How many events were read from it.
    pub(crate) read: AtomicUsize,
}

impl FaultyInbox {
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn set_panics(&self, panics: bool) {
        self.panics.store(panics, Ordering::SeqCst);
    }

    /// Has what the other has, as if a backup were restored.
    pub(crate) fn restore(&self, backup: &Self) {
        let inner = backup.inner.lock().unwrap().clone();
        *self.inner.lock().unwrap() = inner;
    }

    /// After which line each reading of the ledger began, since this was asked last.
    pub(crate) fn readings(&self) -> Vec<Option<i64>> {
        std::mem::take(&mut self.readings.lock().unwrap())
    }

    fn up(&self) -> Result<Arc<MemoryInbox>, InboxError> {
        if self.down.load(Ordering::SeqCst) {
            self.refused.notify_one();
            return Err(InboxError::new("the database is down"));
        }
        if self.panics.load(Ordering::SeqCst) {
            self.refused.notify_one();
            panic!("a panic in the inbox");
        }
        Ok(self.inner.lock().unwrap().clone())
    }
}

#[async_trait]
impl DeauthInbox for FaultyInbox {
    async fn accept(&self, event: &DeauthEvent) -> Result<Accepted, InboxError> {
        match self.up()?.accept(event).await? {
            Accepted::New(_) if self.destroys.load(Ordering::SeqCst) => {
                Ok(Accepted::New(TokenOutcome::Destroyed))
            }
            accepted => Ok(accepted),
        }
    }

    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError> {
        self.up()?.quarantine(event, note).await
    }

    async fn release(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        self.up()?.release(event, now).await
    }

    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError> {
        self.up()?.lease(now, until, limit).await
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<LeaseOutcome, InboxError> {
        let held = self.up()?.renew(lease, until).await?;
        self.extended.fetch_add(1, Ordering::SeqCst);
        self.extending.notify_one();
        Ok(held)
    }

    async fn complete(
        &self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<LeaseOutcome, InboxError> {
        self.up()?.complete(lease, completion, now).await
    }

    async fn mark_tokens_destroyed(
        &self,
        event: &DeauthEvent,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        self.up()?.mark_tokens_destroyed(event, now).await
    }

    async fn requeue(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        self.up()?.requeue(event, now).await
    }

    async fn stats(&self) -> Result<InboxStats, InboxError> {
        self.up()?.stats().await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let events = self.up()?.events(query).await?;
        self.read.fetch_add(events.len(), Ordering::SeqCst);
        Ok(events)
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError> {
        self.readings.lock().unwrap().push(query.after);
        self.up()?.ledger(query).await
    }

    async fn store_checkpoint(
        &self,
        checkpoint: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError> {
        self.up()?.store_checkpoint(checkpoint).await
    }

    async fn checkpoints(
        &self,
        query: &CheckpointQuery,
    ) -> Result<Vec<StoredCheckpoint>, InboxError> {
        self.asked_for_checkpoints.fetch_add(1, Ordering::SeqCst);
        self.up()?.checkpoints(query).await
    }

    async fn acquire_lock(
        &self,
        job: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, InboxError> {
        self.locks_asked.fetch_add(1, Ordering::SeqCst);
        self.up()?.acquire_lock(job, holder, now, until).await
    }

    async fn update_lock(
        &self,
        job: &str,
        holder: &str,
        until: Timestamp,
        note: &str,
    ) -> Result<LeaseOutcome, InboxError> {
        self.up()?.update_lock(job, holder, until, note).await
    }

    async fn lock_state(&self, job: &str, now: Timestamp) -> Result<LockState, InboxError> {
        self.up()?.lock_state(job, now).await
    }
}
