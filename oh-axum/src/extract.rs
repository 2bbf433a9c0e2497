//! Extractors for the logged-in member, the handle and verified webhooks.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use oh_core::OpenHumans;
use oh_core::login::LoginRequest;
use oh_core::webhook::Deauthorization;

use crate::context::Context;
use crate::member::Member;
use crate::rejection::Rejection;

impl<S: Send + Sync> FromRequestParts<S> for Member {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        if let Some(member) = parts.extensions.get::<Self>() {
            return Ok(member.clone());
        }
        let context = Context::of(&parts.extensions)?;
        context.require_member(parts).await
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Member {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        if let Some(member) = parts.extensions.get::<Self>() {
            return Ok(Some(member.clone()));
        }
        let context = Context::of(&parts.extensions)?;
        let session = context.session_member(&parts.extensions).await?;
        match context.openhumans.member(session).await {
            Ok(member) => Ok(member.map(Self::new)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "failed to load the session's member");
                Ok(None)
            }
        }
    }
}

/// An extractor for the [`OpenHumans`] handle. Needs [`layer`](crate::layer).
///
/// ```
/// use oh_axum::{Handle, Member};
///
/// async fn has_webhook(Handle(openhumans): Handle) -> String {
///     format!("{} webhook secrets", openhumans.settings().webhook_secrets().len())
/// }
/// # fn takes<T, S>(_: impl axum::handler::Handler<T, S>) {}
/// # takes::<_, ()>(has_webhook);
/// ```
#[derive(Clone, Debug)]
pub struct Handle(pub OpenHumans);

impl Handle {
    /// Starts a login and returns the redirect to Open Humans.
    ///
    /// Call it from a handler for POST requests. The login can carry a context, which the
    /// [`LoginHandler`](oh_core::login::LoginHandler) receives when the member returns. See
    /// [`OpenHumans::start_login`](oh_core::OpenHumans::start_login).
    ///
    /// ```
    /// use axum::http::{HeaderMap, StatusCode};
    /// use axum::response::Response;
    /// use oh_axum::Handle;
    /// use oh_core::login::LoginRequest;
    ///
    /// async fn connect(handle: Handle, headers: HeaderMap) -> Result<Response, StatusCode> {
    ///     let login = LoginRequest::new().context("connect this to user 42");
    ///     let login = login.map_err(|_| StatusCode::URI_TOO_LONG)?;
    ///     Ok(handle.start_login(login, &headers))
    /// }
    /// # fn routes() -> axum::Router {
    /// axum::Router::new().route("/connect", axum::routing::post(connect))
    /// # }
    /// ```
    pub fn start_login(&self, login: LoginRequest, headers: &HeaderMap) -> Response {
        self.0.start_login(login, headers).map(Body::from)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Handle {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Ok(Self(Context::of(&parts.extensions)?.openhumans.clone()))
    }
}

/// An extractor for a webhook with a valid signature, for applications with a custom webhook route.
///
/// It reads and verifies the raw body, independently of the application's body limits. The routes
/// of [`router`](crate::router) include a webhook route. Needs [`layer`](crate::layer).
///
/// ```
/// use axum::http::StatusCode;
/// use oh_axum::{Handle, VerifiedWebhook};
///
/// async fn webhook(
///     Handle(openhumans): Handle,
///     webhook: VerifiedWebhook,
/// ) -> Result<StatusCode, StatusCode> {
///     // Open Humans does not repeat a successful webhook, so store the event before you respond.
///     let accepted = openhumans.deauthorize(&webhook.deauthorization).await;
///     accepted.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
///     Ok(StatusCode::NO_CONTENT)
/// }
/// # fn takes<T, S>(_: impl axum::handler::Handler<T, S>) {}
/// # takes::<_, ()>(webhook);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedWebhook {
    /// The verified contents: the member and the erasure request.
    pub deauthorization: Deauthorization,
    /// The raw body.
    pub body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for VerifiedWebhook {
    type Rejection = Rejection;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Rejection> {
        let openhumans = Context::of(request.extensions())?.openhumans.clone();
        let webhook = openhumans.verify_webhook(request).await?;
        Ok(Self {
            deauthorization: webhook.deauthorization,
            body: webhook.body,
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;
    use crate::layer_with_session;
    use crate::test_support::{OtherSession, alice};

    async fn status(app: Router, session: Option<OtherSession>) -> StatusCode {
        let mut request = Request::get("/").body(Body::empty()).unwrap();
        if let Some(session) = session {
            request.extensions_mut().insert(session);
        }
        app.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn extractors_return_500_without_layer_or_session() {
        let (openhumans, _) = alice().await;
        let expected = StatusCode::INTERNAL_SERVER_ERROR;
        for app in [
            Router::new().route("/", get(async |_: Member| "")),
            Router::new().route("/", get(async |_: Option<Member>| "")),
            Router::new().route("/", get(async |_: Handle| "")),
            Router::new().route("/", get(async |_: VerifiedWebhook| "")),
        ] {
            assert_eq!(status(app.clone(), None).await, expected, "no layer");
        }
        let app = Router::new().route("/", get(async |_: Option<Member>| ""));
        let app = app.layer(layer_with_session::<OtherSession>(&openhumans));
        assert_eq!(status(app.clone(), None).await, expected, "no session");
        let session = Some(OtherSession::default());
        assert_eq!(status(app, session).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn extractors_accept_any_application_state() {
        #[derive(Clone)]
        struct State;
        let (openhumans, _) = alice().await;
        let app: Router<State> = Router::new()
            .route("/", get(async |_: Handle, _: Option<Member>| ""))
            .nest(
                "/openhumans",
                crate::router_with_session::<OtherSession, State>(&openhumans),
            )
            .layer(layer_with_session::<OtherSession>(&openhumans));
        let session = Some(OtherSession::default());
        assert_eq!(status(app.with_state(State), session).await, StatusCode::OK);
    }
}
