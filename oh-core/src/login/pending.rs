//! Logins in progress, stored in encrypted cookies.
//!
//! Each login has a separate cookie, named after its `state`, so that several tabs can log in at
//! the same time. It is separate from the host's session because a session cookie with
//! `SameSite=Strict` is not sent on the redirect from Open Humans. After use, the cookie remains
//! for its lifetime and is marked as used, so that a second use is recognized.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use http::header::{COOKIE, HeaderMap, HeaderValue};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{LoginRequest, ReturnPath};
use crate::Timestamp;
use crate::encryption::Cipher;
use crate::random;

/// Maximum duration of a login. The codes of Open Humans are valid as long.
pub(crate) const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Maximum number of pending logins in one browser. The oldest are dropped first.
const MAX_LOGINS: usize = 5;

/// Maximum total size of their cookies in bytes. Common servers and proxies accept 8 KiB of
/// headers, and the application has cookies too.
const MAX_COOKIE_BYTES: usize = 4 * 1024;

/// Maximum number of cookies that one response deletes. A browser has more only if they are
/// forged.
const MAX_EVICTED: usize = 20;

/// Number of digest bytes in a cookie's name.
const DIGEST_BYTES: usize = 8;

/// Number of used states that a process remembers.
const MAX_USED_STATES: u64 = 100_000;

/// A login between the redirect to Open Humans and the callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingLogin {
    pub(crate) state: String,
    /// The PKCE verifier (RFC 7636); empty once used.
    pub(crate) verifier: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) return_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) context: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) force_approval: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) scope: Option<String>,
    started_micros: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) used: bool,
}

impl PendingLogin {
    pub(crate) fn start(verifier: String, request: LoginRequest, now: Timestamp) -> Self {
        Self {
            state: URL_SAFE_NO_PAD.encode(random::bytes::<24>()),
            verifier,
            return_to: request.return_to.map(|path| path.to_string()),
            context: request.context,
            force_approval: request.force_approval,
            scope: request.scope,
            started_micros: now.as_micros(),
            used: false,
        }
    }

    /// The request that starts another login with the same options.
    pub(crate) fn into_request(self) -> LoginRequest {
        LoginRequest {
            return_to: self
                .return_to
                .and_then(|path| ReturnPath::parse(&path).ok()),
            context: self.context,
            force_approval: self.force_approval,
            scope: self.scope,
        }
    }

    pub(crate) fn started_at(&self) -> Timestamp {
        Timestamp::from_micros(self.started_micros)
    }

    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        now.since(self.started_at()) >= LIFETIME
    }

    /// The state after success: used, without secrets and options.
    pub(crate) fn into_completed(self) -> Self {
        Self {
            context: None,
            scope: None,
            ..self.into_failed()
        }
    }

    /// The state after failure: used, with the options for another attempt.
    pub(crate) fn into_failed(self) -> Self {
        Self {
            verifier: String::new(),
            used: true,
            ..self
        }
    }
}

/// The result of a search for a login among the cookies of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CookieLookup {
    /// The login with this state.
    Found(PendingLogin),
    /// Only logins with other states.
    OtherState,
    /// No login.
    Missing,
}

/// Encrypts pending logins into cookies and reads them.
pub(crate) struct PendingLoginCookies {
    cipher: Cipher,
    https: bool,
    /// States used in this process.
    used_states: Cache<String, ()>,
}

impl PendingLoginCookies {
    pub(crate) fn new(key: &str, https: bool) -> Self {
        Self {
            cipher: Cipher::derive(key, "login cookie"),
            https,
            used_states: Cache::builder()
                .max_capacity(MAX_USED_STATES)
                .time_to_live(LIFETIME)
                .build(),
        }
    }

    /// Marks the login as used in this process. Returns false if it already was.
    pub(crate) fn mark_used(&self, login: &PendingLogin) -> bool {
        self.used_states
            .entry_by_ref(login.state.as_str())
            .or_insert(())
            .is_fresh()
    }

    /// With `__Host-`, browsers accept the cookie from this host only, and only over https.
    fn prefix(&self) -> &'static str {
        if self.https {
            "__Host-oh-login-"
        } else {
            "oh-login-"
        }
    }

    fn name(&self, state: &str) -> String {
        let digest = Sha256::digest(state.as_bytes());
        format!("{}{}", self.prefix(), hex::encode(&digest[..DIGEST_BYTES]))
    }

    /// Returns the `Set-Cookie` header of a login. The cookie lives twice as long as the login, so
    /// that a late callback is recognized as expired and the return path is still known.
    pub(crate) fn set_cookie(&self, login: &PendingLogin, now: Timestamp) -> HeaderValue {
        let name = self.name(&login.state);
        let json = serde_json::to_vec(login).expect("strings and numbers serialize to JSON");
        let max_age = (2 * LIFETIME).saturating_sub(now.since(login.started_at()));
        self.cookie(&name, &self.cipher.encrypt(&name, &json), max_age)
    }

    /// Returns `Set-Cookie` headers that delete the oldest logins of a request, as far as they
    /// exceed the limits together with the `new` cookie.
    pub(crate) fn evict(&self, headers: &HeaderMap, new: &HeaderValue) -> Vec<HeaderValue> {
        let mut logins: Vec<(Timestamp, String, usize)> = self
            .login_cookies(headers)
            .map(|(name, value)| {
                let started_at = self
                    .decrypt(&name, &value)
                    .map_or(Timestamp::UNIX_EPOCH, |login| login.started_at());
                let size = name.len() + "=; ".len() + value.len();
                (started_at, name, size)
            })
            .collect();
        logins.sort_by(|a, b| b.cmp(a));
        let mut bytes_left = MAX_COOKIE_BYTES.saturating_sub(without_attributes(new).len());
        let mut count = 1;
        let excess = logins.iter().skip_while(|(_, _, size)| {
            let fits = count < MAX_LOGINS && *size <= bytes_left;
            bytes_left = bytes_left.saturating_sub(*size);
            count += 1;
            fits
        });
        excess
            .take(MAX_EVICTED)
            .map(|(_, name, _)| self.cookie(name, "", Duration::ZERO))
            .collect()
    }

    /// Searches the request's cookies for the login with this state.
    pub(crate) fn find(&self, headers: &HeaderMap, state: &str) -> CookieLookup {
        let expected = self.name(state);
        let mut result = CookieLookup::Missing;
        for (name, value) in self.login_cookies(headers) {
            if name == expected
                && let Some(login) = self.decrypt(&name, &value)
                && login.state == state
            {
                return CookieLookup::Found(login);
            }
            result = CookieLookup::OtherState;
        }
        result
    }

    /// The names and values of login cookies in a request. Parses bytes: another application's
    /// cookie that is not ASCII must not hide them, and only ASCII whitespace is trimmed.
    fn login_cookies<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> impl Iterator<Item = (String, String)> + 'a {
        headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
            .filter_map(|pair| {
                let at = pair.iter().position(|byte| *byte == b'=')?;
                let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
                // Only exact names, because they are repeated in `Set-Cookie` headers.
                let digest = name.strip_prefix(self.prefix().as_bytes())?;
                if digest.len() != 2 * DIGEST_BYTES || !digest.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
                Some((text(name)?, text(value)?))
            })
    }

    fn decrypt(&self, name: &str, value: &str) -> Option<PendingLogin> {
        serde_json::from_slice(&self.cipher.decrypt(name, value)?).ok()
    }

    /// `SameSite=Lax`, because the redirect from Open Humans must send the cookie.
    fn cookie(&self, name: &str, value: &str, max_age: Duration) -> HeaderValue {
        let seconds = i64::try_from(max_age.as_secs()).unwrap_or(0);
        let cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.https)
            .max_age(time::Duration::seconds(seconds));
        cookie
            .to_string()
            .parse()
            .expect("a cookie in base64 is a valid header")
    }
}

/// The name and value of a `Set-Cookie` header, as the browser sends them back.
fn without_attributes(set_cookie: &HeaderValue) -> &[u8] {
    let bytes = set_cookie.as_bytes();
    let end = bytes.iter().position(|byte| *byte == b';');
    &bytes[..end.unwrap_or(bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::super::request::{MAX_CONTEXT, MAX_SCOPE};
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn cookies() -> PendingLoginCookies {
        PendingLoginCookies::new("key", true)
    }

    fn request(path: &str, context: &str) -> LoginRequest {
        LoginRequest::new()
            .return_to(path.parse().unwrap())
            .context(context)
            .unwrap()
    }

    fn login(at: Timestamp) -> PendingLogin {
        PendingLogin::start("verifier".into(), request("/files", "user 42"), at)
    }

    fn text(set_cookie: &HeaderValue) -> &str {
        set_cookie.to_str().unwrap()
    }

    fn request_headers(set_cookies: &[HeaderValue]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for set_cookie in set_cookies {
            let pair = HeaderValue::from_bytes(without_attributes(set_cookie)).unwrap();
            headers.append(COOKIE, pair);
        }
        headers
    }

    fn line(bytes: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(bytes).unwrap());
        headers
    }

    #[test]
    fn login_cookie_has_host_prefix_and_security_attributes() {
        let secure = cookies().set_cookie(&login(NOW), NOW);
        assert!(text(&secure).starts_with("__Host-oh-login-"));
        for attribute in [
            "HttpOnly",
            "SameSite=Lax",
            "Secure",
            "Path=/",
            "Max-Age=3600",
        ] {
            assert!(text(&secure).contains(attribute), "{secure:?}");
        }
        assert!(!text(&secure).contains("Domain"));
        let http = PendingLoginCookies::new("key", false).set_cookie(&login(NOW), NOW);
        assert!(text(&http).starts_with("oh-login-"));
        assert!(!text(&http).contains("Secure"));
    }

    #[test]
    fn find_returns_login_by_state_and_key() {
        let (a, b) = (login(NOW), login(NOW));
        let headers =
            request_headers(&[cookies().set_cookie(&a, NOW), cookies().set_cookie(&b, NOW)]);
        let state = a.state.clone();
        for (cookies, headers, state, expected) in [
            (
                cookies(),
                &headers,
                &a.state,
                CookieLookup::Found(a.clone()),
            ),
            (
                cookies(),
                &headers,
                &b.state,
                CookieLookup::Found(b.clone()),
            ),
            (cookies(), &headers, &"x".into(), CookieLookup::OtherState),
            (cookies(), &HeaderMap::new(), &state, CookieLookup::Missing),
            (
                PendingLoginCookies::new("other key", true),
                &headers,
                &state,
                CookieLookup::OtherState,
            ),
        ] {
            assert_eq!(cookies.find(headers, state), expected);
        }
    }

    #[test]
    fn find_ignores_other_cookies_in_same_header() {
        let login = login(NOW);
        let set_cookie = cookies().set_cookie(&login, NOW);
        let pair = std::str::from_utf8(without_attributes(&set_cookie)).unwrap();
        let found = CookieLookup::Found(login.clone());
        for (before, expected) in [
            ("x=é; ", &found),
            ("a=b;", &found),
            // Another application's name, which only looks as if it had the prefix.
            ("\u{2000}", &CookieLookup::Missing),
        ] {
            let headers = line(format!("{before}{pair}").as_bytes());
            assert_eq!(
                cookies().find(&headers, &login.state),
                *expected,
                "{before}"
            );
        }
    }

    #[test]
    fn evict_deletes_oldest_logins_above_limit() {
        let cookies = cookies();
        let logins: Vec<_> = (0..7)
            .map(|i| login(NOW + Duration::from_secs(i)))
            .collect();
        let set: Vec<_> = logins.iter().map(|l| cookies.set_cookie(l, NOW)).collect();
        assert!(
            cookies
                .evict(&request_headers(&set[..4]), &set[4])
                .is_empty()
        );
        let evicted = cookies.evict(&request_headers(&set[..6]), &set[6]);
        assert_eq!(evicted.len(), 2);
        for old in &logins[..2] {
            let name = cookies.name(&old.state);
            let is_deletion = |c: &str| c.starts_with(&name) && c.contains("Max-Age=0");
            assert!(evicted.iter().map(text).any(is_deletion));
        }
    }

    #[test]
    fn evict_limits_total_size_when_logins_are_large() {
        let cookies = cookies();
        let mut browser: Vec<HeaderValue> = Vec::new();
        let name = |cookie: &HeaderValue| text(cookie).split('=').next().unwrap().to_owned();
        for tab in 0..8 {
            let request = request(&format!("/{}", "a".repeat(700)), &"x".repeat(400));
            let at = NOW + Duration::from_secs(tab);
            let login = PendingLogin::start("v".repeat(43), request, at);
            let set = cookies.set_cookie(&login, at);
            let evicted = cookies.evict(&request_headers(&browser), &set);
            browser.retain(|cookie| evicted.iter().all(|old| name(old) != name(cookie)));
            browser.push(set);
            let bytes = request_headers(&browser)[COOKIE].len();
            assert!(bytes <= MAX_COOKIE_BYTES, "{bytes} bytes with {tab} tabs");
        }
        assert_eq!(browser.len(), 2, "the last two tabs can continue");
    }

    #[test]
    fn evict_bounds_response_when_cookies_are_forged() {
        let forged = |i: usize| format!("__Host-oh-login-{i:016x}=x; __Host-oh-login-é{i}=x; ");
        let cookie: String = (0..500).map(forged).collect();
        let new = cookies().set_cookie(&login(NOW), NOW);
        let evicted = cookies().evict(&line(cookie.as_bytes()), &new);
        let size: usize = evicted.iter().map(HeaderValue::len).sum();
        assert!(!evicted.is_empty() && size < 4096, "{size} bytes");
    }

    #[test]
    fn completed_login_keeps_no_secrets() {
        let used = login(NOW).into_completed();
        assert!(used.used && used.verifier.is_empty() && used.context.is_none());
        assert!(!used.has_expired(NOW));
        assert!(used.has_expired(NOW + LIFETIME));
    }

    #[test]
    fn failed_login_keeps_only_options_for_retry() {
        let request = request("/files", "42")
            .force_approval()
            .scope("read")
            .unwrap();
        let failed = PendingLogin::start("v".into(), request, NOW).into_failed();
        assert!(failed.used && failed.verifier.is_empty());
        let retry = failed.into_request();
        assert_eq!(retry.context.as_deref(), Some("42"));
        assert_eq!(retry.return_to.unwrap().as_str(), "/files");
        assert_eq!(retry.scope.as_deref(), Some("read"));
        assert!(retry.force_approval);
    }

    #[test]
    fn login_cookie_fits_4_kib_with_longest_values() {
        let path = format!("/{}", "a".repeat(ReturnPath::MAX_LEN - 1));
        let context = "é".repeat(MAX_CONTEXT / 2 - 1);
        let request = request(&path, &context)
            .force_approval()
            .scope("s".repeat(MAX_SCOPE))
            .unwrap();
        let login = PendingLogin::start("v".repeat(43), request, NOW);
        let set_cookie = cookies().set_cookie(&login, NOW);
        let size = without_attributes(&set_cookie).len();
        assert!(size <= 4096, "{size}");
    }
}
