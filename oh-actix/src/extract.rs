//! Extractors for the logged-in member, the handle and verified webhooks.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use oh_core::OpenHumans;
use oh_core::login::LoginRequest;
use oh_core::webhook::Deauthorization;

use crate::rejection::Rejection;
use crate::{convert, session};

/// An extractor for the logged-in member, whose authorization has been checked.
///
/// Without a login, API clients get status 401 and browsers are redirected to the login, which
/// returns them to the same page. `Option<Member>` never rejects a request: it is `None` without a
/// login, and also while the token store is unavailable. Needs [`configure`](crate::configure).
///
/// ```
/// use actix_web::web;
/// use oh_actix::Member;
///
/// async fn greet(member: Member) -> String {
///     format!("Hello, {}", member.username().unwrap_or("member"))
/// }
/// # web::get().to(greet);
/// ```
#[derive(Clone, Debug)]
pub struct Member(oh_core::Member);

impl Member {
    /// Returns the underlying [`oh_core::Member`].
    pub fn into_inner(self) -> oh_core::Member {
        self.0
    }

    pub(crate) async fn of(request: &HttpRequest) -> Result<Self, Rejection> {
        if let Some(member) = request.extensions().get::<Self>() {
            return Ok(member.clone());
        }
        let Handle(openhumans) = Handle::of(request)?;
        let result = openhumans.member(session::member(request)).await;
        if let Ok(Some(member)) = result {
            return Ok(Self(member));
        }
        // The head is converted only for rejected requests.
        let head = convert::head(request)?;
        let error = result.as_ref().err();
        let response =
            openhumans.unauthenticated_response(&head.method, &head.uri, &head.headers, error);
        Err(Rejection::from(response))
    }
}

impl Deref for Member {
    type Target = oh_core::Member;

    fn deref(&self) -> &oh_core::Member {
        &self.0
    }
}

impl FromRequest for Member {
    type Error = Rejection;
    type Future = LocalBoxFuture<'static, Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(&request).await })
    }
}

/// An extractor for the [`OpenHumans`] handle. Needs [`configure`](crate::configure).
///
/// ```
/// use actix_web::web;
/// use oh_actix::Handle;
///
/// async fn has_webhook(Handle(openhumans): Handle) -> String {
///     format!("{} webhook secrets", openhumans.settings().webhook_secrets().len())
/// }
/// # web::get().to(has_webhook);
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
    /// use actix_web::{HttpRequest, HttpResponse, web};
    /// use oh_actix::{Handle, Rejection};
    /// use oh_core::login::LoginRequest;
    ///
    /// async fn connect(handle: Handle, request: HttpRequest) -> Result<HttpResponse, Rejection> {
    ///     let login = LoginRequest::new().context("connect this to user 42");
    ///     let Ok(login) = login else { return Ok(HttpResponse::UriTooLong().finish()) };
    ///     handle.start_login(login, &request)
    /// }
    /// # web::post().to(connect);
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the request head is invalid in version 1 of the `http` crate. actix-web's
    /// server accepts no such request.
    pub fn start_login(
        &self,
        login: LoginRequest,
        request: &HttpRequest,
    ) -> Result<HttpResponse, Rejection> {
        let head = convert::head(request)?;
        Ok(convert::response(&self.0.start_login(login, &head.headers)))
    }

    pub(crate) fn of(request: &HttpRequest) -> Result<Self, Rejection> {
        let openhumans = request.app_data::<OpenHumans>().cloned();
        openhumans.map(Self).ok_or_else(|| {
            Rejection::misconfigured(
                "oh_actix::configure is missing: the app has no OpenHumans handle",
            )
        })
    }
}

impl FromRequest for Handle {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// An extractor for a webhook with a valid signature, for applications with a custom webhook route.
///
/// It reads and verifies the raw body, independently of the application's body limits. The
/// routes of [`configure`](crate::configure) include a webhook route.
///
/// ```
/// use actix_web::{HttpResponse, web};
/// use oh_actix::{Handle, VerifiedWebhook};
///
/// async fn webhook(Handle(openhumans): Handle, webhook: VerifiedWebhook) -> HttpResponse {
///     // Open Humans does not repeat a successful webhook, so store the event before you respond.
///     match openhumans.deauthorize(&webhook.deauthorization).await {
///         Ok(_) => HttpResponse::NoContent().finish(),
///         Err(_) => HttpResponse::ServiceUnavailable().finish(),
///     }
/// }
/// # web::post().to(webhook);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedWebhook {
    /// The verified contents: the member and the erasure request.
    pub deauthorization: Deauthorization,
    /// The raw body.
    pub body: Bytes,
}

impl VerifiedWebhook {
    pub(crate) async fn of(request: &HttpRequest, payload: Payload) -> Result<Self, Rejection> {
        let Handle(openhumans) = Handle::of(request)?;
        let request = convert::request(request, payload)?;
        let webhook = openhumans.verify_webhook(request).await?;
        Ok(Self {
            deauthorization: webhook.deauthorization,
            body: webhook.body,
        })
    }
}

impl FromRequest for VerifiedWebhook {
    type Error = Rejection;
    type Future = LocalBoxFuture<'static, Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Self::of(&request, payload).await })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, web};
    use oh_core::Settings;

    use super::*;

    #[actix_web::test]
    async fn extractors_and_middleware_return_500_without_configure() {
        let app = App::new()
            .route("/member", web::get().to(async |_: Member| ""))
            .route("/handle", web::get().to(async |_: Handle| ""))
            .route("/webhook", web::get().to(async |_: VerifiedWebhook| ""))
            .service(
                web::resource("/guarded")
                    .wrap(from_fn(crate::require_member))
                    .to(async || ""),
            )
            .service(
                web::resource("/verified")
                    .wrap(from_fn(crate::verify_webhook))
                    .to(async || ""),
            );
        let service = init_service(app).await;
        for path in ["/member", "/handle", "/webhook", "/guarded", "/verified"] {
            let request = TestRequest::with_uri(path).to_request();
            let response = call_service(&service, request).await;
            assert_eq!(response.status(), 500, "{path}");
        }
    }

    #[actix_web::test]
    async fn member_is_rejected_without_session_middleware() {
        let settings = Settings::builder("id", "secret", "http://localhost:8000");
        let openhumans = OpenHumans::builder(settings.build().unwrap()).build();
        let app = App::new()
            .configure(crate::configure(&openhumans.unwrap()))
            .route("/", web::get().to(async |_: Member| ""));
        let service = init_service(app).await;
        for (path, status) in [("/", 401), ("/openhumans/login", 303)] {
            let request = TestRequest::with_uri(path).to_request();
            let response = call_service(&service, request).await;
            assert_eq!(response.status(), status, "{path}");
        }
        let logout = TestRequest::post().uri("/openhumans/logout").to_request();
        assert_eq!(call_service(&service, logout).await.status(), 303);
    }
}
