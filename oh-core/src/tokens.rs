//! Live tokens: a member's access token, refreshed when it must be, once and by one.
//!
//! Open Humans rotates with no grace: the moment a refresh token is used, the old pair is dead,
//! and whoever uses it again is told `invalid_grant`, as if the member had left. So:
//!
//! - In a process, callers for one member share one refresh. It runs in a task of its own, so a
//!   caller that is cancelled does not cancel it.
//! - Between processes, whoever refreshes first writes a lease into the member's record. The
//!   others wait for the new pair, or for the end of the lease.
//! - `invalid_grant` is believed only if the store still holds the refresh token that was sent.
//! - A new pair is stored only while the record still holds the old one. A member who left in the
//!   meantime stays gone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use async_trait::async_trait;

use crate::deauth::Deauthorizer;
use crate::random;
use crate::store::{MemberRecord, Put, RefreshLease, StoreError, TokenStore, Version};
use crate::transport::TransportError;
use crate::{AccessToken, Error, ProjectMemberId, Timestamp};
use oh_api::TokenSource;
use oh_api::{OAuthClient, TokenError, Tokens};

/// A token with less than this left is refreshed before it is used.
const MARGIN: Duration = Duration::from_secs(60);

/// How much longer than a token request a refresh lease lasts.
const LEASE_OVER_TIMEOUT: Duration = Duration::from_secs(10);

type Refreshing = Shared<BoxFuture<'static, Result<AccessToken, Error>>>;

/// Hands out live access tokens. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LiveTokens(Arc<State>);

struct State {
    oauth: OAuthClient,
    deauthorizer: Deauthorizer,
    /// How long a refresh may keep others waiting.
    lease: Duration,
    under_way: Mutex<HashMap<ProjectMemberId, Refreshing>>,
}

impl LiveTokens {
    /// `timeout`: how long a token request may take.
    pub(crate) fn new(oauth: OAuthClient, deauthorizer: Deauthorizer, timeout: Duration) -> Self {
        let lease = timeout + LEASE_OVER_TIMEOUT;
        let under_way = Mutex::default();
        Self(Arc::new(State {
            oauth,
            deauthorizer,
            lease,
            under_way,
        }))
    }

    /// A token that is good for a minute at least.
    pub(crate) async fn get(&self, member: &ProjectMemberId) -> Result<AccessToken, Error> {
        match living(self.store().load(member).await?) {
            None => Err(Error::Deauthorized),
            Some((_, tokens)) if !self.is_due(&tokens) => Ok(tokens.access_token),
            Some(_) => self.shared(member, None).await,
        }
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
    async fn shared(
        &self,
        member: &ProjectMemberId,
        refused: Option<AccessToken>,
    ) -> Result<AccessToken, Error> {
        let refreshing = match self.under_way().entry(member.clone()) {
            Entry::Occupied(refreshing) => refreshing.get().clone(),
            Entry::Vacant(place) => place.insert(self.begin(member.clone(), refused)).clone(),
        };
        refreshing.await
    }

    /// A refresh in a task of its own, begun by whoever polls it first. Not before: the caller
    /// holds the lock that the task takes when it ends.
    fn begin(&self, member: ProjectMemberId, refused: Option<AccessToken>) -> Refreshing {
        let ended = UnderWay {
            tokens: self.clone(),
            member: member.clone(),
        };
        let refresh = Refresh {
            tokens: self.clone(),
            member,
        };
        let result = async move {
            let task = tokio::spawn(async move {
                let _ended = ended;
                refresh.run(refused).await
            });
            // The task panicked, or the runtime is going down.
            task.await
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

    fn store(&self) -> &dyn TokenStore {
        &**self.0.deauthorizer.token_store()
    }

    fn now(&self) -> Timestamp {
        self.0.deauthorizer.clock().now()
    }

    fn is_due(&self, tokens: &Tokens) -> bool {
        tokens.expires_at.since(self.now()) < MARGIN
    }
}

/// Takes a refresh off the list however it ends.
struct UnderWay {
    tokens: LiveTokens,
    member: ProjectMemberId,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.tokens.under_way().remove(&self.member);
    }
}

/// One member's tokens, for the API client.
pub(crate) struct MemberTokens {
    tokens: LiveTokens,
    member: ProjectMemberId,
}

impl MemberTokens {
    pub(crate) fn new(tokens: LiveTokens, member: ProjectMemberId) -> Self {
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

/// One refresh of one member's tokens.
struct Refresh {
    tokens: LiveTokens,
    member: ProjectMemberId,
}

impl Refresh {
    /// Gives a token that is not due and not the refused one.
    async fn run(&self, refused: Option<AccessToken>) -> Result<AccessToken, Error> {
        let mut pauses = pauses();
        loop {
            let Some((record, tokens)) = living(self.tokens.store().load(&self.member).await?)
            else {
                return Err(Error::Deauthorized);
            };
            let is_refused = refused
                .as_ref()
                .is_some_and(|r| r.expose() == tokens.access_token.expose());
            if !self.tokens.is_due(&tokens) && !is_refused {
                return Ok(tokens.access_token);
            }
            let now = self.tokens.now();
            // A lease that ends later than any of ours would was written by a wrong clock.
            let latest = now + self.tokens.0.lease + MARGIN;
            let held = |lease: &RefreshLease| now < lease.until && lease.until <= latest;
            if record.refresh.as_ref().is_some_and(held) {
                // Another process is at it.
                tokio::time::sleep(pauses.next().unwrap_or(Duration::from_millis(250))).await;
                continue;
            }
            let holder = random::hex();
            let leased = MemberRecord {
                refresh: Some(RefreshLease {
                    holder: holder.clone(),
                    until: now + self.tokens.0.lease,
                }),
                refresh_unanswered: true,
                version: Version::fresh(),
                ..record.clone()
            };
            if self
                .tokens
                .store()
                .put(&leased, Some(record.version))
                .await?
                == Put::Conflict
            {
                continue;
            }
            match self.tokens.0.oauth.refresh(&tokens.refresh_token).await {
                Ok(granted) => return self.keep(granted.tokens, &tokens).await,
                Err(TokenError::InvalidGrant) => {
                    // Unless someone has put another pair there, this one is dead.
                    match self.report_dead(&tokens, record.refresh_unanswered).await {
                        Ok(true) => return Err(Error::Deauthorized),
                        Ok(false) => {}
                        Err(error) => {
                            // This one was answered, whatever became of the report.
                            self.give_up(&holder, record.refresh_unanswered).await;
                            return Err(error);
                        }
                    }
                }
                Err(error) => {
                    log_failure(&error);
                    let unanswered = record.refresh_unanswered || error.may_have_happened();
                    self.give_up(&holder, unanswered).await;
                    return Err(error.into());
                }
            }
        }
    }

    /// Stores the new pair in place of `old`. It is the only good one there is, so a store that
    /// fails is tried again for as long as others will wait.
    async fn keep(&self, new: Tokens, old: &Tokens) -> Result<AccessToken, Error> {
        let mut pauses = pauses().take(40);
        loop {
            match self.try_keep(&new, old).await {
                Err(error) if error.is_retryable() => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
                Ok(kept) => return kept.ok_or(Error::Deauthorized),
            }
        }
    }

    async fn try_keep(
        &self,
        new: &Tokens,
        old: &Tokens,
    ) -> Result<Option<AccessToken>, StoreError> {
        loop {
            let Some((record, stored)) = living(self.tokens.store().load(&self.member).await?)
            else {
                return Ok(None);
            };
            let is_new = stored.refresh_token.expose() == new.refresh_token.expose();
            if is_new || stored.refresh_token.expose() != old.refresh_token.expose() {
                // It was kept after all, or the member has logged in anew.
                return Ok(Some(stored.access_token));
            }
            let next = MemberRecord {
                tokens: Some(new.clone()),
                heard_at: self.tokens.now(),
                refresh: None,
                refresh_unanswered: false,
                version: Version::fresh(),
                ..record.clone()
            };
            if self.tokens.store().put(&next, Some(record.version)).await? == Put::Done {
                return Ok(Some(new.access_token.clone()));
            }
        }
    }

    /// Reports the member as gone, if the store still holds the pair that was refused. False if
    /// that answer means nothing.
    async fn report_dead(&self, sent: &Tokens, unanswered: bool) -> Result<bool, Error> {
        match self.still_holding(sent).await? {
            Some(dead) => self.found_dead(&dead, unanswered).await,
            None => Ok(false),
        }
    }

    /// The record, if it still holds the refresh token that was sent.
    async fn still_holding(&self, sent: &Tokens) -> Result<Option<MemberRecord>, Error> {
        let stored = living(self.tokens.store().load(&self.member).await?);
        Ok(stored.and_then(|(record, tokens)| {
            (tokens.refresh_token.expose() == sent.refresh_token.expose()).then_some(record)
        }))
    }

    /// Hands a member whose tokens are dead to the deauthorization path.
    ///
    /// When an earlier refresh got no answer, that one may have used the token up: then it is we
    /// who lost the pair, and nothing says that the member has left.
    ///
    /// False if the record has changed once more, so that the answer means nothing.
    async fn found_dead(&self, record: &MemberRecord, unanswered: bool) -> Result<bool, Error> {
        let deauthorizer = &self.tokens.0.deauthorizer;
        let reported = if unanswered {
            deauthorizer.report_lost(record).await
        } else {
            deauthorizer.report_found(record).await
        };
        match reported {
            Ok(reported) => Ok(reported.is_some()),
            Err(error) => {
                // Nothing is lost: the next caller finds the same.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a member found to have left could not be recorded"
                );
                Err(StoreError::unavailable(error).into())
            }
        }
    }

    /// Gives the lease back after a refresh that did not succeed.
    async fn give_up(&self, holder: &str, unanswered: bool) {
        loop {
            let Ok(Some(record)) = self.tokens.store().load(&self.member).await else {
                return;
            };
            if record
                .refresh
                .as_ref()
                .is_none_or(|lease| lease.holder != holder)
            {
                return;
            }
            let next = MemberRecord {
                refresh: None,
                refresh_unanswered: unanswered,
                version: Version::fresh(),
                ..record.clone()
            };
            match self.tokens.store().put(&next, Some(record.version)).await {
                Ok(Put::Conflict) => {}
                // If it failed, the lease runs out by itself.
                Ok(Put::Done) | Err(_) => return,
            }
        }
    }
}

fn living(record: Option<MemberRecord>) -> Option<(MemberRecord, Tokens)> {
    let record = record?;
    let tokens = record.tokens.clone()?;
    Some((record, tokens))
}

fn log_failure(error: &TokenError) {
    if matches!(error, TokenError::InvalidClient) {
        tracing::error!(
            "a refresh failed: Open Humans does not accept the client id and secret, see \
             OPENHUMANS_CLIENT_SECRET"
        );
    } else {
        let error = error as &dyn std::error::Error;
        tracing::warn!(error, "a refresh failed");
    }
}

/// Between looks at what another process does: short at first, then four times a second.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_millis(250))
        .without_max_times()
        .build()
}
