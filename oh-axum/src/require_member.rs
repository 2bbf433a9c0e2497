//! Middleware that rejects requests without a logged-in member.
//!
//! API clients get status 401; browsers are redirected to the login and return afterwards. The
//! middleware adds the [`Member`] to the request extensions, where the [`Member`] extractor finds it.
//!
//! Request bodies can have any type; response bodies must implement `From<Bytes>`.
//!
//! ```
//! use axum::{Router, routing::get};
//! use oh_axum::{Member, RequireMemberLayer};
//! use oh_core::OpenHumans;
//!
//! async fn files(member: Member) -> String {
//!     format!("The files of {}", member.id())
//! }
//!
//! fn members_only(openhumans: &OpenHumans) -> Router {
//!     Router::new()
//!         .route("/files", get(files))
//!         .route_layer(RequireMemberLayer::new(openhumans))
//! }
//! ```
//!
//! The application's session layer must be outside of it.

use std::fmt;
use std::marker::PhantomData;

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use oh_core::OpenHumans;
use tower_http::auth::{AsyncAuthorizeRequest, AsyncRequireAuthorization};
use tower_layer::Layer;

use crate::context::Context;
use crate::member::Member;
use crate::session::HostSession;

/// A layer that rejects requests without a logged-in member. See the [module](self) for an example.
///
/// `R` is the type of response bodies.
pub struct RequireMemberLayer<R = Body> {
    context: Context,
    body: PhantomData<fn() -> R>,
}

impl<R> RequireMemberLayer<R> {
    /// Creates a layer for the sessions of tower-sessions 0.15.
    #[cfg(feature = "tower-sessions")]
    pub fn new(openhumans: &OpenHumans) -> Self {
        Self::with_session::<tower_sessions::Session>(openhumans)
    }

    /// Creates a layer for the session type `H`.
    pub fn with_session<H: HostSession>(openhumans: &OpenHumans) -> Self {
        Self {
            context: Context::new::<H>(openhumans),
            body: PhantomData,
        }
    }
}

impl<S, R> Layer<S> for RequireMemberLayer<R> {
    type Service = AsyncRequireAuthorization<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        AsyncRequireAuthorization::new(inner, self.clone())
    }
}

impl<B, R> AsyncAuthorizeRequest<B> for RequireMemberLayer<R>
where
    B: Send + 'static,
    R: From<Bytes> + 'static,
{
    type RequestBody = B;
    type ResponseBody = R;
    type Future = BoxFuture<'static, Result<Request<B>, Response<R>>>;

    fn authorize(&mut self, request: Request<B>) -> Self::Future {
        let context = self.context.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match context.require_member(&parts).await {
                Ok(member) => {
                    parts.extensions.insert::<Member>(member);
                    Ok(Request::from_parts(parts, body))
                }
                Err(rejection) => Err(rejection.into_inner().map(R::from)),
            }
        })
    }
}

// Derived, these would require the same of `R`.
impl<R> Clone for RequireMemberLayer<R> {
    fn clone(&self) -> Self {
        Self {
            context: self.context.clone(),
            body: PhantomData,
        }
    }
}

impl<R> fmt::Debug for RequireMemberLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireMemberLayer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::StatusCode;
    use http_body_util::Full;
    use oh_core::SessionMember;
    use tower::{Service, ServiceExt, service_fn};

    use super::*;
    use crate::test_support::{OtherSession, alice};

    /// A request body type that implements no trait.
    struct OpaqueBody;

    async fn greet(request: Request<OpaqueBody>) -> Result<Response<Full<Bytes>>, Infallible> {
        let member = request.extensions().get::<Member>().unwrap();
        Ok(Response::new(member.id().to_string().into()))
    }

    async fn send(
        openhumans: &OpenHumans,
        session: Option<SessionMember>,
    ) -> Response<Full<Bytes>> {
        let session = OtherSession(std::sync::Arc::new(std::sync::Mutex::new(session)));
        let mut request = Request::new(OpaqueBody);
        request.extensions_mut().insert(session);
        let layer = RequireMemberLayer::with_session::<OtherSession>(openhumans);
        let service = layer.layer(service_fn(greet));
        service.oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn layer_passes_request_with_member_extension() {
        let (openhumans, session) = alice().await;
        let response = send(&openhumans, Some(session)).await;
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn layer_rejects_missing_and_unknown_members() {
        let (openhumans, mut session) = alice().await;
        assert_eq!(
            send(&openhumans, None).await.status(),
            StatusCode::UNAUTHORIZED
        );
        session.member = "00169953".parse().unwrap();
        let other = send(&openhumans, Some(session)).await;
        assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn layer_returns_500_without_session_layer() {
        let (openhumans, _) = alice().await;
        let layer = RequireMemberLayer::with_session::<OtherSession>(&openhumans);
        let service = layer.layer(service_fn(greet));
        let response = service.oneshot(Request::new(OpaqueBody)).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn layer_calls_the_service_that_was_polled_ready() {
        let (openhumans, session) = alice().await;
        let session = OtherSession(std::sync::Arc::new(std::sync::Mutex::new(Some(session))));
        let mut request = Request::new(OpaqueBody);
        request.extensions_mut().insert(session);
        // `ConcurrencyLimit` panics when it is called before `poll_ready`.
        let inner = tower::limit::ConcurrencyLimit::new(service_fn(greet), 1);
        let layer = RequireMemberLayer::with_session::<OtherSession>(&openhumans);
        let mut service = layer.layer(inner);
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}
