use http::header::LOCATION;

use super::super::event as page;
use super::*;
use crate::deauth::DeauthInbox;
use crate::pages::Text;
use crate::pages::view::{EventPage, ShelfEvent};

/// What is said first of an event: how urgently, what, and which button is there.
fn explained(record: EventRecord) -> (String, String, Option<String>) {
    let view = EventPage {
        event: ShelfEvent::new(record, now()),
        lines: Vec::new(),
        shortened: false,
    };
    let html = Desk::new().draw(|cx| page::html(cx, &view));
    let top = html.split("<dl").next().unwrap();
    let tag = top.split("</h1>").nth(1).unwrap();
    let class = between(tag, "class=\"", "\"")[0].to_owned();
    let button = between(tag, "<form method=\"post\" action=\"", "\"");
    let button = button.first().map(|action| (*action).to_owned());
    (class, tag.to_owned(), button)
}

#[test]
fn an_event_is_explained_with_what_can_be_done_about_it() {
    let (new, late) = (ago(DAY), ago(31 * DAY));
    let (requeue, release) = (Some("requeue"), Some("release"));
    let cases = [
        (EventState::Pending, new, "lead", Text::PendingText, None),
        (
            EventState::Pending,
            late,
            "notice bad",
            Text::OverdueText,
            None,
        ),
        (EventState::Done, new, "lead", Text::DoneText, None),
        (EventState::Done, late, "lead", Text::DoneText, None),
        (
            EventState::DeadLetter,
            new,
            "notice bad",
            Text::DeadLettersText,
            requeue,
        ),
        (
            EventState::DeadLetter,
            late,
            "notice bad",
            Text::DeadLettersText,
            requeue,
        ),
        (
            EventState::Stale,
            new,
            "notice warn",
            Text::StaleText,
            requeue,
        ),
        (
            EventState::Stale,
            late,
            "notice warn",
            Text::StaleText,
            requeue,
        ),
        (
            EventState::Quarantined,
            new,
            "notice warn",
            Text::HeldText,
            release,
        ),
        (
            EventState::Quarantined,
            late,
            "notice bad",
            Text::HeldText,
            release,
        ),
    ];
    for (state, received_at, class, text, button) in cases {
        let case = format!("{state} of {received_at}");
        let said = explained(record(1, received_at, state));
        assert_eq!(said.0, class, "{case}");
        assert!(said.1.contains("id=\"explained\""), "{case}: {}", said.1);
        let text = format!(">{}</p>", text.english());
        assert!(said.1.contains(&text), "{case}: {}", said.1);
        let action = button.map(|what| {
            format!("/openhumans/staff/events/00000001eeeeeeeeeeeeeeeeeeeeeeee/{what}")
        });
        assert_eq!(said.2, action, "{case}");
        let warned = said.1.contains(Text::StaleRequeueText.english());
        assert_eq!(warned, state == EventState::Stale, "{case}");
    }
}

#[test]
fn what_another_event_has_made_up_for_cannot_be_put_back() {
    for state in [EventState::DeadLetter, EventState::Stale] {
        let (_, said, button) = explained(EventRecord {
            member: None,
            ..record(1, ago(DAY), state)
        });
        assert_eq!(button, None, "{state}");
        assert!(said.contains(Text::RequeueGone.english()), "{state}");
    }
}

#[test]
fn buttons_say_what_they_do() {
    let cases = [
        (
            EventState::Quarantined,
            "<button id=\"release\">Release</button>",
        ),
        (
            EventState::DeadLetter,
            "<button id=\"requeue\">Put back into the queue</button>",
        ),
    ];
    for (state, button) in cases {
        let said = explained(record(1, ago(DAY), state)).1;
        assert!(said.contains(button), "{said}");
    }
}

#[tokio::test]
async fn a_history_shows_its_newest_thousand_lines_and_says_when_there_are_more() {
    let desk = Desk::new();
    let event = event(1, ago(DAY));
    let path = format!("/staff/events/{}", event.id);
    let more = "The newest 1000 lines; the export has all.";
    desk.accept(&event).await;
    let first = ago(DAY);
    for number in 1..=500 {
        if number == 500 {
            let few = desk.json(&path).await;
            assert_eq!(few["lines"].as_array().unwrap().len(), 999);
            assert_eq!(few["shortened"], false);
        }
        let from = first + Duration::from_secs(number);
        let lease = desk.lease(from).await;
        if number == 500 {
            let all = desk.json(&path).await;
            assert_eq!(all["lines"].as_array().unwrap().len(), 1_000);
            assert_eq!(all["lines"][0]["step"], "received");
            assert_eq!(all["shortened"], false);
            assert!(!desk.html(&path).await.contains(more));
        }
        let retry = Completion::Retry {
            due_at: from,
            note: format!("failure {number}"),
        };
        desk.settle(&lease, retry, from).await;
    }
    let newest = desk.json(&path).await;
    let lines = newest["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1_000);
    assert_eq!(lines[0]["step"], "tried", "the oldest is left away");
    assert_eq!(lines[999]["note"], "failure 500");
    assert_eq!(newest["shortened"], true);
    assert!(desk.html(&path).await.contains(more));
}

#[tokio::test]
async fn an_event_is_found_without_reading_those_of_others() {
    let desk = Desk::new();
    for number in 1..=20 {
        desk.accept(&event(number, ago(DAY - number as u64))).await;
    }
    let wanted = event(3, ago(DAY));
    let found = desk.json(&format!("/staff/events/{}", wanted.id)).await;
    assert_eq!(found["event"]["id"], wanted.id.as_str());
    assert_eq!(desk.inbox.read.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn whoever_has_released_or_requeued_an_event_is_told_so_on_its_page() {
    let desk = Desk::new();
    let (dead, held) = (event(1, ago(DAY)), event(2, ago(DAY)));
    let note = "the bucket is locked".to_owned();
    desk.settled(&dead, Completion::DeadLetter { note }, 1)
        .await;
    desk.hold(&held).await;
    let cases = [
        (&dead, "requeue", "requeued"),
        (&held, "release", "released"),
    ];
    for (event, what, done) in cases {
        let page = format!("/staff/events/{}", event.id);
        let answer = desk
            .send("POST", &format!("{page}/{what}"), "text/html")
            .await;
        let to = answer.headers()[LOCATION].to_str().unwrap();
        assert_eq!(to, format!("/openhumans{page}?done={done}"));
        let shown = desk.html(to.trim_start_matches("/openhumans")).await;
        assert!(shown.contains("id=\"notice\""), "{done}: {shown}");
    }
    assert_eq!(desk.inbox.stats().await.unwrap().pending, 2);
}

#[tokio::test]
async fn before_all_is_released_it_is_said_how_many_and_what_that_means() {
    let desk = Desk::new();
    for number in 1..=3 {
        desk.hold(&event(number, ago(DAY))).await;
    }
    let html = desk.html("/staff/release-all").await;
    for said in [
        "<h1>Release all 3 that are held?</h1>",
        Text::HeldText.english(),
        Text::ReleaseAllText.english(),
        "<form method=\"post\" action=\"/openhumans/staff/release-all\">",
        "href=\"/openhumans/staff/events?state=held\"",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
}
