use serde_json::json;

use super::*;

fn done() -> Completion {
    Completion::Done { note: None }
}

#[tokio::test]
async fn overview_counts_open_events_as_overdue_after_thirty_days() {
    let dashboard = Dashboard::new();
    let late = ago(30 * DAY + 1);
    let note = "the bucket is locked".to_owned();
    let dead = Completion::DeadLetter { note };
    dashboard.settled(&event(1, late), dead, 1).await;
    dashboard.settled(&event(2, late), done(), 1).await;
    dashboard
        .settled(&event(3, late), Completion::Stale, 1)
        .await;
    dashboard.quarantine(&event(4, late)).await;
    dashboard.accept(&event(5, late)).await;
    dashboard.accept(&event(6, ago(30 * DAY))).await;
    dashboard.quarantine(&event(7, ago(DAY))).await;
    let overview = dashboard.json("/staff").await;
    assert_eq!(overview["counts"]["overdue"], 3);
    let list = dashboard.json("/staff/events?list=overdue").await;
    assert_eq!(list["events"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn overview_does_not_count_superseded_events_as_overdue() {
    let dashboard = Dashboard::new();
    let (oldest, newest) = (event(1, ago(40 * DAY)), event(200, ago(31 * DAY)));
    for number in 2..=120 {
        let late = event(number, ago(35 * DAY));
        let note = "the bucket is locked".to_owned();
        match number % 2 {
            0 => dashboard.quarantine(&late).await,
            _ => {
                dashboard
                    .settled(&late, Completion::DeadLetter { note }, 1)
                    .await
            }
        }
    }
    let count = async || dashboard.json("/staff").await["counts"]["overdue"].clone();
    assert_eq!(count().await, 101, "more than one hundred");
    for number in 2..=120 {
        let again = DeauthEvent {
            id: EventId::new(format!("{number:032}")),
            ..event(number, ago(34 * DAY))
        };
        dashboard.settled(&again, done(), 1).await;
    }
    assert_eq!(count().await, 0);
    let html = dashboard.html("/staff").await;
    assert!(html.contains("Nothing needs your attention."), "{html}");
    let superseded = format!("/staff/events/{}", event(2, now()).id);
    assert_eq!(dashboard.json(&superseded).await["event"]["overdue"], false);

    dashboard.quarantine(&oldest).await;
    dashboard.quarantine(&newest).await;
    assert_eq!(count().await, 2);
    let list = dashboard.json("/staff/events?list=overdue").await;
    let events = list["events"].as_array().unwrap().iter();
    let ids: Vec<_> = events.map(|event| event["id"].clone()).collect();
    assert_eq!(ids, [json!(newest.id), json!(oldest.id)]);
    assert_eq!(list["next"], Value::Null);
}

#[tokio::test]
async fn overview_counts_overdue_events_up_to_one_hundred() {
    let dashboard = Dashboard::new();
    for (number, expected) in [(99, "99"), (100, "100"), (101, "more than 100")] {
        let first = if number == 99 { 1 } else { number };
        for number in first..=number {
            dashboard.accept(&event(number, ago(31 * DAY))).await;
        }
        let html = dashboard.html("/staff").await;
        let count = between(&html, "<b id=\"count-overdue\">", "</b>");
        assert_eq!(count, [expected]);
    }
}

#[tokio::test]
async fn overview_shows_running_events_with_the_start_of_the_attempt() {
    let dashboard = Dashboard::new();
    let (second_try, first_try) = (event(1, ago(9 * HOUR)), event(2, ago(2 * HOUR)));
    dashboard.accept(&second_try).await;
    let lease = dashboard.lease(ago(8 * HOUR)).await;
    let note = "not now".to_owned();
    let due_at = ago(HOUR);
    let retry = Completion::Retry { due_at, note };
    dashboard.complete(&lease, retry, ago(7 * HOUR)).await;
    assert_eq!(dashboard.lease(ago(90)).await.event, second_try.id);
    let gone = dashboard
        .inbox
        .mark_tokens_destroyed(&second_try, ago(80))
        .await;
    gone.unwrap();
    dashboard.accept(&first_try).await;
    assert_eq!(dashboard.lease(ago(60)).await.event, first_try.id);
    // One whose worker has died, and one that waits.
    let lost = event(3, ago(HOUR));
    dashboard.accept(&lost).await;
    let leased = dashboard.inbox.lease(ago(50), ago(10), 1).await.unwrap();
    assert_eq!(leased[0].event.id, lost.id);
    dashboard.accept(&event(4, ago(40))).await;

    let overview = dashboard.json("/staff").await;
    let running = json!([
        { "id": first_try.id, "attempt": 1, "since": ago(60), "seconds": 60 },
        { "id": second_try.id, "attempt": 2, "since": ago(90), "seconds": 90 },
    ]);
    assert_eq!(overview["running"], running);
}

#[tokio::test]
async fn overview_shows_the_newest_fifty_running_events() {
    let dashboard = Dashboard::new();
    for number in 1..=51 {
        dashboard
            .accept(&event(number, ago(HOUR - number as u64)))
            .await;
    }
    let until = now() + Duration::from_secs(HOUR);
    let leased = dashboard.inbox.lease(ago(10), until, 51).await.unwrap();
    assert_eq!(leased.len(), 51);
    let overview = dashboard.json("/staff").await;
    let running = overview["running"].as_array().unwrap();
    assert_eq!(running.len(), 50);
    assert_eq!(running[0]["id"], event(51, now()).id.as_str());
    assert_eq!(running[49]["id"], event(2, now()).id.as_str());
}

#[tokio::test]
async fn worker_is_alive_for_a_minute_after_a_heartbeat() {
    let dashboard = Dashboard::new();
    let openhumans = &dashboard.openhumans;
    let background = openhumans.start_background();
    while openhumans.heartbeats().await.unwrap().worker.is_none() {
        tokio::task::yield_now().await;
    }
    background.stop().await;
    for (later, alive) in [(0, true), (59, true), (1, false)] {
        openhumans.clock().advance(Duration::from_secs(later));
        let background = &dashboard.json("/staff").await["background"];
        assert_eq!(background["worker_alive"], alive, "{background}");
        assert_eq!(background["worker_heartbeat_at"], json!(now()));
    }
}

#[tokio::test]
async fn overview_measures_the_durations_of_done_events() {
    let dashboard = Dashboard::new();
    for number in 1..=200 {
        let event = event(number, ago(DAY - number as u64));
        dashboard.settled(&event, done(), number as u64).await;
    }
    let took = json!({ "count": 200, "median": 100.0, "p95": 190.0, "max": 200.0 });
    assert_eq!(dashboard.json("/staff").await["durations"], took);
}

#[tokio::test]
async fn durations_and_plots_use_the_newest_two_thousand_events() {
    let dashboard = Dashboard::new();
    for number in 1..=2_001 {
        let took = if number == 1 { 9_999 } else { 1 };
        let event = event(number, ago(DAY - number as u64));
        dashboard.settled(&event, done(), took).await;
    }
    let took = json!({ "count": 2_000, "median": 1.0, "p95": 1.0, "max": 1.0 });
    let overview = dashboard.json("/staff").await;
    assert_eq!(overview["durations"], took);
    assert_eq!(overview["plotted"], 2_000);

    for number in 3_000..5_000 {
        dashboard.accept(&event(number, ago(HOUR))).await;
    }
    let overview = dashboard.json("/staff").await;
    assert_eq!(overview["durations"], took, "also while many wait");
    let open = overview["plot"].as_array().unwrap().iter();
    let open: u64 = open.map(|span| span["open"].as_u64().unwrap()).sum();
    assert_eq!((&overview["plotted"], open), (&json!(2_000), 2_000));
}
