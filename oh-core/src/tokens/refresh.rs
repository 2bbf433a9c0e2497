//! One refresh of one member's tokens: acquire the lease, send the request, store the new pair.

use std::error::Error as StdError;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use oh_api::{AppError, Client, OAuthClient, RetryPolicy, TokenError, Tokens};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::lease::{LeaseObserver, OwnLease, lease_duration};
use super::{Callers, RefreshResult};
use crate::deauth::Deauthorizer;
use crate::random;
use crate::store::{MemberRecord, PutOutcome, RefreshLease, StoreError, TokenStore, Version};
use crate::{AccessToken, Error, ProjectMemberId, Timestamp};

/// A token with less remaining time is refreshed before it is used.
const MIN_VALIDITY: Duration = Duration::from_secs(60);

/// How long the process retries to store a new pair.
const STORE_RETRY_TIME: Duration = Duration::from_secs(300);

/// Timeout of one attempt to store a pair.
const STORE_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long callers wait for the new pair to be stored before they receive it anyway.
const CALLER_WAIT: Duration = Duration::from_secs(2);

/// Shared by all refreshes.
pub(super) struct Refresher {
    pub(super) oauth: OAuthClient,
    pub(super) client: Client,
    pub(super) deauthorizer: Deauthorizer,
    /// Timeout of a token request.
    pub(super) timeout: Duration,
    /// Refreshes whose request was sent and whose result is not stored yet.
    pub(super) in_flight: TaskTracker,
}

/// The refresh token was rejected, perhaps because this application has used it.
#[derive(Debug, thiserror::Error)]
#[error(
    "Open Humans rejected the refresh token, and another process may still be storing the next \
     pair: try again in a few minutes"
)]
struct Undecided;

impl From<Undecided> for Error {
    fn from(undecided: Undecided) -> Self {
        AppError::temporary(undecided).into()
    }
}

impl Refresher {
    pub(super) fn store(&self) -> &dyn TokenStore {
        &**self.deauthorizer.token_store()
    }

    fn now(&self) -> Timestamp {
        self.deauthorizer.clock().now()
    }

    pub(super) fn is_due(&self, tokens: &Tokens) -> bool {
        tokens.expires_at.since(self.now()) < MIN_VALIDITY
    }

    fn lease_duration(&self) -> Duration {
        lease_duration(self.timeout)
    }

    /// How long after a rejection another process may still store the pair that explains it.
    ///
    /// The process that used the refresh token sent it before this one did, received its response
    /// within a lease, and then retries for [`STORE_RETRY_TIME`] and one more attempt.
    fn grace_period(&self) -> Duration {
        let margin = Duration::from_secs(10);
        self.lease_duration() + STORE_RETRY_TIME + STORE_ATTEMPT_TIMEOUT + margin
    }

    /// Returns a token that is not due and is not `refused`. May respond to `callers` before it
    /// ends.
    pub(super) async fn run(
        &self,
        member: &ProjectMemberId,
        refused: Option<&AccessToken>,
        callers: &mut Callers,
    ) -> RefreshResult {
        let mut observer = LeaseObserver::new(self.lease_duration());
        let mut delays = delays(Duration::from_millis(250));
        loop {
            let Some((record, tokens)) = authorized(self.store().load(member).await?) else {
                return Err(Error::Deauthorized);
            };
            let is_refused =
                refused.is_some_and(|refused| refused.expose() == tokens.access_token.expose());
            if !self.is_due(&tokens) && !is_refused {
                return Ok(tokens.access_token);
            }
            let now = self.now();
            if let Some(lease) = &record.refresh
                && !observer.has_expired(lease, now)
            {
                // Another process is refreshing.
                tokio::time::sleep(delays.next().unwrap_or_default()).await;
                continue;
            }
            let in_flight = self.in_flight.token();
            let own = OwnLease::start(now);
            let holder = random::hex();
            let leased = MemberRecord {
                refresh: Some(RefreshLease::new(
                    holder.clone(),
                    now + self.lease_duration(),
                )),
                // Written before the request: if this process dies, other processes know
                // that the pair may be used.
                refresh_unanswered: true,
                version: Version::fresh(),
                ..record.clone()
            };
            let put = self.store().put(&leased, Some(record.version)).await?;
            if put == PutOutcome::Conflict {
                continue;
            }
            let attempt = RefreshAttempt {
                refresher: self,
                member,
                holder,
                sent: tokens,
                unanswered_before: record.refresh_unanswered,
            };
            if !own.leaves_time(self.now()) {
                attempt.release_lease(attempt.unanswered_before).await;
                continue;
            }
            match self.oauth.refresh(&attempt.sent.refresh_token).await {
                Ok(granted) => return attempt.succeed(granted.tokens, callers).await,
                Err(TokenError::InvalidGrant) => {
                    // The rest may be interrupted without losing tokens.
                    drop(in_flight);
                    if attempt.is_deauthorized(callers).await? {
                        return Err(Error::Deauthorized);
                    }
                    // The store contains another pair.
                }
                Err(error) => {
                    log_failure(&error);
                    let may_be_used = attempt.unanswered_before || error.may_have_taken_effect();
                    let may_be_used = may_be_used && !attempt.proves_unused(&error).await;
                    attempt.release_lease(may_be_used).await;
                    return Err(error.into());
                }
            }
        }
    }

    /// Asks Open Humans whether an access token is valid.
    async fn token_status(&self, member: &ProjectMemberId, token: &AccessToken) -> TokenStatus {
        let once = RetryPolicy::default().attempts(1);
        let client = self.client.clone().retries(once).member(token.clone());
        match tokio::time::timeout(self.timeout, client.exchange_member()).await {
            Ok(Ok(identity)) if identity.project_member_id == *member => TokenStatus::Valid,
            Ok(Err(Error::Unauthorized { .. } | Error::Expired)) => TokenStatus::Invalid,
            Ok(Ok(_)) => TokenStatus::Unknown(Undecided.into()),
            Ok(Err(error)) => TokenStatus::Unknown(error),
            Err(_) => TokenStatus::Unknown(Error::Timeout),
        }
    }
}

enum TokenStatus {
    Valid,
    Invalid,
    Unknown(Error),
}

/// One use of one refresh token, under a lease.
struct RefreshAttempt<'a> {
    refresher: &'a Refresher,
    member: &'a ProjectMemberId,
    holder: String,
    /// The pair whose refresh token is used.
    sent: Tokens,
    /// Whether an earlier attempt with this pair had no response.
    unanswered_before: bool,
}

impl RefreshAttempt<'_> {
    fn store(&self) -> &dyn TokenStore {
        self.refresher.store()
    }

    /// Stores the new pair. It is the only valid one, so a failing store is retried for minutes. A
    /// late write is safe because it happens only while the record contains the old pair.
    async fn succeed(&self, new: Tokens, callers: &mut Callers) -> RefreshResult {
        let mut storing = std::pin::pin!(self.store_with_retries(&new));
        match tokio::time::timeout(CALLER_WAIT, &mut storing).await {
            Ok(result) => result,
            Err(_) => {
                callers.respond(Ok(new.access_token.clone()));
                storing.await
            }
        }
    }

    async fn store_with_retries(&self, new: &Tokens) -> RefreshResult {
        let deadline = Instant::now() + STORE_RETRY_TIME;
        let mut delays = delays(Duration::from_secs(5));
        let mut attempt = 0_u32;
        loop {
            attempt += 1;
            let storing = tokio::time::timeout(STORE_ATTEMPT_TIMEOUT, self.store_new(new));
            let error = match storing.await {
                Ok(Ok(token)) => return token.ok_or(Error::Deauthorized),
                Ok(Err(error)) => error,
                Err(elapsed) => StoreError::unavailable(elapsed),
            };
            if Instant::now() >= deadline {
                tracing::error!(
                    error = &error as &dyn StdError,
                    attempt,
                    "lost refreshed tokens: the store failed for too long, and the member must log \
                     in again"
                );
                return Err(error.into());
            }
            if attempt.is_power_of_two() {
                let error = &error as &dyn StdError;
                tracing::warn!(error, attempt, "failed to store refreshed tokens");
            }
            tokio::time::sleep(delays.next().unwrap_or_default()).await;
        }
    }

    /// Returns the stored access token, or `None` if the member is not authorized any more.
    async fn store_new(&self, new: &Tokens) -> Result<Option<AccessToken>, StoreError> {
        loop {
            let Some((record, stored)) = authorized(self.store().load(self.member).await?) else {
                return Ok(None);
            };
            if !self.is_sent(&stored) {
                // An earlier attempt succeeded, or the member has logged in again.
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
            let put = self.store().put(&next, Some(record.version)).await?;
            if put == PutOutcome::Stored {
                return Ok(Some(new.access_token.clone()));
            }
        }
    }

    fn is_sent(&self, tokens: &Tokens) -> bool {
        tokens.refresh_token.expose() == self.sent.refresh_token.expose()
    }

    /// Decides what a rejected refresh token means. Returns true after the member was reported as
    /// missing, and false if the store contains another pair, so that the rejection means nothing.
    async fn is_deauthorized(&self, callers: &mut Callers) -> Result<bool, Error> {
        let stored = match self.load_unchanged().await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.release_lease(self.unanswered_before).await;
                return Err(error.into());
            }
        };
        // A process that took over the lease has sent the same token, which may be the reason.
        let lease = stored.refresh.as_ref();
        let is_alone = lease.is_some_and(|lease| lease.holder == self.holder);
        if !is_alone || self.unanswered_before {
            return self.wait_for_other_processes(callers).await;
        }
        let reported = self.refresher.deauthorizer.report_missing(&stored).await;
        if !matches!(reported, Ok(Some(_))) {
            // The record has changed, or the report failed. This request had a response.
            self.release_lease(false).await;
        }
        Ok(reported.map_err(report_failed)?.is_some())
    }

    /// Handles a rejection that this application may have caused: by a refresh of this or another
    /// process whose response was lost, or whose pair is not stored yet. It is no evidence that the
    /// member has left.
    async fn wait_for_other_processes(&self, callers: &mut Callers) -> Result<bool, Error> {
        // Other processes may try meanwhile: anyone can send an invalid token.
        self.release_lease(true).await;
        if self.sent.expires_at > self.refresher.now() {
            // A rotation would have invalidated the access token as well.
            let token = &self.sent.access_token;
            match self.refresher.token_status(self.member, token).await {
                TokenStatus::Invalid => {}
                TokenStatus::Valid => return Err(Undecided.into()),
                TokenStatus::Unknown(error) => return Err(error),
            }
        }
        callers.respond(Err(Undecided.into()));
        let deadline = Instant::now() + self.refresher.grace_period();
        let mut delays = delays(Duration::from_secs(5));
        while Instant::now() < deadline {
            tokio::time::sleep(delays.next().unwrap_or_default()).await;
            if let Ok(None) = self.load_unchanged().await {
                return Ok(false);
            }
        }
        match self.load_unchanged().await? {
            None => Ok(false),
            Some(record) => {
                let deauthorizer = &self.refresher.deauthorizer;
                let reported = deauthorizer.report_token_loss(&record).await;
                Ok(reported.map_err(report_failed)?.is_some())
            }
        }
    }

    /// Whether a failed request has certainly not used the token: the server has responded, so it
    /// is not processing the request any more, and the access token is valid, which a rotation
    /// would have ended.
    async fn proves_unused(&self, error: &TokenError) -> bool {
        let TokenError::Other(Error::Server { status }) = error else {
            return false;
        };
        // These two may come from a gateway that did not wait for the server.
        if matches!(status.as_u16(), 503 | 504) || self.sent.expires_at <= self.refresher.now() {
            return false;
        }
        let token = &self.sent.access_token;
        let status = self.refresher.token_status(self.member, token).await;
        matches!(status, TokenStatus::Valid)
    }

    /// Returns the record if it still contains the refresh token that was sent.
    async fn load_unchanged(&self) -> Result<Option<MemberRecord>, StoreError> {
        let stored = authorized(self.store().load(self.member).await?);
        Ok(stored.and_then(|(record, tokens)| self.is_sent(&tokens).then_some(record)))
    }

    async fn release_lease(&self, may_be_used: bool) {
        // If the store fails, the lease expires by itself.
        while let Ok(Some(record)) = self.store().load(self.member).await {
            let lease = record.refresh.as_ref();
            if lease.is_none_or(|lease| lease.holder != self.holder) {
                return;
            }
            let next = MemberRecord {
                refresh: None,
                refresh_unanswered: may_be_used,
                version: Version::fresh(),
                ..record.clone()
            };
            let put = self.store().put(&next, Some(record.version)).await;
            if !matches!(put, Ok(PutOutcome::Conflict)) {
                return;
            }
        }
    }
}

/// Nothing is lost: the next caller repeats the report.
fn report_failed(error: impl StdError + Send + Sync + 'static) -> Error {
    tracing::error!(
        error = &error as &dyn StdError,
        "failed to record a member whose tokens are invalid"
    );
    StoreError::unavailable(error).into()
}

/// The record and its tokens, if the member is authorized.
pub(super) fn authorized(record: Option<MemberRecord>) -> Option<(MemberRecord, Tokens)> {
    let record = record?;
    let tokens = record.tokens.clone()?;
    Some((record, tokens))
}

fn log_failure(error: &TokenError) {
    if matches!(error, TokenError::InvalidClient) {
        tracing::error!(
            "token refresh failed: Open Humans rejected OPENHUMANS_CLIENT_ID or \
             OPENHUMANS_CLIENT_SECRET"
        );
    } else {
        let error = error as &dyn StdError;
        tracing::warn!(error, "token refresh failed");
    }
}

/// Exponential delays up to `max`.
fn delays(max: Duration) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(max)
        .without_max_times()
        .build()
}
