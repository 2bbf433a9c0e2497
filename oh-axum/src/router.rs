//! The Open Humans routes as an axum router.

use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::response::Response;
use axum::routing::{Router, any};
use oh_core::OpenHumans;
use oh_core::routes::Route;

use crate::context::Context;
use crate::rejection::Rejection;
use crate::session::HostSession;

/// Returns a router with the Open Humans routes, each with and without a trailing slash.
///
/// Nest it at [`Settings::mount_path`](oh_core::Settings::mount_path), inside the application's
/// session layer. It accepts any application state.
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

/// Returns the same router as [`router`](crate::router), for the session type `H`.
pub fn router_with_session<H, S>(openhumans: &OpenHumans) -> Router<S>
where
    H: HostSession,
    S: Clone + Send + Sync + 'static,
{
    let context = Context::new::<H>(openhumans);
    Route::ALL.into_iter().fold(Router::new(), |router, route| {
        let context = context.clone();
        let handler = any(move |request| respond(context, route, request));
        router
            .route(&format!("{}/", route.path()), handler.clone())
            .route(route.path(), handler)
    })
}

/// Passes the request to the core and applies the session change that it returns.
async fn respond(
    context: Context,
    route: Route,
    mut request: Request,
) -> Result<Response, Rejection> {
    // `Router::nest` strips the prefix from the URI, but the core needs the full path.
    if let Some(OriginalUri(original)) = request.extensions().get().cloned() {
        *request.uri_mut() = original;
    }
    if !route.uses_session() {
        let outcome = context.openhumans.respond(route, request, None).await;
        return Ok(outcome.response.map(Body::from));
    }
    let member = context.session_member(request.extensions()).await?;
    let session = context.session(request.extensions())?;
    let outcome = context.openhumans.respond(route, request, member).await;
    let applied = session.apply(outcome.session).await;
    applied.map_err(|e| Rejection::session(&*e))?;
    Ok(outcome.response.map(Body::from))
}
