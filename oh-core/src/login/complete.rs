//! The second half of a login: from the code to a stored authorization.

use std::sync::Arc;
use std::time::Duration;

use crate::api::{ExchangeMember, RetryPolicy};
use crate::oauth::{Granted, TokenError};
use crate::open_humans::Inner;
use crate::session::SessionMember;
use crate::store::{Epoch, MemberRecord, Put, Tokens, Version};
use crate::{AuthorizationCode, Error};

use super::flow::Flow;
use super::{LoggedIn, LoginFailure, ReturnPath};

/// A login that succeeded.
pub(crate) struct Completed {
    pub(crate) session: SessionMember,
    /// Where the person goes now.
    pub(crate) redirect_to: String,
}

impl Completed {
    /// Exchanges the code, learns who came, stores the tokens and asks the app.
    pub(crate) async fn from_code(
        inner: &Arc<Inner>,
        flow: &Flow,
        code: &AuthorizationCode,
    ) -> Result<Self, LoginFailure> {
        let granted = inner
            .oauth
            .exchange(code, &flow.verifier)
            .await
            .map_err(|e| match e {
                TokenError::InvalidGrant => LoginFailure::CodeExpired,
                TokenError::InvalidClient => LoginFailure::ClientRefused,
                TokenError::Other(error) => LoginFailure::OpenHumans(error),
            })?;
        let (record, before) = match keep(inner, flow, &granted).await {
            Ok(kept) => kept,
            Err(failure) => {
                revoke(inner, &granted.tokens).await;
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
        match inner.login_handler.logged_in(&login).await {
            Ok(welcome) => Ok(Self {
                session: SessionMember {
                    member: record.member,
                    epoch: record.epoch,
                    username: record.username,
                },
                redirect_to: welcome
                    .redirect_to
                    .or(login.return_to.map(|path| path.to_string()))
                    .unwrap_or_else(|| inner.settings.login_redirect_url.clone()),
            }),
            Err(refusal) => {
                if before.is_none() {
                    undo(inner, &record).await;
                }
                Err(LoginFailure::App(refusal))
            }
        }
    }
}

/// Asks whose the tokens are, and stores them. A person is waiting, so there is one more try at
/// most.
async fn keep(
    inner: &Inner,
    flow: &Flow,
    granted: &Granted,
) -> Result<(MemberRecord, Option<Version>), LoginFailure> {
    let retries = RetryPolicy::default()
        .attempts(2)
        .total(Duration::from_secs(3));
    let server = inner.server.clone().retries(retries);
    let member = server.member(granted.tokens.access_token.clone());
    let who = tokio::time::timeout(inner.settings.timeout, member.exchange_member())
        .await
        .unwrap_or(Err(Error::Timeout))
        .map_err(LoginFailure::OpenHumans)?;
    store(inner, flow, granted, &who).await
}

/// Stores a fresh authorization. Gives the record, and the version of the authorized record it
/// replaced, if there was one.
///
/// A member who left after this login was begun is not brought back: a code issued before leaving
/// can still be exchanged after, and its token even answers `exchange-member`.
///
/// The authorization counts from the moment the login was begun, by Open Humans' clock: the code
/// came later than that, and whatever a member wished before the code is not undone by exchanging
/// it.
async fn store(
    inner: &Inner,
    flow: &Flow,
    granted: &Granted,
    who: &ExchangeMember,
) -> Result<(MemberRecord, Option<Version>), LoginFailure> {
    let member = &who.project_member_id;
    loop {
        let stored = inner.store.load(member).await?;
        if let Some(left) = stored.as_ref().and_then(|record| record.deauthorized_at)
            && left >= flow.started_at()
        {
            tracing::info!("a login began before its member left, and is not completed");
            return Err(LoginFailure::LeftMeanwhile);
        }
        let now = inner.clock.now();
        let record = MemberRecord {
            username: who.username.clone(),
            // Devices that are logged in stay so; after leaving, leaving has advanced it.
            epoch: stored
                .as_ref()
                .map_or(Epoch::begin(now), |record| record.epoch),
            authorized_at: granted.at - now.since(flow.started_at()),
            ..MemberRecord::authorized(member.clone(), granted.tokens.clone(), now)
        };
        let expected = stored.as_ref().map(|record| record.version);
        if inner.store.put(&record, expected).await? == Put::Done {
            inner.epochs.forget(member);
            let before = stored
                .filter(MemberRecord::is_authorized)
                .map(|r| r.version);
            return Ok((record, before));
        }
    }
}

/// Takes back what [`store`] did, for a member the app does not want. The pair is revoked first,
/// so that none is left alive that nobody keeps. Failures are logged: the person is kept out.
async fn undo(inner: &Inner, record: &MemberRecord) {
    if let Some(tokens) = &record.tokens {
        revoke(inner, tokens).await;
    }
    if let Err(error) = inner.store.remove(&record.member, record.version).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the record of a refused member could not be removed");
    }
    inner.epochs.forget(&record.member);
}

/// Tells Open Humans that a pair is not kept, so that it does not stay alive.
async fn revoke(inner: &Inner, tokens: &Tokens) {
    if let Err(error) = inner.oauth.revoke(&tokens.refresh_token).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "tokens that are not kept could not be revoked");
    }
}
