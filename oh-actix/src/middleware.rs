//! Middleware: members only, genuine webhooks only.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError};

use crate::extract::{Member, VerifiedWebhook};

/// Lets only members through.
///
/// Whoever is not logged in gets the core's answer: API callers a 401, browsers a redirect to log
/// in that leads back. Needs [`configure`](crate::configure) on the app and the app's session
/// middleware around it.
///
/// ```
/// use actix_web::middleware::from_fn;
/// use actix_web::web;
/// use oh_actix::Member;
///
/// async fn files(member: Member) -> String {
///     format!("The files of {}", member.id())
/// }
///
/// let members_only = web::scope("/members")
///     .wrap(from_fn(oh_actix::require_member))
///     .route("/files", web::get().to(files));
/// # let _ = members_only;
/// ```
///
/// # Errors
///
/// Those of the inner service only; a request that goes no further is answered, not failed.
pub async fn require_member<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match Member::of(request.request()).await {
        Ok(member) => {
            request.extensions_mut().insert(member);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(rejection) => {
            let answer = rejection.error_response().map_into_right_body();
            Ok(request.into_response(answer))
        }
    }
}

/// Lets only genuine webhooks through.
///
/// The signature is verified over the raw body, which the inner service then gets unchanged. A
/// length over the limit and a bad signature header are answered without waiting for the body.
/// The inner service finds the [`Deauthorization`](oh_core::webhook::Deauthorization) in the request's
/// extensions. Needs [`configure`](crate::configure) on the app.
///
/// ```
/// use actix_web::middleware::from_fn;
/// use actix_web::web::{self, ReqData};
/// use oh_core::webhook::Deauthorization;
///
/// async fn left(left: ReqData<Deauthorization>, body: web::Bytes) -> String {
///     format!("{} bytes, signed by Open Humans", body.len())
/// }
///
/// let own_route = web::resource("/left")
///     .wrap(from_fn(oh_actix::verify_webhook))
///     .route(web::post().to(left));
/// # let _ = own_route;
/// ```
///
/// # Errors
///
/// Those of the inner service only; a request that goes no further is answered, not failed.
pub async fn verify_webhook<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let payload = request.take_payload();
    match VerifiedWebhook::of(request.request(), payload).await {
        Ok(webhook) => {
            request.set_payload(Payload::from(webhook.body));
            request.extensions_mut().insert(webhook.deauthorization);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(rejection) => {
            let answer = rejection.error_response().map_into_right_body();
            Ok(request.into_response(answer))
        }
    }
}
