//! The deauthorization webhook as Open Humans sends it.
//!
//! One signed attempt. If that is answered with anything but a 2xx, one more, unsigned and with
//! its JSON encoded twice, whatever that one is answered with. Then nothing, ever. If the first
//! attempt gets no answer at all, the sender crashes and there is no second.
//!
//! [`sign`] and [`body`] are public so that a test can send webhooks of its own:
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

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "X-OpenHumans-Webhooks-Signature";

/// One webhook request that the sandbox made, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Delivery {
    /// Whether it carried a signature. The second attempt never does.
    pub signed: bool,
    /// The status of the answer, after redirects; `None` when there was no answer.
    pub status: Option<u16>,
    /// The body that was sent: JSON, or for the second attempt JSON inside a JSON string.
    pub body: String,
}

impl Delivery {
    /// Whether the receiver took it: any 2xx.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// The value of the [`SIGNATURE_HEADER`] for a body: HMAC-SHA1 in lower-case hex, after `sha1=`.
#[must_use]
pub fn sign(secret: &str, body: &str) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body.as_bytes());
    format!("sha1={}", hex::encode(mac.finalize().into_bytes()))
}

/// The body of a webhook, byte for byte as the server writes it: Python's spacing, and a
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

/// A body encoded once more, as the second attempt carries it.
#[must_use]
pub fn encode_twice(body: &str) -> String {
    serde_json::Value::from(body).to_string()
}

/// Sends a body to a receiver, and once more as described above if it is not taken.
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
    fn a_body_has_pythons_spacing_and_six_digits_of_a_second() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_795_364_787_299_665_000)
            .expect("a valid time");
        assert_eq!(
            body("01026778", true, at),
            r#"{"project_member_id": "01026778", "erasure_requested": true, "timestamp": "2026-11-22T16:26:27.299665+00:00"}"#
        );
    }

    #[test]
    fn encoding_twice_gives_a_json_string_that_holds_json() {
        let twice = encode_twice(&body("1", false, OffsetDateTime::UNIX_EPOCH));
        assert!(twice.starts_with(r#""{\"project_member_id\": \"1\""#));
        let once: String = serde_json::from_str(&twice).unwrap();
        let inner: serde_json::Value = serde_json::from_str(&once).unwrap();
        assert_eq!(inner["erasure_requested"], false);
    }
}
