//! Admits requests to routes.

use std::error::Error as StdError;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode, Uri};
use oh_core::Member;
use oh_core::routes::SessionReader;
use oh_core::store::StoreError;

use crate::access::Access;
use crate::app::App;
use crate::error::PageError;

/// Passes a request on if its route may be used. Every route is behind this layer.
pub(crate) async fn guard(
    State((app, access)): State<(App, Access)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut response = match admit(&app, access, &mut parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(rejection) => rejection,
    };
    response.extensions_mut().insert(access);
    response
}

async fn admit(app: &App, access: Access, parts: &mut Parts) -> Result<(), Response> {
    let openhumans = app.openhumans();
    if parts.method == Method::POST && !openhumans.is_same_origin(&parts.headers) {
        return Err(PageError::cross_site().into_response());
    }
    if access == Access::Public {
        return Ok(());
    }
    let member = member(app, parts).await;
    if access == Access::Staff {
        // Staff must get in while the session store or the token store is down.
        let member = member.unwrap_or_default();
        let guard = app.staff();
        return match guard {
            Some(guard) if guard.admits(parts, member.as_ref()).await => Ok(()),
            _ => {
                let error = PageError::new(StatusCode::FORBIDDEN, "staff_only");
                Err(error.into_response())
            }
        };
    }
    match member {
        Ok(Some(member)) => {
            parts.extensions.insert(member);
            Ok(())
        }
        Ok(None) if access == Access::Anyone => Ok(()),
        Ok(None) => Err(unauthenticated(app, parts, None)),
        Err(MemberError::Session) => Err(PageError::internal().into_response()),
        Err(MemberError::Store(error)) => Err(unauthenticated(app, parts, Some(&error))),
    }
}

enum MemberError {
    Session,
    Store(StoreError),
}

/// Loads the logged-in member.
async fn member(app: &App, parts: &Parts) -> Result<Option<Member>, MemberError> {
    let Some(reader) = parts.extensions.get::<SessionReader>() else {
        tracing::error!(
            "the request has no SessionReader: mount the pages with oh_axum::with_session or \
             oh_actix::configure_with"
        );
        return Err(MemberError::Session);
    };
    let session = reader().await.map_err(|error| {
        let error = &*error as &dyn StdError;
        tracing::error!(error, "failed to read the session");
        MemberError::Session
    })?;
    let member = app.openhumans().member(session).await;
    member.map_err(MemberError::Store)
}

/// Redirects browsers to the login and tells programs to log in.
fn unauthenticated(app: &App, parts: &Parts, error: Option<&StoreError>) -> Response {
    let openhumans = app.openhumans();
    // Routers remove the mount path from the URI.
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = format!("{}{path}", openhumans.settings().mount_path());
    let uri: Uri = uri.parse().unwrap_or_default();
    let response = openhumans.unauthenticated_response(&parts.method, &uri, &parts.headers, error);
    match response.status() {
        StatusCode::UNAUTHORIZED => {
            PageError::new(StatusCode::UNAUTHORIZED, "not_logged_in").into_response()
        }
        _ => response.map(Body::from),
    }
}
