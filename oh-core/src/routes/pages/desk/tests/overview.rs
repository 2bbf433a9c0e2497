use serde_json::json;

use super::*;

fn done() -> Completion {
    Completion::Done { note: None }
}

#[tokio::test]
async fn what_is_open_for_more_than_thirty_days_is_overdue() {
    let desk = Desk::new();
    let late = ago(30 * DAY + 1);
    let note = "the bucket is locked".to_owned();
    let dead = Completion::DeadLetter { note };
    desk.settled(&event(1, late), dead, 1).await;
    desk.settled(&event(2, late), done(), 1).await;
    desk.settled(&event(3, late), Completion::Stale, 1).await;
    desk.hold(&event(4, late)).await;
    desk.accept(&event(5, late)).await;
    desk.accept(&event(6, ago(30 * DAY))).await;
    desk.hold(&event(7, ago(DAY))).await;
    let overview = desk.json("/staff").await;
    assert_eq!(overview["overdue"], 3);
    let list = desk.json("/staff/events?state=overdue").await;
    assert_eq!(list["events"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_a_later_event_has_made_up_for_is_not_overdue() {
    let desk = Desk::new();
    let (oldest, newest) = (event(1, ago(40 * DAY)), event(200, ago(31 * DAY)));
    for number in 2..=120 {
        let late = event(number, ago(35 * DAY));
        let note = "the bucket is locked".to_owned();
        match number % 2 {
            0 => desk.hold(&late).await,
            _ => {
                desk.settled(&late, Completion::DeadLetter { note }, 1)
                    .await
            }
        }
    }
    let count = async || desk.json("/staff").await["overdue"].clone();
    assert_eq!(count().await, 119);
    for number in 2..=120 {
        let again = DeauthEvent {
            id: EventId::new(format!("{number:032}")),
            ..event(number, ago(34 * DAY))
        };
        desk.settled(&again, done(), 1).await;
    }
    assert_eq!(count().await, 0);
    let html = desk.html("/staff").await;
    assert!(html.contains("Nothing needs your attention."), "{html}");
    let made_up_for = format!("/staff/events/{}", event(2, now()).id);
    assert_eq!(desk.json(&made_up_for).await["event"]["overdue"], false);

    desk.hold(&oldest).await;
    desk.hold(&newest).await;
    assert_eq!(count().await, 2);
    let list = desk.json("/staff/events?state=overdue").await;
    let events = list["events"].as_array().unwrap().iter();
    let ids: Vec<_> = events.map(|event| event["id"].clone()).collect();
    assert_eq!(ids, [json!(newest.id), json!(oldest.id)]);
    assert_eq!(list["next"], Value::Null);
}

#[tokio::test]
async fn from_a_hundred_on_the_overdue_are_not_counted() {
    let desk = Desk::new();
    for (number, wanted) in [(99, "99"), (100, "100"), (101, "more than 100")] {
        let first = if number == 99 { 1 } else { number };
        for number in first..=number {
            desk.accept(&event(number, ago(31 * DAY))).await;
        }
        let html = desk.html("/staff").await;
        let count = between(&html, "<b id=\"count-overdue\">", "</b>");
        assert_eq!(count, [wanted]);
    }
}

#[tokio::test]
async fn what_is_being_worked_on_is_found_with_when_that_began() {
    let desk = Desk::new();
    let (second_try, first_try) = (event(1, ago(9 * HOUR)), event(2, ago(2 * HOUR)));
    desk.accept(&second_try).await;
    let lease = desk.lease(ago(8 * HOUR)).await;
    let note = "not now".to_owned();
    let due_at = ago(HOUR);
    let retry = Completion::Retry { due_at, note };
    desk.settle(&lease, retry, ago(7 * HOUR)).await;
    assert_eq!(desk.lease(ago(90)).await.event, second_try.id);
    let gone = desk.inbox.mark_tokens_destroyed(&second_try, ago(80)).await;
    gone.unwrap();
    desk.accept(&first_try).await;
    assert_eq!(desk.lease(ago(60)).await.event, first_try.id);
    // One whose worker has died, and one that waits.
    let lost = event(3, ago(HOUR));
    desk.accept(&lost).await;
    let leased = desk.inbox.lease(ago(50), ago(10), 1).await.unwrap();
    assert_eq!(leased[0].event.id, lost.id);
    desk.accept(&event(4, ago(40))).await;

    let overview = desk.json("/staff").await;
    let running = json!([
        { "id": first_try.id, "attempt": 1, "since": ago(60), "seconds": 60 },
        { "id": second_try.id, "attempt": 2, "since": ago(90), "seconds": 90 },
    ]);
    assert_eq!(overview["running"], running);
}

#[tokio::test]
async fn of_what_is_being_worked_on_the_newest_fifty_are_shown() {
    let desk = Desk::new();
    for number in 1..=51 {
        desk.accept(&event(number, ago(HOUR - number as u64))).await;
    }
    let until = now() + Duration::from_secs(HOUR);
    let leased = desk.inbox.lease(ago(10), until, 51).await.unwrap();
    assert_eq!(leased.len(), 51);
    let overview = desk.json("/staff").await;
    let running = overview["running"].as_array().unwrap();
    assert_eq!(running.len(), 50);
    assert_eq!(running[0]["id"], event(51, now()).id.as_str());
    assert_eq!(running[49]["id"], event(2, now()).id.as_str());
}

#[tokio::test]
async fn a_worker_is_alive_that_was_heard_of_within_the_last_minute() {
    let desk = Desk::new();
    let openhumans = &desk.openhumans;
    let worker = openhumans.worker().spawn();
    let heard = async || {
        let signs = openhumans.deauthorizer().heartbeats().await;
        signs.unwrap().worker.is_some()
    };
    while !heard().await {
        tokio::task::yield_now().await;
    }
    worker.stop().await;
    for (later, alive) in [(0, true), (59, true), (1, false)] {
        openhumans.clock().advance(Duration::from_secs(later));
        let background = &desk.json("/staff").await["background"];
        assert_eq!(background["worker_alive"], alive, "{background}");
        assert_eq!(background["worker_heard_at"], json!(now()));
    }
}

#[tokio::test]
async fn times_are_told_of_all_that_is_done() {
    let desk = Desk::new();
    for number in 1..=200 {
        let event = event(number, ago(DAY - number as u64));
        desk.settled(&event, done(), number as u64).await;
    }
    let took = json!({ "count": 200, "median": 100.0, "p95": 190.0, "longest": 200.0 });
    assert_eq!(desk.json("/staff").await["took"], took);
}

#[tokio::test]
async fn times_and_plots_are_of_the_newest_two_thousand_whatever_else_there_is() {
    let desk = Desk::new();
    for number in 1..=2_001 {
        let took = if number == 1 { 9_999 } else { 1 };
        let event = event(number, ago(DAY - number as u64));
        desk.settled(&event, done(), took).await;
    }
    let took = json!({ "count": 2_000, "median": 1.0, "p95": 1.0, "longest": 1.0 });
    let overview = desk.json("/staff").await;
    assert_eq!(overview["took"], took);
    assert_eq!(overview["plotted"], 2_000);

    for number in 3_000..5_000 {
        desk.accept(&event(number, ago(HOUR))).await;
    }
    let overview = desk.json("/staff").await;
    assert_eq!(overview["took"], took, "also while many wait");
    let open = overview["plot"].as_array().unwrap().iter();
    let open: u64 = open.map(|span| span["open"].as_u64().unwrap()).sum();
    assert_eq!((&overview["plotted"], open), (&json!(2_000), 2_000));
}
