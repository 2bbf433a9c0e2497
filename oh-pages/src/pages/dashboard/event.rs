//! One event: its status, its history, and its actions.

use axum::extract::{Path, State};
use http::StatusCode;
use maud::{Markup, html};
use oh_core::deauth::{
    DeauthInbox, EventId, EventQuery, EventRecord, EventState, InboxError, LedgerLine, LedgerQuery,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::table::{self, EventEntry, LedgerEntry};
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::layout::View;
use crate::layout::{Frame, Section};
use crate::pages::Page;
use crate::response::{Confirmation, Done};

/// Lines of the ledger that are shown.
pub(super) const MAX_LINES: usize = 1_000;

/// Events of one member that are read at a time to find one of them.
const MEMBER_EVENTS: usize = 500;

/// One event and its history.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct EventPage {
    /// The event.
    pub event: EventEntry,
    /// Its latest 1,000 lines of the ledger, oldest first.
    pub lines: Vec<LedgerEntry>,
    /// Whether there are older lines.
    pub truncated: bool,
}

/// Shows one event and its history
#[utoipa::path(
    get,
    path = "/staff/events/{id}",
    params(("id" = String, Path, description = "The event")),
    responses((status = 200, description = "The event", body = EventPage)),
)]
pub(crate) async fn show_event(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Page, PageError> {
    let inbox = &**app.openhumans().inbox();
    let id = EventId::new(id);
    let query = LedgerQuery::first(1).event(id.clone());
    let first = inbox.ledger(&query).await?;
    let line = first.first().ok_or_else(PageError::not_found)?;
    let record = find(inbox, line).await?;
    let record = record.ok_or_else(PageError::not_found)?;
    let (lines, truncated) = newest_lines(inbox, query).await?;
    Ok(EventPage {
        event: EventEntry::new(record, app.openhumans().clock().now()),
        lines,
        truncated,
    }
    .into())
}

/// Returns the latest lines of a query, oldest first, and whether there are older ones.
pub(super) async fn newest_lines(
    inbox: &dyn DeauthInbox,
    query: LedgerQuery,
) -> Result<(Vec<LedgerEntry>, bool), InboxError> {
    let mut query = query.newest_first();
    query.limit = MAX_LINES + 1;
    let mut lines = inbox.ledger(&query).await?;
    let truncated = lines.len() > MAX_LINES;
    lines.truncate(MAX_LINES);
    let lines = lines.into_iter().rev().map(LedgerEntry::from);
    Ok((lines.collect(), truncated))
}

/// Finds the event of a line among the events of its member.
async fn find(
    inbox: &dyn DeauthInbox,
    line: &LedgerLine,
) -> Result<Option<EventRecord>, InboxError> {
    let mut query = EventQuery::first(MEMBER_EVENTS).pseudonym(line.member.clone());
    loop {
        let page = inbox.events(&query).await?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        query.after = Some((last.received_at, last.id.clone()));
        if let Some(record) = page.into_iter().find(|record| record.id == line.event) {
            return Ok(Some(record));
        }
    }
}

/// Requeues a dead letter or a stale event
#[utoipa::path(
    post,
    path = "/staff/events/{id}/requeue",
    params(("id" = String, Path, description = "The event")),
    responses((status = 200, description = "The event is in the queue", body = Confirmation)),
)]
pub(crate) async fn requeue(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Done, PageError> {
    let event = EventId::new(id.as_str());
    if !app.openhumans().requeue_event(&event).await? {
        return Err(PageError::new(StatusCode::CONFLICT, "not_requeued"));
    }
    tracing::info!(%event, "requeued an event on the dashboard");
    Ok(Done::new("requeued", table::event_path(&id)))
}

impl View for EventPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("event"), Section::Staff, "")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        let event = &self.event;
        html! {
            h1 { (cx.text("event")) " " code { (table::short(event.id.as_str())) } }
            (explanation(cx, event))
            section.card {
                dl.facts {
                    dt { (cx.text("state")) } dd #state { (table::state(cx, event)) }
                    dt { (cx.text("erasure")) } dd { (table::erasure(cx, event.erasure)) }
                    dt { (cx.text("discovery")) } dd { (table::discovery(cx, event.discovery)) }
                    dt { (cx.text("left-at")) } dd { (cx.time(event.left_at)) }
                    dt { (cx.text("received")) } dd { (cx.time(event.received_at)) }
                    @match event.settled_at {
                        Some(at) => { dt { (cx.text("settled-at")) } dd { (cx.time(at)) } }
                        None => { dt { (cx.text("due-at")) } dd { (cx.time(event.due_at)) } }
                    }
                    dt { (cx.text("duration")) } dd { (table::duration_of(cx, event)) }
                    dt { (cx.text("attempts")) } dd { (event.attempts) }
                    dt { (cx.text("pseudonym")) } dd { (table::member_link(cx, event.pseudonym.as_str())) }
                    dt { (cx.text("event")) } dd { code { (event.id) } }
                }
            }
            section.card {
                h2 { (cx.text("history")) }
                (table::lines(cx, &self.lines, false))
                @if self.truncated { p.soft { (cx.text_with("history-truncated", &[("count", &MAX_LINES.to_string())])) } }
            }
        }
    }
}

/// The status of an event in a sentence, with the action that it allows.
fn explanation(cx: &Context<'_>, event: &EventEntry) -> Markup {
    let text = match event.state {
        EventState::Pending if event.overdue => "list-overdue-text",
        EventState::Pending => "list-pending-text",
        EventState::Done => "list-done-text",
        EventState::DeadLetter => "list-dead-letter-text",
        EventState::Stale => "list-stale-text",
        EventState::Quarantined => "list-quarantined-text",
        _ => "list-all-text",
    };
    let class = match event.state {
        EventState::DeadLetter => "notice bad",
        _ if event.overdue => "notice bad",
        EventState::Stale | EventState::Quarantined => "notice warn",
        _ => return html! { p.lead #explained { (cx.text(text)) } },
    };
    let action = |action: &str| {
        cx.path(&format!(
            "{}/{action}",
            table::event_path(event.id.as_str())
        ))
    };
    let is_settled = matches!(event.state, EventState::DeadLetter | EventState::Stale);
    html! {
        section class=(class) #explained {
            p { (cx.text(text)) }
            @if event.can_release {
                form method="post" action=(action("release")) { button #release { (cx.text("release")) } }
            } @else if event.can_requeue {
                @if event.state == EventState::Stale { p { (cx.text("requeue-stale")) } }
                form method="post" action=(action("requeue")) { button #requeue { (cx.text("requeue")) } }
            } @else if is_settled {
                p { (cx.text("requeue-superseded")) }
            }
        }
    }
}
