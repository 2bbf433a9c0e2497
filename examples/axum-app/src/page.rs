//! The app's pages.

use maud::{DOCTYPE, Markup, html};
use oh_core::api::DataFile;
use oh_core::deauth::{EventRecord, InboxStats};
use oh_core::{Member, OpenHumans};

use crate::users::User;

/// The first page: a way in, or who you are and the ways out.
pub(crate) fn home(openhumans: &OpenHumans, member: Option<(&Member, User)>) -> Markup {
    let Some((member, user)) = member else {
        return page(&html! {
            p { "This app shows you your files at Open Humans." }
            p { a #login href="/openhumans/login?next=/" { "Log in with Open Humans" } }
        });
    };
    let leave = format!(
        "{}member/me/connections/",
        openhumans.settings().oh_base_url()
    );
    page(&html! {
        p {
            "You are " strong #whoami { (member.username().unwrap_or("a member")) }
            ", known to this app as " code #member-id { (member.id()) } ". "
            "You have logged in " span #logins { (user.logins) } " times."
        }
        p { a #files-link href="/files" { "Your files" } }
        form method="post" action="/openhumans/logout" {
            button #logout { "Log out" }
        }
        p { "To leave this project altogether, " a #leave href=(leave) { "go to Open Humans" } "." }
    })
}

/// A member's files, as Open Humans lists them.
pub(crate) fn files(files: &[DataFile]) -> Markup {
    page(&html! {
        h2 { "Your files" }
        ul #files {
            @for file in files {
                li { (file.basename) ": " (file.description()) }
            }
        }
        @if files.is_empty() { p #no-files { "There are none yet." } }
    })
}

/// What became of those who left. It names nobody: after erasure only pseudonyms are left.
pub(crate) fn ledger(stats: &InboxStats, events: &[EventRecord]) -> Markup {
    page(&html! {
        h2 { "Members who left" }
        p {
            span #pending { (stats.pending) } " pending, " span #done { (stats.done) } " done, "
            span #dead-letters { (stats.dead_letters) } " dead letters"
        }
        table #ledger {
            tr { th { "Member" } th { "Left" } th { "Erasure" } th { "State" } }
            @for event in events {
                tr {
                    td { (event.pseudonym) } td { (event.left_at) }
                    td { (event.erasure) } td .state { (event.state) }
                }
            }
        }
    })
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
                title { "An app with Open Humans" }
                style { "body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem}" }
            }
            body {
                h1 { "An app with Open Humans" }
                (content)
                nav { a href="/" { "Home" } " · " a href="/ledger" { "Members who left" } }
            }
        }
    }
}
