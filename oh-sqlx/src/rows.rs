//! Rows of both databases, and the records that they become.

use oh_core::ProjectMemberId;
use oh_core::Timestamp;
use oh_core::deauth::{
    DeauthEvent, EventId, EventRecord, InboxStats, Lease, LeasedEvent, LedgerLine, MAX_WAIT,
    Pseudonym, StoredCheckpoint, TokenProgress,
};
use oh_core::store::{Epoch, MemberRecord, RefreshLease, Tokens, Version};
use oh_core::transport::BoxError;
use sqlx::{ColumnIndex, Decode, Error as SqlError, FromRow, Row, Type};

/// Defines a struct that is read from the columns with the names of its fields. It replaces sqlx's
/// derive macro, which adds five crates to every build.
macro_rules! row {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        pub(crate) struct $name {
            $($field: $type,)+
        }

        impl<'r, R: Row> FromRow<'r, R> for $name
        where
            &'static str: ColumnIndex<R>,
            $($type: Decode<'r, R::Database> + Type<R::Database>,)+
        {
            fn from_row(row: &'r R) -> Result<Self, SqlError> {
                Ok(Self { $($field: row.try_get(stringify!($field))?,)+ })
            }
        }
    };
}

/// A column with an invalid value: another program wrote to the tables.
#[derive(Debug, thiserror::Error)]
#[error("the column {0} has an invalid value")]
struct InvalidColumn(&'static str);

fn invalid(column: &'static str) -> BoxError {
    InvalidColumn(column).into()
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn member_id(text: String) -> Result<ProjectMemberId, BoxError> {
    text.try_into().map_err(|_| invalid("member"))
}

fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

/// A limit as an SQL integer.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The size of a checkpoint as an SQL integer.
pub(crate) fn size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The latest time until which an event or a lock can wait. A later one was written by a wrong clock.
pub(crate) fn latest(now: Timestamp) -> Timestamp {
    now + MAX_WAIT
}

/// Logs how many events a wrong clock had postponed.
pub(crate) fn warn_of_wrong_clock(events: u64) {
    if events > 0 {
        tracing::warn!(
            events,
            "requeued events that a wrong clock had postponed by more than a week"
        );
    }
}

/// How many waiting events return to the queue in one commit.
pub(crate) const REQUEUE_BATCH: u64 = 2_000;

/// A random holder for leases.
pub(crate) fn holder() -> String {
    format!(
        "{:016x}{:016x}",
        Version::fresh().get(),
        Version::fresh().get()
    )
}

row! {
    /// A row of `oh_members`.
    struct MemberRow {
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
}

impl MemberRow {
    pub(crate) fn record(self) -> Result<MemberRecord, BoxError> {
        let tokens = match (self.access_token, self.refresh_token, self.expires_at) {
            (Some(access), Some(refresh), Some(expires_at)) => {
                Some(Tokens::new(access, refresh, at(expires_at)))
            }
            (None, None, None) => None,
            _ => return Err(invalid("access_token")),
        };
        let refresh = match (self.refresh_holder, self.refresh_until) {
            (Some(holder), Some(until)) => Some(RefreshLease::new(holder, at(until))),
            _ => None,
        };
        Ok(MemberRecord {
            member: member_id(self.member)?,
            username: self.username,
            tokens,
            epoch: Epoch::from_stored(self.epoch),
            authorized_at: at(self.authorized_at),
            deauthorized_at: self.deauthorized_at.map(at),
            confirmed_at: at(self.confirmed_at),
            refresh,
            refresh_unanswered: self.refresh_unanswered,
            version: Version::from_stored(self.version),
        })
    }
}

row! {
    /// A row of `oh_events`.
    struct EventRow {
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
}

impl EventRow {
    pub(crate) fn record(self) -> Result<EventRecord, BoxError> {
        Ok(EventRecord {
            id: EventId::new(self.id),
            member: self.member.map(member_id).transpose()?,
            pseudonym: Pseudonym::new(self.pseudonym),
            erasure: self.erasure.parse().map_err(|_| invalid("erasure"))?,
            discovery: self.discovery.parse().map_err(|_| invalid("discovery"))?,
            left_at: at(self.left_at),
            received_at: at(self.received_at),
            state: self.state.parse().map_err(|_| invalid("state"))?,
            attempts: count(self.attempts),
            due_at: at(self.due_at),
            leased_until: self.lease_until.map(at),
            settled_at: self.settled_at.map(at),
        })
    }

    fn tokens(&self) -> TokenProgress {
        match self.requeued_at {
            _ if self.tokens_destroyed => TokenProgress::Destroyed,
            Some(when) => TokenProgress::Requeued(at(when)),
            None => TokenProgress::Untouched,
        }
    }

    /// Converts the row of an event that `holder` has just leased.
    pub(crate) fn leased(self, holder: &str) -> Result<LeasedEvent, BoxError> {
        let tokens = self.tokens();
        let record = self.record()?;
        Ok(LeasedEvent {
            lease: Lease {
                event: record.id.clone(),
                holder: holder.to_owned(),
            },
            event: DeauthEvent {
                id: record.id,
                member: record.member.ok_or_else(|| invalid("member"))?,
                pseudonym: record.pseudonym,
                erasure: record.erasure,
                discovery: record.discovery,
                left_at: record.left_at,
                received_at: record.received_at,
            },
            attempt: record.attempts,
            tokens,
        })
    }

    /// The position in the queue.
    #[cfg(feature = "sqlite")]
    pub(crate) fn position(&self) -> (i64, &str) {
        (self.received_at, &self.id)
    }
}

row! {
    /// A row of `oh_ledger`.
    struct LedgerRow {
        seq: i64,
        event: String,
        member: String,
        at: i64,
        step: String,
        attempt: i64,
        note: Option<String>,
    }
}

impl LedgerRow {
    pub(crate) fn line(self) -> Result<LedgerLine, BoxError> {
        Ok(LedgerLine {
            seq: self.seq,
            event: EventId::new(self.event),
            member: Pseudonym::new(self.member),
            at: at(self.at),
            step: self.step.parse().map_err(|_| invalid("step"))?,
            attempt: count(self.attempt),
            note: self.note,
        })
    }
}

row! {
    /// A row of `oh_checkpoints`.
    struct CheckpointRow {
        size: i64,
        last_seq: i64,
        root: String,
        at: i64,
        note: String,
        tree: String,
    }
}

impl CheckpointRow {
    pub(crate) fn checkpoint(self) -> StoredCheckpoint {
        StoredCheckpoint {
            size: self.size.unsigned_abs(),
            last_seq: self.last_seq,
            root: self.root,
            at: at(self.at),
            note: self.note,
            tree: self.tree,
        }
    }
}

row! {
    /// The result of [`stats`](crate::statements::stats).
    struct StatsRow {
        pending: i64,
        oldest_pending: Option<i64>,
        done: i64,
        dead_letters: i64,
        stale: i64,
        quarantined: i64,
    }
}

impl StatsRow {
    pub(crate) fn stats(self) -> InboxStats {
        InboxStats {
            pending: self.pending.unsigned_abs(),
            oldest_pending: self.oldest_pending.map(at),
            done: self.done.unsigned_abs(),
            dead_letters: self.dead_letters.unsigned_abs(),
            stale: self.stale.unsigned_abs(),
            quarantined: self.quarantined.unsigned_abs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn wrong_clock_warning_is_logged_only_for_postponed_events() {
        let mut log = tempfile::tempfile().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Mutex::new(log.try_clone().unwrap()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            warn_of_wrong_clock(0);
            warn_of_wrong_clock(3);
        });
        let mut text = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("WARN") && text.contains("events=3"), "{text}");
    }
}
