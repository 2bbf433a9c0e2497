use super::super::table;
use super::super::table::{EventEntry, LedgerEntry};
use super::*;
use oh_core::deauth::Step;

fn rows(events: impl IntoIterator<Item = EventRecord>) -> Vec<String> {
    let events: Vec<_> = events
        .into_iter()
        .map(|record| EventEntry::new(record, now()))
        .collect();
    let html = Dashboard::new().render(|cx| table::events(cx, &events));
    let rows = between(&html, "<tr data-event=\"", "</tr>");
    rows.into_iter().map(str::to_owned).collect()
}

/// The cell in the column `title`.
fn cell<'a>(row: &'a str, title: &str) -> &'a str {
    let start = format!("<td data-label=\"{title}\">");
    between(row, &start, "</td>")[0]
}

#[test]
fn event_row_shows_all_fields_but_no_member_id() {
    let mut record = record(7, ago(2 * HOUR), EventState::Pending);
    record.attempts = 3;
    let row = rows([record]).remove(0);
    let id = "00000007eeeeeeeeeeeeeeeeeeeeeeee";
    assert!(row.starts_with(id), "{row}");
    let link = format!("<a href=\"/openhumans/staff/events/{id}\"><code>00000007</code></a>");
    assert_eq!(between(&row, "<th scope=\"row\">", "</th>"), [link]);
    let cells = [
        (
            "Received",
            "<time datetime=\"2020-12-15T00:40:00Z\">2020-12-15 00:40 UTC</time>",
        ),
        ("Status", "<span class=\"state pending\">Pending</span>"),
        ("Erasure", "requested"),
        ("Discovered by", "webhook"),
        (
            "Member (pseudonym)",
            "<a href=\"/openhumans/staff/member?who=00000007aaaaaaaaaaaaaaaaaaaaaaaa\">\
             <code>00000007</code></a>",
        ),
        ("Attempts", "3"),
        ("Duration", "waiting for 2 h"),
    ];
    for (title, text) in cells {
        assert_eq!(cell(&row, title), text);
    }
}

#[test]
fn event_row_shows_the_state_and_whether_the_event_is_overdue() {
    let cases = [
        (EventState::Pending, "pending", "Pending", true),
        (EventState::Quarantined, "quarantined", "Quarantined", true),
        (EventState::DeadLetter, "dead_letter", "Dead letter", true),
        (EventState::Done, "done", "Done", false),
        (EventState::Stale, "stale", "Stale", false),
    ];
    for (state, class, text, can_be_overdue) in cases {
        let [in_time, late] = [30 * DAY, 30 * DAY + 1].map(|age| record(1, ago(age), state));
        let plain = format!("<span class=\"state {class}\">{text}</span>");
        let overdue = match can_be_overdue {
            true => format!("{plain} <span class=\"state overdue\">Overdue</span>"),
            false => plain.clone(),
        };
        let rows = rows([in_time, late]);
        assert_eq!(cell(&rows[0], "Status"), plain);
        assert_eq!(cell(&rows[1], "Status"), overdue);
    }
}

#[test]
fn event_row_shows_the_erasure_request_and_the_discovery() {
    let requests = [
        (ErasureRequest::Requested, "requested"),
        (ErasureRequest::NotRequested, "not requested"),
        (ErasureRequest::Unknown, "unknown"),
    ];
    for (erasure, text) in requests {
        let mut record = record(1, ago(1), EventState::Pending);
        record.erasure = erasure;
        assert_eq!(cell(&rows([record])[0], "Erasure"), text);
    }
    let discoveries = [
        (Discovery::Webhook, "webhook"),
        (Discovery::Reconciliation, "reconciliation"),
        (Discovery::TokenLoss, "token loss"),
        (Discovery::Disconnected, "disconnected here"),
    ];
    for (discovery, text) in discoveries {
        let mut record = record(1, ago(1), EventState::Pending);
        record.discovery = discovery;
        assert_eq!(cell(&rows([record])[0], "Discovered by"), text);
    }
}

#[test]
fn event_row_shows_the_duration_of_a_settled_event() {
    let mut record = record(1, ago(DAY), EventState::Done);
    record.settled_at = Some(ago(DAY) + Duration::from_secs(90));
    assert_eq!(cell(&rows([record])[0], "Duration"), "90 s");
}

#[test]
fn ledger_line_shows_the_step() {
    let steps = [
        (Step::Received, "Received"),
        (Step::TokensDestroyed, "Tokens destroyed, sessions ended"),
        (Step::Tried, "Handler called"),
        (Step::Failed, "Handler failed"),
        (Step::Done, "Done"),
        (Step::DeadLettered, "Dead-lettered"),
        (Step::Requeued, "Requeued"),
        (Step::Stale, "Found stale"),
        (Step::Quarantined, "Quarantined"),
        (Step::Released, "Released"),
    ];
    let lines = steps.map(|(step, _)| {
        let DeauthEvent { id, pseudonym, .. } = event(1, ago(1));
        LedgerEntry {
            event: id,
            pseudonym: pseudonym.to_string(),
            step,
            at: ago(1),
            attempt: 0,
            note: None,
        }
    });
    let html = Dashboard::new().render(|cx| table::lines(cx, &lines, false));
    let shown = between(&html, "<td data-label=\"Step\">", "</td>");
    assert_eq!(shown, steps.map(|(_, text)| text));
}
