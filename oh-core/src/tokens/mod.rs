//! Valid access tokens: each member's pair is refreshed when necessary, by one process at a time.
//!
//! Open Humans rotates refresh tokens without a grace period: once a refresh token is used, the old
//! pair is invalid, and a second use returns `invalid_grant`, as if the member had left. Therefore:
//!
//! - Within a process, callers for the same member share one refresh. It runs in a separate task,
//!   so that it continues if a caller is canceled.
//! - Between processes, the one that refreshes first writes a lease into the member's record. The
//!   others wait for the new pair or for the end of the lease; [`lease`] explains how they determine
//!   that end despite different clocks.
//! - A new pair is stored only while the record contains the old one, so that a refresh never
//!   revives a deauthorized member. If the store fails, writing is retried for five minutes.
//!   Waiting callers receive the new access token before that.
//! - `invalid_grant` counts only if the store still contains the refresh token that was sent. If
//!   this application may have used the token itself, the refresher waits until no process can be
//!   storing the next pair any more, about six minutes, and then reports token loss instead of a
//!   departure.
//!
//! `refresh_model.rs` among the workspace's tests explores the orders of two processes, crashes,
//! lost responses and different clocks.

mod lease;
mod refresh;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use oh_api::{Client, OAuthClient, TokenSource};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::deauth::Deauthorizer;
use crate::transport::TransportError;
use crate::{AccessToken, Error, ProjectMemberId};
use refresh::{Refresher, authorized};

type RefreshResult = Result<AccessToken, Error>;
type SharedRefresh = Shared<BoxFuture<'static, RefreshResult>>;

/// Returns valid access tokens. Cheap to clone.
#[derive(Clone)]
pub(crate) struct TokenRefresher(Arc<State>);

struct State {
    refresher: Arc<Refresher>,
    running: Mutex<HashMap<ProjectMemberId, SharedRefresh>>,
}

/// Sends the result of a refresh to its callers. Only the first result counts.
struct Callers(Option<oneshot::Sender<RefreshResult>>);

impl Callers {
    fn respond(&mut self, result: RefreshResult) {
        if let Some(sender) = self.0.take() {
            // All callers may have been canceled.
            let _ = sender.send(result);
        }
    }
}

impl TokenRefresher {
    /// `timeout` limits a token request.
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
            in_flight: TaskTracker::new(),
        });
        Self(Arc::new(State {
            refresher,
            running: Mutex::default(),
        }))
    }

    /// Returns a token that is valid for at least a minute.
    pub(crate) async fn get(&self, member: &ProjectMemberId) -> RefreshResult {
        // The store may be failing, so that the new pair is not stored yet.
        if let Some(token) = self.unstored_token(member) {
            return Ok(token);
        }
        let refresher = &self.0.refresher;
        match authorized(refresher.store().load(member).await?) {
            None => Err(Error::Deauthorized),
            Some((_, tokens)) if !refresher.is_due(&tokens) => Ok(tokens.access_token),
            Some(_) => self.refresh(member, None).await,
        }
    }

    /// Returns another token than `refused`, which Open Humans rejected.
    pub(crate) async fn replace(
        &self,
        member: &ProjectMemberId,
        refused: &AccessToken,
    ) -> RefreshResult {
        let token = self.refresh(member, Some(refused.clone())).await?;
        if token.expose() != refused.expose() {
            return Ok(token);
        }
        // Joined a refresh that had read the store before the token was rejected.
        self.refresh(member, Some(refused.clone())).await
    }

    /// Waits until no refresh waits for its response or for its pair to be stored. Takes up to six
    /// minutes while the store fails.
    pub(crate) async fn wait(&self) {
        let in_flight = &self.0.refresher.in_flight;
        in_flight.close();
        in_flight.wait().await;
        in_flight.reopen();
    }

    /// Joins the member's running refresh, or starts one.
    async fn refresh(
        &self,
        member: &ProjectMemberId,
        refused: Option<AccessToken>,
    ) -> RefreshResult {
        let refresh = match self.running().entry(member.clone()) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => entry.insert(self.start(member.clone(), refused)).clone(),
        };
        refresh.await
    }

    /// The token of a refresh that has succeeded and whose pair is not stored yet.
    fn unstored_token(&self, member: &ProjectMemberId) -> Option<AccessToken> {
        self.running().get(member)?.peek()?.as_ref().ok().cloned()
    }

    /// Creates a refresh that starts its task when it is first polled, and not earlier: the caller
    /// holds the lock that the task acquires at its end.
    fn start(&self, member: ProjectMemberId, refused: Option<AccessToken>) -> SharedRefresh {
        let guard = RunningGuard {
            tokens: self.clone(),
            member: member.clone(),
        };
        let refresher = Arc::clone(&self.0.refresher);
        async move {
            let (sender, receiver) = oneshot::channel();
            tokio::spawn(async move {
                let mut callers = Callers(Some(sender));
                let result = refresher.run(&member, refused.as_ref(), &mut callers).await;
                // Remove the refresh before the response, so that later callers start a new one.
                drop(guard);
                callers.respond(result);
            });
            // An error if the task panicked or the runtime shuts down.
            let result = receiver.await;
            result.unwrap_or_else(|error| Err(Error::Network(TransportError::other(error))))
        }
        .boxed()
        .shared()
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ProjectMemberId, SharedRefresh>> {
        let running = self.0.running.lock();
        running.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a refresh from the map of running ones when it ends for any reason.
struct RunningGuard {
    tokens: TokenRefresher,
    member: ProjectMemberId,
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.tokens.running().remove(&self.member);
    }
}

/// The tokens of one member, for the API client.
pub(crate) struct MemberTokens {
    pub(crate) tokens: TokenRefresher,
    pub(crate) member: ProjectMemberId,
}

#[async_trait]
impl TokenSource for MemberTokens {
    async fn access_token(&self) -> RefreshResult {
        self.tokens.get(&self.member).await
    }

    async fn refreshed(&self, stale: &AccessToken) -> Result<Option<AccessToken>, Error> {
        self.tokens.replace(&self.member, stale).await.map(Some)
    }
}
