//! What the desk's lists have in common: rows of events, and lines of the ledger.

use maud::{Markup, html};

use crate::deauth::{Discovery, ErasureRequest, EventState, LedgerLine, Step};
use crate::pages::texts::Text;
use crate::pages::view::ShelfEvent;
use crate::routes::pages::context::{Context, span};

/// A link to an event, by the beginning of its name.
pub(super) fn event_link(cx: &Context<'_>, id: &str) -> Markup {
    html! { a href=(cx.path(&format!("/staff/events/{}", path_part(id)))) { code { (short(id)) } } }
}

/// A link to a member's history, by the beginning of the pseudonym.
pub(super) fn member_link(cx: &Context<'_>, pseudonym: &str) -> Markup {
    let path = format!("/staff/member?who={}", path_part(pseudonym));
    html! { a href=(cx.path(&path)) { code { (short(pseudonym)) } } }
}

/// Names in an inbox are hexadecimal; whatever else stands there is made harmless.
pub(super) fn path_part(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

fn short(name: &str) -> &str {
    name.get(..8).unwrap_or(name)
}

pub(super) fn state(cx: &Context<'_>, event: &ShelfEvent) -> Markup {
    let text = match event.state {
        EventState::Pending => Text::Pending,
        EventState::Done => Text::Done,
        EventState::DeadLetter => Text::DeadLetter,
        EventState::Stale => Text::Stale,
        EventState::Quarantined => Text::Held,
    };
    html! {
        span.state.(event.state.as_str()) { (cx.say(text)) }
        @if event.overdue { " " span.state.overdue { (cx.say(Text::Overdue)) } }
    }
}

pub(super) fn wish(cx: &Context<'_>, erasure: ErasureRequest) -> String {
    cx.say(match erasure {
        ErasureRequest::Requested => Text::WishRequested,
        ErasureRequest::NotRequested => Text::WishNotRequested,
        ErasureRequest::Unknown => Text::WishUnknown,
    })
}

pub(super) fn known_by(cx: &Context<'_>, discovery: Discovery) -> String {
    cx.say(match discovery {
        Discovery::Webhook => Text::KnownTold,
        Discovery::Reconciliation => Text::KnownFound,
        Discovery::TokenLoss => Text::KnownLost,
        Discovery::Disconnected => Text::KnownDisconnected,
    })
}

fn step(cx: &Context<'_>, step: Step) -> String {
    cx.say(match step {
        Step::Received => Text::StepReceived,
        Step::TokensDestroyed => Text::StepTokensDestroyed,
        Step::Tried => Text::StepTried,
        Step::Failed => Text::StepFailed,
        Step::Done => Text::StepDone,
        Step::DeadLettered => Text::StepDeadLettered,
        Step::Requeued => Text::StepRequeued,
        Step::Stale => Text::StepStale,
        Step::Quarantined => Text::StepHeld,
        Step::Released => Text::StepReleased,
    })
}

/// How long an event took, or has waited.
pub(super) fn took(cx: &Context<'_>, event: &ShelfEvent) -> String {
    match event.settled_at {
        Some(at) => span(at.since(event.received_at)),
        None => {
            let ago = span(cx.now().since(event.received_at));
            cx.fill(Text::Waits, &[("ago", &ago)])
        }
    }
}

pub(super) fn events(cx: &Context<'_>, events: &[ShelfEvent]) -> Markup {
    let columns = [
        Text::Event,
        Text::Received,
        Text::State,
        Text::Wish,
        Text::KnownBy,
        Text::MemberPseudonym,
        Text::Tries,
        Text::Took,
    ];
    let label = |column: usize| cx.say(columns[column]);
    html! {
        table.stack #events {
            thead { tr { @for column in columns { th scope="col" { (cx.say(column)) } } } }
            tbody { @for event in events {
                tr data-event=(event.id) {
                    th scope="row" { (event_link(cx, event.id.as_str())) }
                    td data-label=(label(1)) { (cx.time(event.received_at)) }
                    td data-label=(label(2)) { (state(cx, event)) }
                    td data-label=(label(3)) { (wish(cx, event.erasure)) }
                    td data-label=(label(4)) { (known_by(cx, event.discovery)) }
                    td data-label=(label(5)) { (member_link(cx, event.pseudonym.as_str())) }
                    td data-label=(label(6)) { (event.attempts) }
                    td data-label=(label(7)) { (took(cx, event)) }
                }
            } }
        }
    }
}

/// Lines of the ledger. With `with_event` each says which event it belongs to.
pub(super) fn lines(cx: &Context<'_>, lines: &[LedgerLine], with_event: bool) -> Markup {
    html! {
        table.stack #lines {
            thead { tr {
                th scope="col" { (cx.say(Text::When)) }
                @if with_event { th scope="col" { (cx.say(Text::Event)) } }
                th scope="col" { (cx.say(Text::Step)) }
                th scope="col" { (cx.say(Text::Try)) }
                th scope="col" { (cx.say(Text::Why)) }
            } }
            tbody { @for line in lines { tr {
                td { time datetime=(line.at) { (line.at.to_string().get(..19).unwrap_or_default().replace('T', " ")) " UTC" } }
                @if with_event { td data-label=(cx.say(Text::Event)) { (event_link(cx, line.event.as_str())) } }
                td data-label=(cx.say(Text::Step)) { (step(cx, line.step)) }
                td data-label=(cx.say(Text::Try)) { @if line.attempt > 0 { (line.attempt) } }
                td data-label=(cx.say(Text::Why)) { (line.note.as_deref().unwrap_or_default()) }
            } } }
        }
    }
}
