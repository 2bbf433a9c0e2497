use super::super::table;
use super::*;
use crate::deauth::{LedgerLine, Step};
use crate::pages::view::ShelfEvent;

fn rows(events: impl IntoIterator<Item = EventRecord>) -> Vec<String> {
    let events: Vec<_> = events
        .into_iter()
        .map(|record| ShelfEvent::new(record, now()))
        .collect();
    let html = Desk::new().draw(|cx| table::events(cx, &events));
    let rows = between(&html, "<tr data-event=\"", "</tr>");
    rows.into_iter().map(str::to_owned).collect()
}

/// What stands in a row under this title.
fn cell<'a>(row: &'a str, title: &str) -> &'a str {
    let start = format!("<td data-label=\"{title}\">");
    between(row, &start, "</td>")[0]
}

#[test]
fn a_row_says_all_that_is_known_of_an_event_and_names_no_member() {
    let record = EventRecord {
        attempts: 3,
        ..record(7, ago(2 * HOUR), EventState::Pending)
    };
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
        ("State", "<span class=\"state pending\">Pending</span>"),
        ("Erasure", "asked for"),
        ("Known by", "Open Humans told"),
        (
            "Member (pseudonym)",
            "<a href=\"/openhumans/staff/member?who=00000007aaaaaaaaaaaaaaaaaaaaaaaa\">\
             <code>00000007</code></a>",
        ),
        ("Tries", "3"),
        ("Took", "waiting for 2 h"),
    ];
    for (title, text) in cells {
        assert_eq!(cell(&row, title), text);
    }
}

#[test]
fn a_row_says_where_an_event_stands_and_whether_it_is_late() {
    let cases = [
        (EventState::Pending, "pending", "Pending", true),
        (EventState::Quarantined, "quarantined", "Quarantined", true),
        (EventState::DeadLetter, "dead_letter", "Dead letter", true),
        (EventState::Done, "done", "Done", false),
        (EventState::Stale, "stale", "Stale", false),
    ];
    for (state, class, text, can_be_late) in cases {
        let [in_time, late] = [30 * DAY, 30 * DAY + 1].map(|age| record(1, ago(age), state));
        let plain = format!("<span class=\"state {class}\">{text}</span>");
        let overdue = match can_be_late {
            true => format!("{plain} <span class=\"state overdue\">Overdue</span>"),
            false => plain.clone(),
        };
        let rows = rows([in_time, late]);
        assert_eq!(cell(&rows[0], "State"), plain);
        assert_eq!(cell(&rows[1], "State"), overdue);
    }
}

#[test]
fn a_row_says_what_is_wished_and_how_it_is_known() {
    let wishes = [
        (ErasureRequest::Requested, "asked for"),
        (ErasureRequest::NotRequested, "not asked for"),
        (ErasureRequest::Unknown, "unknown"),
    ];
    for (erasure, text) in wishes {
        let record = EventRecord {
            erasure,
            ..record(1, ago(1), EventState::Pending)
        };
        assert_eq!(cell(&rows([record])[0], "Erasure"), text);
    }
    let ways = [
        (Discovery::Webhook, "Open Humans told"),
        (Discovery::Reconciliation, "found by asking"),
        (Discovery::TokenLoss, "tokens were lost"),
        (Discovery::Disconnected, "disconnected here"),
    ];
    for (discovery, text) in ways {
        let record = EventRecord {
            discovery,
            ..record(1, ago(1), EventState::Pending)
        };
        assert_eq!(cell(&rows([record])[0], "Known by"), text);
    }
}

#[test]
fn a_row_says_how_long_a_settled_event_took() {
    let record = EventRecord {
        settled_at: Some(ago(DAY) + Duration::from_secs(90)),
        ..record(1, ago(DAY), EventState::Done)
    };
    assert_eq!(cell(&rows([record])[0], "Took"), "90 s");
}

#[test]
fn each_line_of_the_ledger_says_what_was_done() {
    let steps = [
        (Step::Received, "Received"),
        (Step::TokensDestroyed, "Tokens destroyed, sessions ended"),
        (Step::Tried, "Handler called"),
        (Step::Failed, "Handler failed"),
        (Step::Done, "Done"),
        (Step::DeadLettered, "Given up"),
        (Step::Requeued, "Put back into the queue"),
        (Step::Stale, "Found stale"),
        (Step::Quarantined, "Quarantined"),
        (Step::Released, "Released"),
    ];
    let lines = steps.map(|(step, _)| {
        let DeauthEvent { id, pseudonym, .. } = event(1, ago(1));
        LedgerLine::new(1, id, pseudonym, ago(1), step, 0, None)
    });
    let html = Desk::new().draw(|cx| table::lines(cx, &lines, false));
    let said = between(&html, "<td data-label=\"Step\">", "</td>");
    assert_eq!(said, steps.map(|(_, text)| text));
}
