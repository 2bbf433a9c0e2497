//! A signed webhook, delivered without a request.

use http::HeaderMap;
use oh_core::deauth::{Accepted, InboxError};
use oh_core::webhook::{SIGNATURE_HEADER, verify};
use oh_core::{OpenHumans, Timestamp, WebhookSecret};

const SECRET: &str = "abcdefghijklmnop";

/// Reports that a member left at `left_at` and requested erasure.
///
/// # Errors
///
/// When the inbox fails.
///
/// # Panics
///
/// When `member` is not a project member id.
pub async fn deauthorize(
    openhumans: &OpenHumans,
    member: &str,
    left_at: Timestamp,
) -> Result<Accepted, InboxError> {
    let body = format!(
        r#"{{"project_member_id": "{member}", "erasure_requested": true, "timestamp": "{left_at}"}}"#
    );
    let signature = oh_sandbox::webhook::sign(SECRET, &body);
    let signature = signature.parse().expect("a signature is a header value");
    let headers = HeaderMap::from_iter([(SIGNATURE_HEADER, signature)]);
    let webhook = verify(&[WebhookSecret::new(SECRET)], &headers, body.as_bytes());
    openhumans
        .deauthorize(&webhook.expect("the body is signed"))
        .await
}
