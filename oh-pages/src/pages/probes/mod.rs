//! Health and readiness, for load balancers and monitoring.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use oh_core::deauth::EventQuery;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::response::json_response;

/// How long a store may take to respond.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ok` or `unavailable`.
    status: &'static str,
    /// `ok` or `unavailable`.
    token_store: &'static str,
    /// `ok` or `unavailable`.
    deauth_inbox: &'static str,
}

/// Reports that the process responds
///
/// It does not check the stores, because restarting the process does not fix an unreachable
/// database.
#[utoipa::path(get, path = "/health", responses(
    (status = 200, description = "The process responds", body = Health),
))]
pub(crate) async fn health() -> Response {
    json_response(StatusCode::OK, &Health { status: "ok" }).map(Body::from)
}

/// Reports whether the stores respond
///
/// With 503, a load balancer should send requests to another process.
#[utoipa::path(get, path = "/ready", responses(
    (status = 200, description = "The stores respond", body = Readiness),
    (status = 503, description = "At least one store does not respond", body = Readiness),
))]
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let openhumans = app.openhumans();
    let query = EventQuery::first(1).newest_first();
    let (tokens, inbox) = tokio::join!(
        tokio::time::timeout(STORE_TIMEOUT, openhumans.token_store().page(None, 1)),
        tokio::time::timeout(STORE_TIMEOUT, openhumans.inbox().events(&query)),
    );
    let (tokens, inbox) = (matches!(tokens, Ok(Ok(_))), matches!(inbox, Ok(Ok(_))));
    let word = |is_ok: bool| if is_ok { "ok" } else { "unavailable" };
    let readiness = Readiness {
        status: word(tokens && inbox),
        token_store: word(tokens),
        deauth_inbox: word(inbox),
    };
    let status = match tokens && inbox {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json_response(status, &readiness).map(Body::from)
}
