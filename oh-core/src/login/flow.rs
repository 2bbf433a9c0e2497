//! The login in flight: what must come back with the person from Open Humans.
//!
//! It travels in a cookie of its own, sealed, one cookie for each login, named after its `state`,
//! so that two tabs can log in at once. It is not kept in the host's session: a session cookie with
//! `SameSite=Strict` is not sent when another site leads back here. After use the cookie stays for
//! its lifetime, marked as spent, so that a second use can be told from a first.

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
use crate::encryption::Sealer;
use crate::random;

/// How long a login may take. Open Humans' codes live as long.
pub(crate) const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How many logins of one browser may be under way; the oldest go first.
const MOST: usize = 5;

/// What their cookies may have together, in bytes. Common servers and proxies take 8 KiB of headers,
/// and the app has cookies of its own.
const MOST_BYTES: usize = 4 * 1024;

/// How many cookies one answer drops. A browser has no more unless someone has put them there.
const MOST_DROPPED: usize = 20;

/// How many bytes of a state's digest name its cookie.
const NAMED: usize = 8;

/// How many used states a process remembers.
const MOST_USED: u64 = 100_000;

/// One login in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) state: String,
    /// The PKCE verifier (RFC 7636); empty once spent.
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
    pub(crate) spent: bool,
}

impl Flow {
    pub(crate) fn begin(verifier: String, request: LoginRequest, now: Timestamp) -> Self {
        Self {
            state: URL_SAFE_NO_PAD.encode(random::bytes::<24>()),
            verifier,
            return_to: request.return_to.map(|path| path.to_string()),
            context: request.context,
            force_approval: request.force_approval,
            scope: request.scope,
            started_micros: now.as_micros(),
            spent: false,
        }
    }

    /// What would begin another login like this one.
    pub(crate) fn request(self) -> LoginRequest {
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

    /// What stays in the browser once the login has succeeded.
    pub(crate) fn into_spent(self) -> Self {
        Self {
            context: None,
            scope: None,
            ..self.into_failed()
        }
    }

    /// What stays in the browser once the login has failed: enough to begin another like it.
    pub(crate) fn into_failed(self) -> Self {
        Self {
            verifier: String::new(),
            spent: true,
            ..self
        }
    }
}

/// What the browser brought along for a `state`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// The login that has this state.
    Flow(Flow),
    /// Logins, but not this one.
    Others,
    /// No login at all.
    Nothing,
}

/// Puts flows into cookies and takes them out.
pub(crate) struct FlowCookies {
    sealer: Sealer,
    https: bool,
    /// States that were used, as far as this process knows.
    used: Cache<String, ()>,
}

impl FlowCookies {
    pub(crate) fn new(key: &str, https: bool) -> Self {
        Self {
            sealer: Sealer::derive(key, "login cookie"),
            https,
            used: Cache::builder()
                .max_capacity(MOST_USED)
                .time_to_live(LIFETIME)
                .build(),
        }
    }

    /// Whether this login is used for the first time.
    pub(crate) fn first_use(&self, flow: &Flow) -> bool {
        self.used
            .entry_by_ref(flow.state.as_str())
            .or_insert(())
            .is_fresh()
    }

    /// `__Host-` makes browsers take the cookie only from this very host, over https.
    fn prefix(&self) -> &'static str {
        if self.https {
            "__Host-oh-login-"
        } else {
            "oh-login-"
        }
    }

    fn name(&self, state: &str) -> String {
        let digest = Sha256::digest(state.as_bytes());
        format!("{}{}", self.prefix(), hex::encode(&digest[..NAMED]))
    }

    /// The `Set-Cookie` that keeps a flow for twice its lifetime: so long it can still be said that
    /// it took too long, and it still knows the way back.
    pub(crate) fn keep(&self, flow: &Flow, now: Timestamp) -> HeaderValue {
        let name = self.name(&flow.state);
        let json = serde_json::to_vec(flow).expect("a flow of texts and numbers becomes JSON");
        let left = (2 * LIFETIME).saturating_sub(now.since(flow.started_at()));
        self.cookie(&name, &self.sealer.seal(&name, &json), left)
    }

    /// The `Set-Cookie`s that make room for one more, when a browser has too many logins under way
    /// or too much of them.
    pub(crate) fn make_room(
        &self,
        headers: &HeaderMap,
        one_more: &HeaderValue,
    ) -> Vec<HeaderValue> {
        let mut flows: Vec<(Timestamp, String, usize)> = self
            .brought(headers)
            .map(|(name, value)| {
                let began = self
                    .open(&name, &value)
                    .map_or(Timestamp::UNIX_EPOCH, |f| f.started_at());
                let size = name.len() + "=; ".len() + value.len();
                (began, name, size)
            })
            .collect();
        flows.sort_by(|a, b| b.cmp(a));
        let mut room = MOST_BYTES.saturating_sub(pair(one_more).len());
        let mut kept = 1;
        let old = flows.iter().skip_while(|(_, _, size)| {
            let fits = kept < MOST && *size <= room;
            room = room.saturating_sub(*size);
            kept += 1;
            fits
        });
        old.take(MOST_DROPPED)
            .map(|(_, name, _)| self.cookie(name, "", Duration::ZERO))
            .collect()
    }

    /// Finds the login with this state among what the browser sent.
    pub(crate) fn find(&self, headers: &HeaderMap, state: &str) -> Brought {
        let wanted = self.name(state);
        let mut found = Brought::Nothing;
        for (name, value) in self.brought(headers) {
            if name == wanted
                && let Some(flow) = self.open(&name, &value)
                && flow.state == state
            {
                return Brought::Flow(flow);
            }
            found = Brought::Others;
        }
        found
    }

    /// Our cookies among all that came. Read byte by byte: one cookie of another app that is not
    /// ASCII must not hide ours, and no exotic space before a name may pass for none.
    fn brought<'a>(
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
                // What is no name of ours goes into no answer.
                let digest = name.strip_prefix(self.prefix().as_bytes())?;
                if digest.len() != 2 * NAMED || !digest.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
                Some((text(name)?, text(value)?))
            })
    }

    fn open(&self, name: &str, value: &str) -> Option<Flow> {
        serde_json::from_slice(&self.sealer.open(name, value)?).ok()
    }

    /// Lax: sent when another site leads here by a link or a redirect, and in no other case.
    fn cookie(&self, name: &str, value: &str, age: Duration) -> HeaderValue {
        let age = i64::try_from(age.as_secs()).unwrap_or(0);
        let cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.https)
            .max_age(time::Duration::seconds(age));
        cookie
            .to_string()
            .parse()
            .expect("a cookie of base64 fits a header")
    }
}

/// A cookie without its attributes, as the browser sends it back.
fn pair(set_cookie: &HeaderValue) -> &[u8] {
    let bytes = set_cookie.as_bytes();
    let end = bytes.iter().position(|byte| *byte == b';');
    &bytes[..end.unwrap_or(bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn request(path: &str, context: &str) -> LoginRequest {
        LoginRequest::new()
            .return_to(ReturnPath::parse(path).unwrap())
            .context(context)
            .unwrap()
    }

    fn flow(at: Timestamp) -> Flow {
        Flow::begin("verifier".into(), request("/files", "user 42"), at)
    }

    fn sent(set_cookies: &[HeaderValue]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for set in set_cookies {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            headers.append(COOKIE, pair.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_login_comes_back_with_the_person() {
        let cookies = FlowCookies::new("key", true);
        let flow = flow(NOW);
        let headers = sent(&[cookies.keep(&flow, NOW)]);
        assert_eq!(cookies.find(&headers, &flow.state), Brought::Flow(flow));
    }

    #[test]
    fn the_cookie_is_host_bound_on_https_and_always_hidden_from_scripts() {
        let set = FlowCookies::new("key", true).keep(&flow(NOW), NOW);
        let set = set.to_str().unwrap();
        assert!(set.starts_with("__Host-oh-login-"), "{set}");
        for attribute in [
            "HttpOnly",
            "SameSite=Lax",
            "Secure",
            "Path=/",
            "Max-Age=3600",
        ] {
            assert!(set.contains(attribute), "{set}");
        }
        assert!(!set.contains("Domain"));
        let plain = FlowCookies::new("key", false).keep(&flow(NOW), NOW);
        assert!(!plain.to_str().unwrap().contains("Secure"));
        assert!(plain.to_str().unwrap().starts_with("oh-login-"));
    }

    #[test]
    fn two_tabs_do_not_disturb_each_other() {
        let cookies = FlowCookies::new("key", true);
        let (a, b) = (flow(NOW), flow(NOW));
        let headers = sent(&[cookies.keep(&a, NOW), cookies.keep(&b, NOW)]);
        assert_eq!(cookies.find(&headers, &a.state), Brought::Flow(a));
        assert_eq!(cookies.find(&headers, &b.state), Brought::Flow(b));
        assert_eq!(cookies.find(&headers, "another"), Brought::Others);
        assert_eq!(cookies.find(&HeaderMap::new(), "another"), Brought::Nothing);
    }

    #[test]
    fn cookies_of_others_do_not_hide_ours() {
        let cookies = FlowCookies::new("key", true);
        let flow = flow(NOW);
        let ours = cookies.keep(&flow, NOW);
        let ours = ours.to_str().unwrap().split(';').next().unwrap();
        let with = |other: &str| {
            let mut headers = HeaderMap::new();
            let line = format!("{other}{ours}");
            headers.insert(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            cookies.find(&headers, &flow.state)
        };
        assert_eq!(with("x=é; "), Brought::Flow(flow.clone()));
        assert_eq!(with("a=b;"), Brought::Flow(flow.clone()));
        // A sibling's cookie that only looks as if it had the prefix.
        assert_eq!(with("\u{2000}"), Brought::Nothing);
    }

    #[test]
    fn a_cookie_of_another_app_or_name_is_no_login() {
        let flow = flow(NOW);
        let other = FlowCookies::new("other key", true).keep(&flow, NOW);
        let cookies = FlowCookies::new("key", true);
        assert_eq!(cookies.find(&sent(&[other]), &flow.state), Brought::Others);
    }

    #[test]
    fn the_oldest_logins_make_room() {
        let cookies = FlowCookies::new("key", true);
        let flows: Vec<Flow> = (0..7).map(|i| flow(NOW + Duration::from_secs(i))).collect();
        let set: Vec<HeaderValue> = flows.iter().map(|flow| cookies.keep(flow, NOW)).collect();
        assert!(cookies.make_room(&sent(&set[..4]), &set[4]).is_empty());
        let dropped = cookies.make_room(&sent(&set[..6]), &set[6]);
        assert_eq!(dropped.len(), 2);
        for old in &flows[..2] {
            let name = cookies.name(&old.state);
            let mut found = dropped.iter().map(|cookie| cookie.to_str().unwrap());
            assert!(found.any(|cookie| cookie.starts_with(&name) && cookie.contains("Max-Age=0")));
        }
    }

    #[test]
    fn however_large_they_are_all_logins_together_fit_into_common_headers() {
        let cookies = FlowCookies::new("key", true);
        let mut browser: Vec<HeaderValue> = Vec::new();
        for tab in 0..8 {
            let request = request(&format!("/{}", "a".repeat(700)), &"x".repeat(400));
            let at = NOW + Duration::from_secs(tab);
            let flow = Flow::begin("v".repeat(43), request, at);
            let set = cookies.keep(&flow, at);
            let dropped = cookies.make_room(&sent(&browser), &set);
            let name =
                |cookie: &HeaderValue| pair(cookie).split(|b| *b == b'=').next().unwrap().to_vec();
            browser.retain(|cookie| dropped.iter().all(|old| name(old) != name(cookie)));
            browser.push(set);
            let bytes = sent(&browser)[COOKIE].len();
            assert!(bytes <= MOST_BYTES, "{bytes} bytes after {} tabs", tab + 1);
        }
        assert_eq!(browser.len(), 2, "the two last tabs go on");
    }

    #[test]
    fn cookies_that_someone_has_put_there_make_no_large_answer_and_no_panic() {
        let cookies = FlowCookies::new("key", true);
        let forged = |i: usize| format!("__Host-oh-login-{i:016x}=x; __Host-oh-login-é{i}=x; ");
        let line: String = (0..500).map(forged).collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        let dropped = cookies.make_room(&headers, &cookies.keep(&flow(NOW), NOW));
        let size: usize = dropped.iter().map(HeaderValue::len).sum();
        assert!(!dropped.is_empty() && size < 4096, "{size} bytes");
    }

    #[test]
    fn a_spent_login_keeps_no_secret() {
        let spent = flow(NOW).into_spent();
        assert!(spent.spent && spent.verifier.is_empty() && spent.context.is_none());
        assert!(!spent.has_expired(NOW));
        assert!(spent.has_expired(NOW + LIFETIME));
    }

    #[test]
    fn a_failed_login_keeps_what_the_next_one_needs_and_nothing_else() {
        let request = request("/files", "42")
            .force_approval()
            .scope("read")
            .unwrap();
        let failed = Flow::begin("v".into(), request, NOW).into_failed();
        assert!(failed.spent && failed.verifier.is_empty());
        let again = failed.request();
        assert_eq!(again.context.as_deref(), Some("42"));
        assert_eq!(again.return_to.unwrap().as_str(), "/files");
        assert_eq!(again.scope.as_deref(), Some("read"));
        assert!(again.force_approval);
    }

    #[test]
    fn the_largest_login_fits_a_cookie() {
        let path = format!("/{}", "a".repeat(ReturnPath::MAX_LEN - 1));
        let context = "é".repeat(super::super::MAX_CONTEXT / 2 - 1);
        let request = request(&path, &context)
            .force_approval()
            .scope("s".repeat(super::super::MAX_SCOPE))
            .unwrap();
        let flow = Flow::begin("v".repeat(43), request, NOW);
        let set = FlowCookies::new("key", true).keep(&flow, NOW);
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        assert!(pair.len() <= 4096, "{}", pair.len());
    }
}
