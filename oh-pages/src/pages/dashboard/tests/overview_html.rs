use super::super::overview::{Durations, RunningEvent};
use super::*;
use crate::layout::View;

fn rendered(page: &DashboardPage) -> String {
    Dashboard::new().render(|cx| page.html(cx))
}

fn section<'a>(html: &'a str, id: &str) -> &'a str {
    between(html, &format!("id=\"{id}\">"), "</section>")[0]
}

#[test]
fn overview_without_events_has_no_alarms_and_no_plots() {
    let html = rendered(&empty());
    let good = "<p>Nothing needs your attention.</p>";
    assert!(html.contains(good), "{html}");
    assert!(section(&html, "running").contains("No event is being processed."));
    for absent in [
        "Needs attention",
        "alarm",
        "Oldest pending event",
        "id=\"durations\"",
        "<svg",
    ] {
        assert!(!html.contains(absent), "{absent}: {html}");
    }
}

#[test]
fn attention_links_to_the_lists_that_need_it() {
    let with = |overdue, quarantined, dead_letters| DashboardPage {
        counts: EventCounts {
            overdue,
            quarantined,
            dead_letters,
            ..EventCounts::default()
        },
        ..empty()
    };
    let line = |list: &str, title: &str, id: &str| {
        let text = super::text(id);
        format!("<p><a href=\"/openhumans/staff/events?list={list}\">{title}</a>. {text}</p>")
    };
    let overdue = |count: &str| line("overdue", &format!("Overdue: {count}"), "list-overdue-text");
    let quarantined = line("quarantined", "Quarantined: 2", "list-quarantined-text");
    let dead = line("dead_letter", "Dead letters: 3", "list-dead-letter-text");
    let cases = [
        (with(1, 0, 0), overdue("1")),
        (with(100, 0, 0), overdue("100")),
        (with(101, 0, 0), overdue("more than 100")),
        (with(0, 2, 0), quarantined.clone()),
        (with(0, 0, 3), dead.clone()),
        (with(1, 2, 3), overdue("1") + &quarantined + &dead),
    ];
    for (page, expected) in cases {
        let html = rendered(&page);
        let attention = section(&html, "attention");
        assert_eq!(attention, format!("<h2>Needs attention</h2>{expected}"));
        assert!(!html.contains(&text("attention-none")), "{html}");
    }
}

#[test]
fn count_cards_link_to_lists_and_mark_alarms() {
    let page = DashboardPage {
        counts: EventCounts {
            overdue: 6,
            pending: 1,
            quarantined: 2,
            dead_letters: 3,
            done: 4,
            stale: 5,
            oldest_pending: None,
        },
        ..empty()
    };
    let lists = [
        ("pending", "1", "Pending", false),
        ("quarantined", "2", "Quarantined", true),
        ("overdue", "6", "Overdue", true),
        ("dead_letter", "3", "Dead letters", true),
        ("done", "4", "Done", false),
        ("stale", "5", "Stale", false),
    ];
    let html = rendered(&page);
    let cards = between(&html, "<li", "</li>");
    let expected = lists.map(|(name, count, text, alarm)| {
        let class = if alarm { " class=\"alarm\"" } else { "" };
        format!(
            "{class}><a href=\"/openhumans/staff/events?list={name}\">\
             <b id=\"count-{name}\">{count}</b><span>{text}</span></a>"
        )
    });
    assert_eq!(cards, expected);
    let zero = rendered(&empty());
    let counts = between(&zero, "<b id=\"count-", "</b>");
    let expected = lists.map(|(name, ..)| format!("{name}\">0"));
    assert_eq!(counts, expected);
}

#[test]
fn running_card_shows_attempts_and_durations() {
    let running = |number: usize, attempt, seconds| RunningEvent {
        id: event(number, now()).id,
        attempt,
        since: None,
        seconds,
    };
    let page = DashboardPage {
        running: vec![running(1, 2, Some(90)), running(2, 1, None)],
        counts: EventCounts {
            oldest_pending: Some(ago(3 * HOUR)),
            ..EventCounts::default()
        },
        ..empty()
    };
    let html = rendered(&page);
    let section = section(&html, "running");
    let row = |id: &str, attempt: &str, time: &str| {
        format!(
            "<tr><td><a href=\"/openhumans/staff/events/{id}eeeeeeeeeeeeeeeeeeeeeeee\">\
             <code>{id}</code></a></td><td class=\"num\">{attempt}</td>\
             <td class=\"num\">{time}</td></tr>"
        )
    };
    let rows = row("00000001", "2", "90 s") + &row("00000002", "1", "");
    assert_eq!(between(section, "<tbody>", "</tbody>"), [rows]);
    assert!(section.contains("Oldest pending event: 3 h"), "{section}");
    assert!(!section.contains("No event is being processed."));
}

#[test]
fn background_card_shows_heartbeats_and_passes() {
    let worker = |alive, heartbeat_at| BackgroundStatus {
        worker_alive: alive,
        worker_heartbeat_at: heartbeat_at,
        ..BackgroundStatus::default()
    };
    let reconciler = |active, finished_at| BackgroundStatus {
        reconciler_active: active,
        reconciler_finished_at: finished_at,
        ..BackgroundStatus::default()
    };
    let never = ("stale", "never seen");
    let cases = [
        (BackgroundStatus::default(), never, never),
        (
            worker(true, Some(ago(3))),
            ("done", "running, last heartbeat 3 s ago"),
            never,
        ),
        (
            worker(false, Some(ago(300))),
            ("dead_letter", "no heartbeat for 5 min"),
            never,
        ),
        (reconciler(true, None), never, ("done", "running")),
        (
            reconciler(true, Some(ago(HOUR))),
            never,
            ("done", "running"),
        ),
        (
            reconciler(false, Some(ago(3 * HOUR))),
            never,
            ("done", "last pass 3 h ago"),
        ),
    ];
    for (background, worker, reconciler) in cases {
        let is_alive = background.worker_alive;
        let html = rendered(&DashboardPage {
            background,
            ..empty()
        });
        let section = section(&html, "background");
        let line = |title: &str, (class, state): (&str, &str), id: &str| {
            let text = super::text(id);
            format!(
                "<p><strong>{title}</strong> <span class=\"state {class}\">{state}</span>\
                 <br><span class=\"soft\">{text}</span></p>"
            )
        };
        for line in [
            line("Worker", worker, "worker-text"),
            line("Reconciler", reconciler, "reconciler-text"),
        ] {
            assert!(section.contains(&line), "{line}: {section}");
        }
        let has_hint = section.contains(&text("worker-hint"));
        assert_eq!(has_hint, !is_alive, "{section}");
    }
}

#[test]
fn durations_card_shows_three_figures() {
    let durations = Durations {
        count: 12,
        median: 0.5,
        p95: 90.0,
        max: 7_200.0,
    };
    let html = rendered(&DashboardPage {
        durations: Some(durations),
        ..empty()
    });
    let section = section(&html, "durations");
    assert!(
        section.contains("The latest 12 completed events"),
        "{section}"
    );
    let figures = "<dt>Median</dt><dd>500 ms</dd>\
         <dt>95th percentile</dt><dd>90 s</dd><dt>Longest</dt><dd>2 h</dd>";
    assert!(section.contains(figures), "{section}");
}
