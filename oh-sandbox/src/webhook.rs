//! The deauthorization webhook.
//!
//! The first attempt is signed. If the response is not a 2xx, there is one more attempt, unsigned
//! and with its JSON encoded twice. Its response has no consequence. If the first attempt gets no
//! response, the sender crashes, and there is no second attempt.
//!
//! Tests can create webhooks with [`sign`] and [`body`]:
//!
//! ```
//! use oh_sandbox::webhook;
//!
//! let body = r#"{"project_member_id": "12345678", "erasure_requested": true, "timestamp": "2020-06-30T20:00:00.000000+00:00"}"#;
//! assert_eq!(
//!     webhook::sign("abcdefghijklmnop", body),
//!     "sha1=ebda5c0a38593a4350ad8401b7d8c8f1cd08ec67",
//! );
//! ```

use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use serde::Serialize;
use sha1::Sha1;
use time::OffsetDateTime;
use url::Url;

use crate::client::Client;

/// The name of the signature header.
pub const SIGNATURE_HEADER: &str = "X-OpenHumans-Webhooks-Signature";

/// A webhook request of the sandbox, and its response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Delivery {
    /// Whether the request was signed. The second attempt never is.
    pub signed: bool,
    /// The status of the response after redirects, or `None` without a response.
    pub status: Option<u16>,
    /// The body: JSON, or for the second attempt JSON in a JSON string.
    pub body: String,
}

impl Delivery {
    /// Returns whether the status is a 2xx.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// Returns the value of the [`SIGNATURE_HEADER`] for a body: `sha1=` and the HMAC-SHA1 in
/// lower-case hexadecimal digits.
#[must_use]
pub fn sign(secret: &str, body: &str) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body.as_bytes());
    format!("sha1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Returns the body of a webhook exactly as the server writes it, with Python's spacing and a
/// timestamp with microseconds and `+00:00`.
///
/// ```
/// use time::{Duration, OffsetDateTime};
///
/// assert_eq!(
///     oh_sandbox::webhook::body("01026778", true, OffsetDateTime::UNIX_EPOCH + Duration::microseconds(7)),
///     r#"{"project_member_id": "01026778", "erasure_requested": true, "timestamp": "1970-01-01T00:00:00.000007+00:00"}"#,
/// );
/// ```
#[must_use]
pub fn body(project_member_id: &str, erasure_requested: bool, timestamp: OffsetDateTime) -> String {
    crate::web::respond::python_json(&[
        ("project_member_id", project_member_id.into()),
        ("erasure_requested", erasure_requested.into()),
        (
            "timestamp",
            format!("{}+00:00", crate::clock::iso(timestamp)).into(),
        ),
    ])
}

/// Encodes a body again, like the second attempt.
#[must_use]
pub fn encode_twice(body: &str) -> String {
    serde_json::Value::from(body).to_string()
}

/// Sends a webhook, with a second attempt if necessary.
pub(crate) async fn deliver(
    client: &Client,
    url: &Url,
    secret: Option<&str>,
    body: String,
) -> Vec<Delivery> {
    let signature = secret.map(|secret| sign(secret, &body));
    let status = post(client, url, signature.as_deref(), &body).await;
    let first = Delivery {
        signed: signature.is_some(),
        status,
        body,
    };
    if first.accepted() || first.status.is_none() {
        return vec![first];
    }
    let body = encode_twice(&first.body);
    let status = post(client, url, None, &body).await;
    vec![
        first,
        Delivery {
            signed: false,
            status,
            body,
        },
    ]
}

async fn post(client: &Client, url: &Url, signature: Option<&str>, body: &str) -> Option<u16> {
    let mut request = Request::post(url.as_str())
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "gzip, deflate, br")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "python-requests/2.32.3");
    if let Some(signature) = signature {
        request = request.header(SIGNATURE_HEADER, signature);
    }
    let request = request.body(body.to_owned().into()).ok()?;
    let status = client.send_as_requests(request).await?;
    Some(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_spacing_and_timestamp_of_python() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_795_364_787_299_665_000)
            .expect("a valid time");
        assert_eq!(
            body("01026778", true, at),
            r#"{"project_member_id": "01026778", "erasure_requested": true, "timestamp": "2026-11-22T16:26:27.299665+00:00"}"#
        );
    }

    #[test]
    fn encode_twice_returns_json_string_with_json() {
        let twice = encode_twice(&body("1", false, OffsetDateTime::UNIX_EPOCH));
        assert!(twice.starts_with(r#""{\"project_member_id\": \"1\""#));
        let once: String = serde_json::from_str(&twice).unwrap();
        let inner: serde_json::Value = serde_json::from_str(&once).unwrap();
        assert_eq!(inner["erasure_requested"], false);
    }
}
