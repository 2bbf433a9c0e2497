//! The record of one member.

use serde::{Deserialize, Serialize};

use oh_api::Tokens;

use crate::{ProjectMemberId, Timestamp};

/// Everything the library stores about one member.
///
/// The fields are public so that a store can write them to columns. Only the library decides what
/// they contain.
#[derive(Clone, Debug)]
pub struct MemberRecord {
    /// The project member id.
    pub member: ProjectMemberId,
    /// The Open Humans username, if the member shares it with the project. Any Unicode text.
    pub username: Option<String>,
    /// The current tokens; `None` once the member is deauthorized.
    pub tokens: Option<Tokens>,
    /// The epoch of the member's sessions.
    pub epoch: Epoch,
    /// When the member last authorized the project, by Open Humans' clock.
    pub authorized_at: Timestamp,
    /// When the member was deauthorized, by the local clock; `None` while authorized.
    pub deauthorized_at: Option<Timestamp>,
    /// When Open Humans last confirmed the membership.
    pub confirmed_at: Timestamp,
    /// The lease of the process that is refreshing the tokens, if any.
    pub refresh: Option<RefreshLease>,
    /// Whether a refresh request was sent without a response, so that Open Humans may have replaced
    /// the tokens. Without tokens: they were lost, see [`has_lost_tokens`](Self::has_lost_tokens).
    pub refresh_unanswered: bool,
    /// The version of the record. Every write sets a new one.
    pub version: Version,
}

impl MemberRecord {
    /// Creates the record of a member who authorized the project at `at`. Use it to import members
    /// whose tokens another application obtained.
    ///
    /// ```
    /// use oh_core::Timestamp;
    /// use oh_core::store::{MemberRecord, PutOutcome, TokenStore, Tokens};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = oh_core::store::MemoryStore::new();
    /// let tokens = Tokens::new("access token", "refresh token", Timestamp::now());
    /// let record = MemberRecord::authorized("01026778".parse()?, tokens, Timestamp::now());
    /// assert_eq!(store.put(&record, None).await?, PutOutcome::Stored);
    /// # Ok(())
    /// # }
    /// ```
    pub fn authorized(member: ProjectMemberId, tokens: Tokens, at: Timestamp) -> Self {
        Self {
            tokens: Some(tokens),
            authorized_at: at,
            deauthorized_at: None,
            ..Self::tombstone(member, at)
        }
    }

    /// Whether the member is authorized: the record has tokens.
    pub fn is_authorized(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether the tokens were lost although the member may still be a member. Only the project's
    /// member list can tell.
    pub fn has_lost_tokens(&self) -> bool {
        self.tokens.is_none() && self.refresh_unanswered
    }

    /// Returns the record after the member left at `at`: without username and tokens, with the next
    /// epoch and a new version.
    pub fn deauthorized(&self, at: Timestamp) -> Self {
        Self {
            username: None,
            tokens: None,
            epoch: self.epoch.advance(at),
            deauthorized_at: Some(at),
            refresh: None,
            refresh_unanswered: false,
            version: Version::fresh(),
            ..self.clone()
        }
    }

    /// Creates the record of a departure at `at` for a member without a record. It prevents a login that
    /// began earlier from completing later.
    pub fn tombstone(member: ProjectMemberId, at: Timestamp) -> Self {
        Self {
            member,
            username: None,
            tokens: None,
            epoch: Epoch::begin(at),
            authorized_at: Timestamp::UNIX_EPOCH,
            deauthorized_at: Some(at),
            confirmed_at: at,
            refresh: None,
            refresh_unanswered: false,
            version: Version::fresh(),
        }
    }
}

/// A number that all valid sessions of a member contain.
///
/// It grows when the member leaves or logs out, which ends all earlier sessions. It starts from the
/// time in microseconds, so that it never returns to an old value, even if the record was removed in
/// between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(i64);

impl Epoch {
    /// The first epoch of a record that is created at `at`.
    pub fn begin(at: Timestamp) -> Self {
        Self(at.as_micros())
    }

    /// The next epoch: the time `at`, or this epoch plus one if the clock went backwards.
    pub fn advance(self, at: Timestamp) -> Self {
        Self(self.0.saturating_add(1).max(at.as_micros()))
    }

    /// Returns the number, for storage.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Creates an epoch from a stored number.
    pub const fn from_stored(value: i64) -> Self {
        Self(value)
    }
}

/// The version of a record: a random number, so that no two writes have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(i64);

impl Version {
    /// Creates a new version from 63 random bits.
    pub fn fresh() -> Self {
        Self(crate::random::i63())
    }

    /// Returns the number, for storage. It is never negative.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Creates a version from a stored number.
    pub const fn from_stored(value: i64) -> Self {
        Self(value)
    }
}

/// A time-limited lease to refresh one member's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshLease {
    /// The process that holds the lease: up to 32 random characters.
    pub holder: String,
    /// When the lease expires.
    pub until: Timestamp,
}

impl RefreshLease {
    /// Creates a lease that `holder` has until `until`.
    pub fn new(holder: impl Into<String>, until: Timestamp) -> Self {
        Self {
            holder: holder.into(),
            until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_grows_when_clock_goes_backwards() {
        let epoch = Epoch::begin(Timestamp::from_micros(1_000));
        assert_eq!(epoch.advance(Timestamp::from_micros(5_000)).get(), 5_000);
        assert_eq!(epoch.advance(Timestamp::from_micros(1)).get(), 1_001);
    }

    #[test]
    fn version_is_not_negative_and_never_repeats() {
        let (a, b) = (Version::fresh(), Version::fresh());
        assert!(a.get() >= 0 && b.get() >= 0);
        assert_ne!(a, b);
    }

    #[test]
    fn deauthorized_removes_tokens_and_lease_and_advances_epoch() {
        let at = Timestamp::from_micros(7_000);
        let tokens = Tokens::new("access", "refresh", at);
        let mut record = MemberRecord::authorized(
            "01026778".parse().unwrap(),
            tokens,
            Timestamp::from_micros(1),
        );
        record.username = Some("alice".into());
        record.refresh = Some(RefreshLease::new("holder", at));
        let left = record.deauthorized(at);
        assert!(!left.is_authorized());
        assert_eq!(left.username, None);
        assert_eq!(left.refresh, None);
        assert_eq!(left.deauthorized_at, Some(at));
        assert!(left.epoch > record.epoch);
        assert_ne!(left.version, record.version);
    }
}
