//! The Open Humans routes as an actix-web scope.

use actix_web::guard::fn_guard;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Scope};
use oh_core::OpenHumans;
use oh_core::routes::{Route, RouteOutcome};

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

/// Returns the Open Humans routes alone, each with and without a trailing slash, under the mount
/// path.
pub fn scope(openhumans: &OpenHumans) -> Scope {
    openhumans.routes().into_iter().fold(
        web::scope(openhumans.settings().mount_path()),
        |scope, route| {
            let mount = openhumans.settings().mount_path();
            let pattern = format!("{mount}{}", route.path());
            let openhumans = openhumans.clone();
            let handler =
                move |request, payload| respond(openhumans.clone(), route, request, payload);
            let paths = match route.path() {
                "/" => vec![String::new()],
                path => vec![path.to_owned(), format!("{path}/")],
            };
            let undecoded =
                fn_guard(move |request| matches_undecoded(request.head().uri.path(), &pattern));
            scope.service(web::resource(paths).guard(undecoded).to(handler))
        },
    )
}

/// Returns whether the undecoded path ends with the segments of `route`.
///
/// A segment in braces matches any segment, and the application's scopes may add a prefix. actix-web
/// percent-decodes a path before it matches, so `/%6Cogin` would reach the login here although
/// proxies and the core treat it as another path.
fn matches_undecoded(path: &str, route: &str) -> bool {
    let mut path = path.strip_suffix('/').unwrap_or(path).rsplit('/');
    let mut route = route.trim_matches('/').rsplit('/');
    route.all(|expected| {
        let segment = path.next();
        segment == Some(expected) || segment.is_some() && expected.starts_with('{')
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
    let RouteOutcome {
        response,
        session: change,
    } = openhumans.respond(route, converted, member.flatten()).await;
    session::apply(&request, change)?;
    Ok(convert::streaming_response(response))
}
