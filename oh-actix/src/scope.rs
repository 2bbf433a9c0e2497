//! The routes, as an actix-web scope.

use actix_web::guard::fn_guard;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Scope};
use http::Request;
use oh_core::OpenHumans;
use oh_core::routes::{Route, RouteOutcome};

use crate::rejection::Rejection;
use crate::{convert, session};

/// Mounts the routes where [`Settings::mount_path`](oh_core::Settings::mount_path) says, and makes
/// the handle known to the extractors and middleware of this crate.
///
/// Needs the app's session middleware around it, and nothing else. See the [crate](crate) for an
/// example.
pub fn configure(openhumans: &OpenHumans) -> impl FnOnce(&mut ServiceConfig) + Clone + use<> {
    let openhumans = openhumans.clone();
    move |config| {
        config
            .service(scope(&openhumans))
            .app_data(openhumans.clone());
    }
}

/// The routes `login`, `complete`, `logout` and `deauth` alone, each with and without a trailing
/// slash, under the mount path.
pub fn scope(openhumans: &OpenHumans) -> Scope {
    openhumans.routes().into_iter().fold(
        web::scope(openhumans.settings().mount_path()),
        |scope, route| {
            let mount = openhumans.settings().mount_path();
            let whole = format!("{mount}{}", route.path());
            let openhumans = openhumans.clone();
            let answer =
                move |request, payload| answer(openhumans.clone(), route, request, payload);
            let paths = match route.path() {
                "/" => vec![String::new()],
                path => vec![path.to_owned(), format!("{path}/")],
            };
            let as_written = fn_guard(move |request| is_written(request.head().uri.path(), &whole));
            scope.service(web::resource(paths).guard(as_written).to(answer))
        },
    )
}

/// Whether a path ends as a route is written, letter for letter but for the segment in braces. What
/// comes before is that of scopes of the app's own.
/// actix-web decodes a path before it matches it, so that `/%6Cogin` would be `/login` here and
/// nowhere else: not to a proxy that lets some paths through, nor to the core.
fn is_written(path: &str, route: &str) -> bool {
    let mut path = path.strip_suffix('/').unwrap_or(path).rsplit('/');
    let mut route = route.trim_matches('/').rsplit('/');
    route.all(|wanted| {
        let segment = path.next();
        segment == Some(wanted) || segment.is_some() && wanted.starts_with('{')
    })
}

/// Converts, asks, applies. The session is read before and changed after, never held in between.
async fn answer(
    openhumans: OpenHumans,
    route: Route,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Rejection> {
    let member = route.uses_session().then(|| session::member(&request));
    let asked = Request::from_parts(
        convert::head(&request)?,
        convert::body(payload.into_inner()),
    );
    let RouteOutcome {
        response,
        session: change,
    } = openhumans.respond(route, asked, member.flatten()).await;
    session::apply(&request, change)?;
    Ok(convert::answer(response))
}
