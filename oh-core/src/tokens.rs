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
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use async_trait::async_trait;

use crate::api::TokenSource;
use crate::handle::Inner;
use crate::oauth::TokenError;
use crate::random;
use crate::store::{MemberRecord, Put, RefreshLease, StoreError, Tokens, Version};
use crate::transport::TransportError;
use crate::{AccessToken, Error, OpenHumans, ProjectMemberId};

/// A token with less than this left is refreshed before it is used.
const MARGIN: Duration = Duration::from_secs(60);

/// How much longer than a token request a refresh lease lasts.
const LEASE_OVER_TIMEOUT: Duration = Duration::from_secs(10);

type Refreshing = Shared<BoxFuture<'static, Result<AccessToken, Arc<Error>>>>;

/// Hands out live access tokens.
pub(crate) struct LiveTokens {
    inner: Weak<Inner>,
    under_way: Arc<Mutex<HashMap<ProjectMemberId, Refreshing>>>,
}

impl LiveTokens {
    pub(crate) fn new(inner: Weak<Inner>) -> Self {
        Self {
            inner,
            under_way: Arc::default(),
        }
    }

    /// A token that is good for a minute at least.
    pub(crate) async fn get(&self, member: &ProjectMemberId) -> Result<AccessToken, Error> {
        let inner = self.inner();
        match living(inner.store.load(member).await?) {
            None => Err(Error::Deauthorized),
            Some((_, tokens)) if !is_due(&inner, &tokens) => Ok(tokens.access_token),
            Some(_) => self.shared(inner, member, None).await,
        }
    }

    /// Another token than `refused`, which Open Humans did not accept.
    pub(crate) async fn replace(
        &self,
        member: &ProjectMemberId,
        refused: &AccessToken,
    ) -> Result<AccessToken, Error> {
        self.shared(self.inner(), member, Some(refused.clone()))
            .await
    }

    fn inner(&self) -> Arc<Inner> {
        self.inner.upgrade().expect("the handle owns its tokens")
    }

    /// Joins the refresh that is under way for this member, or begins one.
    async fn shared(
        &self,
        inner: Arc<Inner>,
        member: &ProjectMemberId,
        refused: Option<AccessToken>,
    ) -> Result<AccessToken, Error> {
        let refreshing = {
            let mut under_way = self
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match under_way.get(member) {
                Some(refreshing) => refreshing.clone(),
                None => {
                    let done = Arc::clone(&self.under_way);
                    let member = member.clone();
                    let key = member.clone();
                    let task = tokio::spawn(async move {
                        let result = Refresh {
                            inner: &inner,
                            member: &member,
                        }
                        .run(refused)
                        .await;
                        done.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .remove(&member);
                        result.map_err(Arc::new)
                    });
                    let key_map = Arc::clone(&self.under_way);
                    let removed = key.clone();
                    let refreshing = async move {
                        task.await.unwrap_or_else(|ended| {
                            // The task panicked or the runtime is going down.
                            let mut map = key_map.lock().unwrap_or_else(PoisonError::into_inner);
                            map.remove(&removed);
                            Err(Arc::new(Error::Network(TransportError::Other(
                                ended.into(),
                            ))))
                        })
                    }
                    .boxed()
                    .shared();
                    under_way.insert(key, refreshing.clone());
                    refreshing
                }
            }
        };
        refreshing.await.map_err(|error| replicate(&error))
    }
}

/// One member's tokens, for the API client.
pub(crate) struct MemberTokens {
    oh: OpenHumans,
    member: ProjectMemberId,
}

impl MemberTokens {
    pub(crate) fn new(oh: OpenHumans, member: ProjectMemberId) -> Self {
        Self { oh, member }
    }
}

#[async_trait]
impl TokenSource for MemberTokens {
    async fn access_token(&self) -> Result<AccessToken, Error> {
        self.oh.access_token(&self.member).await
    }

    async fn refreshed(&self, stale: &AccessToken) -> Result<Option<AccessToken>, Error> {
        self.oh
            .refreshed_access_token(&self.member, stale)
            .await
            .map(Some)
    }
}

/// One refresh of one member's tokens.
struct Refresh<'a> {
    inner: &'a Inner,
    member: &'a ProjectMemberId,
}

impl Refresh<'_> {
    /// Gives a token that is not due and not the refused one.
    async fn run(&self, refused: Option<AccessToken>) -> Result<AccessToken, Error> {
        let inner = self.inner;
        let mut pauses = pauses();
        loop {
            let Some((record, tokens)) = living(inner.store.load(self.member).await?) else {
                return Err(Error::Deauthorized);
            };
            let is_refused = refused
                .as_ref()
                .is_some_and(|r| r.expose() == tokens.access_token.expose());
            if !is_due(inner, &tokens) && !is_refused {
                return Ok(tokens.access_token);
            }
            let now = inner.clock.now();
            if record
                .refresh
                .as_ref()
                .is_some_and(|lease| lease.until > now)
            {
                // Another process is at it.
                tokio::time::sleep(pauses.next().unwrap_or(Duration::from_millis(250))).await;
                continue;
            }
            let holder = random::hex();
            let leased = MemberRecord {
                refresh: Some(RefreshLease {
                    holder: holder.clone(),
                    until: now + inner.settings.timeout + LEASE_OVER_TIMEOUT,
                }),
                refresh_unanswered: true,
                version: Version::fresh(),
                ..record.clone()
            };
            if inner.store.put(&leased, Some(record.version)).await? == Put::Conflict {
                continue;
            }
            match inner.oauth.refresh(&tokens.refresh_token).await {
                Ok(granted) => return self.keep(granted.tokens, &tokens).await,
                Err(TokenError::InvalidGrant) => {
                    // Unless someone has put another pair there, this one is dead. Either way the
                    // next look at the store shows what to do.
                    if let Some(dead) = self.still_holding(&tokens).await? {
                        self.found_dead(&dead, record.refresh_unanswered).await?;
                    }
                }
                Err(error) => {
                    let unanswered = record.refresh_unanswered || error.may_have_happened();
                    self.give_up(&holder, unanswered).await;
                    return Err(match error {
                        TokenError::Other(error) => error,
                        _ => Error::Unauthorized {
                            detail: "invalid_client".into(),
                        },
                    });
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
        let inner = self.inner;
        loop {
            let Some((record, stored)) = living(inner.store.load(self.member).await?) else {
                return Ok(None);
            };
            let is_new = stored.refresh_token.expose() == new.refresh_token.expose();
            if is_new || stored.refresh_token.expose() != old.refresh_token.expose() {
                // It was kept after all, or the member has logged in anew.
                return Ok(Some(stored.access_token));
            }
            let next = MemberRecord {
                tokens: Some(new.clone()),
                heard_at: inner.clock.now(),
                refresh: None,
                refresh_unanswered: false,
                version: Version::fresh(),
                ..record.clone()
            };
            if inner.store.put(&next, Some(record.version)).await? == Put::Done {
                return Ok(Some(new.access_token.clone()));
            }
        }
    }

    /// The record, if it still holds the refresh token that was sent.
    async fn still_holding(&self, sent: &Tokens) -> Result<Option<MemberRecord>, Error> {
        let stored = living(self.inner.store.load(self.member).await?);
        Ok(stored.and_then(|(record, tokens)| {
            (tokens.refresh_token.expose() == sent.refresh_token.expose()).then_some(record)
        }))
    }

    /// Hands a member whose tokens are dead to the deauthorization path.
    ///
    /// When an earlier refresh got no answer, that one may have used the token up: then it is we
    /// who lost the pair, and nothing says that the member has left.
    async fn found_dead(&self, record: &MemberRecord, unanswered: bool) -> Result<(), Error> {
        let desk = &self.inner.desk;
        let reported = if unanswered {
            desk.lost(record).await
        } else {
            desk.found(record).await
        };
        match reported {
            Ok(_) => Ok(()),
            Err(error) => {
                // Nothing is lost: the next caller finds the same.
                tracing::error!(%error, "a member found to have left could not be recorded");
                Err(StoreError::unavailable(error).into())
            }
        }
    }

    /// Gives the lease back after a refresh that did not succeed.
    async fn give_up(&self, holder: &str, unanswered: bool) {
        let inner = self.inner;
        loop {
            let Ok(Some(record)) = inner.store.load(self.member).await else {
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
            match inner.store.put(&next, Some(record.version)).await {
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

fn is_due(inner: &Inner, tokens: &Tokens) -> bool {
    tokens.expires_at.since(inner.clock.now()) < MARGIN
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

/// The same error for each of those who waited for it.
fn replicate(error: &Arc<Error>) -> Error {
    match &**error {
        Error::Deauthorized => Error::Deauthorized,
        Error::Unauthorized { detail } => Error::Unauthorized {
            detail: detail.clone(),
        },
        Error::Refused { problems } => Error::Refused {
            problems: problems.clone(),
        },
        Error::RateLimited { retry_after } => Error::RateLimited {
            retry_after: *retry_after,
        },
        Error::Server { status } => Error::Server { status: *status },
        Error::Timeout => Error::Timeout,
        Error::NotUnderstood { status, excerpt } => Error::NotUnderstood {
            status: *status,
            excerpt: excerpt.clone(),
        },
        Error::Store(store) if store.is_retryable() => {
            Error::Store(StoreError::unavailable(Arc::clone(error)))
        }
        Error::Store(_) => Error::Store(StoreError::unreadable(Arc::clone(error))),
        _ => Error::Network(TransportError::Other(Arc::clone(error).into())),
    }
}
