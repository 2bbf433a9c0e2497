//! Tables of events and of lines of the ledger.

use maud::{Markup, html};
use oh_core::deauth::{Discovery, ErasureRequest};

use super::event::LedgerEntry;
use super::events::EventEntry;
use crate::context::{Context, duration};

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
