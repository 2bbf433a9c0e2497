//! The page. Its head comes from what the verification found; the rows, from reading once more.

use std::io::{self, BufRead, Write};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{days, each_request};
use crate::export::show_time;
use crate::requests::{End, Request, Terms, Verdict};
use crate::verify::{Summary, Verified};

/// More rows than that nobody reads on paper, and no browser lays them out gladly.
const MOST_ROWS: u64 = 10_000;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #c9ced6; --soft: #5a6472; --bad: #a4161a; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --line: #454c57; --soft: #a5afbd; --bad: #ff9b96; --good: #7fd6a0; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
td.num, th.num { text-align: right; } td.id { font-family: ui-monospace, monospace; font-size: .78rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: .5rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
pre { font-size: .78rem; white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); padding: .6rem; }
@page { size: A4; margin: 16mm 14mm; }
@media print {
  :root { color-scheme: light; --line: #999; --soft: #333; --bad: #000; --good: #000; }
  body { margin: 0; padding: 0; max-width: none; font-size: 10pt; background: #fff; color: #000; }
  thead { display: table-header-group; } tr, dl, pre { break-inside: avoid; } h2 { break-after: avoid; }
  .wide { overflow: visible; }
}";

/// Writes the report as one page. `export` is read from its beginning, as it was for `verified`.
///
/// # Errors
///
/// When the export cannot be read, or the report cannot be written.
pub fn write_html(export: impl BufRead, verified: &Verified, to: impl Write) -> io::Result<()> {
    write_at_most(MOST_ROWS, export, verified, to)
}

pub(super) fn write_at_most(
    most: u64,
    export: impl BufRead,
    verified: &Verified,
    mut to: impl Write,
) -> io::Result<()> {
    let terms = verified.terms;
    // In two halves, with the rows in between.
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Requests to be erased" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (summary(verified))
                    @if !verified.listed.is_empty() { (listed(verified, most)) }
                    h2 #all { "All requests" }
                    div.wide { table { (heads()) tbody { (PreEscaped("\u{0}")) } } }
                    (PreEscaped("\u{0}"))
                    (proof(verified))
                }
            }
        }
    };
    let page = page.into_string();
    let mut parts = page.split('\u{0}');
    let mut part = || parts.next().unwrap_or_default();
    to.write_all(part().as_bytes())?;
    let mut rows = 0;
    each_request(export, |request| {
        rows += 1;
        if rows <= most {
            to.write_all(row(request, terms).into_string().as_bytes())?;
        }
        Ok(())
    })?;
    to.write_all(part().as_bytes())?;
    if rows > most {
        let more = html! { p { (rows - most) " more requests are in the CSV of this report." } };
        to.write_all(more.into_string().as_bytes())?;
    }
    to.write_all(part().as_bytes())?;
    to.flush()
}

fn summary(verified: &Verified) -> Markup {
    let summary = &verified.summary;
    let deadline = verified.terms.deadline / 86_400_000_000;
    let overdue = summary.judged(Verdict::Overdue);
    html! {
        h1 { "Requests to be erased" }
        p.soft {
            "As of " (show_time(verified.terms.as_of)) ". "
            @if let Some((from, to)) = verified.span {
                "The ledger reaches from " (show_time(from)) " to " (show_time(to)) ". "
            }
            "A request may take " (deadline) " days from its receipt (GDPR Art. 12(3))."
        }
        p {
            @if overdue > 0 { span.bad { (overdue) " overdue" } ", " }
            @else { span.good { "None overdue" } ", " }
            (summary.judged(Verdict::Late)) " ended late, "
            (summary.judged(Verdict::Open)) " still open in time, "
            (summary.judged(Verdict::InTime)) " ended in time: "
            (summary.requests) " requests in all."
        }
        h2 { "How they ended" }
        table {
            thead { tr { th scope="col" { "End" } th.num scope="col" { "Requests" } th scope="col" { "What it means" } } }
            tbody {
                @for end in End::ALL {
                    tr { td { (end.as_str()) } td.num { (summary.of(end)) } td { (meaning(end)) } }
                }
            }
        }
        h2 { "How long those took that ended" }
        table {
            thead { tr { th scope="col" { "Within" } th.num scope="col" { "Requests" } } }
            tbody {
                @for (span, count) in ["an hour", "a day", "7 days", "30 days", "longer"].iter().zip(summary.took) {
                    tr { td { (span) } td.num { (count) } }
                }
            }
        }
        @if summary.longest > 0 { p.soft { "The longest: " (longest(summary)) "." } }
    }
}

fn longest(summary: &Summary) -> String {
    let seconds = summary.longest / 1_000_000;
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn meaning(end: End) -> &'static str {
    match end {
        End::Done => "The tokens are gone, and the application reports that it did its part.",
        End::Stale => "The member authorized the project again after it; it was not acted on.",
        End::DeadLetter => "The application failed too often. Someone must look.",
        End::Quarantined => {
            "Waits for someone to release it: something about it was not to be believed."
        }
        End::Pending => "Waiting, being worked on, or about to be tried again.",
    }
}

fn listed(verified: &Verified, most: u64) -> Markup {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    html! {
        h2 { "Not ended in time, or not yet" }
        div.wide { table { (heads()) tbody {
            @for request in verified.listed.iter().take(most) { (row(request, verified.terms)) }
        } } }
        @if verified.listed.len() > most {
            p { (verified.listed.len() - most) " more of these are in the CSV of this report." }
        }
    }
}

fn heads() -> Markup {
    html! {
        thead { tr {
            th scope="col" { "Received" } th scope="col" { "End" } th scope="col" { "Since" }
            th.num scope="col" { "Days" } th scope="col" { "In time" } th.num scope="col" { "Tries" }
            th scope="col" { "Event" } th scope="col" { "Pseudonym" } th scope="col" { "Note" }
        } }
    }
}

fn row(request: &Request, terms: Terms) -> Markup {
    let verdict = request.verdict(terms);
    let bad = matches!(verdict, Verdict::Overdue | Verdict::Late);
    html! {
        tr {
            td { @match request.received_at { Some(at) => (show_time(at)), None => "unknown" } }
            td { (request.end.as_str()) }
            td { (show_time(request.since)) }
            td.num { (days(request, terms)) }
            td class=[bad.then_some("bad")] { (verdict.as_str()) }
            td.num { (request.attempts) }
            td.id { (request.event) }
            td.id { (request.member) }
            td { (request.note.as_deref().unwrap_or_default()) }
        }
    }
}

fn proof(verified: &Verified) -> Markup {
    html! {
        h2 { "What this rests on" }
        p {
            "Lines 1 to " (verified.sealed) " of the ledger are those that were sealed: nothing was changed, "
            "removed or put in since. " (verified.checkpoints) " checkpoints were checked"
            @if verified.held > 0 { ", and " (verified.held) " kept elsewhere" }
            "."
            @if verified.lines > verified.sealed {
                " The last " (verified.lines - verified.sealed) " lines are not sealed yet."
            }
        }
        dl {
            @for used in verified.keys.iter().filter(|used| used.checkpoints > 0) {
                dt { "Key" }
                dd { code { (used.key) } " (lines " (used.first) " to " (used.last) ")" }
            }
        }
        @if let Some(last) = &verified.last {
            p.soft { "The last checkpoint. Keep it: a later ledger can be held against it." }
            pre { (last.note()) }
        }
    }
}
