//! Who a session belongs to, and whether that still holds.
//!
//! The host's session keeps one small value, a [`SessionMember`]. It names the member and the
//! epoch of the authorization it came from; when the member leaves, the epoch advances and every
//! session of that member is over, on every device.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::ProjectMemberId;
use crate::store::{Epoch, StoreError, TokenStore};

/// The key the host's session keeps a [`SessionMember`] under, as JSON.
pub const SESSION_KEY: &str = "openhumans.member";

/// What the session holds about the member who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionMember {
    /// Who.
    pub member: ProjectMemberId,
    /// By which authorization.
    pub epoch: Epoch,
    /// The Open Humans username, if shared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub username: Option<String>,
}

impl SessionMember {
    /// A member who is logged in by the authorization of this epoch.
    pub fn new(member: ProjectMemberId, epoch: Epoch) -> Self {
        Self {
            member,
            epoch,
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
    known: Option<Cache<ProjectMemberId, Option<Epoch>>>,
    /// Counts what was forgotten: an answer of the store from before is not kept.
    forgotten: AtomicU64,
}

impl Epochs {
    /// Members whose epochs are kept in memory.
    const MOST: u64 = 100_000;

    /// `trust`: how long an answer of the store may be repeated.
    pub(crate) fn new(trust: Duration) -> Self {
        let cache = || {
            Cache::builder()
                .max_capacity(Self::MOST)
                .time_to_live(trust)
                .build()
        };
        Self {
            known: (!trust.is_zero()).then(cache),
            forgotten: AtomicU64::new(0),
        }
    }

    /// The member of a session, if the authorization it came from is still the living one.
    pub(crate) async fn member(
        &self,
        store: &dyn TokenStore,
        session: SessionMember,
    ) -> Result<Option<Member>, StoreError> {
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

    /// Asks the store again next time.
    pub(crate) fn forget(&self, member: &ProjectMemberId) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        if let Some(cache) = &self.known {
            cache.invalidate(member);
        }
    }
}
