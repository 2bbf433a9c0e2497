//! The history of one member, found by id or by pseudonym, even after the id was deleted.

use axum::extract::{Query, State};
use maud::{Markup, html};
use oh_core::ProjectMemberId;
use oh_core::deauth::{EventQuery, LedgerQuery, Pseudonym};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::event::{MAX_LINES, newest_lines};
use super::table::{self, EventEntry, LedgerEntry};
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::layout::View;
use crate::layout::{Frame, Section};
use crate::pages::Page;

/// Events that are shown.
const MAX_EVENTS: usize = 100;

/// The history of one member.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[non_exhaustive]
pub struct MemberPage {
    /// The pseudonym; `None` before a search.
    #[schema(value_type = Option<String>)]
    pub pseudonym: Option<Pseudonym>,
    /// The member's latest 100 events, newest first.
    pub events: Vec<EventEntry>,
    /// The latest 1,000 lines of the ledger, oldest first.
    pub lines: Vec<LedgerEntry>,
    /// Whether there are older lines.
    pub truncated: bool,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MemberQuery {
    /// A project member id or a pseudonym.
    #[serde(default)]
    who: String,
}

/// Shows the events and the history of one member
#[utoipa::path(get, path = "/staff/member", params(MemberQuery), responses(
    (status = 200, description = "The history", body = MemberPage),
))]
pub(crate) async fn find_member(
    State(app): State<App>,
    Query(query): Query<MemberQuery>,
) -> Result<Page, PageError> {
    let openhumans = app.openhumans();
    let ledger = openhumans.ledger();
    let pseudonym = |id: &ProjectMemberId| ledger.pseudonym(id);
    let Some(pseudonym) = parse_member(&query.who, pseudonym) else {
        return Ok(MemberPage::default().into());
    };
    let inbox = &**openhumans.inbox();
    let events = EventQuery::first(MAX_EVENTS)
        .pseudonym(pseudonym.clone())
        .newest_first();
    let lines = LedgerQuery::default().member(pseudonym.clone());
    let (events, (lines, truncated)) =
        tokio::try_join!(inbox.events(&events), newest_lines(inbox, lines))?;
    let now = openhumans.clock().now();
    let events = events.into_iter();
    Ok(MemberPage {
        pseudonym: Some(pseudonym),
        events: events.map(|record| EventEntry::new(record, now)).collect(),
        lines,
        truncated,
    }
    .into())
}

/// Reads an id or a pseudonym. Ids are shorter than pseudonyms, which have 32 hexadecimal digits.
fn parse_member(
    text: &str,
    pseudonym: impl FnOnce(&ProjectMemberId) -> Pseudonym,
) -> Option<Pseudonym> {
    let text = text.trim();
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(Pseudonym::new(text.to_ascii_lowercase()));
    }
    text.parse().ok().map(|id| pseudonym(&id))
}

impl View for MemberPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("member-search"), Section::Staff, "/staff/member")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        html! {
            h1 { (cx.text("member-search")) }
            section.card {
                form method="get" action=(cx.path("/staff/member")) role="search" {
                    div.field {
                        label for="who" { (cx.text("member-search-label")) }
                        // The search text is not shown again: it may be a member's id.
                        input #who type="search" name="who" required autocomplete="off" aria-describedby="who-hint";
                        p.hint #who-hint { (cx.text("member-search-hint")) }
                    }
                    button { (cx.text("search")) }
                }
            }
            @if let Some(pseudonym) = &self.pseudonym {
                section.card {
                    h2 { (cx.text("pseudonym")) }
                    p { code #pseudonym { (pseudonym) } }
                    @if self.lines.is_empty() { p.soft { (cx.text("member-not-found")) } }
                }
                @if !self.events.is_empty() {
                    section.card { h2 { (cx.text("events")) } (table::events(cx, &self.events)) }
                }
                @if !self.lines.is_empty() {
                    section.card {
                        h2 { (cx.text("history")) }
                        (table::lines(cx, &self.lines, true))
                        @if self.truncated { p.soft { (cx.text_with("history-truncated", &[("count", &MAX_LINES.to_string())])) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_member_distinguishes_ids_and_pseudonyms() {
        let parse = |text: &str| parse_member(text, |id| Pseudonym::new(format!("of {id}")));
        assert_eq!(parse(" 01026778 "), Some(Pseudonym::new("of 01026778")));
        let pseudonym = "0123456789ABCDEF0123456789abcdef";
        assert_eq!(
            parse(pseudonym),
            Some(Pseudonym::new(pseudonym.to_lowercase()))
        );
        assert_eq!(parse(""), None);
        assert_eq!(parse("<script>"), None);
    }
}
