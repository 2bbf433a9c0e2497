//! One event: where it stands, what happened to it, and what can be done.

use http::StatusCode;
use maud::{Markup, html};

use super::table;
use crate::deauth::{
    DeauthInbox, EventId, EventQuery, EventRecord, EventState, InboxError, LedgerLine, LedgerQuery,
};
use crate::pages::texts::Text;
use crate::pages::view::{DonePage, Page};
use crate::pages::view::{EventPage, ShelfEvent};
use crate::routes::pages::context::Context;
use crate::routes::pages::problem::Problem;
use crate::routes::pages::reply::{self, Outcome, Reply};

/// Lines of the ledger that are shown.
pub(super) const LINES: usize = 1_000;

/// Events of one member that are read to find one of them.
const OF_MEMBER: usize = 500;

pub(super) async fn show(cx: &Context<'_>, id: &str) -> Outcome {
    let inbox = &**cx.inner().deauthorizer.inbox();
    let query = LedgerQuery {
        event: Some(EventId::new(id)),
        ..LedgerQuery::default()
    };
    let (lines, shortened) = newest_lines(inbox, query).await?;
    let Some(line) = lines.first() else {
        return Err(Problem::not_found());
    };
    let Some(record) = find(inbox, line).await? else {
        return Err(Problem::not_found());
    };
    reply::page(Page::Event(EventPage {
        event: ShelfEvent::new(record, cx.now()),
        lines,
        shortened,
    }))
}

/// The newest lines of a query, in the order they were written, and whether there are older ones.
pub(super) async fn newest_lines(
    inbox: &dyn DeauthInbox,
    query: LedgerQuery,
) -> Result<(Vec<LedgerLine>, bool), InboxError> {
    let mut query = query.newest_first();
    query.limit = LINES + 1;
    let mut lines = inbox.ledger(&query).await?;
    let shortened = lines.len() > LINES;
    lines.truncate(LINES);
    lines.reverse();
    Ok((lines, shortened))
}

/// The event that a line belongs to: one of its member's.
async fn find(
    inbox: &dyn DeauthInbox,
    line: &LedgerLine,
) -> Result<Option<EventRecord>, InboxError> {
    let mut query = EventQuery {
        pseudonym: Some(line.member.clone()),
        limit: OF_MEMBER,
        ..EventQuery::default()
    };
    loop {
        let page = inbox.events(&query).await?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        query.after = Some((last.received_at, last.id.clone()));
        if let Some(found) = page.into_iter().find(|record| record.id == line.event) {
            return Ok(Some(found));
        }
    }
}

pub(super) async fn requeue(cx: &Context<'_>, id: &str) -> Outcome {
    let event = EventId::new(id);
    if !cx.inner().deauthorizer.requeue(&event).await? {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "not_requeued",
            Text::RequeueGone,
        ));
    }
    tracing::info!(%event, "an event was put back into the queue at the desk");
    let done = DonePage {
        done: "requeued",
        ..DonePage::default()
    };
    let to = format!("/staff/events/{}", table::path_part(id));
    Ok(Reply::done(&to, done))
}

pub(in crate::routes::pages) fn html(cx: &Context<'_>, view: &EventPage) -> Markup {
    let event = &view.event;
    html! {
        h1 { (cx.say(Text::Event)) " " code { (event.id.as_str().get(..8).unwrap_or_default()) } }
        (what_to_do(cx, event))
        section.card {
            dl.facts {
                dt { (cx.say(Text::State)) } dd #state { (table::state(cx, event)) }
                dt { (cx.say(Text::Wish)) } dd { (table::wish(cx, event.erasure)) }
                dt { (cx.say(Text::KnownBy)) } dd { (table::known_by(cx, event.discovery)) }
                dt { (cx.say(Text::Left)) } dd { (cx.time(event.left_at)) }
                dt { (cx.say(Text::Received)) } dd { (cx.time(event.received_at)) }
                @match event.settled_at {
                    Some(at) => { dt { (cx.say(Text::Settled)) } dd { (cx.time(at)) } }
                    None => { dt { (cx.say(Text::Due)) } dd { (cx.time(event.due_at)) } }
                }
                dt { (cx.say(Text::Took)) } dd { (table::took(cx, event)) }
                dt { (cx.say(Text::Tries)) } dd { (event.attempts) }
                dt { (cx.say(Text::MemberPseudonym)) } dd { (table::member_link(cx, event.pseudonym.as_str())) }
                dt { (cx.say(Text::Event)) } dd { code { (event.id) } }
            }
        }
        section.card {
            h2 { (cx.say(Text::History)) }
            (table::lines(cx, &view.lines, false))
            @if view.shortened { p.soft { (cx.fill(Text::ShortenedText, &[("count", &LINES.to_string())])) } }
        }
    }
}

/// Why it stands where it stands, and what to do about it.
fn what_to_do(cx: &Context<'_>, event: &ShelfEvent) -> Markup {
    let text = match event.state {
        EventState::DeadLetter => Text::DeadLettersText,
        EventState::Stale => Text::StaleText,
        EventState::Quarantined => Text::HeldText,
        _ if event.overdue => Text::OverdueText,
        EventState::Pending => Text::PendingText,
        EventState::Done => Text::DoneText,
    };
    let class = match event.state {
        EventState::DeadLetter => "notice bad",
        _ if event.overdue => "notice bad",
        EventState::Stale | EventState::Quarantined => "notice warn",
        _ => return html! { p.lead #explained { (cx.say(text)) } },
    };
    let action = format!(
        "/staff/events/{}/requeue",
        table::path_part(event.id.as_str())
    );
    let settled = matches!(event.state, EventState::DeadLetter | EventState::Stale);
    html! {
        section class=(class) #explained {
            p { (cx.say(text)) }
            @if event.can_release {
                (super::held::button(cx, event.id.as_str()))
            } @else if event.can_requeue {
                @if event.state == EventState::Stale { p { (cx.say(Text::StaleRequeueText)) } }
                form method="post" action=(cx.path(&action)) { button #requeue { (cx.say(Text::Requeue)) } }
            } @else if settled {
                p { (cx.say(Text::RequeueGone)) }
            }
        }
    }
}
