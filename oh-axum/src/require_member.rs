//! Middleware that lets only members through.
//!
//! Whoever is not logged in gets the core's answer: API callers a 401, browsers a redirect to log
//! in that leads back. The inner service finds the [`Member`] in the request's extensions, and the
//! [`Member`] extractor takes it from there.
//!
//! The request's body may be of any type; the response's must be one that can be made of bytes.
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
//! The app's session layer goes around it.

use std::fmt;
use std::marker::PhantomData;

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use oh_core::OpenHumans;
use tower_http::auth::{
    AsyncAuthorizeRequest, AsyncRequireAuthorization, AsyncRequireAuthorizationLayer,
};
use tower_layer::Layer;

use crate::context::Context;
use crate::member::Member;
use crate::session::HostSession;

/// Layer that lets only members through. See the [module](self) for an example.
///
/// `R` is the body of responses: axum's, unless another tower stack has another.
pub struct RequireMemberLayer<R = Body>(AsyncRequireAuthorizationLayer<MembersOnly<R>>);

impl<R> RequireMemberLayer<R> {
    /// For tower-sessions' sessions.
    #[cfg(feature = "tower-sessions")]
    pub fn new(openhumans: &OpenHumans) -> Self {
        Self::with_session::<tower_sessions::Session>(openhumans)
    }

    /// For another library's sessions.
    pub fn with_session<H: HostSession>(openhumans: &OpenHumans) -> Self {
        Self(AsyncRequireAuthorizationLayer::new(MembersOnly {
            context: Context::new::<H>(openhumans),
            body: PhantomData,
        }))
    }
}

impl<S, R> Layer<S> for RequireMemberLayer<R> {
    type Service = AsyncRequireAuthorization<S, MembersOnly<R>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(inner)
    }
}

impl<R> Clone for RequireMemberLayer<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> fmt::Debug for RequireMemberLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireMemberLayer").finish_non_exhaustive()
    }
}

/// What [`RequireMemberLayer`] decides by: passes requests of members on, with the [`Member`] in
/// their extensions, and answers all others itself.
pub struct MembersOnly<R> {
    context: Context,
    body: PhantomData<fn() -> R>,
}

impl<B, R> AsyncAuthorizeRequest<B> for MembersOnly<R>
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

impl<R> Clone for MembersOnly<R> {
    fn clone(&self) -> Self {
        Self {
            context: self.context.clone(),
            body: PhantomData,
        }
    }
}

impl<R> fmt::Debug for MembersOnly<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MembersOnly").finish_non_exhaustive()
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

    /// No body of axum's, nor of anyone's: any type will do.
    struct Anything;

    async fn greet(request: Request<Anything>) -> Result<Response<Full<Bytes>>, Infallible> {
        let member = request.extensions().get::<Member>().unwrap();
        Ok(Response::new(member.id().to_string().into()))
    }

    async fn ask(openhumans: &OpenHumans, session: Option<SessionMember>) -> Response<Full<Bytes>> {
        let session = OtherSession(std::sync::Arc::new(std::sync::Mutex::new(session)));
        let mut request = Request::new(Anything);
        request.extensions_mut().insert(session);
        let layer = RequireMemberLayer::with_session::<OtherSession>(openhumans);
        let service = layer.layer(service_fn(greet));
        service.oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_member_gets_through_and_is_known_inside() {
        let (openhumans, session) = alice().await;
        let response = ask(&openhumans, Some(session)).await;
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn nobody_else_does() {
        let (openhumans, mut session) = alice().await;
        assert_eq!(
            ask(&openhumans, None).await.status(),
            StatusCode::UNAUTHORIZED
        );
        session.member = "00169953".parse().unwrap();
        let other = ask(&openhumans, Some(session)).await;
        assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn without_a_session_layer_the_answer_is_an_error_and_no_panic() {
        let (openhumans, _) = alice().await;
        let layer = RequireMemberLayer::with_session::<OtherSession>(&openhumans);
        let service = layer.layer(service_fn(greet));
        let response = service.oneshot(Request::new(Anything)).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn the_service_that_is_called_is_the_one_that_was_ready() {
        let (openhumans, session) = alice().await;
        let session = OtherSession(std::sync::Arc::new(std::sync::Mutex::new(Some(session))));
        let mut request = Request::new(Anything);
        request.extensions_mut().insert(session);
        // Panics when called without having been ready.
        let inner = tower::limit::ConcurrencyLimit::new(service_fn(greet), 1);
        let layer = RequireMemberLayer::with_session::<OtherSession>(&openhumans);
        let mut service = layer.layer(inner);
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}
