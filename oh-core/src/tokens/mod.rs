//! Live tokens: a member's access token, refreshed when it must be, once and by one.
//!
//! Open Humans rotates with no grace: the moment a refresh token is used, the old pair is dead,
//! and whoever uses it again is told `invalid_grant`, as if the member had left. So:
//!
//! - In a process, callers for one member share one refresh. It runs in a task of its own, so a
//!   caller that is cancelled does not cancel it.
//! - Between processes, whoever refreshes first writes a lease into the member's record. The
//!   others wait for the new pair, or for the end of the lease. How they know that end although
//!   clocks differ is in [`turn`].
//! - A new pair is stored only while the record still holds the old one. A member who left in the
//!   meantime stays gone. While the store is away it is tried again for five minutes; those who
//!   wait have the new access token before that.
//! - `invalid_grant` is believed only if the store still holds the refresh token that was sent.
//!   If it may be we who used it up, nothing is concluded until nobody can be keeping the next
//!   pair any more, which takes about six minutes; and then the member is lost, not gone.
//!
//! `refresh_model.rs` among the workspace's tests walks through every order of two processes,
//! crashes, lost answers and clocks that differ.

mod answer;
mod refresh;
mod turn;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use oh_api::{Client, OAuthClient, TokenSource};
use tokio_util::task::TaskTracker;

use crate::deauth::Deauthorizer;
use crate::transport::TransportError;
use crate::{AccessToken, Error, ProjectMemberId};
use answer::{Answered, RouteOutcome};
use refresh::{Refresher, living};

type Refreshing = Shared<BoxFuture<'static, Answered>>;

/// Hands out live access tokens. Cheap to clone.
#[derive(Clone)]
pub(crate) struct TokenRefresher(Arc<State>);

struct State {
    refresher: Arc<Refresher>,
    under_way: Mutex<HashMap<ProjectMemberId, Refreshing>>,
}

impl TokenRefresher {
    /// `timeout`: how long a token request may take.
    pub(crate) fn new(
        oauth: OAuthClient,
        client: Client,
        deauthorizer: Deauthorizer,
        timeout: Duration,
    ) -> Self {
        let refresher = Arc::new(Refresher {
            oauth,
            client,
            deauthorizer,
            timeout,
            sent: TaskTracker::new(),
        });
        let under_way = Mutex::default();
        Self(Arc::new(State {
            refresher,
            under_way,
        }))
    }

    /// A token that is good for a minute at least.
    pub(crate) async fn get(&self, member: &ProjectMemberId) -> Result<AccessToken, Error> {
        // The store may be away, and the new pair is not kept yet.
        if let Some(token) = self.unkept(member) {
            return Ok(token);
        }
        let refresher = &self.0.refresher;
        match living(refresher.store().load(member).await?) {
            None => Err(Error::Deauthorized),
            Some((_, tokens)) if !refresher.is_due(&tokens) => Ok(tokens.access_token),
            Some(_) => self.shared(member, None).await,
        }
    }

    /// Waits until no refresh that was sent waits for its answer, or for its pair to be kept: up to
    /// six minutes, while the store is away.
    pub(crate) async fn settled(&self) {
        let sent = &self.0.refresher.sent;
        sent.close();
        sent.wait().await;
        sent.reopen();
    }

    /// Another token than `refused`, which Open Humans did not accept.
    pub(crate) async fn replace(
        &self,
        member: &ProjectMemberId,
        refused: &AccessToken,
    ) -> Result<AccessToken, Error> {
        let token = self.shared(member, Some(refused.clone())).await?;
        if token.expose() != refused.expose() {
            return Ok(token);
        }
        // Joined a look at the store that began before anyone knew of the refusal.
        self.shared(member, Some(refused.clone())).await
    }

    /// Joins the refresh that is under way for this member, or begins one.
    async fn shared(&self, member: &ProjectMemberId, refused: Option<AccessToken>) -> Answered {
        let refreshing = match self.under_way().entry(member.clone()) {
            Entry::Occupied(refreshing) => refreshing.get().clone(),
            Entry::Vacant(place) => place.insert(self.begin(member.clone(), refused)).clone(),
        };
        refreshing.await
    }

    /// The token of a refresh that has succeeded and whose pair is still being kept.
    fn unkept(&self, member: &ProjectMemberId) -> Option<AccessToken> {
        let under_way = self.under_way();
        let answered = under_way.get(member)?.peek()?;
        answered.as_ref().ok().cloned()
    }

    /// A refresh in a task of its own, begun by whoever polls it first. Not before: the caller
    /// holds the lock that the task takes when it ends.
    fn begin(&self, member: ProjectMemberId, refused: Option<AccessToken>) -> Refreshing {
        let ended = UnderWay {
            tokens: self.clone(),
            member: member.clone(),
        };
        let refresher = Arc::clone(&self.0.refresher);
        let result = async move {
            let (mut answer, answered) = RouteOutcome::new();
            tokio::spawn(async move {
                let result = refresher.run(&member, refused.as_ref(), &mut answer).await;
                // Off the list first: who comes after the end begins anew.
                drop(ended);
                answer.give(result);
            });
            // The task panicked, or the runtime is going down.
            answered
                .await
                .unwrap_or_else(|ended| Err(Error::Network(TransportError::other(ended))))
        };
        result.boxed().shared()
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<ProjectMemberId, Refreshing>> {
        self.0
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a refresh off the list however it ends.
struct UnderWay {
    tokens: TokenRefresher,
    member: ProjectMemberId,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.tokens.under_way().remove(&self.member);
    }
}

/// One member's tokens, for the API client.
pub(crate) struct MemberTokens {
    tokens: TokenRefresher,
    member: ProjectMemberId,
}

impl MemberTokens {
    pub(crate) fn new(tokens: TokenRefresher, member: ProjectMemberId) -> Self {
        Self { tokens, member }
    }
}

#[async_trait]
impl TokenSource for MemberTokens {
    async fn access_token(&self) -> Result<AccessToken, Error> {
        self.tokens.get(&self.member).await
    }

    async fn refreshed(&self, stale: &AccessToken) -> Result<Option<AccessToken>, Error> {
        self.tokens.replace(&self.member, stale).await.map(Some)
    }
}
