//! Tables of events and of lines of the ledger.

use maud::{Markup, html};
use oh_core::Timestamp;
use oh_core::deauth::{
    Discovery, ErasureRequest, EventId, EventRecord, EventState, LedgerLine, Pseudonym, Step,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::{Context, duration};

/// An event in a list, without the member's id.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct EventEntry {
    /// The id.
    #[schema(value_type = String)]
    pub id: EventId,
    /// The pseudonym of the member.
    #[schema(value_type = String)]
    pub pseudonym: Pseudonym,
    /// Whether the member requested erasure.
    #[schema(value_type = String)]
    pub erasure: ErasureRequest,
    /// How the departure was discovered.
    #[schema(value_type = String)]
    pub discovery: Discovery,
    /// When the member left.
    #[schema(value_type = String, format = DateTime)]
    pub left_at: Timestamp,
    /// When the event was received.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// The state.
    #[schema(value_type = String)]
    pub state: EventState,
    /// Whether the event should be done by now.
    pub overdue: bool,
    /// How often the handler was called.
    pub attempts: u32,
    /// When the next attempt may start.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// When the event was done, abandoned or found stale.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled_at: Option<Timestamp>,
    /// Whether the event can be requeued.
    pub can_requeue: bool,
    /// Whether the event is quarantined and can be released.
    pub can_release: bool,
}

impl EventEntry {
    pub(super) fn new(record: EventRecord, now: Timestamp) -> Self {
        let is_settled = matches!(record.state, EventState::DeadLetter | EventState::Stale);
        Self {
            overdue: record.is_overdue(now),
            can_release: record.state == EventState::Quarantined && record.member.is_some(),
            can_requeue: is_settled && record.member.is_some(),
            id: record.id,
            pseudonym: record.pseudonym,
            erasure: record.erasure,
            discovery: record.discovery,
            left_at: record.left_at,
            received_at: record.received_at,
            state: record.state,
            attempts: record.attempts,
            due_at: record.due_at,
            settled_at: record.settled_at,
        }
    }
}

/// A line of the ledger.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// The event.
    #[schema(value_type = String)]
    pub event: EventId,
    /// The pseudonym of the member.
    pub pseudonym: String,
    /// What happened.
    #[schema(value_type = String)]
    pub step: Step,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The number of the attempt, from 1; 0 if the step belongs to no attempt.
    pub attempt: u32,
    /// A remark, such as the error of an attempt.
    pub note: Option<String>,
}

impl From<LedgerLine> for LedgerEntry {
    fn from(line: LedgerLine) -> Self {
        Self {
            event: line.event,
            pseudonym: line.member.to_string(),
            step: line.step,
            at: line.at,
            attempt: line.attempt,
            note: line.note,
        }
    }
}

/// The route of an event.
pub(super) fn event_path(id: &str) -> String {
    format!("/staff/events/{}", encode(id))
}

/// A link to an event, labelled with the start of its id.
pub(super) fn event_link(cx: &Context<'_>, id: &str) -> Markup {
    html! { a href=(cx.path(&event_path(id))) { code { (short(id)) } } }
}

/// A link to the history of a member, labelled with the start of the pseudonym.
pub(super) fn member_link(cx: &Context<'_>, pseudonym: &str) -> Markup {
    let path = format!("/staff/member?who={}", encode(pseudonym));
    html! { a href=(cx.path(&path)) { code { (short(pseudonym)) } } }
}

/// Encodes a value for a URL. Ids are hexadecimal, but an inbox may store others.
pub(super) fn encode(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// The message for one value of an enumeration.
fn value_text(cx: &Context<'_>, kind: &str, value: &str) -> String {
    cx.text(&format!("{kind}-{}", value.replace('_', "-")))
}

pub(super) fn state(cx: &Context<'_>, event: &EventEntry) -> Markup {
    let state = event.state.as_str();
    html! {
        span.state.(state) { (value_text(cx, "state", state)) }
        @if event.overdue { " " span.state.overdue { (cx.text("list-overdue")) } }
    }
}

pub(super) fn erasure(cx: &Context<'_>, erasure: ErasureRequest) -> String {
    value_text(cx, "erasure", erasure.as_str())
}

pub(super) fn discovery(cx: &Context<'_>, discovery: Discovery) -> String {
    value_text(cx, "discovery", discovery.as_str())
}

/// How long an event took, or has waited.
pub(super) fn duration_of(cx: &Context<'_>, event: &EventEntry) -> String {
    match event.settled_at {
        Some(at) => duration(at.since(event.received_at)),
        None => cx.text_with("waiting-for", &[("ago", &cx.ago(event.received_at))]),
    }
}

pub(super) fn events(cx: &Context<'_>, events: &[EventEntry]) -> Markup {
    let columns = [
        "event",
        "received",
        "state",
        "erasure",
        "discovery",
        "pseudonym",
        "attempts",
        "duration",
    ];
    let label = |column: usize| cx.text(columns[column]);
    html! {
        table.stack #events {
            thead { tr { @for column in columns { th scope="col" { (cx.text(column)) } } } }
            tbody { @for event in events {
                tr data-event=(event.id) {
                    th scope="row" { (event_link(cx, event.id.as_str())) }
                    td data-label=(label(1)) { (cx.time(event.received_at)) }
                    td data-label=(label(2)) { (state(cx, event)) }
                    td data-label=(label(3)) { (erasure(cx, event.erasure)) }
                    td data-label=(label(4)) { (discovery(cx, event.discovery)) }
                    td data-label=(label(5)) { (member_link(cx, event.pseudonym.as_str())) }
                    td data-label=(label(6)) { (event.attempts) }
                    td data-label=(label(7)) { (duration_of(cx, event)) }
                }
            } }
        }
    }
}

/// Lines of the ledger, with a column for the event if `with_event`.
pub(super) fn lines(cx: &Context<'_>, lines: &[LedgerEntry], with_event: bool) -> Markup {
    html! {
        table.stack #lines {
            thead { tr {
                th scope="col" { (cx.text("time")) }
                @if with_event { th scope="col" { (cx.text("event")) } }
                th scope="col" { (cx.text("step")) }
                th scope="col" { (cx.text("attempt")) }
                th scope="col" { (cx.text("note")) }
            } }
            tbody { @for line in lines { tr {
                td { time datetime=(line.at) { (line.at.to_string().get(..19).unwrap_or_default().replace('T', " ")) " UTC" } }
                @if with_event { td data-label=(cx.text("event")) { (event_link(cx, line.event.as_str())) } }
                td data-label=(cx.text("step")) { (value_text(cx, "step", line.step.as_str())) }
                td data-label=(cx.text("attempt")) { @if line.attempt > 0 { (line.attempt) } }
                td data-label=(cx.text("note")) { (line.note.as_deref().unwrap_or_default()) }
            } } }
        }
    }
}
