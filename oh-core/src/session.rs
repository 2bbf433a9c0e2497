//! Who a session belongs to, and whether that still holds.
//!
//! The host's session keeps one small value, a [`SessionMember`]. It names the member, the epoch it
//! began in, and when. When the member leaves or logs out, the epoch advances, and every session of
//! that member is over: on every device, and every copy of a cookie that someone else may have. The
//! host's session library need not keep anything on the server for that. A session also ends by
//! itself at a greatest age.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::store::{Epoch, MemberRecord, PutOutcome, StoreError, TokenStore, Version};
use crate::{Clock, ProjectMemberId, Timestamp};

/// A session that seems to have begun later than this from now was begun by a wrong clock.
const AHEAD: Duration = Duration::from_secs(24 * 3_600);

/// The key the host's session keeps a [`SessionMember`] under, as JSON.
pub const SESSION_KEY: &str = "openhumans.member";

/// What the session holds about the member who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionMember {
    /// Who.
    pub member: ProjectMemberId,
    /// In which epoch of the member's authorization.
    pub epoch: Epoch,
    /// When the session began.
    pub logged_in_at: Timestamp,
    /// The Open Humans username, if shared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub username: Option<String>,
}

impl SessionMember {
    /// A member who logged in at `logged_in_at`, in this epoch of the authorization.
    pub fn new(member: ProjectMemberId, epoch: Epoch, logged_in_at: Timestamp) -> Self {
        Self {
            member,
            epoch,
            logged_in_at,
            username: None,
        }
    }
}

/// What an adapter does to the host's session after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum SessionChange {
    /// Nothing.
    Keep,
    /// Keep this value, and renew the session's id, so that an id known from before the login
    /// is worth nothing after it.
    LogIn(SessionMember),
    /// Remove our value and renew the session's id. What else the host keeps there stays.
    LogOut,
}

/// A member who is logged in and authorized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    id: ProjectMemberId,
    username: Option<String>,
}

impl Member {
    /// The project member id.
    pub fn id(&self) -> &ProjectMemberId {
        &self.id
    }

    /// The Open Humans username, if the member shares it with the project.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }
}

/// Knows which epoch is the living one, for a short while without asking the store.
pub(crate) struct Epochs {
    clock: Clock,
    /// How long a session lasts.
    max_age: Option<Duration>,
    known: Option<Cache<ProjectMemberId, Option<Epoch>>>,
    /// Counts what was forgotten: an answer of the store from before is not kept.
    forgotten: AtomicU64,
}

impl Epochs {
    /// Members whose epochs are kept in memory.
    const MOST: u64 = 100_000;

    /// `trust`: how long an answer of the store may be repeated.
    pub(crate) fn new(clock: Clock, max_age: Option<Duration>, trust: Duration) -> Self {
        let cache = || {
            Cache::builder()
                .max_capacity(Self::MOST)
                .time_to_live(trust)
                .build()
        };
        Self {
            clock,
            max_age,
            known: (!trust.is_zero()).then(cache),
            forgotten: AtomicU64::new(0),
        }
    }

    /// The member of a session, if it is not too old and its epoch is still the living one.
    pub(crate) async fn member(
        &self,
        store: &dyn TokenStore,
        session: SessionMember,
    ) -> Result<Option<Member>, StoreError> {
        if self.is_too_old(&session) {
            return Ok(None);
        }
        let known = self
            .known
            .as_ref()
            .and_then(|cache| cache.get(&session.member));
        let living = match known {
            // Only a yes is repeated: someone who has just logged in, through another process, is
            // not sent away again.
            Some(living) if living == Some(session.epoch) => living,
            _ => {
                let before = self.forgotten.load(Ordering::SeqCst);
                let record = store.load(&session.member).await?;
                let living = record.filter(|r| r.is_authorized()).map(|r| r.epoch);
                if let Some(cache) = &self.known
                    && self.forgotten.load(Ordering::SeqCst) == before
                {
                    cache.insert(session.member.clone(), living);
                }
                living
            }
        };
        let member = Member {
            id: session.member,
            username: session.username,
        };
        Ok((living == Some(session.epoch)).then_some(member))
    }

    fn is_too_old(&self, session: &SessionMember) -> bool {
        let Some(max_age) = self.max_age else {
            return false;
        };
        let now = self.clock.now();
        if session.logged_in_at > now + AHEAD {
            tracing::warn!(
                logged_in_at = %session.logged_in_at,
                "a session began in the future: the clock of a process was or is wrong"
            );
            return true;
        }
        now.since(session.logged_in_at) >= max_age
    }

    /// Ends the member's sessions, all that have begun so far. A session that is over already ends
    /// none: whoever kept an old cookie cannot log anyone out.
    pub(crate) async fn end_all(
        &self,
        store: &dyn TokenStore,
        session: &SessionMember,
    ) -> Result<(), StoreError> {
        if self.is_too_old(session) {
            return Ok(());
        }
        loop {
            let stored = store.load(&session.member).await?;
            let Some(record) = stored.filter(|r| r.is_authorized() && r.epoch == session.epoch)
            else {
                return Ok(());
            };
            let next = MemberRecord {
                epoch: record.epoch.advance(self.clock.now()),
                version: Version::fresh(),
                ..record.clone()
            };
            if store.put(&next, Some(record.version)).await? == PutOutcome::Stored {
                self.forget(&session.member);
                return Ok(());
            }
        }
    }

    /// Asks the store again next time.
    pub(crate) fn forget(&self, member: &ProjectMemberId) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        if let Some(cache) = &self.known {
            cache.invalidate(member);
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::Notify;

    use super::*;
    use crate::store::{MemoryStore, Tokens};

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    /// Answers with what it read when it was asked, once it is let.
    #[derive(Default)]
    struct Slow {
        store: MemoryStore,
        has_read: Notify,
        go_on: Notify,
    }

    #[async_trait]
    impl TokenStore for Slow {
        async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
            let read = self.store.load(member).await;
            self.has_read.notify_one();
            self.go_on.notified().await;
            read
        }

        async fn put(
            &self,
            record: &MemberRecord,
            expected: Option<Version>,
        ) -> Result<PutOutcome, StoreError> {
            self.store.put(record, expected).await
        }

        async fn remove(
            &self,
            member: &ProjectMemberId,
            expected: Version,
        ) -> Result<PutOutcome, StoreError> {
            self.store.remove(member, expected).await
        }

        async fn page(
            &self,
            after: Option<&ProjectMemberId>,
            limit: usize,
        ) -> Result<Vec<MemberRecord>, StoreError> {
            self.store.page(after, limit).await
        }
    }

    #[tokio::test]
    async fn an_answer_from_before_the_member_left_is_not_remembered() {
        let member: ProjectMemberId = "01026778".parse().unwrap();
        let record = MemberRecord::authorized(member.clone(), Tokens::new("a", "r", NOW), NOW);
        let store = Slow::default();
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
        let epochs = Epochs::new(Clock::manual(NOW), None, Duration::from_secs(60));
        let session = SessionMember::new(member.clone(), record.epoch, NOW);
        let leaves = async {
            store.has_read.notified().await;
            let left = record.deauthorized(NOW);
            let put = store.put(&left, Some(record.version)).await;
            assert_eq!(put.unwrap(), PutOutcome::Stored);
            epochs.forget(&member);
            store.go_on.notify_one();
        };
        let (before, ()) = tokio::join!(epochs.member(&store, session.clone()), leaves);
        assert!(before.unwrap().is_some());
        store.go_on.notify_one();
        assert_eq!(epochs.member(&store, session).await.unwrap(), None);
    }
}
