//! The project's member list, which takes a master token to read.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::api::ProjectClient;
use crate::{Clock, Error, ProjectMemberId, Timestamp};

/// How long a list may be used to look up single members.
const MEMBER_LIST_TTL: Duration = Duration::from_secs(60);

type ReadList =
    dyn Fn() -> BoxFuture<'static, Result<HashSet<ProjectMemberId>, Error>> + Send + Sync;

/// Reads the member list, and caches it for lookups.
pub(crate) struct MemberList {
    read: Option<Box<ReadList>>,
    clock: Clock,
    cached: Mutex<Option<(Timestamp, HashSet<ProjectMemberId>)>>,
}

impl MemberList {
    /// Reads the list through `project`. Without it, as when there is no master token, there is no
    /// list.
    pub(crate) fn new(project: Option<ProjectClient>, clock: Clock) -> Self {
        let read = project.map(|project| -> Box<ReadList> {
            Box::new(move || read_all(project.clone()).boxed())
        });
        Self::with_reader(read, clock)
    }

    pub(super) fn with_reader(read: Option<Box<ReadList>>, clock: Clock) -> Self {
        Self {
            read,
            clock,
            cached: Mutex::default(),
        }
    }

    /// Reads all pages of the list. Returns `None` without a master token.
    pub(crate) async fn read(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        match &self.read {
            Some(read) => read().await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether the list, at most [`MEMBER_LIST_TTL`] old, contains the member. False if there is no
    /// list or it cannot be read.
    pub(super) async fn contains(&self, member: &ProjectMemberId) -> bool {
        let mut cached = self.cached.lock().await;
        let now = self.clock.now();
        if let Some((read_at, members)) = &*cached
            && now.since(*read_at) < MEMBER_LIST_TTL
            && *read_at <= now
        {
            return members.contains(member);
        }
        match self.read().await {
            Ok(Some(members)) => {
                let contains = members.contains(member);
                *cached = Some((now, members));
                contains
            }
            Ok(None) => false,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "failed to load the member list");
                false
            }
        }
    }
}

async fn read_all(project: ProjectClient) -> Result<HashSet<ProjectMemberId>, Error> {
    let mut list = project.member_ids();
    let mut members = HashSet::new();
    while let Some(member) = list.try_next().await? {
        members.insert(member);
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex as StdMutex};

    use super::super::test_support::{at, member};
    use super::*;

    #[tokio::test]
    async fn member_list_is_read_again_after_a_minute() {
        let clock = Clock::manual(at(100));
        let listed = Arc::new(StdMutex::new(HashSet::from([member(1)])));
        let list = listed.clone();
        let read: Box<ReadList> = Box::new(move || {
            let members = list.lock().unwrap().clone();
            async { Ok(members) }.boxed()
        });
        let members = MemberList::with_reader(Some(read), clock.clone());
        assert!(members.contains(&member(1)).await);
        assert!(!members.contains(&member(2)).await);
        listed.lock().unwrap().clear();
        for (seconds, contains) in [(59, true), (1, false)] {
            clock.advance(Duration::from_secs(seconds));
            assert_eq!(members.contains(&member(1)).await, contains);
        }
    }

    #[tokio::test]
    async fn member_list_contains_nobody_without_master_token() {
        let members = MemberList::new(None, Clock::manual(at(100)));
        assert!(members.read().await.unwrap().is_none());
        assert!(!members.contains(&member(1)).await);
    }
}
