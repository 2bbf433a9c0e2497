//! The webhook: 2xx once the event is durably kept, and in no other case.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Request, Response, StatusCode};

use super::body::{self, BodyProblem};
use super::plain;
use crate::OpenHumans;
use crate::deauth::metrics;
use crate::transport::BoxError;
use crate::webhook::{self, Deauthorization, MAX_BODY, VerifyError};

/// A webhook that was verified, with the bytes that were signed.
#[derive(Clone, Debug)]
pub struct VerifiedWebhook {
    /// What it says.
    pub deauthorization: Deauthorization,
    /// The raw body.
    pub body: Bytes,
}

/// The most an unsigned body may hold to be looked at for a hint, in bytes.
const MAX_HINT: u64 = 1024;

/// How long to wait for an unsigned body that was announced.
const HINT_PATIENCE: Duration = Duration::from_millis(500);

pub(super) async fn deauth<B>(oh: &OpenHumans, request: Request<B>) -> Response<Bytes>
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let told = match oh.verify_webhook(request).await {
        Ok(verified) => verified.deauthorization,
        Err(refusal) => return refusal,
    };
    match oh.deauthorize(&told).await {
        Ok(_) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(_) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the event could not be kept\n",
        ),
    }
}

impl OpenHumans {
    /// Reads and verifies a webhook, for those who write a route or a middleware of their own.
    ///
    /// What can be refused without the body is refused without reading it: a body announced as
    /// too large, a signature that is missing, double or malformed.
    ///
    /// # Errors
    ///
    /// The answer to give: 401 for a signature that is not good, 400 for a body that was not
    /// understood, 408 and 413 for one that is too slow or too large, 503 when no webhook secret
    /// is configured.
    pub async fn verify_webhook<B>(
        &self,
        request: Request<B>,
    ) -> Result<VerifiedWebhook, Response<Bytes>>
    where
        B: http_body::Body,
        B::Data: Buf,
        B::Error: Into<BoxError>,
    {
        let settings = &self.inner.settings;
        let (head, body) = request.into_parts();
        if body::announces_more_than(&head.headers, MAX_BODY) {
            return Err(body_refusal(&BodyProblem::TooLarge));
        }
        let unsigned_is_fine = settings.unsigned_webhooks && settings.webhook_secrets.is_empty();
        if !unsigned_is_fine
            && let Err(error) = webhook::signature(&settings.webhook_secrets, &head.headers)
        {
            if matches!(error, VerifyError::Missing | VerifyError::NoSecret) {
                // On the heap: it comes rarely, and every webhook's future would hold its place.
                Box::pin(self.take_hint(&head.headers, body)).await;
            }
            return Err(refusal(&error));
        }
        let body = body::read(body, MAX_BODY)
            .await
            .map_err(|problem| body_refusal(&problem))?;
        let verified = if unsigned_is_fine {
            Deauthorization::parse_unverified(&body)
        } else {
            webhook::verify(&settings.webhook_secrets, &head.headers, &body)
        };
        match verified {
            Ok(deauthorization) => Ok(VerifiedWebhook {
                deauthorization,
                body,
            }),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// Open Humans' second attempt is unsigned, its JSON encoded twice. It is never believed, but
    /// it is a reason to ask about the member. Only a small body that was announced is read.
    async fn take_hint<B>(&self, headers: &HeaderMap, body: B)
    where
        B: http_body::Body,
        B::Data: Buf,
        B::Error: Into<BoxError>,
    {
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if length.is_none_or(|length| length > MAX_HINT) {
            return;
        }
        let read = body::read(body, MAX_BODY);
        let Ok(Ok(body)) = tokio::time::timeout(HINT_PATIENCE, read).await else {
            return;
        };
        let once = serde_json::from_slice::<String>(&body);
        let text = once.as_ref().map_or(&body[..], |text| text.as_bytes());
        if let Ok(told) = Deauthorization::parse_unverified(text) {
            self.inner.deauthorizer.report_unsigned(told.member());
        }
    }
}

fn refusal(error: &VerifyError) -> Response<Bytes> {
    metrics::count_by("openhumans_deauth_rejected_total", "reason", error.reason());
    match error {
        VerifyError::NoSecret => {
            tracing::error!("a webhook was refused: no webhook secret is configured");
            plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "no webhook secret is configured\n",
            )
        }
        VerifyError::NotUnderstood(_) => {
            tracing::warn!(%error, "a signed webhook was refused");
            plain(StatusCode::BAD_REQUEST, "the body was not understood\n")
        }
        VerifyError::Missing => plain(StatusCode::UNAUTHORIZED, "the signature is missing\n"),
        VerifyError::Duplicate => plain(
            StatusCode::UNAUTHORIZED,
            "there is more than one signature\n",
        ),
        VerifyError::Malformed => plain(StatusCode::UNAUTHORIZED, "the signature is malformed\n"),
        VerifyError::Mismatch => {
            tracing::warn!("a webhook was refused: its signature does not match");
            plain(StatusCode::UNAUTHORIZED, "the signature does not match\n")
        }
    }
}

fn body_refusal(problem: &BodyProblem) -> Response<Bytes> {
    match problem {
        BodyProblem::TooLarge => {
            metrics::count_by("openhumans_deauth_rejected_total", "reason", "too_large");
            plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n")
        }
        BodyProblem::TooSlow => {
            metrics::count_by("openhumans_deauth_rejected_total", "reason", "too_slow");
            plain(StatusCode::REQUEST_TIMEOUT, "the body came too slowly\n")
        }
        BodyProblem::Broken => {
            metrics::count_by("openhumans_deauth_rejected_total", "reason", "broken");
            plain(StatusCode::BAD_REQUEST, "the body could not be read\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use http_body_util::Full;

    use super::*;
    use crate::Settings;
    use crate::deauth::DeauthInbox;
    use crate::deauth::test_support::FaultyInbox;
    use crate::routes::Route;
    use std::sync::Arc;

    const SECRET: &str = "abcdefghijklmnop";
    const BODY: &str = r#"{"project_member_id": "01026778", "erasure_requested": true, "timestamp": "2099-11-22T16:31:27.299665+00:00"}"#;

    async fn send(oh: &OpenHumans) -> StatusCode {
        send_body(oh, Bytes::from_static(BODY.as_bytes())).await
    }

    async fn send_body(oh: &OpenHumans, body: Bytes) -> StatusCode {
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(&body);
        let signature = format!("sha1={}", hex::encode(mac.finalize().into_bytes()));
        let request = Request::post("/openhumans/deauth")
            .header(webhook::SIGNATURE_HEADER, signature)
            .body(Full::new(body))
            .unwrap();
        oh.respond(Route::Deauth, request, None)
            .await
            .response
            .status()
    }

    #[tokio::test]
    async fn a_webhook_may_have_16_kib_and_no_more() {
        let settings = Settings::builder("id", "secret", "https://app.example");
        let settings = settings.webhook_secret(SECRET).build().unwrap();
        let oh = OpenHumans::builder(settings).build().unwrap();
        for (len, status) in [(16_384, 204), (16_385, 413)] {
            let body = Bytes::from(format!("{BODY:len$}"));
            assert_eq!(send_body(&oh, body).await.as_u16(), status, "{len}");
        }
    }

    #[tokio::test]
    async fn an_unsigned_body_is_a_hint_if_it_is_small_and_announced() {
        let settings = || Settings::builder("id", "secret", "https://app.example");
        for (announced, len, is_hint) in [
            (true, BODY.len(), true),
            (true, 1024, true),
            (true, 1025, false),
            (false, BODY.len(), false),
        ] {
            let settings = settings().webhook_secret(SECRET).build().unwrap();
            let oh = OpenHumans::builder(settings).build().unwrap();
            let mut request = Request::post("/openhumans/deauth");
            if announced {
                request = request.header(CONTENT_LENGTH, len);
            }
            let body = Full::new(Bytes::from(format!("{BODY:len$}")));
            let request = request.body(body).unwrap();
            let answer = oh.respond(Route::Deauth, request, None).await;
            assert_eq!(answer.response.status(), StatusCode::UNAUTHORIZED);
            // One member is hinted at once in a while.
            let is_new = oh
                .inner
                .deauthorizer
                .report_unsigned(&"01026778".parse().unwrap());
            assert_eq!(is_new, !is_hint, "{announced} {len}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn success_means_that_it_is_kept_and_nothing_else_does() {
        let inbox = Arc::new(FaultyInbox::default());
        let settings = Settings::builder("id", "secret", "https://app.example")
            .webhook_secret(SECRET)
            .build()
            .unwrap();
        let oh = OpenHumans::builder(settings)
            .deauth_inbox(inbox.clone())
            .build()
            .unwrap();
        inbox.set_down(true);
        let began = tokio::time::Instant::now();
        assert_eq!(send(&oh).await, StatusCode::SERVICE_UNAVAILABLE);
        assert!(began.elapsed() < Duration::from_secs(10));
        inbox.set_down(false);
        assert_eq!(send(&oh).await, StatusCode::NO_CONTENT);
        assert_eq!(inbox.stats().await.unwrap().pending, 1);
    }
}
