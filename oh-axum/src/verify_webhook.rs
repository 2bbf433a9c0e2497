//! Middleware that rejects webhooks without a valid signature.
//!
//! The signature is verified over the raw body, which the inner service receives unchanged as
//! [`Full<Bytes>`]. Requests with an excessive length or a malformed signature header are rejected
//! before the body is read. The [`Deauthorization`] is in the request extensions.
//!
//! ```
//! use axum::{Extension, Router, routing::post};
//! use oh_axum::VerifyWebhookLayer;
//! use oh_core::OpenHumans;
//! use oh_core::webhook::Deauthorization;
//!
//! async fn webhook(Extension(event): Extension<Deauthorization>, body: String) {
//!     println!("{} left: {body}", event.member());
//! }
//!
//! fn own_route(openhumans: &OpenHumans) -> Router {
//!     Router::new()
//!         .route("/webhook", post(webhook))
//!         .layer(VerifyWebhookLayer::new(openhumans))
//! }
//! ```

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use oh_core::OpenHumans;
use oh_core::transport::BoxError;
use oh_core::webhook::Deauthorization;
use tower_http::auth::{AsyncAuthorizeRequest, AsyncRequireAuthorization};
use tower_layer::Layer;

/// A layer that rejects webhooks without a valid signature. See the [module](self) for an example.
///
/// `R` is the type of response bodies.
pub struct VerifyWebhookLayer<R = axum::body::Body> {
    openhumans: OpenHumans,
    body: PhantomData<fn() -> R>,
}

impl<R> VerifyWebhookLayer<R> {
    /// Creates a layer that verifies with the webhook secrets of `openhumans`.
    pub fn new(openhumans: &OpenHumans) -> Self {
        Self {
            openhumans: openhumans.clone(),
            body: PhantomData,
        }
    }
}

impl<S, R> Layer<S> for VerifyWebhookLayer<R> {
    type Service = AsyncRequireAuthorization<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        AsyncRequireAuthorization::new(inner, self.clone())
    }
}

impl<B, R> AsyncAuthorizeRequest<B> for VerifyWebhookLayer<R>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    R: From<Bytes> + 'static,
{
    type RequestBody = Full<Bytes>;
    type ResponseBody = R;
    type Future = BoxFuture<'static, Result<Request<Full<Bytes>>, Response<R>>>;

    fn authorize(&mut self, request: Request<B>) -> Self::Future {
        let openhumans = self.openhumans.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let request = Request::from_parts(parts.clone(), body);
            match openhumans.verify_webhook(request).await {
                Ok(webhook) => {
                    parts
                        .extensions
                        .insert::<Deauthorization>(webhook.deauthorization);
                    Ok(Request::from_parts(parts, Full::new(webhook.body)))
                }
                Err(response) => Err(response.map(R::from)),
            }
        })
    }
}

// Derived, these would require the same of `R`.
impl<R> Clone for VerifyWebhookLayer<R> {
    fn clone(&self) -> Self {
        Self::new(&self.openhumans)
    }
}

impl<R> fmt::Debug for VerifyWebhookLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyWebhookLayer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http::StatusCode;
    use http_body::{Body, Frame};
    use http_body_util::{BodyExt, StreamBody};
    use oh_core::webhook::SIGNATURE_HEADER;
    use oh_sandbox::webhook::sign;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::test_support::{SECRET, alice};

    const BODY: &str = r#"{"project_member_id": "01026778", "erasure_requested": true, "timestamp": "2026-11-22T16:31:27.299665+00:00"}"#;

    /// Checks the extension and echoes the body.
    async fn echo(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let event: &Deauthorization = parts.extensions.get().unwrap();
        assert_eq!(event.member().as_str(), "01026778");
        Ok(Response::new(Full::new(body.collect().await?.to_bytes())))
    }

    async fn send<B>(request: Request<B>) -> (StatusCode, Bytes)
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let (openhumans, _) = alice().await;
        let service = VerifyWebhookLayer::new(&openhumans).layer(service_fn(echo));
        let response = service.oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap();
        (status, body.to_bytes())
    }

    fn signed<B>(body: B) -> Request<B> {
        let request = Request::post("/").header(SIGNATURE_HEADER, sign(SECRET, BODY));
        request.body(body).unwrap()
    }

    #[tokio::test]
    async fn layer_passes_body_unchanged_for_every_body_type() {
        let expected = (StatusCode::OK, Bytes::from_static(BODY.as_bytes()));
        assert_eq!(send(signed(BODY.to_owned())).await, expected);
        let pieces = BODY
            .as_bytes()
            .chunks(10)
            .map(|piece| Ok::<_, BoxError>(Frame::data(piece)));
        assert_eq!(
            send(signed(StreamBody::new(stream::iter(pieces)))).await,
            expected
        );
    }

    #[tokio::test]
    async fn layer_rejects_missing_and_wrong_signatures() {
        assert_eq!(
            send(Request::new(BODY.to_owned())).await.0,
            StatusCode::UNAUTHORIZED
        );
        let (status, _) = send(signed(BODY.replace("true", "false"))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn layer_rejects_interrupted_body() {
        let pieces = [
            Ok(Frame::data(BODY.as_bytes())),
            Err(BoxError::from("gone")),
        ];
        let (status, _) = send(signed(StreamBody::new(stream::iter(pieces)))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}
