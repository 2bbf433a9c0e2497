//! Middleware functions that reject requests without a member or a valid signature.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError};

use crate::extract::{Member, VerifiedWebhook};

/// Rejects requests without a logged-in member.
///
/// API clients get status 401; browsers are redirected to the login and return afterwards. Needs
/// [`configure`](crate::configure) and, outside of this middleware, the session middleware.
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
/// Returns only errors of the inner service. A rejected request is a response.
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
            let response = rejection.error_response().map_into_right_body();
            Ok(request.into_response(response))
        }
    }
}

/// Rejects webhooks without a valid signature.
///
/// The signature is verified over the raw body, which the inner service receives unchanged.
/// Requests with an excessive length or a malformed signature header are rejected before the body
/// is read. The [`Deauthorization`](oh_core::webhook::Deauthorization) is in the request
/// extensions. Needs [`configure`](crate::configure).
///
/// ```
/// use actix_web::middleware::from_fn;
/// use actix_web::web::{self, ReqData};
/// use oh_core::webhook::Deauthorization;
///
/// async fn webhook(event: ReqData<Deauthorization>, body: String) -> String {
///     format!("{} left: {body}", event.member())
/// }
///
/// let resource = web::resource("/webhook")
///     .wrap(from_fn(oh_actix::verify_webhook))
///     .route(web::post().to(webhook));
/// # let _ = resource;
/// ```
///
/// # Errors
///
/// Returns only errors of the inner service. A rejected request is a response.
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
            let response = rejection.error_response().map_into_right_body();
            Ok(request.into_response(response))
        }
    }
}
