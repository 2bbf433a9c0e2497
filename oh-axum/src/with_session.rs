//! The session for routes that other crates provide.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::Router;
use oh_core::SessionChange;
use oh_core::routes::SessionReader;

use crate::rejection::Rejection;
use crate::session::{ApplyChange, HostSession};

/// Gives `routes`, such as those of `oh-pages`, access to the member of the session.
///
/// It inserts a [`SessionReader`] into each request, and applies the [`SessionChange`] that a response
/// has among its extensions. The application's session layer must be around it.
///
/// ```
/// # fn mount(openhumans: &oh_core::OpenHumans, pages: axum::Router) -> axum::Router {
/// let routes = oh_axum::router(openhumans).merge(oh_axum::with_session(pages));
/// axum::Router::new().nest(openhumans.settings().mount_path(), routes)
/// # }
/// ```
#[cfg(feature = "tower-sessions")]
pub fn with_session<S>(routes: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    with_host_session::<tower_sessions::Session, S>(routes)
}

/// As `with_session`, for another session library.
pub fn with_host_session<H, S>(routes: Router<S>) -> Router<S>
where
    H: HostSession,
    S: Clone + Send + Sync + 'static,
{
    routes.layer(from_fn(bridge::<H>))
}

async fn bridge<H: HostSession>(mut request: Request, next: Next) -> Result<Response, Rejection> {
    let session = request.extensions().get::<H>().cloned();
    if let Some(session) = session.clone() {
        // Nothing is read from the session store until a route needs the member.
        let reader: SessionReader = Arc::new(move || {
            let session = session.clone();
            Box::pin(async move { session.member().await.map_err(Into::into) })
        });
        request.extensions_mut().insert(reader);
    }
    let mut response = next.run(request).await;
    let change = response.extensions_mut().remove::<SessionChange>();
    if let (Some(session), Some(change)) = (session, change) {
        let applied = session.apply(change).await;
        applied.map_err(|error| Rejection::session(&*error))?;
    }
    Ok(response)
}
