//! The report for the data protection officer, as HTML and CSV. It contains no personal data.

use std::io::{self, BufRead, Write};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::events::{Deadline, End, Event, Events, Verdict, data_kept};
use crate::line::{DataOutcome, EventKind, Record, format_time, next_line};
use crate::verify::Verified;

/// The number of rows in each table of the HTML report. The CSV contains every event.
const MAX_ROWS: usize = 10_000;

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

const COLUMNS: &str =
    "event,pseudonym,kind,discovery,received,end,since,days,verdict,data,result,attempts,note";

/// Writes every event of a verified export as CSV: events in the order in which they were done, then
/// those that are not done. Times are in UTC; `days` counts from the receipt to the end, or to the
/// time of the assessment.
///
/// # Errors
///
/// Returns an error if the export cannot be read or the report cannot be written.
pub fn write_csv(export: impl BufRead, verified: &Verified, to: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(to);
    csv.write_record(COLUMNS.split(','))?;
    for_each_event(export, verified, |event| {
        csv.write_record([
            csv_text(&event.id),
            csv_text(&event.member),
            event.kind.to_string(),
            optional(event.discovery),
            event.received_at.map(format_time).unwrap_or_default(),
            event.end.to_string(),
            format_time(event.since),
            days(event),
            event.verdict.to_string(),
            optional(event.data),
            csv_text(&result(event)),
            event.attempts.to_string(),
            csv_text(event.note.as_deref().unwrap_or_default()),
        ])?;
        Ok(())
    })?;
    csv.flush()
}

/// Writes the report as one HTML page that needs no other file and is suitable for printing.
/// `export` must be the export that `verified` describes, from its beginning.
///
/// # Errors
///
/// Returns an error if the export cannot be read or the report cannot be written.
pub fn write_html(export: impl BufRead, verified: &Verified, to: impl Write) -> io::Result<()> {
    write_page(MAX_ROWS, export, verified, to)
}

fn write_page(
    max_rows: usize,
    export: impl BufRead,
    verified: &Verified,
    mut to: impl Write,
) -> io::Result<()> {
    let mut events = Vec::new();
    let mut count = 0;
    for_each_event(export, verified, |event| {
        count += 1;
        if count <= max_rows {
            events.push(event.clone());
        }
        Ok(())
    })?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Erasure requests and departures" }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                (overview(verified))
                @if !verified.attention.is_empty() {
                    h2 { "Events that need attention" }
                    (table(&verified.attention, verified.attention.len(), max_rows))
                }
                h2 #all { "All events" }
                (table(&events, count, max_rows))
                (verification(verified))
            } }
        }
    };
    to.write_all(page.into_string().as_bytes())?;
    to.flush()
}

fn overview(verified: &Verified) -> Markup {
    let judged = |verdict| verified.count(|group| group.verdict == verdict);
    let kept = verified.count(|group| data_kept(group.kind, group.data));
    html! {
        h1 { "Erasure requests and departures" }
        p.soft {
            "As of " (format_time(verified.as_of)) ". "
            @if let Some((first, last)) = verified.span {
                "The ledger covers " (format_time(first)) " to " (format_time(last)) ". "
            }
            "An erasure request may take " (verified.deadline / 86_400_000_000)
            " days from its receipt (GDPR Art. 12(3)). No deadline applies to other events."
        }
        p {
            "Erasure requests: "
            @if judged(Verdict::Overdue) > 0 { span.bad { (judged(Verdict::Overdue)) " overdue" } }
            @else { span.good { "none overdue" } }
            ", " (judged(Verdict::Late)) " ended late, " (judged(Verdict::Open)) " open, "
            (judged(Verdict::InTime)) " ended in time."
            @if kept > 0 { " " span.bad { (kept) " ended, but the data was not deleted." } }
        }
        h2 { "Events by kind and outcome" }
        (outcomes(verified))
    }
}

/// The columns of the outcome table, with the end and the data outcome that each one counts.
const OUTCOMES: [(&str, End, Option<DataOutcome>); 8] = [
    ("Data deleted", End::Done, Some(DataOutcome::Deleted)),
    ("Data kept", End::Done, Some(DataOutcome::Retained)),
    ("No handler", End::Done, Some(DataOutcome::NoHandler)),
    ("Done, not recorded", End::Done, None),
    ("Superseded", End::Superseded, None),
    ("Pending", End::Pending, None),
    ("Quarantined", End::Quarantined, None),
    ("Dead letter", End::DeadLetter, None),
];

fn outcomes(verified: &Verified) -> Markup {
    let count = |kind, end, data| {
        verified.count(|group| group.kind == kind && group.end == end && group.data == data)
    };
    html! {
        div.wide { table {
            thead { tr {
                th scope="col" { "Kind" } th.num scope="col" { "Events" }
                @for (heading, ..) in OUTCOMES { th.num scope="col" { (heading) } }
            } }
            tbody { @for kind in EventKind::ALL { tr {
                th scope="row" { (kind) }
                td.num { (verified.count(|group| group.kind == kind)) }
                @for (_, end, data) in OUTCOMES { td.num { (count(kind, end, data)) } }
            } } }
        } }
        p.soft {
            "Every event that is done has destroyed the member's tokens. \"Data deleted\": the application "
            "reports that it deleted the data. \"Data kept\": the deletion policy keeps the data. \"No handler\": "
            "the policy requires deletion, but the application has no handler that deletes data. \"Superseded\": "
            "the member authorized the project again. An operator must release quarantined events and act on "
            "dead letters, for which the application failed too often."
        }
    }
}

fn table(events: &[Event], count: usize, max_rows: usize) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                @for heading in ["Received", "Kind", "Discovery", "End", "Since"] {
                    th scope="col" { (heading) }
                }
                th.num scope="col" { "Days" }
                th scope="col" { "Deadline" } th scope="col" { "Data" }
                th.num scope="col" { "Attempts" }
                @for heading in ["Event", "Pseudonym", "Note"] { th scope="col" { (heading) } }
            } }
            tbody { @for event in events.iter().take(max_rows) { (row(event)) } }
        } }
        @if count > max_rows {
            p { "The CSV report contains " (count - max_rows) " more events." }
        }
    }
}

fn row(event: &Event) -> Markup {
    let bad = matches!(event.verdict, Verdict::Overdue | Verdict::Late);
    html! {
        tr {
            td { @match event.received_at { Some(at) => (format_time(at)), None => "not recorded" } }
            td { (event.kind) }
            td { (optional(event.discovery)) }
            td { (event.end) }
            td { (format_time(event.since)) }
            td.num { (days(event)) }
            td class=[bad.then_some("bad")] { (event.verdict) }
            td { (optional(event.data)) @if !event.result.is_empty() { ": " (result(event)) } }
            td.num { (event.attempts) }
            td.id { (event.id) }
            td.id { (event.member) }
            td { (event.note.as_deref().unwrap_or_default()) }
        }
    }
}

fn verification(verified: &Verified) -> Markup {
    html! {
        h2 { "Verification" }
        p {
            "Lines 1 to " (verified.signed_lines) " of the ledger match the signed checkpoints: none was "
            "changed, removed or inserted. Checkpoints verified: " (verified.checkpoints)
            " in the export, " (verified.trusted_checkpoints) " from a trusted source."
            @if verified.lines > verified.signed_lines {
                " No checkpoint covers the last " (verified.lines - verified.signed_lines) " lines yet."
            }
        }
        dl {
            @for key in verified.keys.iter().filter(|key| key.checkpoints > 0) {
                dt { "Key" }
                dd { code { (key.key) } " (checkpoints over " (key.first) " to " (key.last) " lines)" }
            }
        }
        @if let Some(last) = &verified.last_checkpoint {
            p.soft { "The last checkpoint. Store it to verify later exports against it." }
            pre { (last.note()) }
        }
    }
}

/// Calls `f` for every event of the export, first for those that are done.
fn for_each_event(
    mut export: impl BufRead,
    verified: &Verified,
    mut f: impl FnMut(&Event) -> io::Result<()>,
) -> io::Result<()> {
    let mut events = Events::new(Deadline {
        as_of: verified.as_of,
        limit: verified.deadline,
    });
    let mut bytes = Vec::new();
    while next_line(&mut export, &mut bytes)? {
        if let Some(Record::Line(line)) = Record::parse(&bytes)
            && let Some(done) = events.add(&line)
        {
            f(&done)?;
        }
    }
    events.take_open().iter().try_for_each(f)
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Formats the handler's result, such as `diaries 3, files 0`.
fn result(event: &Event) -> String {
    let counts = event.result.iter();
    let counts: Vec<_> = counts
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    counts.join(", ")
}

/// Formats the elapsed time in days, with one decimal.
fn days(event: &Event) -> String {
    event.elapsed.map_or(String::new(), |elapsed| {
        let tenths = elapsed / 8_640_000_000;
        format!("{}.{}", tenths / 10, tenths % 10)
    })
}

/// Escapes text that a spreadsheet would evaluate as a formula.
fn csv_text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, Frontier, SigningKey, Verifier, checkpoint_record};

    const DAY: i64 = 86_400_000_000;

    /// Five events of different kinds, assessed on day 60.
    fn export() -> (String, Verified) {
        let key = SigningKey::generate("a.example/log").unwrap();
        let mut tree = Frontier::new();
        let mut text = String::new();
        let requested = r#","erasure":"requested","discovery":"webhook""#;
        for (seq, event, step, date, fields) in [
            (1, "e1", "received", "1970-01-01T00", requested),
            (2, "e2", "received", "1970-01-02T00", requested),
            (
                3,
                "e1",
                "done",
                "1970-01-03T12",
                r#","data":"deleted","result":{"diaries":3,"files":0}"#,
            ),
            (4, "e3", "received", "1970-01-04T00", requested),
            (
                5,
                "e2",
                "dead_lettered",
                "1970-01-05T00",
                r#","note":"=<script>alert(1)</script>""#,
            ),
            (
                6,
                "e5",
                "received",
                "1970-01-06T00",
                r#","erasure":"not_requested","discovery":"webhook""#,
            ),
            (
                7,
                "e4",
                "received",
                "1970-02-20T00",
                r#","erasure":"unknown","discovery":"token_loss""#,
            ),
            (8, "e3", "done", "1970-02-21T00", r#","data":"no_handler""#),
            (9, "e5", "done", "1970-02-28T00", r#","data":"retained""#),
        ] {
            let line = format!(
                "{{\"seq\":{seq},\"event\":\"{event}\",\"member\":\"p\",\"at\":\"{date}:00:00Z\",\
                 \"step\":\"{step}\",\"attempt\":1{fields}}}"
            );
            tree.push(line.as_bytes());
            text += &format!("{line}\n");
        }
        let signed = Checkpoint::of(key.name(), &tree).sign(std::slice::from_ref(&key));
        text += &format!("{}\n", checkpoint_record(signed.note()));
        let verifier = Verifier::new(vec![key.verifying_key().clone()], 60 * DAY);
        let verified = verifier.read(text.as_bytes()).unwrap();
        (text, verified)
    }

    #[test]
    fn csv_has_one_row_per_event_with_its_kind_and_outcome() {
        let (text, verified) = export();
        let mut out = Vec::new();
        write_csv(text.as_bytes(), &verified, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(
            rows,
            [
                "event,pseudonym,kind,discovery,received,end,since,days,verdict,data,result,attempts,note",
                "e1,p,erasure request,webhook,1970-01-01T00:00:00Z,done,1970-01-03T12:00:00Z,2.5,\
                 in time,deleted,\"diaries 3, files 0\",1,",
                "e3,p,erasure request,webhook,1970-01-04T00:00:00Z,done,1970-02-21T00:00:00Z,48.0,\
                 late,not deleted: no handler,,1,",
                "e5,p,departure without erasure request,webhook,1970-01-06T00:00:00Z,done,\
                 1970-02-28T00:00:00Z,53.0,no deadline,retained,,1,",
                "e2,p,erasure request,webhook,1970-01-02T00:00:00Z,dead letter,1970-01-05T00:00:00Z,\
                 59.0,overdue,,,1,'=<script>alert(1)</script>",
                "e4,p,token loss,token loss,1970-02-20T00:00:00Z,pending,1970-02-20T00:00:00Z,10.0,\
                 no deadline,,,1,",
            ]
        );
    }

    fn page(max_rows: usize) -> String {
        let (text, verified) = export();
        let mut out = Vec::new();
        write_page(max_rows, text.as_bytes(), &verified, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn html_counts_kinds_lists_events_and_escapes_notes() {
        let page = page(MAX_ROWS);
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        for text in [
            "1 overdue",
            "1 ended late, 0 open, 1 ended in time",
            "1 ended, but the data was not deleted",
            "deleted: diaries 3, files 0",
            "a.example/log",
            "48.0",
        ] {
            assert!(page.contains(text), "{text}");
        }
        let count = r#"<td class="num">1</td>"#;
        let zero = r#"<td class="num">0</td>"#;
        let loss = format!(
            r#"<th scope="row">token loss</th>{count}{}{count}"#,
            zero.repeat(5)
        );
        assert!(page.contains(&loss), "{page}");
        let (attention, all) = page.split_once("id=\"all\"").unwrap();
        for (event, needs_attention) in [
            ("e1", false),
            ("e2", true),
            ("e3", true),
            ("e4", true),
            ("e5", false),
        ] {
            let cell = format!(">{event}<");
            assert!(all.contains(&cell), "{event}");
            assert_eq!(attention.contains(&cell), needs_attention, "{event}");
        }
    }

    #[test]
    fn html_refers_to_csv_for_rows_beyond_maximum() {
        let page = page(2);
        let all = &page[page.find("id=\"all\"").unwrap()..];
        assert!(all.contains(">e1<") && all.contains(">e3<") && !all.contains(">e2<"));
        assert!(all.contains("The CSV report contains 3 more events."));
    }
}
