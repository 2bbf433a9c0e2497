//! Lists of events, the newest first, a page at a time.
//!
//! The next page begins after the last event of this one (by time received, then name), so that
//! every page is found as quickly as the first, and events that arrive meanwhile shift nothing.

use maud::{Markup, html};

use super::table;
use crate::Timestamp;
use crate::deauth::{EventId, EventQuery, EventRecord, EventState};
use crate::pages::texts::Text;
use crate::pages::view::Page;
use crate::pages::view::{EventsPage, Shelf, ShelfEvent};
use crate::routes::pages::context::Context;
use crate::routes::pages::reply::{self, Outcome};

/// Events on a page.
const PAGE: usize = 50;

impl Shelf {
    const ALL: [Self; 7] = [
        Self::All,
        Self::Pending,
        Self::Quarantined,
        Self::Overdue,
        Self::DeadLetter,
        Self::Done,
        Self::Stale,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Pending => "pending",
            Self::Overdue => "overdue",
            Self::DeadLetter => "dead_letter",
            Self::Done => "done",
            Self::Stale => "stale",
            Self::Quarantined => "quarantined",
        }
    }

    fn states(self) -> &'static [Option<EventState>] {
        match self {
            Self::All => &[None],
            Self::Pending => &[Some(EventState::Pending)],
            // Their state is not asked for: see `Ledger::overdue`.
            Self::Overdue => &[None],
            Self::DeadLetter => &[Some(EventState::DeadLetter)],
            Self::Done => &[Some(EventState::Done)],
            Self::Stale => &[Some(EventState::Stale)],
            Self::Quarantined => &[Some(EventState::Quarantined)],
        }
    }

    const fn words(self) -> (Text, Text) {
        match self {
            Self::All => (Text::All, Text::AllText),
            Self::Pending => (Text::Pending, Text::PendingText),
            Self::Overdue => (Text::Overdue, Text::OverdueText),
            Self::DeadLetter => (Text::DeadLetters, Text::DeadLettersText),
            Self::Done => (Text::Done, Text::DoneText),
            Self::Stale => (Text::Stale, Text::StaleText),
            Self::Quarantined => (Text::Held, Text::HeldText),
        }
    }
}

pub(super) async fn list(cx: &Context<'_>) -> Outcome {
    let wanted = cx.query("state").unwrap_or_default();
    let shelf = Shelf::ALL.into_iter().find(|shelf| shelf.name() == wanted);
    let shelf = shelf.unwrap_or(Shelf::All);
    let now = cx.now();
    let after = cx.query("before").and_then(|text| place(&text));
    let inbox = cx.inner().deauthorizer.inbox();
    let mut found: Vec<EventRecord> = Vec::new();
    for state in shelf.states() {
        let query = EventQuery {
            state: *state,
            newest_first: true,
            after: after.clone(),
            // One more than is shown tells whether there are more.
            limit: PAGE + 1,
            ..EventQuery::default()
        };
        found.extend(match shelf {
            Shelf::Overdue => cx.openhumans.ledger().overdue(query).await?,
            _ => inbox.events(&query).await?,
        });
    }
    found.sort_by(|a, b| (b.received_at, &b.id).cmp(&(a.received_at, &a.id)));
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| format!("{}-{}", last.received_at.as_micros(), last.id));
    let events = found.into_iter().map(|record| ShelfEvent::new(record, now));
    reply::page(Page::Events(EventsPage {
        shelf,
        events: events.collect(),
        next,
    }))
}

/// Where a page begins, as the link to it says.
fn place(text: &str) -> Option<(Timestamp, EventId)> {
    let (micros, id) = text.split_once('-')?;
    Some((
        Timestamp::from_micros(micros.parse().ok()?),
        EventId::new(id),
    ))
}

pub(in crate::routes::pages) fn html(cx: &Context<'_>, view: &EventsPage) -> Markup {
    let path = |shelf: Shelf| cx.path(&format!("/staff/events?state={}", shelf.name()));
    let (title, text) = view.shelf.words();
    let is_first = cx.query("before").is_none();
    html! {
        h1 { (cx.say(Text::Events)) ": " (cx.say(title)) }
        ul.tabs { @for shelf in Shelf::ALL {
            li { a href=(path(shelf)) aria-current=[(shelf == view.shelf).then_some("page")] { (cx.say(shelf.words().0)) } }
        } }
        p.lead #explained { (cx.say(text)) }
        @if view.shelf == Shelf::Quarantined && !view.events.is_empty() {
            p { a.button.quiet #release-all href=(cx.path("/staff/release-all")) { (cx.say(Text::ReleaseAll)) } }
        }
        section.card {
            @if view.events.is_empty() {
                p.soft { (cx.say(Text::NothingHere)) }
            } @else {
                (table::events(cx, &view.events))
            }
        }
        div.row {
            @if !is_first { a.button.quiet href=(path(view.shelf)) { (cx.say(Text::Newest)) } }
            @if let Some(next) = &view.next {
                a.button.quiet #older rel="next" href=(format!("{}&before={}", path(view.shelf), table::path_part(next))) {
                    (cx.say(Text::Older))
                }
            }
        }
    }
}
