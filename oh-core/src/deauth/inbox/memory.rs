//! An inbox in memory, for tests and first steps.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::ledger::{LedgerLine, Step};
use super::{
    Accepted, CheckpointOutcome, CheckpointQuery, Completion, DeauthInbox, EventQuery, EventRecord,
    EventState, InboxError, InboxStats, Lease, LeaseOutcome, LeasedEvent, LedgerQuery, LockState,
    MAX_WAIT, StoredCheckpoint, TokenOutcome, TokenProgress,
};
use crate::Timestamp;
use crate::deauth::event::{DeauthEvent, ErasureRequest, EventId, Pseudonym};

/// A [`DeauthInbox`] in memory. It works in one process, and pending events are lost when the process
/// ends, so it is not suitable for production.
#[derive(Debug, Default)]
pub struct MemoryInbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    events: HashMap<EventId, Entry>,
    // Pending events, oldest first.
    pending: BTreeSet<(Timestamp, EventId)>,
    // Events with a lease, expired or not.
    leased: HashSet<EventId>,
    // Stale, dead-letter and quarantined events that have a member id, by member.
    settled: HashMap<Pseudonym, HashSet<EventId>>,
    ledger: Vec<LedgerLine>,
    checkpoints: BTreeMap<u64, StoredCheckpoint>,
    locks: HashMap<String, Lock>,
}

#[derive(Debug)]
struct Entry {
    record: EventRecord,
    lease: Option<(String, Timestamp)>,
    tokens: TokenProgress,
    was_stale: bool,
}

#[derive(Debug)]
struct Lock {
    holder: String,
    until: Timestamp,
    note: String,
}

impl MemoryInbox {
    /// Creates an empty inbox.
    pub fn new() -> Self {
        Self::default()
    }

    // No code panics while it changes the state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, id: &EventId, step: Step, at: Timestamp, note: Option<String>) {
        let Some(entry) = self.events.get(id) else {
            return;
        };
        let seq = i64::try_from(self.ledger.len()).unwrap_or(i64::MAX);
        self.ledger.push(LedgerLine {
            seq,
            event: id.clone(),
            member: entry.record.pseudonym.clone(),
            at,
            step,
            attempt: entry.record.attempts,
            note,
        });
    }

    /// Removes the member id from the settled events that a done event supersedes.
    fn remove_member_from_superseded(&mut self, done: &EventId) {
        let Some(done) = self.events.get(done).map(|entry| &entry.record) else {
            return;
        };
        let (left_at, erased) = (done.left_at, done.erasure == ErasureRequest::Requested);
        let Some(settled) = self.settled.get_mut(&done.pseudonym) else {
            return;
        };
        settled.retain(|id| {
            let Some(Entry { record, .. }) = self.events.get_mut(id) else {
                return false;
            };
            let is_unmet_request = record.erasure == ErasureRequest::Requested && !erased;
            let stays =
                record.state != EventState::Stale && (record.left_at > left_at || is_unmet_request);
            if !stays {
                record.member = None;
            }
            stays
        });
    }

    /// Returns the event if the lease is the latest one on it.
    fn leased_entry(&mut self, lease: &Lease) -> Option<&mut Entry> {
        let entry = self.events.get_mut(&lease.event)?;
        let is_latest = matches!(&entry.lease, Some((holder, _)) if *holder == lease.holder);
        is_latest.then_some(entry)
    }
}

impl Entry {
    fn event(&self) -> Option<DeauthEvent> {
        let record = &self.record;
        Some(DeauthEvent {
            id: record.id.clone(),
            member: record.member.clone()?,
            pseudonym: record.pseudonym.clone(),
            erasure: record.erasure,
            discovery: record.discovery,
            left_at: record.left_at,
            received_at: record.received_at,
        })
    }

    /// Whether the lease prevents another worker from leasing the event.
    fn is_busy(&self, now: Timestamp) -> bool {
        matches!(&self.lease, Some((_, until)) if is_ahead(*until, now))
    }

    fn is_leased_at(&self, at: Timestamp) -> bool {
        matches!(&self.lease, Some((_, until)) if *until > at)
    }

    fn queue_position(&self) -> (Timestamp, EventId) {
        (self.record.received_at, self.record.id.clone())
    }
}

/// Whether a time is in the future. A time too far ahead was written by a wrong clock.
fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at > now && at <= now + MAX_WAIT
}

#[async_trait]
impl DeauthInbox for MemoryInbox {
    async fn accept(&self, event: &DeauthEvent) -> Result<Accepted, InboxError> {
        let mut state = self.state();
        if state.events.contains_key(&event.id) {
            return Ok(Accepted::Duplicate);
        }
        let entry = Entry {
            record: EventRecord::pending(event),
            lease: None,
            tokens: TokenProgress::Untouched,
            was_stale: false,
        };
        state.pending.insert(entry.queue_position());
        state.events.insert(event.id.clone(), entry);
        state.write(&event.id, Step::Received, event.received_at, None);
        Ok(Accepted::New(TokenOutcome::Untouched))
    }

    async fn quarantine(&self, event: &DeauthEvent, note: &str) -> Result<Accepted, InboxError> {
        let mut state = self.state();
        if state.events.contains_key(&event.id) {
            return Ok(Accepted::Duplicate);
        }
        let mut record = EventRecord::pending(event);
        record.state = EventState::Quarantined;
        let entry = Entry {
            record,
            lease: None,
            tokens: TokenProgress::Untouched,
            was_stale: false,
        };
        state.events.insert(event.id.clone(), entry);
        let of_member = state.settled.entry(event.pseudonym.clone()).or_default();
        of_member.insert(event.id.clone());
        state.write(&event.id, Step::Received, event.received_at, None);
        let note = Some(note.to_owned());
        state.write(&event.id, Step::Quarantined, event.received_at, note);
        Ok(Accepted::New(TokenOutcome::Untouched))
    }

    async fn release(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        let mut state = self.state();
        let Some(entry) = state.events.get_mut(event) else {
            return Ok(false);
        };
        if entry.record.state != EventState::Quarantined || entry.record.member.is_none() {
            return Ok(false);
        }
        entry.record.state = EventState::Pending;
        entry.record.due_at = now;
        let (position, pseudonym) = (entry.queue_position(), entry.record.pseudonym.clone());
        state.pending.insert(position);
        if let Some(settled) = state.settled.get_mut(&pseudonym) {
            settled.remove(event);
        }
        state.write(event, Step::Released, now, None);
        Ok(true)
    }

    async fn lease(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError> {
        let mut state = self.state();
        let holder = crate::random::hex();
        let mut chosen = Vec::new();
        {
            let busy: HashSet<_> = state
                .leased
                .iter()
                .map(|id| &state.events[id])
                .filter(|entry| entry.is_busy(now))
                .map(|entry| &entry.record.pseudonym)
                .collect();
            // Only the first pending event of each member is available.
            let mut seen = HashSet::new();
            for (_, id) in &state.pending {
                if chosen.len() == limit {
                    break;
                }
                let entry = &state.events[id];
                let first = seen.insert(&entry.record.pseudonym);
                let free = !busy.contains(&entry.record.pseudonym);
                let due = entry.record.attempts == 0 || !is_ahead(entry.record.due_at, now);
                if first && free && due {
                    chosen.push(id.clone());
                }
            }
        }
        let mut leased = Vec::with_capacity(chosen.len());
        for id in chosen {
            let Some(entry) = state.events.get_mut(&id) else {
                continue;
            };
            let Some(event) = entry.event() else { continue };
            entry.record.attempts += 1;
            entry.lease = Some((holder.clone(), until));
            entry.record.leased_until = Some(until);
            leased.push(LeasedEvent {
                lease: Lease {
                    event: id.clone(),
                    holder: holder.clone(),
                },
                event,
                attempt: entry.record.attempts,
                tokens: entry.tokens,
            });
            state.write(&id, Step::Tried, now, None);
            state.leased.insert(id);
        }
        Ok(leased)
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<LeaseOutcome, InboxError> {
        match self.state().leased_entry(lease) {
            Some(entry) => {
                entry.lease = Some((lease.holder.clone(), until));
                entry.record.leased_until = Some(until);
                Ok(LeaseOutcome::Applied)
            }
            None => Ok(LeaseOutcome::Lost),
        }
    }

    async fn complete(
        &self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<LeaseOutcome, InboxError> {
        let mut state = self.state();
        let Some(entry) = state.leased_entry(lease) else {
            return Ok(LeaseOutcome::Lost);
        };
        let position = entry.queue_position();
        let pseudonym = entry.record.pseudonym.clone();
        entry.lease = None;
        entry.record.leased_until = None;
        let (to, step, note) = match completion {
            Completion::Done { note } => {
                entry.record.member = None;
                (EventState::Done, Step::Done, note.clone())
            }
            Completion::Retry { due_at, note } => {
                entry.record.due_at = *due_at;
                (EventState::Pending, Step::Failed, Some(note.clone()))
            }
            Completion::DeadLetter { note } => (
                EventState::DeadLetter,
                Step::DeadLettered,
                Some(note.clone()),
            ),
            Completion::Stale => {
                entry.was_stale = true;
                (EventState::Stale, Step::Stale, None)
            }
        };
        entry.record.state = to;
        if to != EventState::Pending {
            entry.record.settled_at = Some(now);
            state.pending.remove(&position);
        }
        match to {
            EventState::Done => state.remove_member_from_superseded(&lease.event),
            EventState::DeadLetter | EventState::Stale => {
                let of_member = state.settled.entry(pseudonym).or_default();
                of_member.insert(lease.event.clone());
            }
            EventState::Pending | EventState::Quarantined => {}
        }
        state.leased.remove(&lease.event);
        state.write(&lease.event, step, now, note);
        Ok(LeaseOutcome::Applied)
    }

    async fn mark_tokens_destroyed(
        &self,
        event: &DeauthEvent,
        now: Timestamp,
    ) -> Result<(), InboxError> {
        let mut state = self.state();
        if let Some(entry) = state.events.get_mut(&event.id)
            && entry.record.state == EventState::Pending
        {
            entry.tokens = TokenProgress::Destroyed;
            state.write(&event.id, Step::TokensDestroyed, now, None);
        }
        Ok(())
    }

    async fn requeue(&self, event: &EventId, now: Timestamp) -> Result<bool, InboxError> {
        let mut state = self.state();
        let Some(entry) = state.events.get_mut(event) else {
            return Ok(false);
        };
        let settled = matches!(
            entry.record.state,
            EventState::DeadLetter | EventState::Stale
        );
        if !settled || entry.record.member.is_none() {
            return Ok(false);
        }
        entry.record.state = EventState::Pending;
        entry.record.attempts = 0;
        entry.record.due_at = now;
        entry.record.settled_at = None;
        if entry.was_stale {
            entry.tokens = TokenProgress::Requeued(now);
        }
        let (position, pseudonym) = (entry.queue_position(), entry.record.pseudonym.clone());
        state.pending.insert(position);
        if let Some(settled) = state.settled.get_mut(&pseudonym) {
            settled.remove(event);
        }
        state.write(event, Step::Requeued, now, None);
        Ok(true)
    }

    async fn stats(&self) -> Result<InboxStats, InboxError> {
        let state = self.state();
        let mut stats = InboxStats {
            oldest_pending: state.pending.first().map(|(at, _)| *at),
            ..InboxStats::default()
        };
        for entry in state.events.values() {
            match entry.record.state {
                EventState::Pending => stats.pending += 1,
                EventState::Done => stats.done += 1,
                EventState::Stale => stats.stale += 1,
                // Superseded.
                _ if entry.record.member.is_none() => {}
                EventState::DeadLetter => stats.dead_letters += 1,
                EventState::Quarantined => stats.quarantined += 1,
            }
        }
        Ok(stats)
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let state = self.state();
        let mut found: Vec<_> = state
            .events
            .values()
            .filter(|entry| query.leased_at.is_none_or(|at| entry.is_leased_at(at)))
            .map(|entry| &entry.record)
            .filter(|r| query.state.is_none_or(|expected| r.state == expected))
            .filter(|r| query.pseudonym.as_ref().is_none_or(|p| r.pseudonym == *p))
            .filter(|r| query.received_before.is_none_or(|at| r.received_at < at))
            .filter(|r| match &query.after {
                Some((at, id)) if query.newest_first => (r.received_at, &r.id) < (*at, id),
                Some((at, id)) => (r.received_at, &r.id) > (*at, id),
                None => true,
            })
            .collect();
        found.sort_unstable_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        if query.newest_first {
            found.reverse();
        }
        Ok(found.into_iter().take(query.limit).cloned().collect())
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError> {
        let state = self.state();
        let expected = |line: &&LedgerLine| {
            let comes_after = |seq| match query.newest_first {
                true => line.seq < seq,
                false => line.seq > seq,
            };
            query.after.is_none_or(comes_after)
                && query.event.as_ref().is_none_or(|id| line.event == *id)
                && query.member.as_ref().is_none_or(|p| line.member == *p)
        };
        let lines = state.ledger.iter().filter(expected);
        Ok(match query.newest_first {
            true => lines.rev().take(query.limit).cloned().collect(),
            false => lines.take(query.limit).cloned().collect(),
        })
    }

    async fn store_checkpoint(
        &self,
        checkpoint: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError> {
        let mut state = self.state();
        match state.checkpoints.get(&checkpoint.size) {
            Some(known) if known.root == checkpoint.root => Ok(CheckpointOutcome::Known),
            Some(_) => Ok(CheckpointOutcome::Forked),
            None => {
                state
                    .checkpoints
                    .insert(checkpoint.size, checkpoint.clone());
                Ok(CheckpointOutcome::Stored)
            }
        }
    }

    async fn checkpoints(
        &self,
        query: &CheckpointQuery,
    ) -> Result<Vec<StoredCheckpoint>, InboxError> {
        let state = self.state();
        let checkpoints = state.checkpoints.values();
        Ok(match (query.newest_first, query.after) {
            (false, after) => checkpoints
                .filter(|stored| after.is_none_or(|size| stored.size > size))
                .take(query.limit)
                .cloned()
                .collect(),
            (true, after) => checkpoints
                .rev()
                .filter(|stored| after.is_none_or(|size| stored.size < size))
                .take(query.limit)
                .cloned()
                .collect(),
        })
    }

    async fn acquire_lock(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, InboxError> {
        let mut state = self.state();
        let lock = state.locks.entry(name.to_owned()).or_insert_with(|| Lock {
            holder: holder.to_owned(),
            until,
            note: String::new(),
        });
        if lock.holder != holder && is_ahead(lock.until, now) {
            return Ok(None);
        }
        lock.holder = holder.to_owned();
        lock.until = until;
        Ok(Some(lock.note.clone()))
    }

    async fn update_lock(
        &self,
        name: &str,
        holder: &str,
        until: Timestamp,
        note: &str,
    ) -> Result<LeaseOutcome, InboxError> {
        match self.state().locks.get_mut(name) {
            Some(lock) if lock.holder == holder => {
                lock.until = until;
                lock.note = note.to_owned();
                Ok(LeaseOutcome::Applied)
            }
            _ => Ok(LeaseOutcome::Lost),
        }
    }

    async fn lock_state(&self, name: &str, now: Timestamp) -> Result<LockState, InboxError> {
        let state = self.state();
        Ok(state
            .locks
            .get(name)
            .map_or_else(LockState::default, |lock| LockState {
                held: is_ahead(lock.until, now),
                note: lock.note.clone(),
            }))
    }
}
