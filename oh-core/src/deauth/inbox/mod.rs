//! What must survive a crash: the [`DeauthInbox`] trait.
//!
//! The webhook answers 2xx once [`DeauthInbox::accept`] has returned, and not before. From then on
//! the event is the inbox's to keep until a worker has settled it. Each change of an event and the
//! ledger line that records it are one commit.
//!
//! An event is *pending* until it is settled as done, a dead letter or stale. A worker takes pending
//! events by lease; when the lease runs out, because its holder died, anyone may take them again.
//!
//! The acceptance suite for whoever writes one is `oh_core::acceptance::deauth_inbox`, behind the
//! `acceptance` feature.

mod checkpoint;
mod ledger;
mod memory;

pub use checkpoint::{CheckpointOutcome, CheckpointQuery, StoredCheckpoint};
pub use ledger::{LedgerLine, Step};
pub use memory::MemoryInbox;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::event::{
    DeauthEvent, Discovery, ErasureRequest, EventId, Pseudonym, UnknownName, named,
};
use crate::transport::BoxError;
use crate::{ProjectMemberId, Timestamp};

/// Why an inbox could not answer. Trying again can help.
#[derive(Debug, thiserror::Error)]
#[error("the deauthorization inbox is not available")]
pub struct InboxError(#[source] BoxError);

impl InboxError {
    /// Wraps what the database said.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self(source.into())
    }
}

/// What became of an event that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Accepted {
    /// It is new, and durably kept.
    New(TokenOutcome),
    /// It was there already; nothing changed.
    Duplicate,
}

/// What an inbox did about the member's tokens in the commit that kept the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOutcome {
    /// It destroyed them and advanced the epoch, leaving a tombstone, and wrote the ledger line
    /// [`Step::TokensDestroyed`]. Only for an inbox that shares a database with the token store.
    Destroyed,
    /// It found the member to have authorized again after the event, whether or not that
    /// authorization has ended since: the event is settled as [`EventState::Stale`], the tokens
    /// are untouched.
    Stale,
    /// Nothing: the tokens live elsewhere. The library sees to them next.
    Untouched,
}

named! {
    /// Where an event stands.
    EventState {
        /// Waiting for its turn, being worked on, or waiting for another try.
        Pending = "pending",
        /// The handler succeeded.
        Done = "done",
        /// The handler failed too often.
        DeadLetter = "dead_letter",
        /// Older than the member's latest authorization; not acted on.
        Stale = "stale",
        /// Not acted on until someone releases it: the member's tokens are untouched.
        Quarantined = "quarantined",
    }
}

/// The right to work on one event, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lease {
    /// The event.
    pub event: EventId,
    /// Random text, up to 32 characters, that only the holder knows.
    pub holder: String,
}

impl Lease {
    /// The right of `holder` to work on `event`.
    pub fn new(event: EventId, holder: impl Into<String>) -> Self {
        Self {
            event,
            holder: holder.into(),
        }
    }
}

/// How far the library has come with the member's tokens for an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenProgress {
    /// They were not seen to yet.
    #[default]
    Untouched,
    /// They were destroyed, and the ledger says so.
    Destroyed,
    /// The event was stale once, and was put back at this time by someone who decided that it is
    /// to be acted on; since then they were not seen to.
    Requeued(Timestamp),
}

/// An event to work on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeasedEvent {
    /// The right to.
    pub lease: Lease,
    /// The event.
    pub event: DeauthEvent,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How far the library has come with the member's tokens.
    pub tokens: TokenProgress,
}

impl LeasedEvent {
    /// An event under a lease, for its attempt number `attempt`, from 1.
    pub fn new(lease: Lease, event: DeauthEvent, attempt: u32, tokens: TokenProgress) -> Self {
        Self {
            lease,
            event,
            attempt,
            tokens,
        }
    }
}

/// Whether the lease still held when something was to be done under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum LeaseOutcome {
    /// It did, and it was done.
    Applied,
    /// It did not: another worker has the event, or it is settled. Nothing was done.
    Lost,
}

/// How work on an event ends. Every inbox must know every end, so a further one would be a breaking
/// change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The handler succeeded. The member's id is removed from the event; the pseudonym stays. So
    /// is it, in the same commit, from the member's stale events, and from those dead letters and
    /// held events with a [`left_at`](DeauthEvent::left_at) not later than this one's: they cannot
    /// be requeued any more, and need not be. Not from those that ask for erasure where this one
    /// does not: it has not made up for them. Writes [`Step::Done`] with the note.
    Done {
        /// What is to be said of it, such as that nobody was there to delete data.
        note: Option<String>,
    },
    /// Another try at `due_at`. Writes [`Step::Failed`] with the note.
    Retry {
        /// When.
        due_at: Timestamp,
        /// Why the last one failed.
        note: String,
    },
    /// No more tries. Writes [`Step::DeadLettered`] with the note.
    DeadLetter {
        /// Why the last one failed.
        note: String,
    },
    /// Not to be acted on. Writes [`Step::Stale`].
    Stale,
}

/// An event and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// Its name.
    pub id: EventId,
    /// Who left; `None` once done, or once an event of the same member is done that makes up for
    /// this one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub member: Option<ProjectMemberId>,
    /// Who left, by pseudonym.
    pub pseudonym: Pseudonym,
    /// What is known of the member's wish.
    pub erasure: ErasureRequest,
    /// How we know.
    pub discovery: Discovery,
    /// When the member left.
    pub left_at: Timestamp,
    /// When the event reached us.
    pub received_at: Timestamp,
    /// Where it stands.
    pub state: EventState,
    /// How often the handler was called.
    pub attempts: u32,
    /// Not to be worked on before.
    pub due_at: Timestamp,
    /// Until when a worker has it, if one does. May have passed: the worker died.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub leased_until: Option<Timestamp>,
    /// When it was done, given up or found stale.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settled_at: Option<Timestamp>,
}

impl EventRecord {
    /// Whether it has yet to be done: no later event has made up for it.
    pub fn is_open(&self) -> bool {
        match self.state {
            EventState::Pending => true,
            EventState::DeadLetter | EventState::Quarantined => self.member.is_some(),
            EventState::Done | EventState::Stale => false,
        }
    }

    /// Whether the event is open although it was received more than [`DEADLINE`](super::ERASURE_DEADLINE) ago.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.is_open() && now.since(self.received_at) > super::ERASURE_DEADLINE
    }

    /// The record of an event that has just been accepted: pending, due at once, not attempted.
    pub fn pending(event: &DeauthEvent) -> Self {
        let mut record = Self::new(
            event.id.clone(),
            event.pseudonym.clone(),
            event.erasure,
            event.discovery,
            event.left_at,
            event.received_at,
        );
        record.member = Some(event.member.clone());
        record
    }

    /// A record with what is always known of an event: its name, who left by pseudonym, the wish,
    /// how the departure was learned of, when the member left, and when that reached us. Pending,
    /// due at once, not attempted.
    pub fn new(
        id: EventId,
        pseudonym: Pseudonym,
        erasure: ErasureRequest,
        discovery: Discovery,
        left_at: Timestamp,
        received_at: Timestamp,
    ) -> Self {
        Self {
            id,
            member: None,
            pseudonym,
            erasure,
            discovery,
            left_at,
            received_at,
            state: EventState::Pending,
            attempts: 0,
            due_at: received_at,
            leased_until: None,
            settled_at: None,
        }
    }
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[must_use]
pub struct EventQuery {
    /// Only those in this state.
    pub state: Option<EventState>,
    /// Only this member's.
    pub pseudonym: Option<Pseudonym>,
    /// Only those received before.
    pub received_before: Option<Timestamp>,
    /// Only those that are being worked on at this time: under a lease that ends later.
    pub leased_at: Option<Timestamp>,
    /// From the newest to the oldest, rather than from the oldest on.
    pub newest_first: bool,
    /// Only those after this one in the order of the list: by time received, then by id.
    pub after: Option<(Timestamp, EventId)>,
    /// How many at most.
    pub limit: usize,
}

impl EventQuery {
    /// The first `limit` events.
    pub fn first(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Only those in this state.
    pub fn state(mut self, state: impl Into<Option<EventState>>) -> Self {
        self.state = state.into();
        self
    }

    /// Only this member's.
    pub fn pseudonym(mut self, pseudonym: impl Into<Option<Pseudonym>>) -> Self {
        self.pseudonym = pseudonym.into();
        self
    }

    /// Only those received before.
    pub fn received_before(mut self, at: impl Into<Option<Timestamp>>) -> Self {
        self.received_before = at.into();
        self
    }

    /// Only those that are being worked on at this time.
    pub fn leased_at(mut self, at: impl Into<Option<Timestamp>>) -> Self {
        self.leased_at = at.into();
        self
    }

    /// From the newest to the oldest.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Only those after this one in the order of the list.
    pub fn after(mut self, place: impl Into<Option<(Timestamp, EventId)>>) -> Self {
        self.after = place.into();
        self
    }
}

/// Which lines of the ledger to list, in the order they were written or from the newest on.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[must_use]
pub struct LedgerQuery {
    /// Only this event's.
    pub event: Option<EventId>,
    /// Only this member's.
    pub member: Option<Pseudonym>,
    /// From the newest to the oldest, rather than from the oldest on.
    pub newest_first: bool,
    /// Only those after the line of this number in the order of the list.
    pub after: Option<i64>,
    /// How many at most.
    pub limit: usize,
}

impl LedgerQuery {
    /// The first `limit` lines.
    pub fn first(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Only this event's.
    pub fn event(mut self, event: impl Into<Option<EventId>>) -> Self {
        self.event = event.into();
        self
    }

    /// Only this member's.
    pub fn member(mut self, member: impl Into<Option<Pseudonym>>) -> Self {
        self.member = member.into();
        self
    }

    /// From the newest to the oldest.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Only those after the line of this number in the order of the list.
    pub fn after(mut self, seq: impl Into<Option<i64>>) -> Self {
        self.after = seq.into();
        self
    }
}

/// How the inbox stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InboxStats {
    /// Events waiting, being worked on, or waiting for another try.
    pub pending: u64,
    /// When the oldest of them was received.
    pub oldest_pending: Option<Timestamp>,
    /// Events done.
    pub done: u64,
    /// Dead letters: the handler failed too often. Not those that a later event has made up for,
    /// whose member's id is gone: nobody need see to them.
    pub dead_letters: u64,
    /// Events found stale.
    pub stale: u64,
    /// Events held until someone releases them. Not those that a later event has made up for.
    pub quarantined: u64,
}

/// No lease or lock lasts longer, and no event waits longer for its next attempt: a week.
pub const MAX_WAIT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Durable storage for deauthorization events, their ledger, and named locks.
///
/// All processes of an application share one inbox. Every method is one atomic, durable commit: after
/// `Ok` the change survives a crash of the process and, where the database guarantees it, of the
/// machine. The caller passes all times.
///
/// Except where a method says more, it fails when the database is unavailable or the commit fails.
#[async_trait]
pub trait DeauthInbox: Send + Sync + 'static {
    /// Stores an event unless one with its id exists, and writes [`Step::Received`].
    ///
    /// # Errors
    ///
    /// When the commit failed. The webhook then responds with an error so that its sender retries.
    async fn accept(&self, event: &DeauthEvent) -> Result<Accepted, InboxError>;

    /// Stores an event as [`EventState::Quarantined`] unless one with its id exists, and leaves the
    /// member's tokens untouched. Writes [`Step::Received`] and [`Step::Quarantined`] with the note.
    ///
    /// # Errors
    ///
    /// When the commit failed.
    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError>;

    /// Makes a quarantined event pending and due now, and writes [`Step::Released`]. Returns false if
    /// there is no such event, or its member id was removed (see [`Completion::Done`]).
    ///
    /// # Errors
    ///
    /// When the commit failed.
    async fn release(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError>;

    /// Leases up to `limit` pending events until `until`, oldest first. An event can be leased if it is
    /// due at `now` and has no unexpired lease. Counts the attempt and writes [`Step::Tried`] for each.
    /// All leases of one call have the same holder.
    ///
    /// Two events of one member are never leased at the same time. Only the member's oldest pending
    /// event (by `received_at`, then id) can be leased, whether or not it is due, and only while no
    /// other event of the member has an unexpired lease. The latter matters when an older event
    /// arrives late or is requeued.
    ///
    /// Clocks of several processes may differ. An event without an attempt is therefore always due.
    /// A due time or lease end more than [`MAX_WAIT`] after `now` was written by a wrong clock, and
    /// counts as past.
    ///
    /// # Errors
    ///
    /// When the database is unavailable.
    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError>;

    /// Moves the end of a lease to `until`.
    ///
    /// # Errors
    ///
    /// When the database is unavailable.
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<LeaseOutcome, InboxError>;

    /// Completes an attempt and ends its lease. An expired lease is still valid as long as no other
    /// worker has leased the event.
    ///
    /// # Errors
    ///
    /// When the commit failed.
    async fn complete(
        &self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<LeaseOutcome, InboxError>;

    /// Records that the member's tokens were destroyed, and writes [`Step::TokensDestroyed`]. Later
    /// leases of the event have [`TokenProgress::Destroyed`]. Does nothing unless the event is pending:
    /// another process may have completed it.
    ///
    /// # Errors
    ///
    /// When the commit failed.
    async fn mark_tokens_destroyed(
        &self,
        event: &DeauthEvent,
        now: Timestamp,
    ) -> Result<(), InboxError>;

    /// Makes a dead letter or a stale event pending and due now, resets its attempts, and writes
    /// [`Step::Requeued`]. Returns false if there is no such event, or its member id was removed (see
    /// [`Completion::Done`]). If the event ever was stale, its leases have
    /// [`TokenProgress::Requeued`] until the tokens are destroyed.
    ///
    /// # Errors
    ///
    /// When the commit failed.
    async fn requeue(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError>;

    /// Counts the events by state.
    ///
    /// # Errors
    ///
    /// When the database is unavailable.
    async fn stats(&self) -> Result<InboxStats, InboxError>;

    /// Lists events ordered by time received, then by id; in reverse with
    /// [`newest_first`](EventQuery::newest_first).
    ///
    /// # Errors
    ///
    /// When the database is unavailable.
    async fn events(&self, query: &EventQuery) -> Result<Vec<EventRecord>, InboxError>;

    /// Lists ledger lines in the order in which they were written. No line ever appears before one that
    /// was listed: a reader that continues after the last number misses nothing.
    ///
    /// # Errors
    ///
    /// When the database is unavailable.
    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError>;

    /// Stores a checkpoint of the ledger permanently, unless one of its size exists.
    ///
    /// # Errors
    ///
    /// When the commit failed.
    async fn store_checkpoint(
        &self,
        checkpoint: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError>;

    /// Lists checkpoints ordered by size.
    ///
    /// # Errors
    ///
    /// When the database is unavailable.
    async fn checkpoints(
        &self,
        query: &CheckpointQuery,
    ) -> Result<Vec<StoredCheckpoint>, InboxError>;

    /// Acquires a named lock until `until`, so that one process at a time does a job, and returns the
    /// lock's note (empty at first). Returns `None` while another holder has the lock. Its holder can
    /// acquire it again to renew it. A lock that ends more than [`MAX_WAIT`] after `now` was acquired
    /// by a wrong clock, and counts as expired.
    ///
    /// # Errors
    ///
    /// When the database is unavailable.
    async fn acquire_lock(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, InboxError>;

    /// Replaces the note of a lock, and moves its end to `until`; a past time releases the lock.
    /// Does nothing unless `holder` was the last to acquire the lock.
    ///
    /// # Errors
    ///
    /// When the commit failed.
    async fn update_lock(
        &self,
        name: &str,
        holder: &str,
        until: Timestamp,
        note: &str,
    ) -> Result<LeaseOutcome, InboxError>;

    /// Returns the note of a lock and whether it is held at `now`, without acquiring it.
    ///
    /// # Errors
    ///
    /// When the database is unavailable.
    async fn lock_state(&self, name: &str, now: Timestamp) -> Result<LockState, InboxError>;
}

/// The state of a named lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockState {
    /// Whether a process holds the lock.
    pub held: bool,
    /// The note that the last holder left; empty if there is none.
    pub note: String,
}

/// A shared inbox is an inbox.
#[async_trait]
impl<I: DeauthInbox + ?Sized> DeauthInbox for Arc<I> {
    async fn accept(&self, event: &DeauthEvent) -> Result<Accepted, InboxError> {
        (**self).accept(event).await
    }

    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError> {
        (**self).quarantine(event, note).await
    }

    async fn release(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        (**self).release(event, now).await
    }

    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError> {
        (**self).lease(now, until, limit).await
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<LeaseOutcome, InboxError> {
        (**self).renew(lease, until).await
    }

    async fn complete(
        &self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<LeaseOutcome, InboxError> {
        (**self).complete(lease, completion, now).await
    }

    async fn mark_tokens_destroyed(
        &self,
        event: &DeauthEvent,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        (**self).mark_tokens_destroyed(event, now).await
    }

    async fn requeue(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        (**self).requeue(event, now).await
    }

    async fn stats(&self) -> Result<InboxStats, InboxError> {
        (**self).stats().await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        (**self).events(query).await
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError> {
        (**self).ledger(query).await
    }

    async fn store_checkpoint(
        &self,
        checkpoint: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError> {
        (**self).store_checkpoint(checkpoint).await
    }

    async fn checkpoints(
        &self,
        query: &CheckpointQuery,
    ) -> Result<Vec<StoredCheckpoint>, InboxError> {
        (**self).checkpoints(query).await
    }

    async fn acquire_lock(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, InboxError> {
        (**self).acquire_lock(name, holder, now, until).await
    }

    async fn update_lock(
        &self,
        name: &str,
        holder: &str,
        until: Timestamp,
        note: &str,
    ) -> Result<LeaseOutcome, InboxError> {
        (**self).update_lock(name, holder, until, note).await
    }

    async fn lock_state(&self, name: &str, now: Timestamp) -> Result<LockState, InboxError> {
        (**self).lock_state(name, now).await
    }
}
