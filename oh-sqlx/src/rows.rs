//! Rows as both databases hand them out, and what they mean.

use oh_core::ProjectMemberId;
use oh_core::Timestamp;
use oh_core::deauth::{
    DeauthEvent, EventId, EventRecord, InboxStats, Lease, Leased, LedgerLine, Pseudonym,
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
    heard_at: i64,
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
            (Some(holder), Some(until)) => Some(RefreshLease {
                holder,
                until: at(until),
            }),
            _ => None,
        };
        Ok(MemberRecord {
            member: member_id(self.member)?,
            username: self.username,
            tokens,
            epoch: Epoch::from_stored(self.epoch),
            authorized_at: at(self.authorized_at),
            deauthorized_at: self.deauthorized_at.map(at),
            heard_at: at(self.heard_at),
            refresh,
            refresh_unanswered: self.refresh_unanswered,
            version: Version::from_stored(self.version),
        })
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
    settled_at: Option<i64>,
}

impl EventRow {
    pub(crate) fn record(self) -> Result<EventRecord, BoxError> {
        Ok(EventRecord {
            id: EventId::new(self.id),
            member: self.member.map(member_id).transpose()?,
            pseudonym: Pseudonym::new(self.pseudonym),
            erasure: self.erasure.parse().map_err(|_| damaged("erasure"))?,
            discovery: self.discovery.parse().map_err(|_| damaged("discovery"))?,
            left_at: at(self.left_at),
            received_at: at(self.received_at),
            state: self.state.parse().map_err(|_| damaged("state"))?,
            attempts: count(self.attempts),
            due_at: at(self.due_at),
            settled_at: self.settled_at.map(at),
        })
    }

    /// The row of an event that `holder` has just leased.
    pub(crate) fn leased(self, holder: &str) -> Result<Leased, BoxError> {
        let record = self.record()?;
        Ok(Leased {
            lease: Lease {
                event: record.id.clone(),
                holder: holder.to_owned(),
            },
            attempt: record.attempts,
            event: DeauthEvent {
                id: record.id,
                member: record.member.ok_or_else(|| damaged("member"))?,
                pseudonym: record.pseudonym,
                erasure: record.erasure,
                discovery: record.discovery,
                left_at: record.left_at,
                received_at: record.received_at,
            },
        })
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
        Ok(LedgerLine {
            seq: self.seq,
            event: EventId::new(self.event),
            member: Pseudonym::new(self.member),
            at: at(self.at),
            step: self.step.parse().map_err(|_| damaged("step"))?,
            attempt: count(self.attempt),
            note: self.note,
        })
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
}

impl StatsRow {
    pub(crate) fn stats(self) -> InboxStats {
        InboxStats {
            pending: self.pending.unsigned_abs(),
            oldest_pending: self.oldest_pending.map(at),
            done: self.done.unsigned_abs(),
            dead_letters: self.dead_letters.unsigned_abs(),
            stale: self.stale.unsigned_abs(),
        }
    }
}
