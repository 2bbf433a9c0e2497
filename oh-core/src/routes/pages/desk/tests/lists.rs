use super::*;

fn ids(list: &Value) -> Vec<&str> {
    let events = list["events"].as_array().unwrap();
    events.iter().map(|e| e["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_has_a_next_page_only_if_there_is_more() {
    let desk = Desk::new();
    for number in 1..=50 {
        desk.accept(&event(number, ago(DAY))).await;
    }
    let list = desk.json("/staff/events").await;
    assert_eq!(ids(&list).len(), 50);
    assert_eq!(list["next"], Value::Null);
    assert!(!desk.html("/staff/events").await.contains("id=\"older\""));

    desk.accept(&event(51, ago(DAY))).await;
    let list = desk.json("/staff/events").await;
    assert_eq!(ids(&list).len(), 50);
    let next = list["next"].as_str().unwrap();
    let rest = desk.json(&format!("/staff/events?before={next}")).await;
    assert_eq!(ids(&rest), [event(1, now()).id.as_str()]);
    assert!(desk.html("/staff/events").await.contains("id=\"older\""));
}

#[tokio::test]
async fn a_members_page_has_the_newest_hundred_events_and_those_of_nobody_else() {
    let desk = Desk::new();
    let leaves = |number: u64| {
        let id = EventId::new(format!("{number:032}"));
        let received_at = ago(DAY - number);
        DeauthEvent {
            id,
            ..event(1, received_at)
        }
    };
    for number in 0..=100 {
        desk.accept(&leaves(number)).await;
    }
    for other in 2..=102 {
        desk.accept(&event(other, ago(HOUR))).await;
    }
    let who = event(1, now()).pseudonym;
    let found = desk.json(&format!("/staff/member?who={who}")).await;
    let newest: Vec<_> = (1..=100).rev().map(|n| leaves(n).id.to_string()).collect();
    assert_eq!(ids(&found), newest);
    let lines = found["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 101);
    assert!(lines.iter().all(|line| line["member"] == who.as_str()));
}
