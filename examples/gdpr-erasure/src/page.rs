//! The application's pages.

use maud::{DOCTYPE, Markup, html};
use oh_core::{Member, OpenHumans};

/// The `Content-Security-Policy` of the application's pages.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The part of the first page for staff members.
pub(crate) struct StaffSection {
    /// Whether erasures fail on purpose, or `None` if that cannot be set.
    pub(crate) failing: Option<bool>,
    /// The number of entries and of members in the diary table.
    pub(crate) diary: (i64, i64),
}

/// Renders the first page: a login link, or the member's diary.
pub(crate) fn home(
    openhumans: &OpenHumans,
    member: Option<(&Member, Vec<String>, Option<StaffSection>)>,
) -> Markup {
    let Some((member, entries, staff_section)) = member else {
        return page(&html! {
            p { "A diary for Open Humans members." }
            p { a #login href="/openhumans/login?next=/" { "Log in with Open Humans" } }
        });
    };
    let leave = format!(
        "{}member/me/connections/",
        openhumans.settings().oh_base_url()
    );
    page(&html! {
        p { "The diary of " strong { (member.username().unwrap_or("a member")) } }
        ul #diary { @for entry in &entries { li { (entry) } } }
        form method="post" action="/diary" {
            input name="entry" required maxlength="500" aria-label="New entry";
            button { "Add" }
        }
        p {
            "To erase your diary, " a #disconnect href="/openhumans/disconnect" { "disconnect" }
            ", or " a #leave href=(leave) { "leave at Open Humans" } " and request erasure there."
        }
        @if let Some(staff_section) = &staff_section { (render_staff_section(staff_section)) }
        form method="post" action="/openhumans/logout" { button #logout { "Log out" } }
    })
}

fn render_staff_section(section: &StaffSection) -> Markup {
    let (entries, members) = section.diary;
    html! {
        h2 { "Staff" }
        p { b { (entries) } " entries of " b { (members) } " members. "
            a #dashboard href="/openhumans/staff" { "Erasure dashboard" } }
        @if let Some(failing) = section.failing {
            form method="post" action="/failing" {
                @if failing {
                    "Erasures fail on purpose. "
                    button #repair name="failing" value="false" { "Let erasures succeed" }
                } @else {
                    button #break name="failing" value="true" { "Make erasures fail" }
                }
            }
        }
    }
}

/// Renders an error.
pub(crate) fn error(text: &str) -> Markup {
    page(&html! { p #error role="alert" { (text) } })
}

fn page(content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Diary" }
                style { "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}td,th{padding:0 .6rem;text-align:left}" }
            }
            body {
                h1 { "Diary" }
                (content)
            }
        }
    }
}
