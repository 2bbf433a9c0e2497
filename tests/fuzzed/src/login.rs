//! Cookies and return paths of a login, which a browser or an attacker sends.

use std::cell::{Cell, OnceCell};

use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use http::{Request, StatusCode};
use http_body_util::Empty;
use oh_core::login::ReturnPath;
use oh_core::routes::{Route, RouteOutcome};
use oh_core::{Clock, OpenHumans, SessionChange, Settings, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use crate::encryption::{derive_key, encrypt};
use crate::input::Input;
use crate::transport::FixedResponses;
use crate::{assert_printable, run};

const KEY: &str = "a key for cookies, 32 characters";
const NOW: i64 = 1_795_363_887_000_000;
/// Maximum size of all headers of a request at common servers and proxies.
const MAX_HEADERS: usize = 8 * 1024;

/// Any cookies at the callback and at the start of a login. The first byte selects a raw header, or
/// the plain text of an encrypted cookie with valid name and key.
pub fn login_cookie(data: &[u8]) {
    let mut input = Input::new(data);
    let is_encrypted = input.byte() % 2 == 1;
    // Each state works only once.
    let app = App::get();
    let state = format!("state-{}", app.states.replace(app.states.get() + 1));
    let (cookie, login) = if is_encrypted {
        let text = String::from_utf8_lossy(input.rest()).replace("STATE", &state);
        let name = name(&state);
        let value = encrypt(&derive_key(KEY, "login cookie"), &name, text.as_bytes());
        (format!("{name}={value}").into_bytes(), Some(text))
    } else {
        (input.rest().to_vec(), None)
    };
    let Ok(cookie) = HeaderValue::from_bytes(&cookie) else {
        return;
    };

    let requests_before = app.transport.requests().len();
    let path = format!("/openhumans/complete?code=a-code&state={state}");
    let outcome = app.send(Route::Complete, &path, &cookie);
    // Open Humans rejects every code, so nobody is logged in.
    assert_eq!(outcome.session, SessionChange::Keep);
    let status = outcome.response.status();
    assert!(
        status.is_client_error() || status.is_server_error(),
        "{status}"
    );
    let requests = app.transport.requests().len() - requests_before;
    let can_complete = login.is_some_and(|text| can_complete(&text, &state));
    assert!(
        requests <= usize::from(can_complete),
        "a code is exchanged for its own login only"
    );

    let outcome = app.send(Route::Login, "/openhumans/login", &cookie);
    assert_eq!(outcome.response.status(), StatusCode::SEE_OTHER);
    assert_cookies(outcome.response.headers());
}

/// Whether a pending login can still complete.
fn can_complete(text: &str, state: &str) -> bool {
    let Ok(login) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    // Serde also accepts a list. Only the application can encrypt one.
    let Value::Object(fields) = &login else {
        return login.is_array();
    };
    let field = |name: &str| fields.get(name).cloned();
    let started = field("started_micros").and_then(|at| at.as_i64());
    field("state") == Some(state.into())
        && field("used").is_none_or(|used| used == false)
        && started.is_some_and(|started| NOW.saturating_sub(started) < 30 * 60 * 1_000_000)
}

/// Any text as a return path: an accepted one stays on this site.
pub fn return_path(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = text.parse::<ReturnPath>();
    if let Ok(path) = &parsed {
        assert_eq!(path.as_str(), text);
        assert!(HeaderValue::from_str(path.as_str()).is_ok());
        assert_printable(path.as_str(), 1024);
        for base in [
            "https://app.example/openhumans/complete",
            "http://localhost:8000/",
        ] {
            let base = Url::parse(base).expect("a URL");
            // A proxy or framework may decode the path once more.
            let mut seen = path.to_string();
            for _ in 0..3 {
                let target = base.join(&seen).expect("an accepted path is a URL");
                assert_eq!(target.origin(), base.origin(), "{seen:?}");
                let path = seen.split(['?', '#']).next().unwrap_or_default();
                seen = percent_decoded(path);
            }
        }
    }
    let next: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let path = format!("/openhumans/login?next={next}");
    if path.parse::<http::Uri>().is_err() {
        return;
    }
    let outcome = App::get().send(Route::Login, &path, &HeaderValue::from_static(""));
    assert_eq!(outcome.response.status(), StatusCode::SEE_OTHER);
    let location = outcome.response.headers()[LOCATION]
        .to_str()
        .expect("ASCII");
    assert!(
        location.starts_with("https://www.openhumans.org/"),
        "{location}"
    );
    assert_cookies(outcome.response.headers());
}

fn percent_decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map(|(_, text)| text.into_owned())
        .unwrap_or_default()
}

/// Cookies are bound to the host, hidden from scripts, and small enough for proxies.
fn assert_cookies(headers: &HeaderMap) {
    let mut size = 0;
    for cookie in headers.get_all(SET_COOKIE) {
        let cookie = cookie.to_str().expect("cookies are ASCII");
        assert!(cookie.starts_with("__Host-oh-login-"), "{cookie}");
        for attribute in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        size += cookie.len();
    }
    assert!(size <= MAX_HEADERS, "{size} bytes of cookies");
}

fn name(state: &str) -> String {
    let digest = Sha256::digest(state.as_bytes());
    format!("__Host-oh-login-{}", hex::encode(&digest[..8]))
}

/// An application whose Open Humans rejects every code.
struct App {
    oh: OpenHumans,
    transport: FixedResponses,
    /// The number of created states.
    states: Cell<u64>,
}

impl App {
    fn get() -> std::rc::Rc<Self> {
        thread_local! {
            static APP: OnceCell<std::rc::Rc<App>> = const { OnceCell::new() };
        }
        APP.with(|app| std::rc::Rc::clone(app.get_or_init(|| std::rc::Rc::new(Self::new()))))
    }

    fn new() -> Self {
        let transport = FixedResponses::default();
        let settings = Settings::builder("id", "secret", "https://app.example")
            .cookie_key(KEY)
            .build()
            .expect("settings");
        let oh = OpenHumans::builder(settings)
            .clock(Clock::manual(Timestamp::from_micros(NOW)))
            .transport(transport.clone())
            .build()
            .expect("an app");
        Self {
            oh,
            transport,
            states: Cell::new(0),
        }
    }

    fn send(&self, route: Route, path: &str, cookie: &HeaderValue) -> RouteOutcome {
        let request = Request::get(path)
            .header(COOKIE, cookie)
            .body(Empty::<Bytes>::new())
            .expect("a request");
        run(self.oh.respond(route, request, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_cookie_target_encrypts_valid_cookies() {
        let login = format!(r#"{{"state":"STATE","verifier":"v","started_micros":{NOW}}}"#);
        let app = App::get();
        login_cookie(&[b"\x01", login.as_bytes()].concat());
        assert_eq!(app.transport.requests().len(), 1, "the code is exchanged");
    }
}
