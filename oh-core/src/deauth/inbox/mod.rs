//! Durable storage of deauthorization events: the [`DeauthInbox`] trait.
//!
//! The webhook responds with 2xx after [`DeauthInbox::accept`] returned, and not before. From then on the
//! inbox keeps the event until a worker completes it. Each change of an event and the ledger line about
//! it are one commit.
//!
//! An event is *pending* until it is done, a dead letter or stale. Workers lease pending events. When a
//! lease expires, for example because the worker crashed, another worker can lease the event.
//!
//! Test your inbox with the acceptance suite `oh_test::acceptance::deauth_inbox`.

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

/// An error of an inbox. A retry can help.
#[derive(Debug, thiserror::Error)]
#[error("the deauthorization inbox is unavailable")]
pub struct InboxError(#[source] BoxError);

impl InboxError {
    /// Wraps the error of the database.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self(source.into())
    }
}

/// The outcome of accepting an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Accepted {
    /// The event is new and stored durably.
    New(TokenOutcome),
    /// An event with this id exists. Nothing changed.
    Duplicate,
}

/// What an inbox did with the member's tokens in the commit that stored the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOutcome {
    /// It destroyed the tokens, advanced the epoch, and wrote [`Step::TokensDestroyed`]. Only an inbox
    /// that shares a database with the token store can do so.
    Destroyed,
    /// The member authorized the project again after the departure, whether or not that authorization
    /// has ended since. The event is [`EventState::Stale`], and the tokens are unchanged.
    Stale,
    /// Nothing: the tokens are in another store, where the library destroys them next.
    Untouched,
}

named! {
    /// The state of an event.
    EventState {
        /// Waits for a worker or for the next attempt, or is leased.
        Pending = "pending",
        /// The handler succeeded.
        Done = "done",
        /// The last attempt failed. An operator must act.
        DeadLetter = "dead_letter",
        /// Older than the member's latest authorization. The handler is not called.
        Stale = "stale",
        /// Waits until an operator releases it. The member's tokens are untouched.
        Quarantined = "quarantined",
    }
}

/// A time-limited lease on one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The event.
    pub event: EventId,
    /// Up to 32 random characters that identify the holder.
    pub holder: String,
}

/// The state of the member's tokens with respect to an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenProgress {
    /// The library has not destroyed them for this event.
    #[default]
    Untouched,
    /// The library destroyed them, and the ledger contains the step.
    Destroyed,
    /// The event was stale, and an operator requeued it at this time. The library has not destroyed the
    /// tokens since.
    Requeued(Timestamp),
}

/// A leased event.
#[derive(Clone, Debug)]
pub struct LeasedEvent {
    /// The lease.
    pub lease: Lease,
    /// The event.
    pub event: DeauthEvent,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// The state of the member's tokens.
    pub tokens: TokenProgress,
}

/// Whether an operation under a lease or lock was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum LeaseOutcome {
    /// The lease was valid, and the operation was applied.
    Applied,
    /// The lease was lost: another worker leased the event, or the event is completed. Nothing changed.
    Lost,
}

/// How an attempt ends. Every inbox must implement every variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The handler succeeded. Writes [`Step::Done`] with the note, and removes the member id from the event;
    /// the pseudonym remains.
    ///
    /// In the same commit the member id is removed from the member's events that this one supersedes, so
    /// that they cannot be requeued: all stale events, and dead letters and quarantined events with a
    /// [`left_at`](DeauthEvent::left_at) that is not later. An event with an erasure request is superseded
    /// only by an event with an erasure request.
    Done {
        /// A remark, for example that the application has no handler.
        note: Option<String>,
    },
    /// The attempt failed, and another attempt is due at `due_at`. Writes [`Step::Failed`] with the note.
    Retry {
        /// When the next attempt is due.
        due_at: Timestamp,
        /// Why the attempt failed.
        note: String,
    },
    /// The last attempt failed. Writes [`Step::DeadLettered`] with the note.
    DeadLetter {
        /// Why the attempt failed.
        note: String,
    },
    /// The event is older than the member's latest authorization. Writes [`Step::Stale`].
    Stale,
}

/// An event and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// The event id.
    pub id: EventId,
    /// The member; `None` once this event, or one that supersedes it, is done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub member: Option<ProjectMemberId>,
    /// The member's pseudonym.
    pub pseudonym: Pseudonym,
    /// Whether the member requested erasure.
    pub erasure: ErasureRequest,
    /// How the departure was discovered.
    pub discovery: Discovery,
    /// When the member left.
    pub left_at: Timestamp,
    /// When the event was received.
    pub received_at: Timestamp,
    /// The state.
    pub state: EventState,
    /// The number of attempts.
    pub attempts: u32,
    /// When the next attempt is due.
    pub due_at: Timestamp,
    /// When the lease of a worker expires, if there is one. A past time means that the worker crashed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub leased_until: Option<Timestamp>,
    /// When the event became done, a dead letter or stale.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settled_at: Option<Timestamp>,
}

impl EventRecord {
    /// Whether the event must still be done: it is not done, stale or superseded.
    pub fn is_open(&self) -> bool {
        match self.state {
            EventState::Pending => true,
            EventState::DeadLetter | EventState::Quarantined => self.member.is_some(),
            EventState::Done | EventState::Stale => false,
        }
    }

    /// Whether the event is open although it was received more than [`ERASURE_DEADLINE`](crate::deauth::ERASURE_DEADLINE) ago.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.is_open() && now.since(self.received_at) > super::event::ERASURE_DEADLINE
    }

    /// Creates the record of an event that was just accepted: pending, due, without attempts.
    pub fn pending(event: &DeauthEvent) -> Self {
        Self {
            id: event.id.clone(),
            member: Some(event.member.clone()),
            pseudonym: event.pseudonym.clone(),
            erasure: event.erasure,
            discovery: event.discovery,
            left_at: event.left_at,
            received_at: event.received_at,
            state: EventState::Pending,
            attempts: 0,
            due_at: event.received_at,
            leased_until: None,
            settled_at: None,
        }
    }
}

/// Selects and orders events.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[must_use]
pub struct EventQuery {
    /// Only events in this state.
    pub state: Option<EventState>,
    /// Only events of this member.
    pub pseudonym: Option<Pseudonym>,
    /// Only events received before this time.
    pub received_before: Option<Timestamp>,
    /// Only events with a lease that ends after this time.
    pub leased_at: Option<Timestamp>,
    /// Whether the newest event comes first.
    pub newest_first: bool,
    /// Only events after this position, in the order of the list: by time received, then by id.
    pub after: Option<(Timestamp, EventId)>,
    /// The maximum number of events.
    pub limit: usize,
}

impl EventQuery {
    /// Selects the first `limit` events.
    pub fn first(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Selects events in this state.
    pub fn state(mut self, state: impl Into<Option<EventState>>) -> Self {
        self.state = state.into();
        self
    }

    /// Selects events of this member.
    pub fn pseudonym(mut self, pseudonym: impl Into<Option<Pseudonym>>) -> Self {
        self.pseudonym = pseudonym.into();
        self
    }

    /// Selects events received before this time.
    pub fn received_before(mut self, at: impl Into<Option<Timestamp>>) -> Self {
        self.received_before = at.into();
        self
    }

    /// Selects events with a lease that ends after this time.
    pub fn leased_at(mut self, at: impl Into<Option<Timestamp>>) -> Self {
        self.leased_at = at.into();
        self
    }

    /// Orders from the newest to the oldest event.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Selects events after this position, in the order of the list.
    pub fn after(mut self, position: impl Into<Option<(Timestamp, EventId)>>) -> Self {
        self.after = position.into();
        self
    }
}

/// Selects and orders ledger lines.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[must_use]
pub struct LedgerQuery {
    /// Only lines about this event.
    pub event: Option<EventId>,
    /// Only lines about this member.
    pub member: Option<Pseudonym>,
    /// Whether the newest line comes first.
    pub newest_first: bool,
    /// Only lines after this sequence number, in the order of the list.
    pub after: Option<i64>,
    /// The maximum number of lines.
    pub limit: usize,
}

impl LedgerQuery {
    /// Selects the first `limit` lines.
    pub fn first(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Selects lines about this event.
    pub fn event(mut self, event: impl Into<Option<EventId>>) -> Self {
        self.event = event.into();
        self
    }

    /// Selects lines about this member.
    pub fn member(mut self, member: impl Into<Option<Pseudonym>>) -> Self {
        self.member = member.into();
        self
    }

    /// Orders from the newest to the oldest line.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Selects lines after this sequence number, in the order of the list.
    pub fn after(mut self, seq: impl Into<Option<i64>>) -> Self {
        self.after = seq.into();
        self
    }
}

/// The number of events in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxStats {
    /// Pending events.
    pub pending: u64,
    /// When the oldest pending event was received.
    pub oldest_pending: Option<Timestamp>,
    /// Done events.
    pub done: u64,
    /// Dead letters, without superseded ones.
    pub dead_letters: u64,
    /// Stale events.
    pub stale: u64,
    /// Quarantined events, without superseded ones.
    pub quarantined: u64,
}

/// The maximum duration of a lease, a lock, or the wait for the next attempt: one week.
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
