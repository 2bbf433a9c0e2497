//! Webhooks from anyone.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::Full;
use oh_core::routes::Route;
use oh_core::webhook::{MAX_BODY, SIGNATURE_HEADER, verify};
use oh_core::{OpenHumans, SessionChange, Settings, Timestamp, WebhookSecret};
use serde_json::Value;
use serde_json::value::RawValue;
use sha1::Sha1;

use crate::run;
use crate::transport::FixedResponses;

const SECRETS: [&str; 2] = ["ponmlkjihgfedcba", "abcdefghijklmnop"];
const BODY: &[u8] = br#"{"project_member_id": "12345678", "erasure_requested": true, "timestamp": "2020-06-30T20:00:00.000000+00:00"}"#;

/// Any signature headers, one in each line, with a fixed body: accepted only if there is exactly
/// one and it is valid.
pub fn signature_header(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').take(4);
    let values: Vec<HeaderValue> = lines
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let mut headers = HeaderMap::new();
    for value in &values {
        headers.append(SIGNATURE_HEADER, value.clone());
    }
    let secrets = SECRETS.map(WebhookSecret::new);
    let is_valid = match values.as_slice() {
        [value] => SECRETS.iter().any(|secret| {
            let digits = value.as_bytes().strip_prefix(b"sha1=");
            digits.is_some_and(|digits| {
                digits.eq_ignore_ascii_case(hex::encode(mac(secret, BODY)).as_bytes())
            })
        }),
        _ => false,
    };
    assert_eq!(verify(&secrets, &headers, BODY).is_ok(), is_valid);
    assert!(verify(&[], &headers, BODY).is_err());
    assert!(verify(&[WebhookSecret::new("")], &headers, BODY).is_err());
}

/// Any body: with a valid signature, only a complete object is accepted; without one, nothing is.
pub fn webhook_body(data: &[u8]) {
    let secrets = [WebhookSecret::new(SECRETS[0])];
    let mut headers = HeaderMap::new();
    let signature = format!("sha1={}", hex::encode(mac(SECRETS[0], data)));
    headers.insert(
        SIGNATURE_HEADER,
        signature.parse().expect("hex is a valid header"),
    );
    if let Ok(webhook) = verify(&secrets, &headers, data) {
        let fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(data).expect("an accepted body is an object");
        let field = |name: &str| {
            let text = fields.get(name).expect("an accepted body is complete");
            serde_json::from_str::<Value>(text.get()).expect("an accepted body is valid JSON")
        };
        assert_eq!(field("project_member_id"), webhook.member().as_str());
        assert_eq!(field("erasure_requested"), webhook.erasure_requested());
        let timestamp = field("timestamp");
        let timestamp = timestamp.as_str().expect("a time is a string");
        let at: Timestamp = timestamp.parse().expect("a time is valid");
        assert_eq!(at, webhook.left_at());
        assert_eq!(webhook.left_at().to_string().parse(), Ok(webhook.left_at()));
    }
    let request = Request::post("/openhumans/deauth")
        .header(CONTENT_LENGTH, data.len())
        .body(Full::new(Bytes::copy_from_slice(data)))
        .expect("a request");
    let outcome = app(|oh| run(oh.respond(Route::Deauth, request, None)));
    let expected = if data.len() > MAX_BODY {
        StatusCode::PAYLOAD_TOO_LARGE
    } else {
        StatusCode::UNAUTHORIZED
    };
    assert_eq!(outcome.response.status(), expected);
    assert_eq!(outcome.session, SessionChange::Keep);
}

fn mac(secret: &str, body: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    mac.chain_update(body).finalize().into_bytes().to_vec()
}

fn app<T>(ask: impl FnOnce(&OpenHumans) -> T) -> T {
    thread_local! {
        static APP: OnceCell<OpenHumans> = const { OnceCell::new() };
    }
    APP.with(|app| {
        ask(app.get_or_init(|| {
            let settings = Settings::builder("id", "secret", "https://app.example")
                .webhook_secret(SECRETS[0])
                .build()
                .expect("settings");
            let builder = OpenHumans::builder(settings).transport(FixedResponses::default());
            builder.build().expect("an application")
        }))
    })
}
