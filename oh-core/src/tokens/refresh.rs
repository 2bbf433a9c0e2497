//! One refresh of one member's tokens: taking the lease, asking, keeping what was given.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use oh_api::{AppError, Client, OAuthClient, RetryPolicy, TokenError, Tokens};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::answer::RouteOutcome;
use super::turn::{self, Own, Watch};
use crate::deauth::Deauthorizer;
use crate::random;
use crate::store::{MemberRecord, PutOutcome, RefreshLease, StoreError, TokenStore, Version};
use crate::{AccessToken, Error, ProjectMemberId, Timestamp};

/// A token with less than this left is refreshed before it is used.
const MARGIN: Duration = Duration::from_secs(60);

/// How long a new pair that the store does not take is held on to.
const KEEP_FOR: Duration = Duration::from_secs(300);

/// How long one attempt at keeping a pair may take.
const ATTEMPT: Duration = Duration::from_secs(30);

/// How long those who asked for the token wait for it to be kept. Then they have it all the same.
const CALLERS_WAIT: Duration = Duration::from_secs(2);

/// What refreshes are made with.
pub(super) struct Refresher {
    pub(super) oauth: OAuthClient,
    pub(super) client: Client,
    pub(super) deauthorizer: Deauthorizer,
    /// How long a token request may take.
    pub(super) timeout: Duration,
    /// Refreshes that have been sent and not been dealt with.
    pub(super) sent: TaskTracker,
}

/// The pair was refused, and it may be we who used it up.
#[derive(Debug, thiserror::Error)]
#[error(
    "the refresh token was refused, and another process may still be keeping the next one: \
     this will be known in a few minutes"
)]
struct InDoubt;

impl Refresher {
    pub(super) fn store(&self) -> &dyn TokenStore {
        &**self.deauthorizer.token_store()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.deauthorizer.clock().now()
    }

    pub(super) fn is_due(&self, tokens: &Tokens) -> bool {
        tokens.expires_at.since(self.now()) < MARGIN
    }

    fn lease(&self) -> Duration {
        turn::length(self.timeout)
    }

    /// How long after a refusal another process may still store the pair that explains it.
    ///
    /// Whoever used the refresh token up did so before it was refused to us, had its answer within
    /// the length of a lease, and then holds on to the pair for [`KEEP_FOR`] and one attempt more.
    fn grace(&self) -> Duration {
        self.lease() + KEEP_FOR + ATTEMPT + Duration::from_secs(10)
    }

    /// Gives a token that is not due and not the refused one. May give `answer` something before
    /// it ends.
    pub(super) async fn run(
        &self,
        member: &ProjectMemberId,
        refused: Option<&AccessToken>,
        answer: &mut RouteOutcome,
    ) -> Result<AccessToken, Error> {
        let mut watch = Watch::new(self.lease());
        let mut pauses = pauses(Duration::from_millis(250));
        loop {
            let Some((record, tokens)) = living(self.store().load(member).await?) else {
                return Err(Error::Deauthorized);
            };
            let is_refused =
                refused.is_some_and(|refused| refused.expose() == tokens.access_token.expose());
            if !self.is_due(&tokens) && !is_refused {
                return Ok(tokens.access_token);
            }
            let now = self.now();
            if let Some(lease) = &record.refresh
                && !watch.is_over(lease, now)
            {
                // Another process is at it.
                tokio::time::sleep(pauses.next().unwrap_or_default()).await;
                continue;
            }
            let in_flight = self.sent.token();
            let own = Own::begin(now);
            let holder = random::hex();
            let leased = MemberRecord {
                refresh: Some(RefreshLease::new(holder.clone(), now + self.lease())),
                // Written before anything is sent: should this process die, the next one knows
                // that the pair may be used up.
                refresh_unanswered: true,
                version: Version::fresh(),
                ..record.clone()
            };
            if self.store().put(&leased, Some(record.version)).await? == PutOutcome::Conflict {
                continue;
            }
            let turn = Turn {
                refresher: self,
                member,
                holder,
                sent: tokens,
                unanswered_before: record.refresh_unanswered,
            };
            if !own.is_fresh(self.now()) {
                turn.give_back(turn.unanswered_before).await;
                continue;
            }
            match self.oauth.refresh(&turn.sent.refresh_token).await {
                Ok(granted) => return turn.keep(granted.tokens, answer).await,
                Err(TokenError::InvalidGrant) => {
                    // Nothing to lose any more: whatever follows may be cut off.
                    drop(in_flight);
                    if turn.refused(answer).await? {
                        return Err(Error::Deauthorized);
                    }
                    // Someone else has put another pair there.
                }
                Err(error) => {
                    log_failure(&error);
                    let unanswered = turn.unanswered_before || error.may_have_taken_effect();
                    let unanswered = unanswered && !turn.proves_unused(&error).await;
                    turn.give_back(unanswered).await;
                    return Err(error.into());
                }
            }
        }
    }

    /// What Open Humans says to an access token.
    async fn standing(&self, member: &ProjectMemberId, token: &AccessToken) -> Standing {
        let once = RetryPolicy::default().attempts(1);
        let client = self.client.clone().retries(once);
        let asking = client.member(token.clone());
        match tokio::time::timeout(self.timeout, asking.exchange_member()).await {
            Ok(Ok(who)) if who.project_member_id == *member => Standing::Alive,
            Ok(Err(Error::Unauthorized { .. } | Error::Expired)) => Standing::Dead,
            Ok(Ok(_)) => Standing::Unknown(InDoubt.into()),
            Ok(Err(error)) => Standing::Unknown(error),
            Err(_) => Standing::Unknown(Error::Timeout),
        }
    }
}

/// Whether an access token is good.
enum Standing {
    Alive,
    Dead,
    Unknown(Error),
}

/// One use of one refresh token, under a lease.
struct Turn<'a> {
    refresher: &'a Refresher,
    member: &'a ProjectMemberId,
    holder: String,
    /// The pair whose refresh token is used.
    sent: Tokens,
    /// An earlier refresh with this pair got no answer.
    unanswered_before: bool,
}

impl Turn<'_> {
    fn store(&self) -> &dyn TokenStore {
        self.refresher.store()
    }

    /// Stores the new pair in place of the old. It is the only good one there is, so a store that
    /// fails is tried again for minutes; a late write is safe, since it happens only while the
    /// record still holds the old pair.
    async fn keep(&self, new: Tokens, answer: &mut RouteOutcome) -> Result<AccessToken, Error> {
        let mut keeping = std::pin::pin!(self.keep_trying(&new));
        match tokio::time::timeout(CALLERS_WAIT, &mut keeping).await {
            Ok(kept) => kept,
            Err(_) => {
                answer.give(Ok(new.access_token.clone()));
                keeping.await
            }
        }
    }

    async fn keep_trying(&self, new: &Tokens) -> Result<AccessToken, Error> {
        let give_up = Instant::now() + KEEP_FOR;
        let mut pauses = pauses(Duration::from_secs(5));
        let mut failures = 0_u32;
        loop {
            let error = match tokio::time::timeout(ATTEMPT, self.try_keep(new)).await {
                Ok(Ok(kept)) => return kept.ok_or(Error::Deauthorized),
                Ok(Err(error)) => error,
                Err(elapsed) => StoreError::unavailable(elapsed),
            };
            failures += 1;
            if Instant::now() >= give_up {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the new tokens of a member could not be kept: the member must log in again"
                );
                return Err(error.into());
            }
            if failures.is_power_of_two() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    failures,
                    "the new tokens of a member could not be kept yet"
                );
            }
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
    }

    async fn try_keep(&self, new: &Tokens) -> Result<Option<AccessToken>, StoreError> {
        loop {
            let Some((record, stored)) = living(self.store().load(self.member).await?) else {
                return Ok(None);
            };
            if !self.is_sent(&stored) {
                // It was kept after all, or the member has logged in anew.
                return Ok(Some(stored.access_token));
            }
            let next = MemberRecord {
                tokens: Some(new.clone()),
                confirmed_at: self.refresher.now(),
                refresh: None,
                refresh_unanswered: false,
                version: Version::fresh(),
                ..record.clone()
            };
            if self.store().put(&next, Some(record.version)).await? == PutOutcome::Stored {
                return Ok(Some(new.access_token.clone()));
            }
        }
    }

    fn is_sent(&self, tokens: &Tokens) -> bool {
        tokens.refresh_token.expose() == self.sent.refresh_token.expose()
    }

    /// The refresh token was refused. Hands the member to the deauthorization path and gives true,
    /// or gives false if the store holds another pair by now, so that the refusal means nothing.
    async fn refused(&self, answer: &mut RouteOutcome) -> Result<bool, Error> {
        let stored = match self.still_holding().await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.give_back(self.unanswered_before).await;
                return Err(error.into());
            }
        };
        // Whoever took the lease over meanwhile has sent the same token, and that may be why.
        let alone = stored
            .refresh
            .as_ref()
            .is_some_and(|lease| lease.holder == self.holder);
        if alone && !self.unanswered_before {
            let reported = self.refresher.deauthorizer.report_missing(&stored).await;
            return match reported {
                Ok(Some(_)) => Ok(true),
                // The record has changed at this very moment.
                Ok(None) => {
                    self.give_back(false).await;
                    Ok(false)
                }
                Err(error) => {
                    // This one was answered, whatever became of the report.
                    self.give_back(false).await;
                    Err(not_recorded(error))
                }
            };
        }
        self.doubt(answer).await
    }

    /// The refresh token was refused, and it may be we who used it up: this process or another, in
    /// a refresh whose answer nobody saw, or whose pair is still being kept. Nothing says that the
    /// member has left.
    async fn doubt(&self, answer: &mut RouteOutcome) -> Result<bool, Error> {
        // Others may look for themselves meanwhile. A dead token can be sent by anyone.
        self.give_back(true).await;
        if self.sent.expires_at > self.refresher.now() {
            // A rotation would have killed the access token as well.
            let token = &self.sent.access_token;
            match self.refresher.standing(self.member, token).await {
                Standing::Dead => {}
                Standing::Alive => return Err(InDoubt.into()),
                Standing::Unknown(error) => return Err(error),
            }
        }
        answer.give(Err(InDoubt.into()));
        let over = Instant::now() + self.refresher.grace();
        let mut pauses = pauses(Duration::from_secs(5));
        while Instant::now() < over {
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
            if let Ok(None) = self.still_holding().await {
                return Ok(false);
            }
        }
        match self.still_holding().await? {
            None => Ok(false),
            Some(lost) => {
                let reported = self.refresher.deauthorizer.report_token_loss(&lost).await;
                Ok(reported.map_err(not_recorded)?.is_some())
            }
        }
    }

    /// Whether a failed refresh has certainly not used the token up: the server has answered, so
    /// it is not working on it any more, and the access token, which a rotation kills, is alive.
    async fn proves_unused(&self, error: &TokenError) -> bool {
        let answered = match error {
            // These two may come from a gateway that did not wait for the answer.
            TokenError::Other(Error::Server { status }) => !matches!(status.as_u16(), 503 | 504),
            _ => false,
        };
        answered
            && self.sent.expires_at > self.refresher.now()
            && matches!(
                self.refresher
                    .standing(self.member, &self.sent.access_token)
                    .await,
                Standing::Alive
            )
    }

    /// The record, if it still holds the refresh token that was sent.
    async fn still_holding(&self) -> Result<Option<MemberRecord>, StoreError> {
        let stored = living(self.store().load(self.member).await?);
        Ok(stored.and_then(|(record, tokens)| self.is_sent(&tokens).then_some(record)))
    }

    /// Gives the lease back after a refresh that did not succeed.
    async fn give_back(&self, unanswered: bool) {
        loop {
            let Ok(Some(record)) = self.store().load(self.member).await else {
                return;
            };
            if record
                .refresh
                .as_ref()
                .is_none_or(|lease| lease.holder != self.holder)
            {
                return;
            }
            let next = MemberRecord {
                refresh: None,
                refresh_unanswered: unanswered,
                version: Version::fresh(),
                ..record.clone()
            };
            match self.store().put(&next, Some(record.version)).await {
                Ok(PutOutcome::Conflict) => {}
                // If it failed, the lease runs out by itself.
                Ok(PutOutcome::Stored) | Err(_) => return,
            }
        }
    }
}

impl From<InDoubt> for Error {
    fn from(doubt: InDoubt) -> Self {
        AppError::temporary(doubt).into()
    }
}

/// Nothing is lost: the next caller finds the same.
fn not_recorded(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "a member whose tokens are dead could not be recorded"
    );
    StoreError::unavailable(error).into()
}

/// The record and its tokens, if the member is authorized.
pub(super) fn living(record: Option<MemberRecord>) -> Option<(MemberRecord, Tokens)> {
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

/// Between looks and tries: short at first, then as long as `longest`.
fn pauses(longest: Duration) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(longest)
        .without_max_times()
        .build()
}
