//! Replays recorded requests against a sandbox and compares the responses.

use std::collections::HashMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use oh_sandbox::Sandbox;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use crate::support::{self, ALICE, BOB, client};

const HEADERS: [&str; 5] = [
    "content-type",
    "www-authenticate",
    "cache-control",
    "allow",
    "pragma",
];

#[derive(Clone, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) request: Request,
    pub(crate) response: Response,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// Loads the recording of a topic. The recordings are not part of this repository:
/// `OH_CONTRACT_RECORDED` names their directory. Returns `None` if it is not set.
pub(crate) fn recording(topic: &str) -> Option<Vec<Exchange>> {
    let Some(folder) = std::env::var_os("OH_CONTRACT_RECORDED").map(PathBuf::from) else {
        eprintln!("SKIPPED: {topic}: OH_CONTRACT_RECORDED is not set");
        return None;
    };
    let path = folder.join(topic);
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
    Some(serde_json::from_str(&text).expect("a recording is JSON"))
}

/// A sandbox with the recorded credentials.
pub(crate) struct Replay {
    pub(crate) sandbox: Sandbox,
    pub(crate) credentials: (String, String),
    pub(crate) master: String,
    redirect_uri: String,
    /// The sandbox's tokens, codes and file ids by the recorded ones.
    pub(crate) substitutes: HashMap<String, String>,
    checked: usize,
    skipped: Vec<String>,
}

impl Replay {
    pub(crate) async fn new() -> Option<Self> {
        let tokens = recording("02_token.json")?;
        let project = recording("04_project_and_auth_errors.json")?;
        let first = &tokens.first()?.request;
        let basic = first
            .headers
            .get("Authorization")?
            .strip_prefix("Basic ")?
            .to_owned();
        let pair = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
        let (id, secret) = pair.split_once(':')?;
        let redirect_uri = field(&first.body, "redirect_uri")?;
        let master = project
            .first()?
            .request
            .headers
            .get("Authorization")?
            .strip_prefix("Bearer ")?
            .to_owned();
        let sandbox = Sandbox::builder()
            .client_id(id)
            .client_secret(secret)
            .master_token(&master)
            .redirect_uri(&redirect_uri)
            .member(ALICE, Some("alice"))
            .member(BOB, Some("bob"))
            .start()
            .await
            .expect("the sandbox starts");
        sandbox.join(ALICE);
        sandbox.join(BOB);
        let credentials = (id.to_owned(), secret.to_owned());
        let (substitutes, skipped) = (HashMap::new(), Vec::new());
        Some(Self {
            sandbox,
            credentials,
            master,
            redirect_uri,
            substitutes,
            checked: 0,
            skipped,
        })
    }

    /// Creates a code like the recorded one.
    pub(crate) async fn new_code(&self, exchange: &Exchange, verifier: &str) -> String {
        let hashed = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let mut added = vec![("redirect_uri", self.redirect_uri.as_str())];
        if exchange.name.contains("S256") || exchange.name.contains("auto-approval") {
            added.extend([
                ("code_challenge", hashed.as_str()),
                ("code_challenge_method", "S256"),
            ]);
        } else if exchange.name.contains("plain") {
            added.extend([
                ("code_challenge", verifier),
                ("code_challenge_method", "plain"),
            ]);
        }
        support::code(&self.sandbox, ALICE, &added).await
    }

    /// Returns the substitute for a recorded token. Other text is returned unchanged.
    pub(crate) fn token(&mut self, recorded: &str, refresh: bool) -> String {
        if recorded.len() != 30 || !recorded.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return recorded.to_owned();
        }
        if let Some(actual) = self.substitutes.get(recorded) {
            return actual.clone();
        }
        let tokens = self.sandbox.issue_tokens(ALICE);
        let actual = if refresh {
            tokens.refresh_token
        } else {
            tokens.access_token
        };
        self.substitutes.insert(recorded.to_owned(), actual.clone());
        actual
    }

    /// Replaces recorded values in a text by their substitutes.
    pub(crate) fn translate(&self, text: &str) -> String {
        // The app's host was renamed in the recordings, but not where it is percent-encoded.
        let app = self
            .redirect_uri
            .split("/openhumans")
            .next()
            .unwrap_or_default();
        let mut text = text.replace("http://app.test", app);
        for (recorded, actual) in &self.substitutes {
            if recorded.len() == 30 {
                text = text.replace(recorded, actual);
                continue;
            }
            for form in [
                "\"file_id\": ",
                "\"file_id\": \"",
                "file_id=",
                "{\"id\":",
                "{\"ids\":[",
            ] {
                for end in ["}", "\"", "&", "]", ",", ""] {
                    let (old, new) = (
                        format!("{form}{recorded}{end}"),
                        format!("{form}{actual}{end}"),
                    );
                    if end.is_empty() {
                        if let Some(start) = text.strip_suffix(&old) {
                            text = format!("{start}{new}");
                        }
                    } else {
                        text = text.replace(&old, &new);
                    }
                }
            }
        }
        text
    }

    pub(crate) async fn send(
        &mut self,
        exchange: &Exchange,
    ) -> (u16, HashMap<String, String>, String) {
        let request = &exchange.request;
        for (key, value) in url::form_urlencoded::parse(request.query.as_bytes()) {
            if key == "access_token" {
                self.token(&value, false);
            }
        }
        if let Some(bearer) = request.headers.get("Authorization") {
            for word in bearer.split(' ').skip(1) {
                self.token(word, false);
            }
        }
        if let Some(recorded) = field(&request.body, "refresh_token") {
            self.token(&recorded, true);
        }
        let mut url = self.sandbox.url().join(&request.path).expect("a path");
        url.set_query(
            (!request.query.is_empty())
                .then(|| self.translate(&request.query))
                .as_deref(),
        );
        let mut sending = client().request(request.method.parse().expect("a method"), url);
        for (name, value) in &request.headers {
            let value = self.translate(value);
            let bytes: Vec<u8> = value
                .chars()
                .map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?'))
                .collect();
            let name: HeaderName = name.parse().expect("a header");
            sending = sending.header(name, HeaderValue::from_bytes(&bytes).expect("a value"));
        }
        let answer = sending
            .body(self.translate(&request.body))
            .send()
            .await
            .expect("an answer");
        let headers = answer.headers().iter();
        let headers = headers.map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        let headers = headers.collect();
        (
            answer.status().as_u16(),
            headers,
            answer.text().await.expect("a body"),
        )
    }

    pub(crate) async fn check(&mut self, exchange: &Exchange) {
        let (status, headers, body) = self.send(exchange).await;
        let name = &exchange.name;
        let recorded = &exchange.response;
        assert_eq!(status, recorded.status, "{name}: {body}");
        for header in HEADERS {
            let header_value = recorded
                .headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(header));
            if let Some((_, value)) = header_value {
                assert_eq!(headers.get(header), Some(value), "{name}: {header}");
            }
        }
        if let Some(location) = recorded.headers.get("Location") {
            let actual = headers.get("location").cloned().unwrap_or_default();
            assert_eq!(
                query_shape(&actual),
                query_shape(&self.translate(location)),
                "{name}: location"
            );
        }
        self.remember(&recorded.body, &body);
        let is_complete =
            !recorded.body.contains(" characters in all)") && !recorded.body.starts_with('(');
        match serde_json::from_str::<Value>(&recorded.body) {
            Ok(expected) if is_complete => {
                let actual: Value = serde_json::from_str(&body)
                    .unwrap_or_else(|_| panic!("{name}: no JSON: {body}"));
                if status >= 400 {
                    assert_eq!(body, recorded.body, "{name}");
                } else {
                    same_shape(name, &actual, &expected);
                }
            }
            _ if is_complete && !recorded.body.is_empty() && !recorded.body.starts_with('<') => {
                assert_eq!(body, recorded.body, "{name}");
            }
            _ => {}
        }
        self.checked += 1;
    }

    /// Stores the substitutes for the tokens and the file id in a recorded response.
    pub(crate) fn remember(&mut self, recorded: &str, actual: &str) {
        let (Ok(recorded), Ok(actual)) = (
            serde_json::from_str::<Value>(recorded),
            serde_json::from_str::<Value>(actual),
        ) else {
            return;
        };
        for key in ["access_token", "refresh_token"] {
            if let (Some(recorded), Some(actual)) = (recorded[key].as_str(), actual[key].as_str()) {
                self.substitutes
                    .insert(recorded.to_owned(), actual.to_owned());
            }
        }
        if let (Some(recorded), Some(actual)) = (recorded["id"].as_u64(), actual["id"].as_u64()) {
            self.substitutes
                .insert(recorded.to_string(), actual.to_string());
        }
    }

    pub(crate) fn skip(&mut self, exchange: &Exchange, why: &str) {
        self.skipped.push(format!("{}: {why}", exchange.name));
    }

    pub(crate) fn done(self, at_least: usize) {
        for skipped in &self.skipped {
            eprintln!("not replayed: {skipped}");
        }
        assert!(
            self.checked >= at_least,
            "only {} exchanges were replayed",
            self.checked
        );
    }
}

/// Returns a field of a form.
pub(crate) fn field(form: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(form.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Returns the path and query of a URL, with random values replaced.
pub(crate) fn query_shape(text: &str) -> (String, Vec<(String, String)>) {
    let base = Url::parse("http://any.test").expect("a URL");
    let url = base.join(text).expect("a location");
    let pairs = url.query_pairs().map(|(key, value)| {
        let value = if matches!(
            &*key,
            "code" | "Signature" | "Expires" | "AWSAccessKeyId" | "x-oh-key" | "access_token"
        ) {
            "new".into()
        } else {
            value.into_owned()
        };
        (key.into_owned(), value)
    });
    (url.path().to_owned(), pairs.collect())
}

/// Asserts that two values have the same keys in the same order and values of the same types. Null
/// matches every value.
pub(crate) fn same_shape(name: &str, actual: &Value, expected: &Value) {
    match (actual, expected) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(actual), Value::Object(expected)) => {
            let keys = |object: &serde_json::Map<String, Value>| {
                object.keys().cloned().collect::<Vec<_>>()
            };
            assert_eq!(keys(actual), keys(expected), "{name}");
            for (key, expected) in expected {
                if key != "metadata" {
                    same_shape(&format!("{name}.{key}"), &actual[key], expected);
                }
            }
        }
        (Value::Array(actual), Value::Array(expected)) => {
            if let (Some(actual), Some(expected)) = (actual.first(), expected.first()) {
                same_shape(name, actual, expected);
            }
        }
        (actual, expected) => {
            let same = std::mem::discriminant(actual) == std::mem::discriminant(expected);
            assert!(
                same,
                "{name}: {actual} does not have the type of {expected}"
            );
        }
    }
}
