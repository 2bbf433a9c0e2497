//! The Open Humans routes as an actix-web scope.

use std::convert::Infallible;
use std::rc::Rc;

use actix_web::guard::fn_guard;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Scope};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use oh_core::OpenHumans;
use oh_core::routes::Route;
use oh_core::transport::BoxError;
use tower_service::Service;

use crate::bridge::{self, RequestBody};
use crate::rejection::Rejection;
use crate::{convert, session};

/// Returns a function that mounts the routes at
/// [`Settings::mount_path`](oh_core::Settings::mount_path) and registers the handle for the
/// extractors and middleware of this crate.
///
/// The application's session middleware must be outside of it. See the [crate](crate) for an
/// example.
pub fn configure(openhumans: &OpenHumans) -> impl FnOnce(&mut ServiceConfig) + Clone + use<> {
    let openhumans = openhumans.clone();
    move |config| {
        config
            .service(scope(&openhumans))
            .app_data(openhumans.clone());
    }
}

/// As [`configure`], and passes all other requests under the mount path to a tower service, such
/// as the router of `oh-pages`.
///
/// Requests to `service` have the path below the mount path. They have a
/// [`SessionReader`](oh_core::routes::SessionReader) among their extensions, and a
/// [`SessionChange`](oh_core::SessionChange) among the extensions of a response is applied.
pub fn configure_with<S, B>(
    openhumans: &OpenHumans,
    service: S,
) -> impl FnOnce(&mut ServiceConfig) + Clone + use<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let openhumans = openhumans.clone();
    move |config| {
        let mount_path: Rc<str> = openhumans.settings().mount_path().into();
        let handler = move |request: HttpRequest, payload: web::Payload| {
            let (service, mount_path) = (service.clone(), Rc::clone(&mount_path));
            async move { bridge::call(service, &mount_path, request, payload).await }
        };
        config
            .service(scope(&openhumans).default_service(web::to(handler)))
            .app_data(openhumans.clone());
    }
}

/// Returns the Open Humans routes alone, each with and without a trailing
/// slash, under the mount path.
pub fn scope(openhumans: &OpenHumans) -> Scope {
    let mount_path = openhumans.settings().mount_path();
    Route::ALL
        .into_iter()
        .fold(web::scope(mount_path), |scope, route| {
            let path = format!("{mount_path}{}", route.path());
            let openhumans = openhumans.clone();
            let handler =
                move |request, payload| respond(openhumans.clone(), route, request, payload);
            let paths = [route.path().to_owned(), format!("{}/", route.path())];
            let as_written = fn_guard(move |request| {
                let written = request.head().uri.path();
                written
                    .strip_suffix('/')
                    .unwrap_or(written)
                    .ends_with(&path)
            });
            scope.service(web::resource(paths).guard(as_written).to(handler))
        })
}

/// Passes the request to the core and applies the session change that it returns.
async fn respond(
    openhumans: OpenHumans,
    route: Route,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Rejection> {
    let member = route.uses_session().then(|| session::member(&request));
    let converted = convert::request(&request, payload.into_inner())?;
    let outcome = openhumans.respond(route, converted, member.flatten()).await;
    session::apply(&request, outcome.session)?;
    Ok(convert::response(&outcome.response))
}
