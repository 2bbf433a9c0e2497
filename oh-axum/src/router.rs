//! The routes, as an axum router.

use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::response::Response;
use axum::routing::{Router, any};
use oh_core::OpenHumans;
use oh_core::routes::Route;

use crate::context::Context;
use crate::rejection::Rejection;
use crate::session::HostSession;

/// The routes `login`, `complete`, `logout` and `deauth`, each with and without a trailing slash,
/// to nest where [`Settings::mount_path`](oh_core::Settings::mount_path) says. Fits any app state.
///
/// Needs the app's session layer around it, and nothing else.
///
/// ```
/// # fn mount(openhumans: &oh_core::OpenHumans) -> axum::Router {
/// axum::Router::new().nest(openhumans.settings().mount_path(), oh_axum::router(openhumans))
/// # }
/// ```
#[cfg(feature = "tower-sessions")]
pub fn router<S>(openhumans: &OpenHumans) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router_with_session::<tower_sessions::Session, S>(openhumans)
}

/// As `router`, for sessions that are not tower-sessions'.
pub fn router_with_session<H, S>(openhumans: &OpenHumans) -> Router<S>
where
    H: HostSession,
    S: Clone + Send + Sync + 'static,
{
    let context = Context::new::<H>(openhumans);
    openhumans
        .routes()
        .into_iter()
        .fold(Router::new(), |router, route| {
            let context = context.clone();
            let answer = any(move |request| answer(context, route, request));
            match route.path() {
                "/" => router.route("/", answer),
                path => router
                    .route(&format!("{path}/"), answer.clone())
                    .route(path, answer),
            }
        })
}

/// Converts, asks, applies.
async fn answer(
    context: Context,
    route: Route,
    mut request: Request,
) -> Result<Response, Rejection> {
    // Nesting takes the beginning off the path.
    if let Some(OriginalUri(whole)) = request.extensions().get().cloned() {
        *request.uri_mut() = whole;
    }
    if !route.uses_session() {
        let answer = context.openhumans.respond(route, request, None).await;
        return Ok(answer.response.map(Body::new));
    }
    let session = context.session(request.extensions())?;
    let member = session
        .any_member()
        .await
        .map_err(|e| Rejection::session(&*e))?;
    let answer = context.openhumans.respond(route, request, member).await;
    let applied = session.apply(answer.session).await;
    applied.map_err(|e| Rejection::session(&*e))?;
    Ok(answer.response.map(Body::new))
}
