//! Sessions of members: what the host's session stores, and whether it is still valid.
//!
//! The host's session stores one small value, a [`SessionMember`], with the member's id, the epoch
//! of the authorization and the time of the login. When the member is deauthorized or logs out, the
//! epoch advances. That ends all sessions of the member, on every device and in every copy of a
//! cookie, even if the host's session library stores nothing on the server. Sessions also end at a
//! maximum age.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::store::{Epoch, MemberRecord, PutOutcome, StoreError, TokenStore, Version};
use crate::{Clock, ProjectMemberId, Timestamp};

/// A session that starts further in the future was created by a process with a wrong clock.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(24 * 3_600);

/// Maximum number of members whose epochs are cached.
const MAX_CACHED_MEMBERS: u64 = 100_000;

/// The key under which the host's session stores a [`SessionMember`] as JSON.
pub const SESSION_KEY: &str = "openhumans.member";

/// The value that the host's session stores about the logged-in member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionMember {
    /// The project member id.
    pub member: ProjectMemberId,
    /// The epoch of the member's authorization at the time of the login.
    pub epoch: Epoch,
    /// The time of the login.
    pub logged_in_at: Timestamp,
    /// The Open Humans username, if the member shares it with the project.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub username: Option<String>,
}

impl SessionMember {
    /// Creates the session value of a member who logged in at `logged_in_at`.
    pub fn new(member: ProjectMemberId, epoch: Epoch, logged_in_at: Timestamp) -> Self {
        Self {
            member,
            epoch,
            logged_in_at,
            username: None,
        }
    }
}

/// The change that an adapter applies to the host's session after a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum SessionChange {
    /// Leave the session unchanged.
    Keep,
    /// Store this value and renew the session id, so that an id known from before the login is
    /// worthless after it (session fixation).
    LogIn(SessionMember),
    /// Remove the value under [`SESSION_KEY`] and renew the session id. The host's other values
    /// remain.
    LogOut,
}

/// A logged-in, authorized member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    id: ProjectMemberId,
    username: Option<String>,
}

impl Member {
    /// Returns the project member id.
    pub fn id(&self) -> &ProjectMemberId {
        &self.id
    }

    /// Returns the Open Humans username, if the member shares it with the project.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }
}

/// Validates sessions against the token store, with a short-lived cache of epochs.
pub(crate) struct SessionCache {
    clock: Clock,
    max_age: Option<Duration>,
    epochs: Option<Cache<ProjectMemberId, Epoch>>,
    /// Number of invalidations. A record loaded before an invalidation is not cached.
    invalidations: AtomicU64,
}

impl SessionCache {
    /// `ttl` limits how long a cached epoch is used; zero disables the cache.
    pub(crate) fn new(clock: Clock, max_age: Option<Duration>, ttl: Duration) -> Self {
        let cache = || {
            Cache::builder()
                .max_capacity(MAX_CACHED_MEMBERS)
                .time_to_live(ttl)
                .build()
        };
        Self {
            clock,
            max_age,
            epochs: (!ttl.is_zero()).then(cache),
            invalidations: AtomicU64::new(0),
        }
    }

    /// Returns the member of a session that is not too old and has the current epoch.
    pub(crate) async fn member(
        &self,
        store: &dyn TokenStore,
        session: SessionMember,
    ) -> Result<Option<Member>, StoreError> {
        if self.is_too_old(&session) {
            return Ok(None);
        }
        // Only a match is used from the cache, because a new login through another process must not
        // be rejected.
        let cached = self.epochs.as_ref().and_then(|c| c.get(&session.member));
        if cached != Some(session.epoch)
            && self.load_epoch(store, &session.member).await? != Some(session.epoch)
        {
            return Ok(None);
        }
        Ok(Some(Member {
            id: session.member,
            username: session.username,
        }))
    }

    async fn load_epoch(
        &self,
        store: &dyn TokenStore,
        member: &ProjectMemberId,
    ) -> Result<Option<Epoch>, StoreError> {
        let before = self.invalidations.load(Ordering::SeqCst);
        let record = store.load(member).await?;
        let epoch = record.filter(|r| r.is_authorized()).map(|r| r.epoch);
        if let Some(cache) = &self.epochs
            && self.invalidations.load(Ordering::SeqCst) == before
        {
            match epoch {
                Some(epoch) => cache.insert(member.clone(), epoch),
                None => cache.invalidate(member),
            }
        }
        Ok(epoch)
    }

    fn is_too_old(&self, session: &SessionMember) -> bool {
        let Some(max_age) = self.max_age else {
            return false;
        };
        let now = self.clock.now();
        if session.logged_in_at > now + MAX_CLOCK_SKEW {
            tracing::warn!(
                logged_in_at = %session.logged_in_at,
                "rejected a session from the future: the clock of a process is or was wrong"
            );
            return true;
        }
        now.since(session.logged_in_at) >= max_age
    }

    /// Ends all sessions of the member by advancing the epoch. An invalid session ends none, so an
    /// old copy of a cookie cannot log anyone out.
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
                self.invalidate(&session.member);
                return Ok(());
            }
        }
    }

    /// Removes the member's cached epoch.
    pub(crate) fn invalidate(&self, member: &ProjectMemberId) {
        self.invalidations.fetch_add(1, Ordering::SeqCst);
        if let Some(cache) = &self.epochs {
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

    /// A store whose `load` reads immediately and returns once it is released.
    #[derive(Default)]
    struct SlowStore {
        store: MemoryStore,
        read: Notify,
        release: Notify,
    }

    #[async_trait]
    impl TokenStore for SlowStore {
        async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
            let record = self.store.load(member).await;
            self.read.notify_one();
            self.release.notified().await;
            record
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
    async fn member_is_not_cached_from_load_before_deauthorization() {
        let member: ProjectMemberId = "01026778".parse().unwrap();
        let record = MemberRecord::authorized(member.clone(), Tokens::new("a", "r", NOW), NOW);
        let store = SlowStore::default();
        assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
        let sessions = SessionCache::new(Clock::manual(NOW), None, Duration::from_secs(60));
        let session = SessionMember::new(member.clone(), record.epoch, NOW);
        let deauthorize = async {
            store.read.notified().await;
            let left = record.deauthorized(NOW);
            let put = store.put(&left, Some(record.version)).await;
            assert_eq!(put.unwrap(), PutOutcome::Stored);
            sessions.invalidate(&member);
            store.release.notify_one();
        };
        let (before, ()) = tokio::join!(sessions.member(&store, session.clone()), deauthorize);
        assert!(before.unwrap().is_some());
        store.release.notify_one();
        assert_eq!(sessions.member(&store, session).await.unwrap(), None);
    }
}
