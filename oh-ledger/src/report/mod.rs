//! The report for the data protection officer: requests, times, what is overdue, how each ended.
//!
//! [`write_csv`] has a row for each request; [`write_html`] is one page that prints well and needs
//! nothing beside it. Both are written while the export is read, and name nobody.

mod html;

pub use html::write_html;

use std::io::{self, BufRead, Write};

use crate::export::{Record, next_line, show_time};
use crate::requests::{Request, Requests, Terms};

/// Writes all requests of an export as CSV, each in the order of its end, the open ones last.
/// Times are UTC, `days` counts from receipt to end, or to now.
///
/// # Errors
///
/// When the export cannot be read, or the report cannot be written.
pub fn write_csv(export: impl BufRead, terms: Terms, to: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(to);
    csv.write_record([
        "event",
        "pseudonym",
        "received",
        "end",
        "since",
        "days",
        "verdict",
        "attempts",
        "note",
    ])?;
    each_request(export, |request| {
        let received = request.received_at.map(show_time).unwrap_or_default();
        csv.write_record([
            &as_text(&request.event),
            &as_text(&request.member),
            &received,
            request.end.as_str(),
            &show_time(request.since),
            &days(request, terms),
            request.verdict(terms).as_str(),
            &request.attempts.to_string(),
            &as_text(request.note.as_deref().unwrap_or_default()),
        ])?;
        Ok(())
    })?;
    csv.flush()
}

/// Hands over every request, the open ones last.
fn each_request(
    mut export: impl BufRead,
    mut take: impl FnMut(&Request) -> io::Result<()>,
) -> io::Result<()> {
    let mut requests = Requests::default();
    let mut bytes = Vec::new();
    while next_line(&mut export, &mut bytes)? {
        if let Some(Record::Line(line)) = Record::parse(&bytes)
            && let Some(done) = requests.line(&line)
        {
            take(&done)?;
        }
    }
    requests.into_rest().iter().try_for_each(take)
}

/// How many days it took, with one digit behind the point.
fn days(request: &Request, terms: Terms) -> String {
    request.took(terms).map_or(String::new(), |took| {
        let tenths = took / 8_640_000_000;
        format!("{}.{}", tenths / 10, tenths % 10)
    })
}

/// A text that a spreadsheet does not take for a formula.
fn as_text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, Frontier, SigningKey, Verified, Verifier, checkpoint_record};

    const DAY: i64 = 86_400_000_000;

    fn export() -> (String, Vec<crate::VerifyingKey>) {
        let key = SigningKey::generate("a.example/log").unwrap();
        let mut tree = Frontier::new();
        let mut text = String::new();
        let steps = [
            (1, "e1", "received", "1970-01-01T00:00:00Z", ""),
            (2, "e2", "received", "1970-01-02T00:00:00Z", ""),
            (3, "e1", "done", "1970-01-03T12:00:00Z", ""),
            (4, "e3", "received", "1970-01-04T00:00:00Z", ""),
            (
                5,
                "e2",
                "dead_lettered",
                "1970-01-05T00:00:00Z",
                "=<script>alert(1)</script>",
            ),
            (7, "e4", "received", "1970-02-20T00:00:00Z", ""),
            (8, "e3", "done", "1970-02-21T00:00:00Z", ""),
        ];
        for (seq, event, step, at, note) in steps {
            let note = match note {
                "" => String::new(),
                note => format!(",\"note\":\"{note}\""),
            };
            let line = format!(
                "{{\"seq\":{seq},\"event\":\"{event}\",\"member\":\"p\",\"at\":\"{at}\",\
                 \"step\":\"{step}\",\"attempt\":1{note}}}"
            );
            tree.push(line.as_bytes());
            text += &line;
            text += "\n";
        }
        let signed = Checkpoint::of(key.name(), &tree).sign(std::slice::from_ref(&key));
        text += &checkpoint_record(signed.note());
        text += "\n";
        (text, vec![key.verifying_key().clone()])
    }

    fn terms() -> Terms {
        Terms::at(60 * DAY)
    }

    fn verified() -> (String, Verified) {
        let (text, keys) = export();
        let verified = Verifier::new(keys, terms()).read(text.as_bytes()).unwrap();
        (text, verified)
    }

    #[test]
    fn the_table_has_a_row_for_each_request() {
        let mut out = Vec::new();
        write_csv(export().0.as_bytes(), terms(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(
            rows,
            [
                "event,pseudonym,received,end,since,days,verdict,attempts,note",
                "e1,p,1970-01-01T00:00:00Z,done,1970-01-03T12:00:00Z,2.5,in time,1,",
                "e3,p,1970-01-04T00:00:00Z,done,1970-02-21T00:00:00Z,48.0,late,1,",
                "e2,p,1970-01-02T00:00:00Z,dead letter,1970-01-05T00:00:00Z,59.0,overdue,1,\
                 '=<script>alert(1)</script>",
                "e4,p,1970-02-20T00:00:00Z,pending,1970-02-20T00:00:00Z,10.0,open,1,",
            ]
        );
    }

    #[test]
    fn the_page_counts_lists_and_escapes() {
        let (text, verified) = verified();
        assert_eq!(verified.summary.requests, 4);
        let mut out = Vec::new();
        write_html(text.as_bytes(), &verified, &mut out).unwrap();
        let page = String::from_utf8(out).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        for shown in [
            "e1",
            "e2",
            "e3",
            "e4",
            "a.example/log",
            "48.0",
            "1970-02-21",
        ] {
            assert!(page.contains(shown), "{shown}");
        }
        // Overdue, late and open are listed before all are.
        let listed = &page[..page.find("id=\"all\"").unwrap()];
        assert!(listed.contains("e2") && listed.contains("e3") && listed.contains("e4"));
        assert!(!listed.contains(">e1<"));
    }

    #[test]
    fn a_long_ledger_does_not_make_a_page_nobody_can_open() {
        let (text, verified) = verified();
        let mut out = Vec::new();
        html::write_at_most(2, text.as_bytes(), &verified, &mut out).unwrap();
        let page = String::from_utf8(out).unwrap();
        let all = &page[page.find("id=\"all\"").unwrap()..];
        assert!(all.contains(">e1<") && all.contains(">e3<") && !all.contains(">e2<"));
        assert!(all.contains("2 more requests are in the CSV"));
    }
}
