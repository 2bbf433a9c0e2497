//! Webhooks, made as Open Humans makes them, or as someone else would.

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use oh_core::{ProjectMemberId, Settings, Timestamp};
use oh_sandbox::webhook;
use time::OffsetDateTime;

/// A webhook that says that a member has left. Made by [`Kit::webhook`](crate::Kit::webhook);
/// sent by [`Browser::send`](crate::Browser::send), or to wherever the app is.
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
/// let forged = kit.webhook(ALICE).signed_with("the secret of someone else");
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

    /// Whether the member wishes to be erased. Without this, yes.
    pub fn erasure_requested(mut self, requested: bool) -> Self {
        self.erasure_requested = requested;
        self
    }

    /// When the member left. Without this, just now. A webhook from before the member's latest
    /// authorization is an old one, played again.
    pub fn left_at(mut self, at: Timestamp) -> Self {
        self.left_at = at;
        self
    }

    /// Another path than that of the app's route.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The body, byte for byte as Open Humans writes it.
    pub fn body(&self) -> String {
        let nanos = i128::from(self.left_at.as_micros()) * 1_000;
        let left_at = OffsetDateTime::from_unix_timestamp_nanos(nanos);
        let left_at = left_at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        webhook::body(self.member.as_str(), self.erasure_requested, left_at)
    }

    /// Signed with the app's secret.
    ///
    /// # Panics
    ///
    /// When the path is none.
    pub fn signed(self) -> Request<Bytes> {
        let secret = self.secret.clone();
        self.signed_with(&secret)
    }

    /// Signed with another secret: a forgery, or one that was just rotated.
    ///
    /// # Panics
    ///
    /// As [`signed`](Self::signed).
    pub fn signed_with(self, secret: &str) -> Request<Bytes> {
        let body = self.body();
        let signature = webhook::sign(secret, &body);
        self.request(Some(&signature), body)
    }

    /// Without a signature.
    ///
    /// # Panics
    ///
    /// As [`signed`](Self::signed).
    pub fn unsigned(self) -> Request<Bytes> {
        let body = self.body();
        self.request(None, body)
    }

    /// What Open Humans sends when the first was not taken: unsigned, the JSON encoded twice.
    ///
    /// # Panics
    ///
    /// As [`signed`](Self::signed).
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
        request.unwrap_or_else(|error| panic!("{:?} is no path: {error}", self.path))
    }
}
