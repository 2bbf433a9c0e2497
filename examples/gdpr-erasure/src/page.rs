//! The app's pages.

use maud::{DOCTYPE, Markup, html};
use oh_core::{Member, OpenHumans};

/// What the app's pages may load, and who may frame them: nobody.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the staff sees on the first page.
pub(crate) struct ForStaff {
    /// Whether erasing fails on purpose, where it can be made to.
    pub(crate) failing: Option<bool>,
    /// Entries and members in the app's own table.
    pub(crate) diary: (i64, i64),
}

/// The first page: a way in, or the member's diary.
pub(crate) fn home(
    openhumans: &OpenHumans,
    member: Option<(&Member, Vec<String>, Option<ForStaff>)>,
) -> Markup {
    let Some((member, entries, for_staff)) = member else {
        return page(&html! {
            p { "A diary for members of Open Humans." }
            p { a #login href="/openhumans/login?next=/" { "Log in with Open Humans" } }
        });
    };
    let leave = format!(
        "{}member/me/connections/",
        openhumans.settings().oh_base_url()
    );
    page(&html! {
        p { "Your diary, " strong { (member.username().unwrap_or("member")) } ":" }
        ul #diary { @for entry in &entries { li { (entry) } } }
        form method="post" action="/diary" {
            input name="entry" required maxlength="500" aria-label="A new entry";
            button { "Write" }
        }
        p {
            "To have all this erased, " a #disconnect href="/openhumans/disconnect" { "disconnect" }
            ", or " a #leave href=(leave) { "leave at Open Humans" } " and ask for erasure there."
        }
        @if let Some(for_staff) = &for_staff { (staff(for_staff)) }
        form method="post" action="/openhumans/logout" { button #logout { "Log out" } }
    })
}

fn staff(shown: &ForStaff) -> Markup {
    let (entries, members) = shown.diary;
    html! {
        h2 { "For the staff" }
        p { "The diary has " b { (entries) } " entries of " b { (members) } " members. "
            a #desk href="/openhumans/staff" { "The erasure desk" } }
        @if let Some(failing) = shown.failing {
            form method="post" action="/failing" {
                @if failing {
                    "Erasing fails on purpose. "
                    button #repair name="failing" value="false" { "Let it work" }
                } @else {
                    button #break name="failing" value="true" { "Make erasing fail" }
                }
            }
        }
    }
}

/// Something did not work.
pub(crate) fn problem(text: &str) -> Markup {
    page(&html! { p #problem role="alert" { (text) } })
}

fn page(content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "A diary" }
                style { "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}td,th{padding:0 .6rem;text-align:left}" }
            }
            body {
                h1 { "A diary" }
                (content)
            }
        }
    }
}
