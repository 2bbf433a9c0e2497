//! Middleware that lets only genuine webhooks through.
//!
//! The signature is verified over the raw body, which the inner service then gets unchanged, as
//! [`Full<Bytes>`]. A length over the limit and a bad signature header are answered without
//! waiting for the body. The inner service finds the [`Deauthorization`] in the request's
//! extensions.
//!
//! ```
//! use axum::{Extension, Router, routing::post};
//! use oh_axum::VerifyWebhookLayer;
//! use oh_core::OpenHumans;
//! use oh_core::webhook::Deauthorization;
//!
//! async fn webhook(Extension(left): Extension<Deauthorization>, body: String) {
//!     println!("{} bytes, signed by Open Humans", body.len());
//! }
//!
//! fn own_route(openhumans: &OpenHumans) -> Router {
//!     Router::new()
//!         .route("/left", post(webhook))
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
use tower_http::auth::{
    AsyncAuthorizeRequest, AsyncRequireAuthorization, AsyncRequireAuthorizationLayer,
};
use tower_layer::Layer;

/// Layer that lets only genuine webhooks through. See the [module](self) for an example.
///
/// `R` is the body of responses: axum's, unless another tower stack has another.
pub struct VerifyWebhookLayer<R = axum::body::Body>(AsyncRequireAuthorizationLayer<GenuineOnly<R>>);

impl<R> VerifyWebhookLayer<R> {
    /// Verifies with the handle's webhook secrets.
    pub fn new(openhumans: &OpenHumans) -> Self {
        Self(AsyncRequireAuthorizationLayer::new(GenuineOnly {
            openhumans: openhumans.clone(),
            body: PhantomData,
        }))
    }
}

impl<S, R> Layer<S> for VerifyWebhookLayer<R> {
    type Service = AsyncRequireAuthorization<S, GenuineOnly<R>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(inner)
    }
}

impl<R> Clone for VerifyWebhookLayer<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> fmt::Debug for VerifyWebhookLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyWebhookLayer").finish_non_exhaustive()
    }
}

/// What [`VerifyWebhookLayer`] decides by: passes genuine webhooks on, and answers everything else
/// itself.
pub struct GenuineOnly<R> {
    openhumans: OpenHumans,
    body: PhantomData<fn() -> R>,
}

impl<B, R> AsyncAuthorizeRequest<B> for GenuineOnly<R>
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
            let asked = Request::from_parts(parts.clone(), body);
            match openhumans.verify_webhook(asked).await {
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

impl<R> Clone for GenuineOnly<R> {
    fn clone(&self) -> Self {
        Self {
            openhumans: self.openhumans.clone(),
            body: PhantomData,
        }
    }
}

impl<R> fmt::Debug for GenuineOnly<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenuineOnly").finish_non_exhaustive()
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

    /// Says who left, and the body as it came.
    async fn told(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let told: &Deauthorization = parts.extensions.get().unwrap();
        assert_eq!(told.member().as_str(), "01026778");
        Ok(Response::new(Full::new(body.collect().await?.to_bytes())))
    }

    async fn send<B>(request: Request<B>) -> (StatusCode, Bytes)
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let (openhumans, _) = alice().await;
        let service = VerifyWebhookLayer::new(&openhumans).layer(service_fn(told));
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
    async fn the_body_comes_through_unchanged_whatever_its_type() {
        let whole = (StatusCode::OK, Bytes::from_static(BODY.as_bytes()));
        assert_eq!(send(signed(BODY.to_owned())).await, whole);
        let pieces = BODY
            .as_bytes()
            .chunks(10)
            .map(|piece| Ok::<_, BoxError>(Frame::data(piece)));
        assert_eq!(
            send(signed(StreamBody::new(stream::iter(pieces)))).await,
            whole
        );
    }

    #[tokio::test]
    async fn what_is_not_signed_goes_no_further() {
        assert_eq!(
            send(Request::new(BODY.to_owned())).await.0,
            StatusCode::UNAUTHORIZED
        );
        let (status, _) = send(signed(BODY.replace("true", "false"))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_believed() {
        let pieces = [
            Ok(Frame::data(BODY.as_bytes())),
            Err(BoxError::from("gone")),
        ];
        let (status, _) = send(signed(StreamBody::new(stream::iter(pieces)))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}
