//! Whether the process answers, and whether what it needs does: for load balancers and watchmen.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::context::Context;
use super::json;
use crate::deauth::EventQuery;
use crate::routes::RouteOutcome;

/// How long a store may take.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    token_store: &'static str,
    deauth_inbox: &'static str,
}

/// The process answers. It says nothing of its stores: a restart would not mend those.
pub(super) fn health() -> RouteOutcome {
    RouteOutcome::keep(json::answer(&Health { status: "ok" }))
}

/// The stores answer, so webhooks can be taken in and members logged in. Otherwise 503, and a
/// balancer sends requests elsewhere.
pub(super) async fn ready(cx: &Context<'_>) -> RouteOutcome {
    let query = EventQuery::first(1).newest_first();
    let inner = cx.inner();
    let (tokens, inbox) = tokio::join!(
        tokio::time::timeout(PATIENCE, inner.store.page(None, 1)),
        tokio::time::timeout(PATIENCE, inner.deauthorizer.inbox().events(&query)),
    );
    let word = |good: bool| if good { "ok" } else { "unavailable" };
    let (tokens, inbox) = (matches!(tokens, Ok(Ok(_))), matches!(inbox, Ok(Ok(_))));
    let mut response = json::answer(&Ready {
        status: word(tokens && inbox),
        token_store: word(tokens),
        deauth_inbox: word(inbox),
    });
    if !(tokens && inbox) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    RouteOutcome::keep(response)
}
