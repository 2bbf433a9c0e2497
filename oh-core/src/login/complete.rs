//! The second half of a login: from the authorization code to a stored authorization.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use oh_api::oauth::TokenGrant;
use oh_api::{Client, ExchangeMember, OAuthClient, RetryPolicy, TokenError};

use super::departure;
use super::pending::{PendingLogin, PendingLoginCookies};
use super::{AuthorizedMember, LoginFailure, LoginHandler, ReturnPath};
use crate::deauth::Deauthorizer;
use crate::session::{SessionCache, SessionMember};
use crate::store::{Epoch, MemberRecord, PutOutcome, StoreError, TokenStore, Tokens, Version};
use crate::{AuthorizationCode, Clock, Error, ProjectMemberId, Timestamp};

/// A deauthorization that lies further in the future was recorded by a process with a wrong clock.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(24 * 3_600);

/// Completes logins.
pub(crate) struct Login {
    pub(crate) oauth: OAuthClient,
    pub(crate) cookies: PendingLoginCookies,
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) deauthorizer: Deauthorizer,
    pub(crate) handler: Arc<dyn LoginHandler>,
    pub(crate) sessions: Arc<SessionCache>,
    /// Limits the request for the member's id and the wait for an earlier deauthorization.
    pub(crate) timeout: Duration,
    /// Where a login without a return path leads.
    pub(crate) redirect_url: String,
}

/// A successful login.
pub(crate) struct CompletedLogin {
    pub(crate) session: SessionMember,
    pub(crate) redirect_to: String,
}

/// A stored authorization, and the record that it replaced.
struct StoredAuthorization {
    record: MemberRecord,
    replaced: Option<MemberRecord>,
}

impl StoredAuthorization {
    fn was_authorized(&self) -> bool {
        let replaced = self.replaced.as_ref();
        replaced.is_some_and(MemberRecord::is_authorized)
    }
}

impl Login {
    /// Exchanges the code, identifies the member, stores the tokens and calls the application's
    /// handler. Undoes what it did if a step fails.
    pub(crate) async fn complete(
        &self,
        pending: &PendingLogin,
        code: &AuthorizationCode,
    ) -> Result<CompletedLogin, LoginFailure> {
        let granted = self.exchange_code(pending, code).await?;
        let stored = match self.authorize(pending, &granted).await {
            Ok(stored) => stored,
            Err(failure) => {
                self.revoke(&granted.tokens).await;
                return Err(failure);
            }
        };
        // Once more, because a worker may have leased an event before the record was written.
        if let Err(failure) = self.wait_for_deauthorization(&stored.record.member).await {
            self.restore(stored).await;
            return Err(failure);
        }
        self.call_handler(pending, stored).await
    }

    async fn exchange_code(
        &self,
        pending: &PendingLogin,
        code: &AuthorizationCode,
    ) -> Result<TokenGrant, LoginFailure> {
        let granted = self.oauth.exchange(code, &pending.verifier).await;
        granted.map_err(|error| match error {
            TokenError::InvalidGrant => LoginFailure::CodeExpired,
            TokenError::InvalidClient => LoginFailure::InvalidClient,
            other => LoginFailure::OpenHumans(other.into()),
        })
    }

    async fn authorize(
        &self,
        pending: &PendingLogin,
        granted: &TokenGrant,
    ) -> Result<StoredAuthorization, LoginFailure> {
        let identity = self.identify(&granted.tokens).await?;
        // Before the authorization is stored, so that it rarely has to be undone.
        self.wait_for_deauthorization(&identity.project_member_id)
            .await?;
        self.store(pending, granted, &identity).await
    }

    /// Asks Open Humans which member the tokens are for. Retries once at most, because a person is
    /// waiting.
    async fn identify(&self, tokens: &Tokens) -> Result<ExchangeMember, LoginFailure> {
        let retries = RetryPolicy::default()
            .attempts(2)
            .total(Duration::from_secs(3));
        let client = self.client.clone().retries(retries);
        let member = client.member(tokens.access_token.clone());
        tokio::time::timeout(self.timeout, member.exchange_member())
            .await
            .unwrap_or(Err(Error::Timeout))
            .map_err(LoginFailure::OpenHumans)
    }

    /// Waits until the application's handler has processed an earlier deauthorization.
    async fn wait_for_deauthorization(&self, member: &ProjectMemberId) -> Result<(), LoginFailure> {
        match departure::wait_until_idle(&self.deauthorizer, member, self.timeout).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LoginFailure::DeauthPending),
            Err(error) => Err(StoreError::unavailable(error).into()),
        }
    }

    /// Stores the new authorization.
    ///
    /// Fails if the member was deauthorized after the login started: a code issued before a
    /// deauthorization can still be exchanged after it, and its token even answers
    /// `exchange-member`.
    ///
    /// The authorization is dated to the start of the login, by the clock of Open Humans. The code
    /// was issued later, so exchanging it never overrides a request that the member made before.
    async fn store(
        &self,
        pending: &PendingLogin,
        granted: &TokenGrant,
        identity: &ExchangeMember,
    ) -> Result<StoredAuthorization, LoginFailure> {
        let member = &identity.project_member_id;
        loop {
            let replaced = self.store.load(member).await?;
            if let Some(left) = replaced.as_ref().and_then(|record| record.deauthorized_at)
                && left >= pending.started_at()
                && !self.is_far_ahead(left)
            {
                tracing::info!("rejected a login that started before the member's deauthorization");
                return Err(LoginFailure::Deauthorized);
            }
            let now = self.clock.now();
            let record = MemberRecord {
                username: identity.username.clone(),
                // Keeps other sessions valid. A deauthorization has advanced the epoch already.
                epoch: replaced
                    .as_ref()
                    .map_or(Epoch::begin(now), |record| record.epoch),
                authorized_at: granted.granted_at - now.since(pending.started_at()),
                ..MemberRecord::authorized(member.clone(), granted.tokens.clone(), now)
            };
            let expected = replaced.as_ref().map(|record| record.version);
            if self.store.put(&record, expected).await? == PutOutcome::Stored {
                self.sessions.invalidate(member);
                return Ok(StoredAuthorization { record, replaced });
            }
        }
    }

    /// Prevents that a clock that was wrong for a moment locks a member out for years.
    fn is_far_ahead(&self, left: Timestamp) -> bool {
        let is_far_ahead = left > self.clock.now() + MAX_CLOCK_SKEW;
        if is_far_ahead {
            tracing::warn!(
                deauthorized_at = %left,
                "ignored a deauthorization in the future: the clock of a process is or was wrong"
            );
        }
        is_far_ahead
    }

    /// Calls the application's handler and turns its decision into a session.
    async fn call_handler(
        &self,
        pending: &PendingLogin,
        stored: StoredAuthorization,
    ) -> Result<CompletedLogin, LoginFailure> {
        let login = AuthorizedMember {
            member: stored.record.member.clone(),
            username: stored.record.username.clone(),
            context: pending.context.clone(),
            return_to: pending
                .return_to
                .as_deref()
                .and_then(|path| ReturnPath::parse(path).ok()),
            returning: stored.was_authorized(),
        };
        let decision = self.handler.logged_in(&login).await;
        let current = self.store.load(&login.member).await?;
        let Some(current) = current.filter(MemberRecord::is_authorized) else {
            let failure = self.deauthorized_during_login(&stored.record).await;
            return Err(decision.map_or_else(LoginFailure::Rejected, |_| failure));
        };
        match decision {
            Ok(accepted) => Ok(CompletedLogin {
                session: SessionMember {
                    member: login.member,
                    // The current epoch: the member may have logged out elsewhere meanwhile.
                    epoch: current.epoch,
                    logged_in_at: self.clock.now(),
                    username: login.username,
                },
                redirect_to: accepted
                    .redirect_to
                    .or(login.return_to.map(|path| path.to_string()))
                    .unwrap_or_else(|| self.redirect_url.clone()),
            }),
            Err(rejected) => {
                if !stored.was_authorized() {
                    self.remove(&stored.record).await;
                }
                Err(LoginFailure::Rejected(rejected))
            }
        }
    }

    async fn deauthorized_during_login(&self, record: &MemberRecord) -> LoginFailure {
        match departure::submit_again(&self.deauthorizer, record).await {
            Ok(()) => LoginFailure::Deauthorized,
            Err(error) => {
                let failure = StoreError::unavailable(error);
                tracing::error!(
                    error = &failure as &dyn StdError,
                    "a member was deauthorized during a login, and data that the login handler \
                     created may remain"
                );
                failure.into()
            }
        }
    }

    /// Undoes [`store`](Self::store) for a member whose earlier deauthorization is still being
    /// processed. A returning member stays authorized, with the new pair.
    async fn restore(&self, stored: StoredAuthorization) {
        let StoredAuthorization { record, replaced } = stored;
        let restored = match replaced {
            Some(replaced) if replaced.is_authorized() => return,
            Some(mut replaced) => {
                replaced.version = Version::fresh();
                self.store.put(&replaced, Some(record.version)).await
            }
            None => self.store.remove(&record.member, record.version).await,
        };
        self.sessions.invalidate(&record.member);
        match (restored, &record.tokens) {
            (Ok(PutOutcome::Stored), Some(tokens)) => self.revoke(tokens).await,
            (Err(error), _) => {
                let error = &error as &dyn StdError;
                tracing::warn!(error, "failed to undo a login during a deauthorization");
            }
            _ => {}
        }
    }

    /// Undoes [`store`](Self::store) for a rejected member. Revokes the tokens first, so that no
    /// valid pair remains that no store holds.
    async fn remove(&self, record: &MemberRecord) {
        if let Some(tokens) = &record.tokens {
            self.revoke(tokens).await;
        }
        if let Err(error) = self.store.remove(&record.member, record.version).await {
            let error = &error as &dyn StdError;
            tracing::warn!(error, "failed to delete the record of a rejected member");
        }
        self.sessions.invalidate(&record.member);
    }

    async fn revoke(&self, tokens: &Tokens) {
        if let Err(error) = self.oauth.revoke(&tokens.refresh_token).await {
            let error = &error as &dyn StdError;
            tracing::warn!(error, "failed to revoke the tokens of an incomplete login");
        }
    }
}
