//! What is kept about one member.

use serde::{Deserialize, Serialize};

use oh_api::Tokens;

use crate::{ProjectMemberId, Timestamp};

/// Everything the library keeps about one member.
///
/// The fields are public because a store writes them down one by one; only the library decides
/// what stands in them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemberRecord {
    /// Who this is.
    pub member: ProjectMemberId,
    /// The Open Humans username, if the member shares it with the project. Any Unicode.
    pub username: Option<String>,
    /// The live pair; `None` once the member is deauthorized.
    pub tokens: Option<Tokens>,
    /// Sessions carry it, and end when it advances: when the member leaves or logs out.
    pub epoch: Epoch,
    /// When the member last authorized the project, by Open Humans' clock.
    pub authorized_at: Timestamp,
    /// When the member was deauthorized, by our clock; `None` while authorized.
    pub deauthorized_at: Option<Timestamp>,
    /// When Open Humans last answered for this member.
    pub confirmed_at: Timestamp,
    /// Who is refreshing the tokens right now, if anyone.
    pub refresh: Option<RefreshLease>,
    /// A refresh was sent whose answer nobody saw: the pair may already have been replaced. Without
    /// tokens it says that they were lost, see [`is_lost`](Self::is_lost).
    pub refresh_unanswered: bool,
    /// This version of the record; every write brings a new one.
    pub version: Version,
}

impl MemberRecord {
    /// The record of a member who authorized at `at` and of whom nothing was known before. Also for
    /// members whose tokens an app brings along from elsewhere.
    ///
    /// ```
    /// use oh_core::Timestamp;
    /// use oh_core::store::{MemberRecord, PutOutcome, TokenStore, Tokens};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = oh_core::store::MemoryStore::new();
    /// let tokens = Tokens::new("from the old app", "from there, too", Timestamp::now());
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

    /// Whether the member is authorized, as far as is known here.
    pub fn is_authorized(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether the tokens were lost, while the member may not have left. Only the project's list can
    /// tell.
    pub fn is_lost(&self) -> bool {
        self.tokens.is_none() && self.refresh_unanswered
    }

    /// The record of a member who left at `at`: no username, no tokens, the epoch advanced, a new
    /// version.
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

    /// The record of a member who left at `at` and of whom nothing else is known. It keeps a
    /// login that began before from being completed after.
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

/// What a member's sessions have in common, and what tells them from earlier ones.
///
/// Grows each time the member leaves or logs out: the sessions from before are over then. It starts
/// from the time in microseconds, so that it never returns to an old value, even when the record was
/// removed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(i64);

impl Epoch {
    /// The first of a record begun at `at`.
    pub fn begin(at: Timestamp) -> Self {
        Self(at.as_micros())
    }

    /// The one after this, at `at`: the time, or one more than this if the time is not later.
    pub fn advance(self, at: Timestamp) -> Self {
        Self(self.0.saturating_add(1).max(at.as_micros()))
    }

    /// As a number, for storage.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// From storage.
    pub const fn from_stored(value: i64) -> Self {
        Self(value)
    }
}

/// Names one state of a record. Random, so that no two writes ever share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(i64);

impl Version {
    /// One that was never used before: 63 random bits.
    pub fn fresh() -> Self {
        Self(crate::random::i63())
    }

    /// As a number, for storage. Never negative.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// From storage.
    pub const fn from_stored(value: i64) -> Self {
        Self(value)
    }
}

/// The right to refresh one member's tokens, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefreshLease {
    /// Who holds it: random text, up to 32 characters.
    pub holder: String,
    /// Until when; then anyone may take it.
    pub until: Timestamp,
}

impl RefreshLease {
    /// The right of `holder` to refresh, until `until`.
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
    fn an_epoch_always_grows() {
        let begun = Epoch::begin(Timestamp::from_micros(1_000));
        assert_eq!(begun.advance(Timestamp::from_micros(5_000)).get(), 5_000);
        // The clock was set back.
        assert_eq!(begun.advance(Timestamp::from_micros(1)).get(), 1_001);
    }

    #[test]
    fn versions_are_not_negative_and_differ() {
        let (a, b) = (Version::fresh(), Version::fresh());
        assert!(a.get() >= 0 && b.get() >= 0);
        assert_ne!(a, b);
    }

    #[test]
    fn leaving_takes_the_tokens_and_the_lease() {
        let at = Timestamp::from_micros(7_000);
        let mut record =
            MemberRecord::tombstone("01026778".parse().unwrap(), Timestamp::from_micros(1));
        record.username = Some("alice".into());
        record.tokens = Some(Tokens::new("a", "r", at));
        record.refresh = Some(RefreshLease {
            holder: "h".into(),
            until: at,
        });
        let left = record.deauthorized(at);
        assert!(!left.is_authorized());
        assert_eq!(left.username, None);
        assert_eq!(left.refresh, None);
        assert_eq!(left.deauthorized_at, Some(at));
        assert!(left.epoch > record.epoch);
        assert_ne!(left.version, record.version);
    }
}
