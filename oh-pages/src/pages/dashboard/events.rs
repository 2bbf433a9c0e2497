//! Lists of events, newest first.
//!
//! A page starts after the last event of the previous one (by time of receipt, then by id), so every
//! page takes the same time to load, and new events shift nothing.

use axum::extract::{Query, State};
use http::StatusCode;
use maud::{Markup, html};
use oh_core::Timestamp;
use oh_core::deauth::{EventId, EventQuery, EventState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::table::{self, EventEntry};
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::layout::View;
use crate::layout::{Frame, Section};
use crate::pages::Page;

/// Events on a page.
const PAGE_SIZE: usize = 50;

/// A list of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventList {
    /// All events.
    #[default]
    All,
    /// Waiting, or being processed.
    Pending,
    /// Needs a decision before it is processed.
    Quarantined,
    /// Not done within [`ERASURE_DEADLINE`](oh_core::deauth::ERASURE_DEADLINE).
    Overdue,
    /// Abandoned after too many attempts.
    DeadLetter,
    /// Done.
    Done,
    /// Older than the member's latest authorization.
    Stale,
}

impl EventList {
    const ALL: [Self; 7] = [
        Self::All,
        Self::Pending,
        Self::Quarantined,
        Self::Overdue,
        Self::DeadLetter,
        Self::Done,
        Self::Stale,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Pending => "pending",
            Self::Quarantined => "quarantined",
            Self::Overdue => "overdue",
            Self::DeadLetter => "dead_letter",
            Self::Done => "done",
            Self::Stale => "stale",
        }
    }

    /// The state of the events in the list; `None` for any state.
    fn state(self) -> Option<EventState> {
        match self {
            Self::All | Self::Overdue => None,
            Self::Pending => Some(EventState::Pending),
            Self::Quarantined => Some(EventState::Quarantined),
            Self::DeadLetter => Some(EventState::DeadLetter),
            Self::Done => Some(EventState::Done),
            Self::Stale => Some(EventState::Stale),
        }
    }

    fn message_id(self) -> String {
        format!("list-{}", self.as_str().replace('_', "-"))
    }
}

/// A page of events, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct EventsPage {
    /// The list.
    pub list: EventList,
    /// The events.
    pub events: Vec<EventEntry>,
    /// The value of `before` for the next page, which has older events.
    pub next: Option<String>,
    /// Whether this is the first page.
    #[serde(skip)]
    pub is_first: bool,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The list.
    #[serde(default)]
    #[param(inline)]
    list: EventList,
    /// The `next` of the previous page.
    #[param(pattern = "^[0-9]{1,15}-.+$")]
    before: Option<String>,
}

/// Lists events, newest first
#[utoipa::path(get, path = "/staff/events", params(EventsQuery), responses(
    (status = 200, description = "One page of the list", body = EventsPage),
))]
pub(crate) async fn list_events(
    State(app): State<App>,
    Query(query): Query<EventsQuery>,
) -> Result<Page, PageError> {
    let list = query.list;
    let after = match query.before.as_deref().map(parse_cursor) {
        Some(None) => return Err(PageError::for_status(StatusCode::BAD_REQUEST)),
        Some(cursor) => cursor,
        None => None,
    };
    let openhumans = app.openhumans();
    let now = openhumans.clock().now();
    let is_first = after.is_none();
    // One more than is shown, to learn whether there is another page.
    let query = EventQuery::first(PAGE_SIZE + 1)
        .state(list.state())
        .newest_first()
        .after(after);
    let mut records = match list {
        EventList::Overdue => openhumans.ledger().overdue(query).await?,
        _ => openhumans.inbox().events(&query).await?,
    };
    let has_more = records.len() > PAGE_SIZE;
    records.truncate(PAGE_SIZE);
    let last = records.last().filter(|_| has_more);
    let next = last.map(|last| format!("{}-{}", last.received_at.as_micros(), last.id));
    let records = records.into_iter();
    Ok(EventsPage {
        list,
        events: records.map(|record| EventEntry::new(record, now)).collect(),
        next,
        is_first,
    }
    .into())
}

/// Reads the position that `next` of a page states.
fn parse_cursor(text: &str) -> Option<(Timestamp, EventId)> {
    let (micros, id) = text.split_once('-')?;
    Some((
        Timestamp::from_micros(micros.parse().ok()?),
        EventId::new(id),
    ))
}

impl View for EventsPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("events"), Section::Staff, "/staff/events")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        let path = |list: EventList| cx.path(&format!("/staff/events?list={}", list.as_str()));
        let id = self.list.message_id();
        html! {
            h1 { (cx.text("events")) ": " (cx.text(&id)) }
            ul.tabs { @for list in EventList::ALL {
                li {
                    a href=(path(list)) aria-current=[(list == self.list).then_some("page")] {
                        (cx.text(&list.message_id()))
                    }
                }
            } }
            p.lead #explained { (cx.text(&format!("{id}-text"))) }
            @if self.list == EventList::Quarantined && !self.events.is_empty() {
                p { a.button.quiet #release-all href=(cx.path("/staff/release-all")) { (cx.text("release-all")) } }
            }
            section.card {
                @if self.events.is_empty() {
                    p.soft { (cx.text("events-empty")) }
                } @else {
                    (table::events(cx, &self.events))
                }
            }
            div.row {
                @if !self.is_first { a.button.quiet href=(path(self.list)) { (cx.text("newest")) } }
                @if let Some(next) = &self.next {
                    a.button.quiet #older rel="next" href=(format!("{}&before={}", path(self.list), table::encode(next))) {
                        (cx.text("older"))
                    }
                }
            }
        }
    }
}
