//! Verifies the deauthorization webhook of Open Humans.
//!
//! When a member leaves, Open Humans sends one `POST` whose body names the member, signed with
//! HMAC-SHA1 over the raw bytes under the project's webhook secret. [`verify`] is pure, and the
//! only way to construct a [`Deauthorization`], so its existence proves the verification.
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
//! let webhook = verify(&[WebhookSecret::new("abcdefghijklmnop")], &headers, body)?;
//! assert_eq!(webhook.member().as_str(), "12345678");
//! assert!(webhook.erasure_requested());
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

/// The size limit of the body in bytes. A genuine body has about 110.
pub const MAX_BODY: usize = 16 * 1024;

/// A verified deauthorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deauthorization {
    member: ProjectMemberId,
    erasure_requested: bool,
    left_at: Timestamp,
}

impl Deauthorization {
    /// The member who left.
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

    /// Parses a body without verification.
    pub(crate) fn parse_unverified(body: &[u8]) -> Result<Self, VerifyError> {
        let not_understood = |why| VerifyError::NotUnderstood(serde::de::Error::custom(why));
        // serde_json does not check UTF-8 in ignored fields (RFC 8259, section 8.1).
        let body = std::str::from_utf8(body).map_err(|_| not_understood("not UTF-8"))?;
        // The derived implementation would also accept a list.
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

/// The reason why a webhook was rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No webhook secret is configured.
    #[error("no webhook secret is configured")]
    NoSecret,
    /// The signature header is missing.
    #[error("the signature is missing")]
    Missing,
    /// The signature header is repeated.
    #[error("there is more than one signature")]
    Duplicate,
    /// The signature is not `sha1=` and 40 hex digits.
    #[error("the signature is malformed")]
    Malformed,
    /// The signature matches no secret.
    #[error("the signature does not match")]
    Mismatch,
    /// The signature matches, but the body is not a deauthorization.
    #[error("the body was not understood")]
    NotUnderstood(#[source] serde_json::Error),
}

impl VerifyError {
    /// Returns a stable identifier for logs and metrics.
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

/// Verifies a webhook with the current secrets, and parses it.
///
/// It checks that a secret is configured, that there is one signature header, its format, the MAC
/// over the raw bytes in constant time, and then parses the JSON.
///
/// # Errors
///
/// Returns the first check that fails.
pub fn verify(
    secrets: &[WebhookSecret],
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Deauthorization, VerifyError> {
    verify_body(secrets, &parse_signature(secrets, headers)?, body)
}

/// Verifies the MAC over the body, and parses the body.
pub(crate) fn verify_body(
    secrets: &[WebhookSecret],
    signature: &[u8; 20],
    body: &[u8],
) -> Result<Deauthorization, VerifyError> {
    // Every secret is tried, so that the duration does not reveal which one matches.
    let matches = secrets.iter().fold(false, |matches, secret| {
        matches | mac(secret, body, signature)
    });
    if matches {
        Deauthorization::parse_unverified(body)
    } else {
        Err(VerifyError::Mismatch)
    }
}

/// Parses the signature header, before the body is read.
pub(crate) fn parse_signature(
    secrets: &[WebhookSecret],
    headers: &HeaderMap,
) -> Result<[u8; 20], VerifyError> {
    // HMAC accepts an empty key, so an empty secret counts as none.
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
    fn verify_error_states_its_reason() {
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
        fn verify_rejects_a_changed_body(body: Vec<u8>) {
            prop_assume!(body != BODY);
            prop_assert!(check(&[SECRET], &[SIGNATURE], &body).is_err());
        }
    }
}
