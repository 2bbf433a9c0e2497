//! What happened to one member, by id or by pseudonym; also long after the id is gone from here.

use maud::{Markup, html};

use super::event::{LINES, newest_lines};
use super::table;
use crate::ProjectMemberId;
use crate::deauth::{EventQuery, LedgerQuery, Pseudonym};
use crate::pages::texts::Text;
use crate::pages::view::Page;
use crate::pages::view::{MemberPage, ShelfEvent};
use crate::routes::pages::context::Context;
use crate::routes::pages::reply::{self, Outcome};

/// Events that are shown.
const EVENTS: usize = 100;

pub(super) async fn find(cx: &Context<'_>) -> Outcome {
    let deauthorizer = &cx.inner().deauthorizer;
    let who = cx.query("who").unwrap_or_default();
    let Some(pseudonym) = named(&who, |id| deauthorizer.names().pseudonym(id)) else {
        return reply::page(Page::Member(MemberPage::default()));
    };
    let inbox = &**deauthorizer.inbox();
    let of_member = EventQuery {
        pseudonym: Some(pseudonym.clone()),
        newest_first: true,
        limit: EVENTS,
        ..EventQuery::default()
    };
    let lines = LedgerQuery {
        member: Some(pseudonym.clone()),
        ..LedgerQuery::default()
    };
    let (events, (lines, shortened)) =
        tokio::try_join!(inbox.events(&of_member), newest_lines(inbox, lines))?;
    let events = events.into_iter();
    reply::page(Page::Member(MemberPage {
        pseudonym: Some(pseudonym),
        events: events
            .map(|record| ShelfEvent::new(record, cx.now()))
            .collect(),
        lines,
        shortened,
    }))
}

/// Ids are shorter than pseudonyms, which are 32 hexadecimal digits.
fn named(who: &str, pseudonym: impl FnOnce(&ProjectMemberId) -> Pseudonym) -> Option<Pseudonym> {
    let who = who.trim();
    if who.len() == 32 && who.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(Pseudonym::new(who.to_ascii_lowercase()));
    }
    who.parse().ok().map(|id| pseudonym(&id))
}

pub(in crate::routes::pages) fn html(cx: &Context<'_>, view: &MemberPage) -> Markup {
    html! {
        h1 { (cx.say(Text::FindMember)) }
        section.card {
            form method="get" action=(cx.path("/staff/member")) role="search" {
                div.field {
                    label for="who" { (cx.say(Text::MemberIdOrPseudonym)) }
                    // What was typed is not put back: it may be a member's id.
                    input #who type="search" name="who" required autocomplete="off" aria-describedby="who-hint";
                    p.hint #who-hint { (cx.say(Text::FindMemberText)) }
                }
                button { (cx.say(Text::Find)) }
            }
        }
        @if let Some(pseudonym) = &view.pseudonym {
            section.card {
                h2 { (cx.say(Text::MemberPseudonym)) }
                p { code #pseudonym { (pseudonym) } }
                @if view.lines.is_empty() { p.soft { (cx.say(Text::NobodyFound)) } }
            }
            @if !view.events.is_empty() {
                section.card { h2 { (cx.say(Text::Events)) } (table::events(cx, &view.events)) }
            }
            @if !view.lines.is_empty() {
                section.card {
                    h2 { (cx.say(Text::History)) }
                    (table::lines(cx, &view.lines, true))
                    @if view.shortened { p.soft { (cx.fill(Text::ShortenedText, &[("count", &LINES.to_string())])) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_pseudonyms_are_told_apart() {
        let of = |who: &str| named(who, |id| Pseudonym::new(format!("of {id}")));
        assert_eq!(of(" 01026778 "), Some(Pseudonym::new("of 01026778")));
        let pseudonym = "0123456789ABCDEF0123456789abcdef";
        assert_eq!(
            of(pseudonym),
            Some(Pseudonym::new(pseudonym.to_lowercase()))
        );
        assert_eq!(of(""), None);
        assert_eq!(of("<script>"), None);
    }
}
