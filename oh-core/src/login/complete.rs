//! The second half of a login: from the code to a stored authorization.

use std::sync::Arc;
use std::time::Duration;

use oh_api::oauth::TokenGrant;
use oh_api::{Client, ExchangeMember, OAuthClient, RetryPolicy, TokenError};

use crate::deauth::Deauthorizer;
use crate::session::{Epochs, SessionMember};
use crate::store::{Epoch, MemberRecord, PutOutcome, StoreError, TokenStore, Tokens, Version};
use crate::{AuthorizationCode, Clock, Error, ProjectMemberId, Timestamp};

/// A departure that lies further ahead than this was written down by a wrong clock.
const AHEAD: Duration = Duration::from_secs(24 * 3_600);

use super::departure;
use super::flow::{Flow, FlowCookies};
use super::{LoggedIn, LoginFailure, LoginHandler, ReturnPath};

/// What it takes to log members in.
pub(crate) struct Login {
    pub(crate) oauth: OAuthClient,
    pub(crate) flows: FlowCookies,
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) deauthorizer: Deauthorizer,
    pub(crate) handler: Arc<dyn LoginHandler>,
    pub(crate) epochs: Arc<Epochs>,
    /// How long Open Humans may take to say who came, and the app to deal with an earlier
    /// departure.
    pub(crate) timeout: Duration,
    /// Where a login leads that was begun without a way back.
    pub(crate) redirect_url: String,
}

/// A login that succeeded.
pub(crate) struct Completed {
    pub(crate) session: SessionMember,
    /// Where the person goes now.
    pub(crate) redirect_to: String,
}

impl Login {
    /// Exchanges the code, learns who came, stores the tokens and asks the app.
    pub(crate) async fn complete(
        &self,
        flow: &Flow,
        code: &AuthorizationCode,
    ) -> Result<Completed, LoginFailure> {
        let granted = self
            .oauth
            .exchange(code, &flow.verifier)
            .await
            .map_err(|e| match e {
                TokenError::InvalidGrant => LoginFailure::CodeExpired,
                TokenError::InvalidClient => LoginFailure::ClientRefused,
                other => LoginFailure::OpenHumans(other.into()),
            })?;
        let kept = self.keep(flow, &granted).await;
        let (record, before) = match kept {
            Ok((record, stored)) => match self.wait_for_handler(&record.member).await {
                Ok(()) => (record, stored.filter(MemberRecord::is_authorized)),
                Err(failure) => {
                    self.put_back(&record, stored).await;
                    return Err(failure);
                }
            },
            Err(failure) => {
                self.revoke(&granted.tokens).await;
                return Err(failure);
            }
        };
        let login = LoggedIn {
            member: record.member.clone(),
            username: record.username.clone(),
            context: flow.context.clone(),
            return_to: flow
                .return_to
                .as_deref()
                .and_then(|path| ReturnPath::parse(path).ok()),
            returning: before.is_some(),
        };
        let welcome = self.handler.logged_in(&login).await;
        let stored = self.store.load(&record.member).await?;
        let Some(stored) = stored.filter(MemberRecord::is_authorized) else {
            let failure = self.left_meanwhile(&record).await;
            return Err(welcome.map_or_else(LoginFailure::App, |_| failure));
        };
        match welcome {
            Ok(welcome) => Ok(Completed {
                session: SessionMember {
                    member: record.member,
                    // As it is now: the member may have logged out elsewhere meanwhile.
                    epoch: stored.epoch,
                    logged_in_at: self.clock.now(),
                    username: record.username,
                },
                redirect_to: welcome
                    .redirect_to
                    .or(login.return_to.map(|path| path.to_string()))
                    .unwrap_or_else(|| self.redirect_url.clone()),
            }),
            Err(refusal) => {
                if before.is_none() {
                    self.undo(&record).await;
                }
                Err(LoginFailure::App(refusal))
            }
        }
    }

    /// Asks whose the tokens are, and stores them. A person is waiting, so there is one more try at
    /// most.
    async fn keep(
        &self,
        flow: &Flow,
        granted: &TokenGrant,
    ) -> Result<(MemberRecord, Option<MemberRecord>), LoginFailure> {
        let retries = RetryPolicy::default()
            .attempts(2)
            .total(Duration::from_secs(3));
        let client = self.client.clone().retries(retries);
        let member = client.member(granted.tokens.access_token.clone());
        let who = tokio::time::timeout(self.timeout, member.exchange_member())
            .await
            .unwrap_or(Err(Error::Timeout))
            .map_err(LoginFailure::OpenHumans)?;
        // Before the authorization is stored, too: then it need not be taken back.
        self.wait_for_handler(&who.project_member_id).await?;
        self.store(flow, granted, &who).await
    }

    /// Waits until the app's handler has dealt with an earlier departure of this member.
    async fn wait_for_handler(&self, member: &ProjectMemberId) -> Result<(), LoginFailure> {
        match departure::is_over(&self.deauthorizer, member, self.timeout).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LoginFailure::StillLeaving),
            Err(error) => Err(StoreError::unavailable(error).into()),
        }
    }

    /// Takes back what [`store`](Self::store) did, for a member who comes back too early. Whoever
    /// was authorized before stays so, with the new pair.
    async fn put_back(&self, record: &MemberRecord, stored: Option<MemberRecord>) {
        let put_back = match stored {
            Some(stored) if stored.is_authorized() => return,
            Some(mut left) => {
                left.version = Version::fresh();
                self.store.put(&left, Some(record.version)).await
            }
            None => self.store.remove(&record.member, record.version).await,
        };
        self.epochs.forget(&record.member);
        match (put_back, &record.tokens) {
            (Ok(PutOutcome::Stored), Some(tokens)) => self.revoke(tokens).await,
            (Err(error), _) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a login that came too early could not be taken back");
            }
            _ => {}
        }
    }

    /// The member left while the app's handler was dealing with the login.
    async fn left_meanwhile(&self, record: &MemberRecord) -> LoginFailure {
        match departure::repeat(&self.deauthorizer, record).await {
            Ok(()) => LoginFailure::LeftMeanwhile,
            Err(error) => {
                let failure = StoreError::unavailable(error);
                tracing::error!(
                    error = &failure as &dyn std::error::Error,
                    "a member left while being logged in, and what the login made may be left"
                );
                failure.into()
            }
        }
    }

    /// Stores a fresh authorization. Gives the record, and the one that it replaced, if there was one.
    ///
    /// A member who left after this login was begun is not brought back: a code issued before leaving
    /// can still be exchanged after, and its token even answers `exchange-member`.
    ///
    /// The authorization counts from the moment the login was begun, by Open Humans' clock: the code
    /// came later than that, and whatever a member wished before the code is not undone by exchanging
    /// it.
    async fn store(
        &self,
        flow: &Flow,
        granted: &TokenGrant,
        who: &ExchangeMember,
    ) -> Result<(MemberRecord, Option<MemberRecord>), LoginFailure> {
        let member = &who.project_member_id;
        loop {
            let stored = self.store.load(member).await?;
            if let Some(left) = stored.as_ref().and_then(|record| record.deauthorized_at)
                && left >= flow.started_at()
                && !self.is_far_ahead(left)
            {
                tracing::info!("a login began before its member left, and is not completed");
                return Err(LoginFailure::LeftMeanwhile);
            }
            let now = self.clock.now();
            let record = MemberRecord {
                username: who.username.clone(),
                // Devices that are logged in stay so; after leaving, leaving has advanced it.
                epoch: stored
                    .as_ref()
                    .map_or(Epoch::begin(now), |record| record.epoch),
                authorized_at: granted.granted_at - now.since(flow.started_at()),
                ..MemberRecord::authorized(member.clone(), granted.tokens.clone(), now)
            };
            let expected = stored.as_ref().map(|record| record.version);
            if self.store.put(&record, expected).await? == PutOutcome::Stored {
                self.epochs.forget(member);
                return Ok((record, stored));
            }
        }
    }

    /// Nobody is kept out for years because a clock was wrong for a moment.
    fn is_far_ahead(&self, left: Timestamp) -> bool {
        let ahead = left > self.clock.now() + AHEAD;
        if ahead {
            tracing::warn!(
                deauthorized_at = %left,
                "a departure lies in the future: the clock of a process was or is wrong"
            );
        }
        ahead
    }

    /// Takes back what [`store`](Self::store) did, for a member the app does not want. The pair is revoked first,
    /// so that none is left alive that nobody keeps. Failures are logged: the person is kept out.
    async fn undo(&self, record: &MemberRecord) {
        if let Some(tokens) = &record.tokens {
            self.revoke(tokens).await;
        }
        if let Err(error) = self.store.remove(&record.member, record.version).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the record of a refused member could not be removed");
        }
        self.epochs.forget(&record.member);
    }

    /// Tells Open Humans that a pair is not kept, so that it does not stay alive.
    async fn revoke(&self, tokens: &Tokens) {
        if let Err(error) = self.oauth.revoke(&tokens.refresh_token).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "tokens that are not kept could not be revoked");
        }
    }
}
