//! Rows as both databases hand them out, and what they mean.

use oh_core::ProjectMemberId;
use oh_core::Timestamp;
use oh_core::deauth::{
    DeauthEvent, EventId, EventRecord, InboxStats, Lease, LeasedEvent, LedgerLine, MAX_WAIT,
    Pseudonym, StoredCheckpoint, TokenProgress,
};
use oh_core::store::{Epoch, MemberRecord, RefreshLease, Tokens, Version};
use oh_core::transport::BoxError;
use sqlx::FromRow;

/// A row that should not be there: someone else wrote into our tables.
#[derive(Debug, thiserror::Error)]
#[error("column {0} holds what was never written there")]
struct Damaged(&'static str);

fn damaged(column: &'static str) -> BoxError {
    Damaged(column).into()
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn member_id(text: String) -> Result<ProjectMemberId, BoxError> {
    text.try_into().map_err(|_| damaged("member"))
}

fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

/// A limit as SQL wants it.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What is later than this was put off by a clock that was wrong.
pub(crate) fn farthest(now: Timestamp) -> Timestamp {
    now + MAX_WAIT
}

/// Says that so many events were put off by a clock that was wrong.
pub(crate) fn warn_of_wrong_clock(events: u64) {
    if events > 0 {
        tracing::warn!(
            events,
            "events of members leaving were put off for years, by a clock that was wrong: they \
             are worked on now"
        );
    }
}

/// So many events are put back into the queue in one commit.
pub(crate) const CHUNK: u64 = 2_000;

/// A random name for whoever holds a lease.
pub(crate) fn holder() -> String {
    format!(
        "{:016x}{:016x}",
        Version::fresh().get(),
        Version::fresh().get()
    )
}

/// A row of `oh_members`, with the tokens.
#[derive(FromRow)]
pub(crate) struct MemberRow {
    member: String,
    username: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_at: Option<i64>,
    epoch: i64,
    authorized_at: i64,
    deauthorized_at: Option<i64>,
    confirmed_at: i64,
    refresh_holder: Option<String>,
    refresh_until: Option<i64>,
    refresh_unanswered: bool,
    version: i64,
}

impl MemberRow {
    pub(crate) fn record(self) -> Result<MemberRecord, BoxError> {
        let tokens = match (self.access_token, self.refresh_token, self.expires_at) {
            (Some(access), Some(refresh), Some(expires_at)) => {
                Some(Tokens::new(access, refresh, at(expires_at)))
            }
            (None, None, None) => None,
            _ => return Err(damaged("access_token")),
        };
        let refresh = match (self.refresh_holder, self.refresh_until) {
            (Some(holder), Some(until)) => Some(RefreshLease::new(holder, at(until))),
            _ => None,
        };
        let mut record = MemberRecord::tombstone(member_id(self.member)?, at(self.confirmed_at));
        record.username = self.username;
        record.tokens = tokens;
        record.epoch = Epoch::from_stored(self.epoch);
        record.authorized_at = at(self.authorized_at);
        record.deauthorized_at = self.deauthorized_at.map(at);
        record.refresh = refresh;
        record.refresh_unanswered = self.refresh_unanswered;
        record.version = Version::from_stored(self.version);
        Ok(record)
    }
}

/// A row of `oh_events`.
#[derive(FromRow)]
pub(crate) struct EventRow {
    id: String,
    member: Option<String>,
    pseudonym: String,
    erasure: String,
    discovery: String,
    left_at: i64,
    received_at: i64,
    state: String,
    attempts: i64,
    due_at: i64,
    lease_until: Option<i64>,
    settled_at: Option<i64>,
    tokens_destroyed: bool,
    requeued_at: Option<i64>,
}

/// What an [`EventRow`] is read from. By name, so that a column that a newer release adds does not
/// disturb this one while both run.
macro_rules! event_columns {
    ($table:literal) => {
        concat!(
            $table,
            "id, ",
            $table,
            "member, ",
            $table,
            "pseudonym, ",
            $table,
            "erasure, ",
            $table,
            "discovery, ",
            $table,
            "left_at, ",
            $table,
            "received_at, ",
            $table,
            "state, ",
            $table,
            "attempts, ",
            $table,
            "due_at, ",
            $table,
            "lease_until, ",
            $table,
            "settled_at, ",
            $table,
            "tokens_destroyed, ",
            $table,
            "requeued_at"
        )
    };
}
pub(crate) use event_columns;

/// What a [`LedgerRow`] is read from.
pub(crate) const LEDGER_COLUMNS: &str = "seq, event, member, at, step, attempt, note";

impl EventRow {
    pub(crate) fn record(self) -> Result<EventRecord, BoxError> {
        let mut record = EventRecord::new(
            EventId::new(self.id),
            Pseudonym::new(self.pseudonym),
            self.erasure.parse().map_err(|_| damaged("erasure"))?,
            self.discovery.parse().map_err(|_| damaged("discovery"))?,
            at(self.left_at),
            at(self.received_at),
        );
        record.member = self.member.map(member_id).transpose()?;
        record.state = self.state.parse().map_err(|_| damaged("state"))?;
        record.attempts = count(self.attempts);
        record.due_at = at(self.due_at);
        record.leased_until = self.lease_until.map(at);
        record.settled_at = self.settled_at.map(at);
        Ok(record)
    }

    fn tokens(&self) -> TokenProgress {
        match self.requeued_at {
            _ if self.tokens_destroyed => TokenProgress::Destroyed,
            Some(when) => TokenProgress::Requeued(at(when)),
            None => TokenProgress::Untouched,
        }
    }

    /// The row of an event that `holder` has just leased.
    pub(crate) fn leased(self, holder: &str) -> Result<LeasedEvent, BoxError> {
        let tokens = self.tokens();
        let record = self.record()?;
        let lease = Lease::new(record.id.clone(), holder);
        let event = DeauthEvent {
            id: record.id,
            member: record.member.ok_or_else(|| damaged("member"))?,
            pseudonym: record.pseudonym,
            erasure: record.erasure,
            discovery: record.discovery,
            left_at: record.left_at,
            received_at: record.received_at,
        };
        Ok(LeasedEvent::new(lease, event, record.attempts, tokens))
    }

    /// Where it stands in the order of the queue.
    #[cfg(feature = "sqlite")]
    pub(crate) fn place(&self) -> (i64, &str) {
        (self.received_at, &self.id)
    }
}

/// A row of `oh_ledger`.
#[derive(FromRow)]
pub(crate) struct LedgerRow {
    seq: i64,
    event: String,
    member: String,
    at: i64,
    step: String,
    attempt: i64,
    note: Option<String>,
}

impl LedgerRow {
    pub(crate) fn line(self) -> Result<LedgerLine, BoxError> {
        Ok(LedgerLine::new(
            self.seq,
            EventId::new(self.event),
            Pseudonym::new(self.member),
            at(self.at),
            self.step.parse().map_err(|_| damaged("step"))?,
            count(self.attempt),
            self.note,
        ))
    }
}

/// How many lines a checkpoint covers, as SQL wants it.
pub(crate) fn size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A row of `oh_checkpoints`.
#[derive(FromRow)]
pub(crate) struct CheckpointRow {
    size: i64,
    last_seq: i64,
    root: String,
    at: i64,
    note: String,
    tree: String,
}

impl CheckpointRow {
    pub(crate) fn checkpoint(self) -> StoredCheckpoint {
        StoredCheckpoint::new(
            self.size.unsigned_abs(),
            self.last_seq,
            self.root,
            at(self.at),
            self.note,
            self.tree,
        )
    }
}

/// How many events there are in each state, and when the oldest pending one was received.
#[derive(FromRow)]
pub(crate) struct StatsRow {
    pending: i64,
    oldest_pending: Option<i64>,
    done: i64,
    dead_letters: i64,
    stale: i64,
    quarantined: i64,
}

impl StatsRow {
    pub(crate) fn stats(self) -> InboxStats {
        let mut stats = InboxStats::default();
        stats.pending = self.pending.unsigned_abs();
        stats.oldest_pending = self.oldest_pending.map(at);
        stats.done = self.done.unsigned_abs();
        stats.dead_letters = self.dead_letters.unsigned_abs();
        stats.stale = self.stale.unsigned_abs();
        stats.quarantined = self.quarantined.unsigned_abs();
        stats
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_wrong_clock_is_warned_of_if_it_did_something() {
        let mut log = tempfile::tempfile().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Mutex::new(log.try_clone().unwrap()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            warn_of_wrong_clock(0);
            warn_of_wrong_clock(3);
        });
        let mut said = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut said).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("WARN") && said.contains("events=3"), "{said}");
    }
}
