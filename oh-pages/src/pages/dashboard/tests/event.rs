use http::header::LOCATION;

use super::super::event::EventPage;
use super::super::table::EventEntry;
use super::*;
use crate::layout::View;

/// The class, the HTML and the action of the explanation of an event.
fn explained(record: EventRecord) -> (String, String, Option<String>) {
    let page = EventPage {
        event: EventEntry::new(record, now()),
        lines: Vec::new(),
        truncated: false,
    };
    let html = Dashboard::new().render(|cx| page.html(cx));
    let top = html.split("<dl").next().unwrap();
    let tag = top.split("</h1>").nth(1).unwrap();
    let class = between(tag, "class=\"", "\"")[0].to_owned();
    let button = between(tag, "<form method=\"post\" action=\"", "\"");
    let button = button.first().map(|action| (*action).to_owned());
    (class, tag.to_owned(), button)
}

#[test]
fn event_page_explains_the_state_and_offers_the_action() {
    let (new, late) = (ago(DAY), ago(31 * DAY));
    let (requeue, release) = (Some("requeue"), Some("release"));
    let cases = [
        (EventState::Pending, new, "lead", "list-pending-text", None),
        (
            EventState::Pending,
            late,
            "notice bad",
            "list-overdue-text",
            None,
        ),
        (EventState::Done, new, "lead", "list-done-text", None),
        (EventState::Done, late, "lead", "list-done-text", None),
        (
            EventState::DeadLetter,
            new,
            "notice bad",
            "list-dead-letter-text",
            requeue,
        ),
        (
            EventState::DeadLetter,
            late,
            "notice bad",
            "list-dead-letter-text",
            requeue,
        ),
        (
            EventState::Stale,
            new,
            "notice warn",
            "list-stale-text",
            requeue,
        ),
        (
            EventState::Stale,
            late,
            "notice warn",
            "list-stale-text",
            requeue,
        ),
        (
            EventState::Quarantined,
            new,
            "notice warn",
            "list-quarantined-text",
            release,
        ),
        (
            EventState::Quarantined,
            late,
            "notice bad",
            "list-quarantined-text",
            release,
        ),
    ];
    for (state, received_at, class, text, button) in cases {
        let case = format!("{state} of {received_at}");
        let explained = explained(record(1, received_at, state));
        assert_eq!(explained.0, class, "{case}");
        assert!(
            explained.1.contains("id=\"explained\""),
            "{case}: {}",
            explained.1
        );
        let text = format!(">{}</p>", super::text(text));
        assert!(explained.1.contains(&text), "{case}: {}", explained.1);
        let action = button.map(|what| {
            format!("/openhumans/staff/events/00000001eeeeeeeeeeeeeeeeeeeeeeee/{what}")
        });
        assert_eq!(explained.2, action, "{case}");
        let warned = explained.1.contains(&super::text("requeue-stale"));
        assert_eq!(warned, state == EventState::Stale, "{case}");
    }
}

#[test]
fn superseded_event_cannot_be_requeued() {
    for state in [EventState::DeadLetter, EventState::Stale] {
        let (_, html, button) = {
            let mut record = record(1, ago(DAY), state);
            record.member = None;
            explained(record)
        };
        assert_eq!(button, None, "{state}");
        assert!(html.contains(&text("requeue-superseded")), "{state}");
    }
}

#[test]
fn event_page_labels_its_button() {
    let cases = [
        (
            EventState::Quarantined,
            "<button id=\"release\">Release</button>",
        ),
        (
            EventState::DeadLetter,
            "<button id=\"requeue\">Requeue</button>",
        ),
    ];
    for (state, button) in cases {
        let explained = explained(record(1, ago(DAY), state)).1;
        assert!(explained.contains(button), "{explained}");
    }
}

#[tokio::test]
async fn history_is_truncated_to_the_latest_thousand_lines() {
    let dashboard = Dashboard::new();
    let event = event(1, ago(DAY));
    let path = format!("/staff/events/{}", event.id);
    let more = "These are the latest 1000 lines. The export contains all of them.";
    dashboard.accept(&event).await;
    let first = ago(DAY);
    for number in 1..=500 {
        if number == 500 {
            let few = dashboard.json(&path).await;
            assert_eq!(few["lines"].as_array().unwrap().len(), 999);
            assert_eq!(few["truncated"], false);
        }
        let from = first + Duration::from_secs(number);
        let lease = dashboard.lease(from).await;
        if number == 500 {
            let all = dashboard.json(&path).await;
            assert_eq!(all["lines"].as_array().unwrap().len(), 1_000);
            assert_eq!(all["lines"][0]["step"], "received");
            assert_eq!(all["truncated"], false);
            assert!(!dashboard.html(&path).await.contains(more));
        }
        let retry = Completion::Retry {
            due_at: from,
            note: format!("failure {number}"),
        };
        dashboard.complete(&lease, retry, from).await;
    }
    let newest = dashboard.json(&path).await;
    let lines = newest["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1_000);
    assert_eq!(lines[0]["step"], "tried", "the oldest line is omitted");
    assert_eq!(lines[999]["note"], "failure 500");
    assert_eq!(newest["truncated"], true);
    assert!(dashboard.html(&path).await.contains(more));
}

#[tokio::test]
async fn event_page_confirms_release_and_requeue() {
    let dashboard = Dashboard::new();
    let (dead, quarantined) = (event(1, ago(DAY)), event(2, ago(DAY)));
    let note = "the bucket is locked".to_owned();
    dashboard
        .settled(&dead, Completion::DeadLetter { note }, 1)
        .await;
    dashboard.quarantine(&quarantined).await;
    let cases = [
        (&dead, "requeue", "requeued"),
        (&quarantined, "release", "released"),
    ];
    for (event, action, done) in cases {
        let page = format!("/staff/events/{}", event.id);
        let answer = dashboard
            .send("POST", &format!("{page}/{action}"), "text/html")
            .await;
        let to = answer.headers()[LOCATION].to_str().unwrap();
        assert_eq!(to, format!("/openhumans{page}?done={done}"));
        let shown = dashboard.html(to.trim_start_matches("/openhumans")).await;
        assert!(shown.contains("id=\"notice\""), "{done}: {shown}");
    }
    assert_eq!(dashboard.inbox.stats().await.unwrap().pending, 2);
}

#[tokio::test]
async fn release_all_asks_for_confirmation_with_the_number_of_events() {
    let dashboard = Dashboard::new();
    for number in 1..=3 {
        dashboard.quarantine(&event(number, ago(DAY))).await;
    }
    let html = dashboard.html("/staff/release-all").await;
    for part in [
        "<h1>Release all 3 quarantined events?</h1>",
        &text("list-quarantined-text"),
        &text("release-all-text"),
        "<form method=\"post\" action=\"/openhumans/staff/release-all\">",
        "href=\"/openhumans/staff/events?list=quarantined\"",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
}
