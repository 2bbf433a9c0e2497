//! Sending recorded requests to a sandbox, and comparing what comes back.

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
    pub(crate) response: Answer,
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
pub(crate) struct Answer {
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

/// A sandbox that goes by the recorded names, and what stands for what.
pub(crate) struct Replay {
    pub(crate) sandbox: Sandbox,
    pub(crate) credentials: (String, String),
    pub(crate) master: String,
    redirect_uri: String,
    /// What the sandbox gave for a recorded token, code or file id.
    pub(crate) stands_for: HashMap<String, String>,
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
        let (stands_for, skipped) = (HashMap::new(), Vec::new());
        Some(Self {
            sandbox,
            credentials,
            master,
            redirect_uri,
            stands_for,
            checked: 0,
            skipped,
        })
    }

    /// A code as the recorded one was made.
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

    /// What stands for a recorded token: itself if it never was one.
    pub(crate) fn token(&mut self, recorded: &str, refresh: bool) -> String {
        if recorded.len() != 30 || !recorded.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return recorded.to_owned();
        }
        if let Some(ours) = self.stands_for.get(recorded) {
            return ours.clone();
        }
        let tokens = self.sandbox.issue_tokens(ALICE);
        let ours = if refresh {
            tokens.refresh_token
        } else {
            tokens.access_token
        };
        self.stands_for.insert(recorded.to_owned(), ours.clone());
        ours
    }

    /// Puts what the sandbox gave into a text in the place of what was recorded.
    pub(crate) fn translate(&self, text: &str) -> String {
        // The app's host was renamed in the recordings, but not where it is percent-encoded.
        let app = self
            .redirect_uri
            .split("/openhumans")
            .next()
            .unwrap_or_default();
        let mut text = text.replace("http://app.test", app);
        for (recorded, ours) in &self.stands_for {
            if recorded.len() == 30 {
                text = text.replace(recorded, ours);
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
                        format!("{form}{ours}{end}"),
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
            let there = recorded
                .headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(header));
            if let Some((_, value)) = there {
                assert_eq!(headers.get(header), Some(value), "{name}: {header}");
            }
        }
        if let Some(location) = recorded.headers.get("Location") {
            let ours = headers.get("location").cloned().unwrap_or_default();
            assert_eq!(
                query_shape(&ours),
                query_shape(&self.translate(location)),
                "{name}: location"
            );
        }
        self.remember(&recorded.body, &body);
        let whole =
            !recorded.body.contains(" characters in all)") && !recorded.body.starts_with('(');
        match serde_json::from_str::<Value>(&recorded.body) {
            Ok(theirs) if whole => {
                let ours: Value = serde_json::from_str(&body)
                    .unwrap_or_else(|_| panic!("{name}: no JSON: {body}"));
                if status >= 400 {
                    assert_eq!(body, recorded.body, "{name}");
                } else {
                    same_shape(name, &ours, &theirs);
                }
            }
            _ if whole && !recorded.body.is_empty() && !recorded.body.starts_with('<') => {
                assert_eq!(body, recorded.body, "{name}");
            }
            _ => {}
        }
        self.checked += 1;
    }

    /// Remembers what the sandbox gave in the place of a recorded token or file id.
    pub(crate) fn remember(&mut self, recorded: &str, ours: &str) {
        let (Ok(recorded), Ok(ours)) = (
            serde_json::from_str::<Value>(recorded),
            serde_json::from_str::<Value>(ours),
        ) else {
            return;
        };
        for key in ["access_token", "refresh_token"] {
            if let (Some(recorded), Some(ours)) = (recorded[key].as_str(), ours[key].as_str()) {
                self.stands_for.insert(recorded.to_owned(), ours.to_owned());
            }
        }
        if let (Some(recorded), Some(ours)) = (recorded["id"].as_u64(), ours["id"].as_u64()) {
            self.stands_for
                .insert(recorded.to_string(), ours.to_string());
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

/// The field of a form.
pub(crate) fn field(form: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(form.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// A URL without what is new each time, and without its host.
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

/// The same keys in the same order, and the same kinds of values. Null may stand for anything.
pub(crate) fn same_shape(name: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys = |object: &serde_json::Map<String, Value>| {
                object.keys().cloned().collect::<Vec<_>>()
            };
            assert_eq!(keys(ours), keys(theirs), "{name}");
            for (key, theirs) in theirs {
                if key != "metadata" {
                    same_shape(&format!("{name}.{key}"), &ours[key], theirs);
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            if let (Some(ours), Some(theirs)) = (ours.first(), theirs.first()) {
                same_shape(name, ours, theirs);
            }
        }
        (ours, theirs) => {
            let same = std::mem::discriminant(ours) == std::mem::discriminant(theirs);
            assert!(same, "{name}: {ours} is not of the kind of {theirs}");
        }
    }
}
