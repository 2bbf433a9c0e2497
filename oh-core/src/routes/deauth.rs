//! The webhook route. It responds with 2xx only after the event is stored durably.

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

/// A verified webhook, with the signed bytes.
#[derive(Clone, Debug)]
pub struct VerifiedWebhook {
    /// The content.
    pub deauthorization: Deauthorization,
    /// The raw body.
    pub body: Bytes,
}

/// The size limit of an unsigned notification in bytes.
const MAX_UNSIGNED: u64 = 1024;

/// The time limit for receiving an unsigned notification.
const UNSIGNED_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) async fn deauth<B>(oh: &OpenHumans, request: Request<B>) -> Response<Bytes>
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let webhook = match oh.verify_webhook(request).await {
        Ok(webhook) => webhook,
        Err(rejection) => return rejection,
    };
    match oh.deauthorize(&webhook.deauthorization).await {
        Ok(_) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(_) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the event could not be stored\n",
        ),
    }
}

impl OpenHumans {
    /// Reads and verifies a webhook. Use it to write a custom route or middleware.
    ///
    /// It does not read the body if `Content-Length` exceeds the limit, or if the signature header is
    /// missing, repeated or malformed.
    ///
    /// # Errors
    ///
    /// Returns the response to send: 401 for an invalid signature, 400 for an invalid body, 408 or
    /// 413 for a body that is too slow or too large, and 503 if no webhook secret is configured.
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
            return Err(body_rejection(&BodyProblem::TooLarge));
        }
        let secrets = &settings.webhook_secrets;
        let accepts_unsigned = settings.unsigned_webhooks && secrets.is_empty();
        let signature = match webhook::parse_signature(secrets, &head.headers) {
            Ok(signature) => Some(signature),
            Err(_) if accepts_unsigned => None,
            Err(error) => {
                if matches!(error, VerifyError::Missing | VerifyError::NoSecret) {
                    // Boxed, because it is rare and would enlarge the future of every webhook.
                    Box::pin(self.report_unsigned(&head.headers, body)).await;
                }
                return Err(rejection(&error));
            }
        };
        let body = body::read(body, MAX_BODY)
            .await
            .map_err(|problem| body_rejection(&problem))?;
        let verified = match signature {
            Some(signature) => webhook::verify_body(secrets, &signature, &body),
            None => Deauthorization::parse_unverified(&body),
        };
        match verified {
            Ok(deauthorization) => Ok(VerifiedWebhook {
                deauthorization,
                body,
            }),
            Err(error) => Err(rejection(&error)),
        }
    }

    /// Reports an unsigned notification, which makes the reconciler check the member.
    ///
    /// The second attempt of Open Humans is unsigned, and its JSON is encoded twice. Only a small
    /// body with `Content-Length` is read.
    async fn report_unsigned<B>(&self, headers: &HeaderMap, body: B)
    where
        B: http_body::Body,
        B::Data: Buf,
        B::Error: Into<BoxError>,
    {
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if length.is_none_or(|length| length > MAX_UNSIGNED) {
            return;
        }
        let read = body::read(body, MAX_BODY);
        let Ok(Ok(body)) = tokio::time::timeout(UNSIGNED_TIMEOUT, read).await else {
            return;
        };
        let inner = serde_json::from_slice::<String>(&body);
        let text = inner.as_ref().map_or(&body[..], |text| text.as_bytes());
        if let Ok(webhook) = Deauthorization::parse_unverified(text) {
            self.inner.deauthorizer.report_unsigned(webhook.member());
        }
    }
}

fn rejection(error: &VerifyError) -> Response<Bytes> {
    metrics::count_by("openhumans_deauth_rejected_total", "reason", error.reason());
    match error {
        VerifyError::NoSecret => {
            tracing::error!("rejected a webhook: no webhook secret is configured");
            plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "no webhook secret is configured\n",
            )
        }
        VerifyError::NotUnderstood(_) => {
            tracing::warn!(%error, "rejected a signed webhook");
            plain(StatusCode::BAD_REQUEST, "the body was not understood\n")
        }
        VerifyError::Missing => plain(StatusCode::UNAUTHORIZED, "the signature is missing\n"),
        VerifyError::Duplicate => plain(
            StatusCode::UNAUTHORIZED,
            "there is more than one signature\n",
        ),
        VerifyError::Malformed => plain(StatusCode::UNAUTHORIZED, "the signature is malformed\n"),
        VerifyError::Mismatch => {
            tracing::warn!("rejected a webhook: the signature does not match");
            plain(StatusCode::UNAUTHORIZED, "the signature does not match\n")
        }
    }
}

fn body_rejection(problem: &BodyProblem) -> Response<Bytes> {
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
