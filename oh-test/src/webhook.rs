//! Genuine and forged deauthorization webhooks.

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use oh_core::{ProjectMemberId, Settings, Timestamp};
use oh_sandbox::webhook;
use time::OffsetDateTime;

/// A deauthorization webhook for one member.
///
/// Create it with [`Kit::webhook`](crate::Kit::webhook) and send it with
/// [`Browser::send`](crate::Browser::send).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use oh_test::{ALICE, Kit};
/// # use tower_sessions::{MemoryStore, SessionManagerLayer};
/// # let kit = Kit::start().await?;
/// # let openhumans = kit.openhumans().build()?;
/// # let app = axum::Router::new()
/// #     .nest("/openhumans", oh_axum::router(&openhumans))
/// #     .layer(SessionManagerLayer::new(MemoryStore::default()));
/// let forged = kit.webhook(ALICE).signed_with("another secret");
/// assert_eq!(kit.axum(&app).send(forged).await.status(), 401);
///
/// let genuine = kit.webhook(ALICE).signed();
/// assert_eq!(kit.axum(&app).send(genuine).await.status(), 204);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Webhook {
    member: ProjectMemberId,
    erasure_requested: bool,
    left_at: Timestamp,
    path: String,
    secret: String,
}

impl Webhook {
    pub(crate) fn new(member: ProjectMemberId, left_at: Timestamp, settings: &Settings) -> Self {
        let secret = settings.webhook_secrets().first();
        Self {
            member,
            erasure_requested: true,
            left_at,
            path: format!("{}/deauth", settings.mount_path()),
            secret: secret
                .map(|secret| secret.expose().to_owned())
                .unwrap_or_default(),
        }
    }

    /// Sets whether the member requests erasure. The default is true.
    pub fn erasure_requested(mut self, requested: bool) -> Self {
        self.erasure_requested = requested;
        self
    }

    /// Sets the time of the departure. The default is now.
    ///
    /// A time before the member's last authorization simulates a replayed webhook.
    pub fn left_at(mut self, at: Timestamp) -> Self {
        self.left_at = at;
        self
    }

    /// Returns the body in the exact format of Open Humans.
    fn body(&self) -> String {
        let nanos = i128::from(self.left_at.as_micros()) * 1_000;
        let left_at = OffsetDateTime::from_unix_timestamp_nanos(nanos);
        let left_at = left_at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        webhook::body(self.member.as_str(), self.erasure_requested, left_at)
    }

    /// Returns the request, signed with the application's webhook secret.
    pub fn signed(self) -> Request<Bytes> {
        let secret = self.secret.clone();
        self.signed_with(&secret)
    }

    /// Returns the request, signed with another secret.
    pub fn signed_with(self, secret: &str) -> Request<Bytes> {
        let body = self.body();
        let signature = webhook::sign(secret, &body);
        self.request(Some(&signature), body)
    }

    /// Returns the request without a signature.
    pub fn unsigned(self) -> Request<Bytes> {
        let body = self.body();
        self.request(None, body)
    }

    /// Returns the request that Open Humans sends after a failed webhook: unsigned, with the JSON
    /// encoded twice.
    pub fn second_attempt(self) -> Request<Bytes> {
        let body = webhook::encode_twice(&self.body());
        self.request(None, body)
    }

    fn request(self, signature: Option<&str>, body: String) -> Request<Bytes> {
        let mut request = Request::post(&self.path)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, body.len());
        if let Some(signature) = signature {
            request = request.header(webhook::SIGNATURE_HEADER, signature);
        }
        let request = request.body(body.into());
        request.expect("the mount path is a valid path")
    }
}
