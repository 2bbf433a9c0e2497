use super::*;

fn ids(list: &Value) -> Vec<&str> {
    let events = list["events"].as_array().unwrap();
    events.iter().map(|e| e["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn event_list_has_a_next_page_only_if_there_are_more_events() {
    let dashboard = Dashboard::new();
    for number in 1..=50 {
        dashboard.accept(&event(number, ago(DAY))).await;
    }
    let list = dashboard.json("/staff/events").await;
    assert_eq!(ids(&list).len(), 50);
    assert_eq!(list["next"], Value::Null);
    assert!(
        !dashboard
            .html("/staff/events")
            .await
            .contains("id=\"older\"")
    );

    dashboard.accept(&event(51, ago(DAY))).await;
    let list = dashboard.json("/staff/events").await;
    assert_eq!(ids(&list).len(), 50);
    let next = list["next"].as_str().unwrap();
    let rest = dashboard
        .json(&format!("/staff/events?before={next}"))
        .await;
    assert_eq!(ids(&rest), [event(1, now()).id.as_str()]);
    assert!(
        dashboard
            .html("/staff/events")
            .await
            .contains("id=\"older\"")
    );
}

#[tokio::test]
async fn member_page_shows_the_latest_hundred_events_of_the_member() {
    let dashboard = Dashboard::new();
    let leaves = |number: u64| {
        let id = EventId::new(format!("{number:032}"));
        let received_at = ago(DAY - number);
        DeauthEvent {
            id,
            ..event(1, received_at)
        }
    };
    for number in 0..=100 {
        dashboard.accept(&leaves(number)).await;
    }
    for other in 2..=102 {
        dashboard.accept(&event(other, ago(HOUR))).await;
    }
    let who = event(1, now()).pseudonym;
    let page = dashboard.json(&format!("/staff/member?who={who}")).await;
    let newest: Vec<_> = (1..=100).rev().map(|n| leaves(n).id.to_string()).collect();
    assert_eq!(ids(&page), newest);
    let lines = page["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 101);
    assert!(lines.iter().all(|line| line["pseudonym"] == who.as_str()));
}
