//! The frame of every page: head, name of the application, navigation.

use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::context::Context;

/// The part of the pages that a page belongs to. It selects the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Public,
    Member,
    Staff,
}

/// The title of a page and its position in the navigation.
pub(crate) struct Frame {
    title: String,
    section: Section,
    /// The route of the page, if the navigation lists it.
    current_path: &'static str,
}

impl Frame {
    pub(crate) fn new(title: String, section: Section, current_path: &'static str) -> Self {
        Self {
            title,
            section,
            current_path,
        }
    }
}

/// The HTML of a page.
pub(crate) trait View {
    fn frame(&self, cx: &Context<'_>) -> Frame;
    fn html(&self, cx: &Context<'_>) -> Markup;
}

pub(crate) fn document(
    cx: &Context<'_>,
    frame: &Frame,
    notice: Option<&str>,
    content: &Markup,
) -> Markup {
    let appearance = cx.appearance;
    let asset = |name: &str| cx.path(&format!("/assets/{name}"));
    html! {
        (DOCTYPE)
        html lang=(cx.language.tag) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (frame.title) " · " (appearance.name) }
                link rel="icon" href=(asset(assets::icon())) type="image/svg+xml";
                link rel="stylesheet" href=(asset(assets::css()));
                @if let Some(own) = &appearance.stylesheet { link rel="stylesheet" href=(own); }
                script defer src=(asset(assets::js())) {}
            }
            body {
                a.skip href="#content" { (cx.text("skip-to-content")) }
                header.top { div.top-in {
                    a.brand href=(appearance.home) {
                        // The stylesheet sets the width; the attributes reserve the space.
                        @if let Some(logo) = &appearance.logo { img src=(logo) alt="" width="32" height="32"; }
                        (appearance.name)
                    }
                    (navigation(cx, frame))
                } }
                main #content tabindex="-1" {
                    @if let Some(notice) = notice {
                        div.notice.good #notice role="status" { p { (notice) } }
                    }
                    (content)
                }
                footer.foot { a #home href=(appearance.home) { (cx.text("back-to-app")) } }
            }
        }
    }
}

fn navigation(cx: &Context<'_>, frame: &Frame) -> Markup {
    let entries: &[(&str, &str)] = match frame.section {
        Section::Public => return html! {},
        Section::Member => &[("/", "home-title"), ("/files", "files-title")],
        Section::Staff => &[
            ("/staff", "dashboard-title"),
            ("/staff/events", "events"),
            ("/staff/member", "member-search"),
            ("/staff/ledger.jsonl", "ledger-export"),
        ],
    };
    html! {
        nav.nav aria-label=(cx.text("navigation")) {
            ul { @for (path, text) in entries {
                li {
                    a href=(cx.path(path)) aria-current=[(*path == frame.current_path).then_some("page")] {
                        (cx.text(text))
                    }
                }
            } }
        }
    }
}

/// A form that asks for confirmation of a destructive action.
pub(crate) fn confirmation(
    cx: &Context<'_>,
    title: &str,
    texts: &[String],
    action: &str,
    (button, cancel): (&str, &str),
) -> Markup {
    html! {
        div.narrow {
            h1 { (title) }
            section.card {
                @for text in texts { p { (text) } }
                form method="post" action=(cx.path(action)) {
                    div.row {
                        button.danger #confirm { (cx.text(button)) }
                        a.button.quiet href=(cx.path(cancel)) { (cx.text("cancel")) }
                    }
                }
            }
        }
    }
}
