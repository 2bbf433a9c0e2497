//! Open Humans' deauthorization webhook: telling a real one from any other.
//!
//! When a member leaves, Open Humans sends one `POST` whose body names the member, signed with
//! HMAC-SHA1 over the raw bytes under the project's webhook secret. [`verify`] is pure, and the
//! only way to make a [`Deauthorization`]: whoever holds one knows it was checked.
//!
//! ```
//! use http::HeaderMap;
//! use oh_core::WebhookSecret;
//! use oh_core::webhook::{SIGNATURE_HEADER, verify};
//!
//! let body = br#"{"project_member_id": "12345678", "erasure_requested": true, "timestamp": "2020-06-30T20:00:00.000000+00:00"}"#;
//! let mut headers = HeaderMap::new();
//! headers.insert(SIGNATURE_HEADER, "sha1=ebda5c0a38593a4350ad8401b7d8c8f1cd08ec67".parse().unwrap());
//!
//! let told = verify(&[WebhookSecret::new("abcdefghijklmnop")], &headers, body)?;
//! assert_eq!(told.member().as_str(), "12345678");
//! assert!(told.erasure_requested());
//! # Ok::<(), oh_core::webhook::VerifyError>(())
//! ```

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use sha1::Sha1;

use crate::{ProjectMemberId, Timestamp, WebhookSecret};

/// The header the signature comes in: `sha1=` and 40 hex digits.
pub const SIGNATURE_HEADER: HeaderName = HeaderName::from_static("x-openhumans-webhooks-signature");

/// All headers that verifying a webhook looks at, for an adapter that must convert them.
pub const HEADERS: [HeaderName; 2] = [SIGNATURE_HEADER, http::header::CONTENT_LENGTH];

/// The most a webhook's body may hold, in bytes. A real one holds about 110.
pub const MAX_BODY: usize = 16 * 1024;

/// A member has left: what a verified webhook says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deauthorization {
    member: ProjectMemberId,
    erasure_requested: bool,
    left_at: Timestamp,
}

impl Deauthorization {
    /// Who left.
    pub fn member(&self) -> &ProjectMemberId {
        &self.member
    }

    /// Whether the member asked for all data to be erased.
    pub fn erasure_requested(&self) -> bool {
        self.erasure_requested
    }

    /// When the member left, by Open Humans' clock. Tells an old webhook, replayed after the
    /// member has joined again, from a new one.
    pub fn left_at(&self) -> Timestamp {
        self.left_at
    }

    /// Reads a body without asking who sent it.
    pub(crate) fn parse_unverified(body: &[u8]) -> Result<Self, VerifyError> {
        let not_understood = |why| VerifyError::NotUnderstood(serde::de::Error::custom(why));
        // Also where nobody looks: JSON is UTF-8 (RFC 8259 section 8.1).
        let body = std::str::from_utf8(body).map_err(|_| not_understood("not UTF-8"))?;
        // What serde derives would take the fields as a list, too.
        if !body.trim_start().starts_with('{') {
            return Err(not_understood("not an object"));
        }
        #[derive(Deserialize)]
        struct Wire {
            project_member_id: ProjectMemberId,
            erasure_requested: bool,
            timestamp: Timestamp,
        }
        let wire: Wire = serde_json::from_str(body).map_err(VerifyError::NotUnderstood)?;
        Ok(Self {
            member: wire.project_member_id,
            erasure_requested: wire.erasure_requested,
            left_at: wire.timestamp,
        })
    }
}

/// Why a webhook is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The app has no webhook secret, so nothing can be verified.
    #[error("no webhook secret is configured")]
    NoSecret,
    /// There is no signature.
    #[error("the signature is missing")]
    Missing,
    /// There is more than one signature.
    #[error("there is more than one signature")]
    Duplicate,
    /// The signature is not `sha1=` and 40 hex digits.
    #[error("the signature is malformed")]
    Malformed,
    /// The signature is not one of ours over this body.
    #[error("the signature does not match")]
    Mismatch,
    /// The signature is right, but the body does not say that a member has left.
    #[error("the body was not understood")]
    NotUnderstood(#[source] serde_json::Error),
}

impl VerifyError {
    /// One word for logs and counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::Missing => "missing",
            Self::Duplicate => "duplicate",
            Self::Malformed => "malformed",
            Self::Mismatch => "mismatch",
            Self::NotUnderstood(_) => "not_understood",
        }
    }
}

/// Checks a webhook against the secrets that are valid now, and reads it.
///
/// In this order: a secret is there, exactly one signature header, its form, the MAC over the raw
/// bytes in constant time, and only then the JSON.
///
/// # Errors
///
/// When any of these does not hold.
pub fn verify(
    secrets: &[WebhookSecret],
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Deauthorization, VerifyError> {
    let signature = signature(secrets, headers)?;
    // Every secret is tried, so that the time taken does not tell which one fits.
    let fits = secrets
        .iter()
        .fold(false, |fits, secret| fits | mac(secret, body, &signature));
    if fits {
        Deauthorization::parse_unverified(body)
    } else {
        Err(VerifyError::Mismatch)
    }
}

/// The checks that need no body.
pub(crate) fn signature(
    secrets: &[WebhookSecret],
    headers: &HeaderMap,
) -> Result<[u8; 20], VerifyError> {
    // HMAC takes an empty key without complaint; an empty secret is none.
    if !secrets.iter().any(|secret| !secret.expose().is_empty()) {
        return Err(VerifyError::NoSecret);
    }
    let mut values = headers.get_all(&SIGNATURE_HEADER).iter();
    let value = values.next().ok_or(VerifyError::Missing)?;
    if values.next().is_some() {
        return Err(VerifyError::Duplicate);
    }
    let digits = value
        .as_bytes()
        .strip_prefix(b"sha1=")
        .ok_or(VerifyError::Malformed)?;
    let mut signature = [0; 20];
    hex::decode_to_slice(digits, &mut signature).map_err(|_| VerifyError::Malformed)?;
    Ok(signature)
}

fn mac(secret: &WebhookSecret, body: &[u8], signature: &[u8; 20]) -> bool {
    let key = secret.expose().as_bytes();
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(key) else {
        return false;
    };
    !key.is_empty() && mac.chain_update(body).verify_slice(signature).is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    // Published by Open Humans.
    const SECRET: &str = "abcdefghijklmnop";
    const BODY: &[u8] = br#"{"project_member_id": "12345678", "erasure_requested": true, "timestamp": "2020-06-30T20:00:00.000000+00:00"}"#;
    const SIGNATURE: &str = "sha1=ebda5c0a38593a4350ad8401b7d8c8f1cd08ec67";

    fn check(
        secrets: &[&str],
        signatures: &[&str],
        body: &[u8],
    ) -> Result<Deauthorization, VerifyError> {
        let secrets: Vec<_> = secrets.iter().map(|s| WebhookSecret::new(*s)).collect();
        let mut headers = HeaderMap::new();
        for signature in signatures {
            headers.append(SIGNATURE_HEADER, HeaderValue::from_str(signature).unwrap());
        }
        verify(&secrets, &headers, body)
    }

    #[test]
    fn the_published_answer_verifies() {
        let told = check(&[SECRET], &[SIGNATURE], BODY).unwrap();
        assert_eq!(told.left_at().to_string(), "2020-06-30T20:00:00Z");
    }

    #[test]
    fn either_secret_is_good_while_rotating() {
        assert!(check(&["ponmlkjihgfedcba", SECRET], &[SIGNATURE], BODY).is_ok());
        assert!(check(&[SECRET, "ponmlkjihgfedcba"], &[SIGNATURE], BODY).is_ok());
    }

    #[test]
    fn a_secret_may_be_there_twice() {
        // As when the new one is set before the old one is taken away, and is the same.
        assert!(check(&[SECRET, SECRET], &[SIGNATURE], BODY).is_ok());
    }

    #[test]
    fn every_refusal_has_its_reason() {
        for (reason, secrets, signatures) in [
            ("no_secret", &[][..], &[SIGNATURE][..]),
            ("no_secret", &[""], &[SIGNATURE]),
            ("missing", &[SECRET], &[]),
            ("duplicate", &[SECRET], &[SIGNATURE, SIGNATURE]),
            ("malformed", &[SECRET], &[""]),
            (
                "malformed",
                &[SECRET],
                &["ebda5c0a38593a4350ad8401b7d8c8f1cd08ec67"],
            ),
            (
                "malformed",
                &[SECRET],
                &["SHA1=ebda5c0a38593a4350ad8401b7d8c8f1cd08ec67"],
            ),
            (
                "malformed",
                &[SECRET],
                &["sha1=ebda5c0a38593a4350ad8401b7d8c8f1cd08ec6"],
            ),
            ("malformed", &[SECRET], &["sha1=eb"]),
            (
                "malformed",
                &[SECRET],
                &["sha1=ebda5c0a38593a4350ad8401b7d8c8f1cd08ec6700"],
            ),
            (
                "malformed",
                &[SECRET],
                &["sha1=zbda5c0a38593a4350ad8401b7d8c8f1cd08ec67"],
            ),
            (
                "mismatch",
                &[SECRET],
                &["sha1=ebda5c0a38593a4350ad8401b7d8c8f1cd08ec68"],
            ),
            ("mismatch", &["ponmlkjihgfedcba"], &[SIGNATURE]),
        ] {
            let error = check(secrets, signatures, BODY).unwrap_err();
            assert_eq!(error.reason(), reason, "{secrets:?} {signatures:?}");
        }
    }

    #[test]
    fn a_signed_body_must_still_make_sense() {
        for body in [
            &b""[..],
            b"{}",
            b"[]",
            br#"["12345678", true, "2020-06-30T20:00:00.000000+00:00"]"#,
            br#" ["12345678", true, "2020-06-30T20:00:00.000000+00:00"]"#,
            b"\"{}\"",
            br#"{"project_member_id": 12345678}"#,
            b"{\"project_member_id\": \"12345678\", \"erasure_requested\": true, \
              \"timestamp\": \"2020-06-30T20:00:00.000000+00:00\", \"more\": \"\xca\"}",
        ] {
            let mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
            let tag = mac.chain_update(body).finalize().into_bytes();
            let signature = format!("sha1={}", hex::encode(tag));
            let error = check(&[SECRET], &[&signature], body).unwrap_err();
            assert_eq!(error.reason(), "not_understood", "{}", body.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_other_body_verifies(body: Vec<u8>) {
            prop_assume!(body != BODY);
            prop_assert!(check(&[SECRET], &[SIGNATURE], &body).is_err());
        }
    }
}
