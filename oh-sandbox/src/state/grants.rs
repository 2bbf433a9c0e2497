//! Authorization codes and tokens.
//!
//! Tokens behave like django-oauth-toolkit's in Open Humans' configuration. Rotation has no grace
//! period: a refresh invalidates the previous pair immediately. Refresh tokens do not expire.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

use crate::secret::token;

/// The default scopes of a token.
pub(crate) const SCOPES: &str = "read write american-gut go-viral pgp wildlife open-humans";

/// The lifetime of an authorization code.
const CODE_LIFETIME: Duration = Duration::from_secs(1800);

/// The lifetime of an access token.
pub(crate) const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(36_000);

/// A pair of tokens. The `Debug` output does not contain them.
#[derive(Clone)]
#[non_exhaustive]
pub struct IssuedTokens {
    /// The access token, valid for ten hours.
    pub access_token: String,
    /// The refresh token, valid once.
    pub refresh_token: String,
    /// The remaining lifetime of the access token, in seconds.
    pub expires_in: u64,
    /// The scopes, separated by spaces.
    pub scope: String,
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokens").finish_non_exhaustive()
    }
}

/// The PKCE challenge of an authorization.
#[derive(Clone)]
pub(crate) struct Challenge {
    pub(crate) value: String,
    pub(crate) hashed: bool,
}

/// An authorization code.
pub(crate) struct Code {
    pub(crate) member: usize,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) challenge: Option<Challenge>,
    expires: OffsetDateTime,
}

struct Access {
    member: usize,
    scope: String,
    expires: OffsetDateTime,
    refresh: Option<String>,
}

struct Refresh {
    member: usize,
    access: Option<String>,
}

/// The error of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefreshRefused {
    Unknown,
    Scope,
}

/// The result of looking up an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    Member(usize),
    Expired,
    Unknown,
}

/// All authorization codes and tokens.
#[derive(Default)]
pub(crate) struct Grants {
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    of_member: HashMap<usize, Vec<String>>,
}

impl Grants {
    pub(crate) fn new_code(
        &mut self,
        member: usize,
        redirect_uri: String,
        scope: String,
        challenge: Option<Challenge>,
        now: OffsetDateTime,
    ) -> String {
        let code = token();
        let expires = now + CODE_LIFETIME;
        self.codes.insert(
            code.clone(),
            Code {
                member,
                redirect_uri,
                scope,
                challenge,
                expires,
            },
        );
        code
    }

    /// Returns a valid code without consuming it.
    pub(crate) fn code(&self, code: &str, now: OffsetDateTime) -> Option<&Code> {
        self.codes.get(code).filter(|code| now < code.expires)
    }

    /// Consumes a code and issues tokens.
    pub(crate) fn exchange(&mut self, code: &str, now: OffsetDateTime) -> Option<IssuedTokens> {
        let Code { member, scope, .. } = self.codes.remove(code)?;
        Some(self.issue(member, &scope, now))
    }

    pub(crate) fn expire_codes(&mut self) {
        self.codes.clear();
    }

    pub(crate) fn forget_codes(&mut self, member: usize) {
        self.codes.retain(|_, code| code.member != member);
    }

    pub(crate) fn issue(
        &mut self,
        member: usize,
        scope: &str,
        now: OffsetDateTime,
    ) -> IssuedTokens {
        let tokens = IssuedTokens {
            access_token: token(),
            refresh_token: token(),
            expires_in: ACCESS_TOKEN_LIFETIME.as_secs(),
            scope: scope.to_owned(),
        };
        let expires = now + ACCESS_TOKEN_LIFETIME;
        let refresh = Some(tokens.refresh_token.clone());
        self.access.insert(
            tokens.access_token.clone(),
            Access {
                member,
                scope: scope.to_owned(),
                expires,
                refresh,
            },
        );
        let access = Some(tokens.access_token.clone());
        self.refresh
            .insert(tokens.refresh_token.clone(), Refresh { member, access });
        self.of_member
            .entry(member)
            .or_default()
            .push(tokens.refresh_token.clone());
        tokens
    }

    /// Replaces a pair of tokens and invalidates the old pair.
    ///
    /// The new pair has the scope of the old access token. If only the access token was revoked,
    /// the new pair has no scope.
    pub(crate) fn rotate(
        &mut self,
        refresh_token: &str,
        scope: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<IssuedTokens, RefreshRefused> {
        let old = self
            .refresh
            .get(refresh_token)
            .ok_or(RefreshRefused::Unknown)?;
        let member = old.member;
        let had = old
            .access
            .as_ref()
            .and_then(|token| self.access.get(token))
            .map(|access| access.scope.clone());
        let had = had.unwrap_or_default();
        let scope = match scope {
            Some(asked) if !within(asked, &had) => return Err(RefreshRefused::Scope),
            Some(asked) => asked.to_owned(),
            None => had,
        };
        self.drop_refresh(refresh_token);
        Ok(self.issue(member, &scope, now))
    }

    pub(crate) fn bearer(&self, access_token: &str, now: OffsetDateTime) -> Bearer {
        match self.access.get(access_token) {
            None => Bearer::Unknown,
            Some(access) if now >= access.expires => Bearer::Expired,
            Some(access) => Bearer::Member(access.member),
        }
    }

    /// Returns whether a member has a valid token with the scope. The authorization form is then
    /// skipped.
    pub(crate) fn has_live(&self, member: usize, scope: &str, now: OffsetDateTime) -> bool {
        self.pairs(member)
            .any(|access| now < access.expires && within(scope, &access.scope))
    }

    pub(crate) fn expire(&mut self, member: usize, now: OffsetDateTime) {
        for access in self
            .access
            .values_mut()
            .filter(|access| access.member == member)
        {
            access.expires = now;
        }
    }

    /// Revokes a token (RFC 7009). Revoking a refresh token also revokes its access token, but not
    /// the reverse.
    pub(crate) fn revoke(&mut self, any_token: &str) {
        if self.refresh.contains_key(any_token) {
            self.drop_refresh(any_token);
        } else if let Some(access) = self.access.remove(any_token)
            && let Some(refresh) = access
                .refresh
                .and_then(|token| self.refresh.get_mut(&token))
        {
            refresh.access = None;
        }
    }

    pub(crate) fn revoke_all(&mut self, member: usize) {
        for refresh in self.of_member.remove(&member).unwrap_or_default() {
            if let Some(access) = self
                .refresh
                .remove(&refresh)
                .and_then(|refresh| refresh.access)
            {
                self.access.remove(&access);
            }
        }
    }

    /// Returns the member, scope and expiry of a valid token, for introspection.
    pub(crate) fn describe(
        &self,
        access_token: &str,
        now: OffsetDateTime,
    ) -> Option<(usize, String, i64)> {
        let access = self
            .access
            .get(access_token)
            .filter(|access| now < access.expires)?;
        Some((
            access.member,
            access.scope.clone(),
            access.expires.unix_timestamp(),
        ))
    }

    fn pairs(&self, member: usize) -> impl Iterator<Item = &Access> {
        let refresh = self.of_member.get(&member).into_iter().flatten();
        refresh.filter_map(|token| self.access.get(self.refresh.get(token)?.access.as_ref()?))
    }

    fn drop_refresh(&mut self, refresh_token: &str) {
        let Some(Refresh { member, access }) = self.refresh.remove(refresh_token) else {
            return;
        };
        if let Some(access) = access {
            self.access.remove(&access);
        }
        if let Some(tokens) = self.of_member.get_mut(&member) {
            tokens.retain(|token| token != refresh_token);
        }
    }
}

/// Returns whether all requested scopes are available.
pub(crate) fn within(asked: &str, there_are: &str) -> bool {
    asked
        .split_whitespace()
        .all(|scope| there_are.split_whitespace().any(|other| other == scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: usize = 0;

    fn now() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    #[test]
    fn rotation_invalidates_old_pair_and_keeps_new_pair_on_reuse() {
        let mut grants = Grants::default();
        let old = grants.issue(ALICE, SCOPES, now());
        let new = grants.rotate(&old.refresh_token, None, now()).unwrap();
        assert_eq!(grants.bearer(&old.access_token, now()), Bearer::Unknown);
        assert_eq!(
            grants.rotate(&old.refresh_token, None, now()).unwrap_err(),
            RefreshRefused::Unknown
        );
        assert_eq!(
            grants.bearer(&new.access_token, now()),
            Bearer::Member(ALICE)
        );
        assert_eq!(new.scope, SCOPES);
    }

    #[test]
    fn access_token_expires_and_refresh_token_does_not() {
        let mut grants = Grants::default();
        let tokens = grants.issue(ALICE, SCOPES, now());
        let later = now() + ACCESS_TOKEN_LIFETIME;
        assert_eq!(grants.bearer(&tokens.access_token, later), Bearer::Expired);
        assert!(!grants.has_live(ALICE, "read", later));
        assert!(
            grants
                .rotate(&tokens.refresh_token, None, later + ACCESS_TOKEN_LIFETIME)
                .is_ok()
        );
    }

    #[test]
    fn code_is_valid_once_for_thirty_minutes() {
        let mut grants = Grants::default();
        let code = grants.new_code(ALICE, String::new(), SCOPES.into(), None, now());
        assert!(grants.code(&code, now() + CODE_LIFETIME).is_none());
        assert!(grants.code(&code, now()).is_some());
        assert!(grants.exchange(&code, now()).is_some());
        assert!(grants.code(&code, now()).is_none());
    }

    #[test]
    fn revoking_access_token_keeps_refresh_token_without_scope() {
        let mut grants = Grants::default();
        let tokens = grants.issue(ALICE, SCOPES, now());
        grants.revoke(&tokens.access_token);
        assert_eq!(
            grants
                .rotate(&tokens.refresh_token, None, now())
                .unwrap()
                .scope,
            ""
        );
    }

    #[test]
    fn revoking_refresh_token_revokes_access_token() {
        let mut grants = Grants::default();
        let tokens = grants.issue(ALICE, SCOPES, now());
        grants.revoke(&tokens.refresh_token);
        assert_eq!(grants.bearer(&tokens.access_token, now()), Bearer::Unknown);
    }

    #[test]
    fn revoke_all_affects_one_member() {
        let mut grants = Grants::default();
        let (alice, bob) = (
            grants.issue(ALICE, SCOPES, now()),
            grants.issue(1, SCOPES, now()),
        );
        grants.revoke_all(ALICE);
        assert_eq!(grants.bearer(&alice.access_token, now()), Bearer::Unknown);
        assert_eq!(grants.bearer(&bob.access_token, now()), Bearer::Member(1));
    }

    #[test]
    fn refresh_may_reduce_scope_only() {
        let mut grants = Grants::default();
        let tokens = grants.issue(ALICE, "read write", now());
        assert_eq!(
            grants
                .rotate(&tokens.refresh_token, Some("bogus"), now())
                .unwrap_err(),
            RefreshRefused::Scope
        );
        assert_eq!(
            grants
                .rotate(&tokens.refresh_token, Some("read"), now())
                .unwrap()
                .scope,
            "read"
        );
    }
}
