//! Releasing quarantined events: one event, or all of them after a confirmation.

use axum::extract::{Path, State};
use http::StatusCode;
use maud::Markup;
use oh_core::deauth::EventId;
use serde::Serialize;
use utoipa::ToSchema;

use super::table;
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::layout::View;
use crate::layout::{self, Frame, Section};
use crate::pages::Page;
use crate::response::{Confirmation, Done};

/// A release of all quarantined events that a staff member must confirm.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ReleaseAllPage {
    /// The number of quarantined events.
    pub quarantined: u64,
}

/// Releases a quarantined event, so that the worker processes it
#[utoipa::path(
    post,
    path = "/staff/events/{id}/release",
    params(("id" = String, Path, description = "The event")),
    responses((status = 200, description = "The event is released", body = Confirmation)),
)]
pub(crate) async fn release(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Done, PageError> {
    let event = EventId::new(id.as_str());
    if !app.openhumans().release_event(&event).await? {
        return Err(PageError::new(StatusCode::CONFLICT, "not_quarantined"));
    }
    tracing::info!(%event, "released an event on the dashboard");
    Ok(Done::new("released", table::event_path(&id)))
}

/// Counts the quarantined events
#[utoipa::path(get, path = "/staff/release-all", responses(
    (status = 200, description = "The number of events", body = ReleaseAllPage),
))]
pub(crate) async fn release_all_form(State(app): State<App>) -> Result<Page, PageError> {
    let stats = app.openhumans().inbox().stats().await?;
    Ok(ReleaseAllPage {
        quarantined: stats.quarantined,
    }
    .into())
}

/// Releases all quarantined events
#[utoipa::path(post, path = "/staff/release-all", responses(
    (status = 200, description = "The events are released", body = Confirmation),
))]
pub(crate) async fn release_all(State(app): State<App>) -> Result<Done, PageError> {
    let released = app.openhumans().release_all_events().await?;
    tracing::info!(released, "released all quarantined events on the dashboard");
    Ok(Done::new("released-all", "/staff"))
}

impl View for ReleaseAllPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("release-all"), Section::Staff, "")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        let count = self.quarantined.to_string();
        let title = cx.text_with("release-all-title", &[("count", &count)]);
        let texts = [
            cx.text("list-quarantined-text"),
            cx.text("release-all-text"),
        ];
        let cancel = "/staff/events?list=quarantined";
        layout::confirmation(
            cx,
            &title,
            &texts,
            "/staff/release-all",
            ("release-all", cancel),
        )
    }
}
