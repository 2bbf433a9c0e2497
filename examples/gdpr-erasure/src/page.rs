//! The app's pages.

use maud::{DOCTYPE, Markup, html};
use oh_core::deauth::{EventRecord, EventState, InboxStats, LedgerLine};
use oh_core::{Member, OpenHumans};

/// What the ledger page shows.
pub(crate) struct Overview {
    pub(crate) stats: InboxStats,
    /// Events pending, dead letters and stale.
    pub(crate) open: Vec<EventRecord>,
    pub(crate) overdue: Vec<EventRecord>,
    pub(crate) lines: Vec<LedgerLine>,
    pub(crate) failing: bool,
    /// Entries and members in the app's own table.
    pub(crate) diary: (i64, i64),
}

/// The first page: a way in, or the member's diary.
pub(crate) fn home(openhumans: &OpenHumans, member: Option<(&Member, Vec<String>)>) -> Markup {
    let Some((member, entries)) = member else {
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
        form method="post" action="/openhumans/logout" { button #logout { "Log out" } }
        p {
            "To have all this erased, " a #leave href=(leave) { "leave at Open Humans" }
            " and ask for erasure there. Then look at the ledger."
        }
    })
}

/// Who left, what was done about it, and what is still to do.
pub(crate) fn ledger(view: &Overview) -> Markup {
    let (entries, members) = view.diary;
    page(&html! {
        meta http-equiv="refresh" content="2";
        p {
            "The diary has " b { (entries) } " entries of " b { (members) } " members. Of those who left, "
            b #pending { (view.stats.pending) } " wait, " b #done { (view.stats.done) } " are done, "
            b #dead-letters { (view.stats.dead_letters) } " are dead letters, " b #stale { (view.stats.stale) }
            " were stale, " b #overdue { (view.overdue.len()) } " are overdue."
        }
        form method="post" action="/ledger/failing" {
            @if view.failing {
                "Erasing fails on purpose. "
                button #repair name="failing" value="false" { "Let it work" }
            } @else {
                button #break name="failing" value="true" { "Make erasing fail" }
            }
        }
        h2 { "Not done" }
        table {
            tr { th { "Event" } th { "Wish" } th { "Known by" } th { "Received" } th { "State" } th { "Tries" } th {} }
            @for event in &view.open {
                tr {
                    td { code { (short(event.id.as_str())) } } td { (event.erasure) } td { (event.discovery) }
                    td { (event.received_at) } td { (event.state) } td { (event.attempts) }
                    td { @if event.state != EventState::Pending { (requeue(event)) } }
                }
            }
        }
        h2 { "Ledger" }
        p { "The newest lines first; " a href="/ledger.jsonl" { "all as JSON lines" } "." }
        table #ledger {
            tr { th { "When" } th { "Event" } th { "Member" } th { "Step" } th { "Try" } th { "Why" } }
            @for line in &view.lines {
                tr {
                    td { (line.at) } td { code { (short(line.event.as_str())) } }
                    td { code { (short(line.member.as_str())) } } td { (line.step) }
                    td { (line.attempt) } td { (line.note.as_deref().unwrap_or_default()) }
                }
            }
        }
    })
}

fn requeue(event: &EventRecord) -> Markup {
    html! {
        form method="post" action="/ledger/requeue" {
            button.requeue name="event" value=(event.id) { "Try again" }
        }
    }
}

/// Something did not work.
pub(crate) fn problem(text: &str) -> Markup {
    page(&html! { p #problem role="alert" { (text) } })
}

fn short(text: &str) -> &str {
    text.get(..8).unwrap_or(text)
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
                nav { a href="/" { "Diary" } " · " a href="/ledger" { "Ledger" } }
            }
        }
    }
}
