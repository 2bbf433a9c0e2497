//! What stands around every page: the head, the app's name, the ways to the other pages.

use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::context::Context;
use crate::pages::texts::Text;

/// Whose page it is, which decides what the navigation offers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Nobody's in particular.
    Anyone,
    Member,
    Staff,
}

/// Where in a room.
pub(super) struct Place<'a> {
    pub(super) title: String,
    pub(super) room: Room,
    /// The path of the entry in the navigation that this is.
    pub(super) here: &'a str,
    /// What came of what was done last.
    pub(super) notice: Option<&'a str>,
}

pub(super) fn document(cx: &Context<'_>, place: &Place<'_>, content: &Markup) -> Markup {
    let pages = cx.pages;
    let asset = |name: &str| cx.path(&format!("/assets/{name}"));
    html! {
        (DOCTYPE)
        html lang=(cx.language_tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (place.title) " · " (pages.name) }
                link rel="stylesheet" href=(asset(assets::css()));
                @if let Some(theirs) = &pages.stylesheet { link rel="stylesheet" href=(theirs); }
                script defer src=(asset(assets::js())) {}
            }
            body {
                a.skip href="#content" { (cx.say(Text::SkipToContent)) }
                header.top { div.top-in {
                    a.brand href=(pages.home) {
                        @if let Some(logo) = &pages.logo { img src=(logo) alt=""; }
                        (pages.name)
                    }
                    (navigation(cx, place))
                } }
                main #content tabindex="-1" {
                    @if let Some(notice) = place.notice {
                        div.notice.good #notice role="status" { p { (notice) } }
                    }
                    (content)
                }
                footer.foot { a #home href=(pages.home) { (cx.say(Text::BackToApp)) } }
            }
        }
    }
}

fn navigation(cx: &Context<'_>, place: &Place<'_>) -> Markup {
    let entries: &[(&str, Text)] = match place.room {
        Room::Anyone => return html! {},
        Room::Member => &[("/", Text::YourConnection), ("/files", Text::YourFiles)],
        Room::Staff => &[
            ("/staff", Text::Desk),
            ("/staff/events", Text::Events),
            ("/staff/member", Text::FindMember),
            ("/staff/ledger.jsonl", Text::Export),
        ],
    };
    html! {
        nav.nav aria-label=(cx.say(Text::Navigation)) {
            ul { @for (path, text) in entries {
                li { a href=(cx.path(path)) aria-current=[(*path == place.here).then_some("page")] { (cx.say(*text)) } }
            } }
        }
    }
}

/// The way to the next page of a list, if there is more than one.
pub(super) fn pager(cx: &Context<'_>, page: usize, pages: usize) -> Markup {
    if pages < 2 {
        return html! {};
    }
    let (shown, all) = (page.to_string(), pages.to_string());
    let to = |page: usize| format!("{}?page={page}", cx.path("/files"));
    html! {
        div.row {
            @if page > 1 { a.button.quiet rel="prev" href=(to(page - 1)) { (cx.say(Text::PreviousPage)) } }
            span.soft { (cx.fill(Text::MoreFiles, &[("page", &shown), ("pages", &all)])) }
            @if page < pages { a.button.quiet rel="next" href=(to(page + 1)) { (cx.say(Text::NextPage)) } }
        }
    }
}
