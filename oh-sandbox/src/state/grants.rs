//! What becomes of codes and tokens: issued, rotated, expired, revoked.
//!
//! The rules are django-oauth-toolkit's as Open Humans runs it. Rotation has no grace: the pair
//! that a refresh replaces is dead at once. Refresh tokens do not age.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

use crate::secret::token;

/// What every token may do unless less was asked for.
pub(crate) const SCOPES: &str = "read write american-gut go-viral pgp wildlife open-humans";

/// How long a code can be exchanged.
const CODE_LIFETIME: Duration = Duration::from_secs(1800);

/// How long an access token lives.
pub(crate) const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(36_000);

/// A pair of tokens as the token endpoint gives it. Its `Debug` says nothing.
#[derive(Clone)]
#[non_exhaustive]
pub struct IssuedTokens {
    /// Opens the member's data for ten hours.
    pub access_token: String,
    /// Gets the next pair, once.
    pub refresh_token: String,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// What the tokens are for, separated by spaces.
    pub scope: String,
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokens").finish_non_exhaustive()
    }
}

/// The proof key that an authorization was bound to.
#[derive(Clone)]
pub(crate) struct Challenge {
    pub(crate) value: String,
    pub(crate) hashed: bool,
}

/// An authorization that has not been exchanged yet.
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

/// Why a refresh was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefreshRefused {
    Unknown,
    Scope,
}

/// What an access token turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    Member(usize),
    Expired,
    Unknown,
}

/// All codes and tokens.
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

    /// A code that can still be exchanged. Looking does not use it up.
    pub(crate) fn code(&self, code: &str, now: OffsetDateTime) -> Option<&Code> {
        self.codes.get(code).filter(|code| now < code.expires)
    }

    /// Exchanges a code, which then is no more.
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

    /// Replaces a pair by a new one; the old one is dead from then on.
    ///
    /// The scope of the new pair is that of the old access token, so a refresh after only the
    /// access token was revoked gives a pair without any.
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

    /// Whether a member holds a token that is good for a scope: the form is skipped then.
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

    /// RFC 7009: revoking a refresh token takes its access token along, not the other way round.
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

    /// For introspection: the scope of a live token and the second it expires in.
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

/// Whether every scope asked for is among those there are.
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
    fn rotation_has_no_grace_and_a_second_try_leaves_the_new_pair_alone() {
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
    fn access_tokens_expire_and_refresh_tokens_do_not() {
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
    fn a_code_works_once_and_for_half_an_hour() {
        let mut grants = Grants::default();
        let code = grants.new_code(ALICE, String::new(), SCOPES.into(), None, now());
        assert!(grants.code(&code, now() + CODE_LIFETIME).is_none());
        assert!(grants.code(&code, now()).is_some());
        assert!(grants.exchange(&code, now()).is_some());
        assert!(grants.code(&code, now()).is_none());
    }

    #[test]
    fn revoking_the_access_token_leaves_a_refresh_without_scope() {
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
    fn revoking_the_refresh_token_takes_the_access_token_along() {
        let mut grants = Grants::default();
        let tokens = grants.issue(ALICE, SCOPES, now());
        grants.revoke(&tokens.refresh_token);
        assert_eq!(grants.bearer(&tokens.access_token, now()), Bearer::Unknown);
    }

    #[test]
    fn revoking_all_of_a_member_spares_the_others() {
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
    fn a_refresh_may_ask_for_less_but_not_for_more() {
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
