//! The login: what a browser, or someone who has written its address bar, brings along.

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

use crate::input::Input;
use crate::seal::{derived, seal};
use crate::transport::Canned;
use crate::{assert_fit_to_show, run};

const KEY: &str = "a key for cookies, 32 characters";
const NOW: i64 = 1_795_363_887_000_000;
/// What cookies and headers of one request may have together at common servers and proxies.
const HEADERS: usize = 8 * 1024;

/// Any cookies at the callback and at the start of a login: the first byte says whether they are
/// a header as it comes, or the plain text of a sealed cookie whose name and key are right.
pub fn login_cookie(data: &[u8]) {
    let mut input = Input::new(data);
    let sealed = input.byte() % 2 == 1;
    // Each works once only.
    let app = App::get();
    let state = format!("state-{}", app.states.replace(app.states.get() + 1));
    let (cookie, flow) = if sealed {
        let text = String::from_utf8_lossy(input.rest()).replace("STATE", &state);
        let name = name(&state);
        let value = seal(&derived(KEY, "login cookie"), &name, text.as_bytes());
        (format!("{name}={value}").into_bytes(), Some(text))
    } else {
        (input.rest().to_vec(), None)
    };
    let Ok(cookie) = HeaderValue::from_bytes(&cookie) else {
        return;
    };

    let asked_before = app.transport.asked().len();
    let path = format!("/openhumans/complete?code=a-code&state={state}");
    let answer = app.ask(Route::Complete, &path, &cookie);
    // The code is refused at best: nobody is ever logged in.
    assert_eq!(answer.session, SessionChange::Keep);
    let status = answer.response.status();
    assert!(
        status.is_client_error() || status.is_server_error(),
        "{status}"
    );
    let asked = app.transport.asked().len() - asked_before;
    let good = flow.is_some_and(|text| is_good(&text, &state));
    assert!(
        asked <= usize::from(good),
        "a code is exchanged for its own login only"
    );

    let answer = app.ask(Route::Login, "/openhumans/login", &cookie);
    assert_eq!(answer.response.status(), StatusCode::SEE_OTHER);
    assert_cookies(answer.response.headers());
}

/// Whether a flow is one that may still be completed.
fn is_good(text: &str, state: &str) -> bool {
    let Ok(flow) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    // Written as a list it would be the same to serde; nobody but the app can write it.
    let Value::Object(fields) = &flow else {
        return flow.is_array();
    };
    let field = |name: &str| fields.get(name).cloned();
    let began = field("started_micros").and_then(|at| at.as_i64());
    field("state") == Some(state.into())
        && field("used").is_none_or(|used| used == false)
        && began.is_some_and(|began| NOW.saturating_sub(began) < 30 * 60 * 1_000_000)
}

/// Any text as a way back after the login: accepted, it leads to this app and nowhere else.
pub fn return_path(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = text.parse::<ReturnPath>();
    if let Ok(path) = &parsed {
        assert_eq!(path.as_str(), text);
        assert!(HeaderValue::from_str(path.as_str()).is_ok());
        assert_fit_to_show(path.as_str(), 1024);
        for base in [
            "https://app.example/openhumans/complete",
            "http://localhost:8000/",
        ] {
            let base = Url::parse(base).expect("an address");
            // A proxy or a framework may decode it once more before the browser sees it.
            let mut seen = path.to_string();
            for _ in 0..3 {
                let target = base.join(&seen).expect("what is accepted is an address");
                assert_eq!(target.origin(), base.origin(), "{seen:?}");
                let whole = seen.split(['?', '#']).next().unwrap_or_default();
                seen = percent_decoded(whole);
            }
        }
    }
    let next: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let path = format!("/openhumans/login?next={next}");
    if path.parse::<http::Uri>().is_err() {
        return;
    }
    let answer = App::get().ask(Route::Login, &path, &HeaderValue::from_static(""));
    assert_eq!(answer.response.status(), StatusCode::SEE_OTHER);
    let location = answer.response.headers()[LOCATION].to_str().expect("ASCII");
    assert!(
        location.starts_with("https://www.openhumans.org/"),
        "{location}"
    );
    assert_cookies(answer.response.headers());
}

fn percent_decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map(|(_, text)| text.into_owned())
        .unwrap_or_default()
}

/// Cookies are host-bound, hidden from scripts, and small enough for proxies.
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
    assert!(size <= HEADERS, "{size} bytes of cookies");
}

fn name(state: &str) -> String {
    let digest = Sha256::digest(state.as_bytes());
    format!("__Host-oh-login-{}", hex::encode(&digest[..8]))
}

/// An app whose Open Humans refuses every code.
struct App {
    oh: OpenHumans,
    transport: Canned,
    /// How many states were made up.
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
        let transport = Canned::default();
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

    fn ask(&self, route: Route, path: &str, cookie: &HeaderValue) -> RouteOutcome {
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
    fn a_login_that_is_sealed_here_is_one_to_the_library() {
        let flow = format!(r#"{{"state":"STATE","verifier":"v","started_micros":{NOW}}}"#);
        let app = App::get();
        login_cookie(&[b"\x01", flow.as_bytes()].concat());
        assert_eq!(
            app.transport.asked().len(),
            1,
            "its code was to be exchanged"
        );
    }
}
