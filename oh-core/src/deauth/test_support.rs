//! Shared by the tests of this module: a deauthorizer over stores in memory that can fail.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::store::{MemberRecord, MemoryStore, PutOutcome, TokenStore, Tokens, Version};
use crate::{Clock, DeletionPolicy, KeyMaterial, ProjectMemberId, Timestamp};

mod log;

pub(crate) use log::Log;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_600_000_000_000_000 + seconds * 1_000_000)
}

pub(crate) fn member(number: usize) -> ProjectMemberId {
    format!("{number:08}").parse().unwrap()
}

pub(crate) fn pseudonymizer() -> Pseudonymizer {
    Pseudonymizer::new(&KeyMaterial::new("k".repeat(32)))
}

/// A webhook that requests erasure, sent at second 50 and received at second 60.
pub(crate) fn event(number: usize) -> DeauthEvent {
    pseudonymizer().webhook_event(&member(number), ErasureRequest::Requested, at(50), at(60))
}

/// The record of a member who authorized at `authorized_at`.
pub(crate) fn authorized(number: usize, authorized_at: Timestamp) -> MemberRecord {
    let member = member(number);
    let access_token = format!("token of {member}");
    let tokens = Tokens::new(access_token, "r", authorized_at + 10 * HOUR);
    MemberRecord::authorized(member, tokens, authorized_at)
}

/// Changes a stored record.
pub(crate) async fn change(
    store: &dyn TokenStore,
    number: usize,
    change: impl FnOnce(&mut MemberRecord),
) {
    let mut record = store.load(&member(number)).await.unwrap().unwrap();
    let expected = record.version;
    change(&mut record);
    record.version = Version::fresh();
    let put = store.put(&record, Some(expected)).await;
    assert_eq!(put.unwrap(), PutOutcome::Stored);
}

/// Stores in memory, a deauthorizer over them, and a clock that stands at second 100.
pub(crate) struct Setting {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) inbox: Arc<FaultyInbox>,
    pub(crate) clock: Clock,
    pub(crate) deauthorizer: Deauthorizer,
    /// The members whose sessions were ended.
    pub(crate) ended: Arc<Mutex<Vec<ProjectMemberId>>>,
}

impl Setting {
    pub(crate) fn new() -> Self {
        Self::with_store(|store, _, _| store.clone())
    }

    /// Uses a store that wraps the one in memory.
    pub(crate) fn with_store<S: TokenStore>(
        wrap: impl FnOnce(&Arc<MemoryStore>, &Arc<FaultyInbox>, &Clock) -> Arc<S>,
    ) -> Self {
        let store = Arc::new(MemoryStore::new());
        let inbox = Arc::new(FaultyInbox::default());
        let clock = Clock::manual(at(100));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let on_deauthorized = ended.clone();
        let deauthorizer = Deauthorizer::new(
            Context {
                store: wrap(&store, &inbox, &clock),
                inbox: inbox.clone(),
                pseudonymizer: pseudonymizer(),
                clock: clock.clone(),
            },
            CircuitBreaker::default(),
            Arc::new(MemberList::new(None, clock.clone())),
            Box::new(move |member| on_deauthorized.lock().unwrap().push(member.clone())),
        );
        Self {
            store,
            inbox,
            clock,
            deauthorizer,
            ended,
        }
    }

    pub(crate) async fn authorize(&self, number: usize, authorized_at: Timestamp) {
        let mut record = authorized(number, authorized_at);
        let before = self.store.load(&record.member).await.unwrap();
        if let Some(before) = &before {
            record.epoch = before.epoch;
        }
        let put = self.store.put(&record, before.map(|r| r.version)).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
    }

    pub(crate) async fn record(&self, number: usize) -> Option<MemberRecord> {
        self.store.load(&member(number)).await.unwrap()
    }

    pub(crate) async fn is_authorized(&self, number: usize) -> bool {
        self.record(number).await.unwrap().is_authorized()
    }

    pub(crate) async fn change(&self, number: usize, how: impl FnOnce(&mut MemberRecord)) {
        change(&*self.store, number, how).await;
    }

    pub(crate) async fn report_webhook(&self, number: usize, left_at: Timestamp) -> Accepted {
        self.deauthorizer
            .report_webhook(MINUTE, &member(number), ErasureRequest::Requested, left_at)
            .await
            .unwrap()
    }

    pub(crate) async fn report_missing(&self, number: usize) -> Option<Accepted> {
        let record = self.record(number).await.unwrap();
        self.deauthorizer.report_missing(&record).await.unwrap()
    }

    pub(crate) async fn report_token_loss(&self, number: usize) {
        let record = self.record(number).await.unwrap();
        let reported = self.deauthorizer.report_token_loss(&record).await;
        assert!(reported.unwrap().is_some());
    }

    /// Leases up to `limit` events for a minute.
    pub(crate) async fn lease(&self, limit: usize) -> Vec<LeasedEvent> {
        let now = self.clock.now();
        self.inbox.lease(now, now + MINUTE, limit).await.unwrap()
    }

    pub(crate) async fn complete(&self, leased: &LeasedEvent, completion: Completion) {
        let now = self.clock.now();
        let completed = self.inbox.complete(&leased.lease, &completion, now).await;
        assert_eq!(completed.unwrap(), LeaseOutcome::Applied);
    }

    pub(crate) fn worker(&self, handler: impl DeauthHandler, settings: WorkerSettings) -> Worker {
        Worker::new(
            self.deauthorizer.clone(),
            Arc::new(handler),
            DeletionPolicy::default(),
            settings,
        )
    }

    /// Runs a worker until no event is due.
    pub(crate) async fn run_worker(&self, handler: impl DeauthHandler) {
        let worker = self.worker(handler, WorkerSettings::default());
        worker.run_until_idle().await;
    }

    /// Returns the next member about whom Open Humans is to be asked soon.
    pub(crate) async fn next_inquiry(&self) -> ProjectMemberId {
        self.deauthorizer.inquiries().pop().await.unwrap()
    }

    pub(crate) async fn events(&self, state: EventState) -> Vec<EventRecord> {
        let query = EventQuery::first(10_000).state(state);
        self.inbox.events(&query).await.unwrap()
    }

    pub(crate) async fn lines(&self) -> Vec<LedgerLine> {
        self.inbox
            .ledger(&LedgerQuery::first(10_000))
            .await
            .unwrap()
    }

    pub(crate) async fn steps(&self) -> Vec<Step> {
        self.lines()
            .await
            .into_iter()
            .map(|line| line.step)
            .collect()
    }
}

/// An inbox in memory that fails or panics on demand, and counts some calls.
#[derive(Default)]
pub(crate) struct FaultyInbox {
    inner: Mutex<Arc<MemoryInbox>>,
    down: AtomicBool,
    panics: AtomicBool,
    /// Reports tokens as destroyed by the acceptance.
    pub(crate) destroys: AtomicBool,
    /// Notified of each failed call.
    pub(crate) call_failed: Notify,
    /// The number of renewed leases.
    pub(crate) renewals: AtomicUsize,
    pub(crate) lease_renewed: Notify,
    /// The line after which each page of the ledger began.
    ledger_reads: Mutex<Vec<Option<i64>>>,
    pub(crate) checkpoint_reads: AtomicUsize,
    /// The number of events that were read.
    pub(crate) read: AtomicUsize,
    pub(crate) lock_acquisitions: AtomicUsize,
}

impl FaultyInbox {
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn set_panics(&self, panics: bool) {
        self.panics.store(panics, Ordering::SeqCst);
    }

    /// Replaces the content with that of another inbox, as if a backup were restored.
    #[cfg(feature = "checkpoints")]
    pub(crate) fn restore(&self, backup: &Self) {
        let inner = backup.inner.lock().unwrap().clone();
        *self.inner.lock().unwrap() = inner;
    }

    /// Returns the lines after which pages of the ledger began since the last call.
    pub(crate) fn ledger_reads(&self) -> Vec<Option<i64>> {
        std::mem::take(&mut self.ledger_reads.lock().unwrap())
    }

    fn inner(&self) -> Result<Arc<MemoryInbox>, InboxError> {
        if self.down.load(Ordering::SeqCst) {
            self.call_failed.notify_one();
            return Err(InboxError::new("the database is down"));
        }
        if self.panics.load(Ordering::SeqCst) {
            self.call_failed.notify_one();
            panic!("a panic in the inbox");
        }
        Ok(self.inner.lock().unwrap().clone())
    }
}

#[async_trait]
impl DeauthInbox for FaultyInbox {
    async fn accept(&self, event: &DeauthEvent) -> Result<Accepted, InboxError> {
        match self.inner()?.accept(event).await? {
            Accepted::New(_) if self.destroys.load(Ordering::SeqCst) => {
                Ok(Accepted::New(TokenOutcome::Destroyed))
            }
            accepted => Ok(accepted),
        }
    }

    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError> {
        self.inner()?.quarantine(event, note).await
    }

    async fn release(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        self.inner()?.release(event, now).await
    }

    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError> {
        self.inner()?.lease(now, until, limit).await
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<LeaseOutcome, InboxError> {
        let renewed = self.inner()?.renew(lease, until).await?;
        self.renewals.fetch_add(1, Ordering::SeqCst);
        self.lease_renewed.notify_one();
        Ok(renewed)
    }

    async fn complete(
        &self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<LeaseOutcome, InboxError> {
        self.inner()?.complete(lease, completion, now).await
    }

    async fn mark_tokens_destroyed(
        &self,
        event: &DeauthEvent,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        self.inner()?.mark_tokens_destroyed(event, now).await
    }

    async fn requeue(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        self.inner()?.requeue(event, now).await
    }

    async fn stats(&self) -> Result<InboxStats, InboxError> {
        self.inner()?.stats().await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let events = self.inner()?.events(query).await?;
        self.read.fetch_add(events.len(), Ordering::SeqCst);
        Ok(events)
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError> {
        self.ledger_reads.lock().unwrap().push(query.after);
        self.inner()?.ledger(query).await
    }

    async fn store_checkpoint(
        &self,
        checkpoint: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError> {
        self.inner()?.store_checkpoint(checkpoint).await
    }

    async fn checkpoints(
        &self,
        query: &CheckpointQuery,
    ) -> Result<Vec<StoredCheckpoint>, InboxError> {
        self.checkpoint_reads.fetch_add(1, Ordering::SeqCst);
        self.inner()?.checkpoints(query).await
    }

    async fn acquire_lock(
        &self,
        job: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, InboxError> {
        self.lock_acquisitions.fetch_add(1, Ordering::SeqCst);
        self.inner()?.acquire_lock(job, holder, now, until).await
    }

    async fn update_lock(
        &self,
        job: &str,
        holder: &str,
        until: Timestamp,
        note: &str,
    ) -> Result<LeaseOutcome, InboxError> {
        self.inner()?.update_lock(job, holder, until, note).await
    }

    async fn lock_state(&self, job: &str, now: Timestamp) -> Result<LockState, InboxError> {
        self.inner()?.lock_state(job, now).await
    }
}
