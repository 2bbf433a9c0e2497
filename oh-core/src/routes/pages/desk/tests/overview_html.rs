use super::super::overview;
use super::*;
use crate::pages::Text;
use crate::pages::view::{RunningEvent, Took};

fn drawn(page: &DeskPage) -> String {
    Desk::new().draw(|cx| overview::html(cx, page))
}

fn section<'a>(html: &'a str, id: &str) -> &'a str {
    between(html, &format!("id=\"{id}\">"), "</section>")[0]
}

#[test]
fn with_nothing_to_do_that_is_said_and_nothing_is_drawn() {
    let html = drawn(&nothing());
    let good = "<p>Nothing needs your attention.</p>";
    assert!(html.contains(good), "{html}");
    assert!(section(&html, "running").contains("Nothing is being worked on."));
    for absent in [
        "Needs attention",
        "alarm",
        "Oldest pending",
        "id=\"took\"",
        "<svg",
    ] {
        assert!(!html.contains(absent), "{absent}: {html}");
    }
}

#[test]
fn what_needs_someone_is_said_with_the_way_to_it() {
    let with = |overdue, held, dead_letters| DeskPage {
        overdue,
        stats: InboxStats {
            quarantined: held,
            dead_letters,
            ..InboxStats::default()
        },
        ..nothing()
    };
    let said = |shelf: &str, title: &str, text: Text| {
        let text = text.english();
        format!("<p><a href=\"/openhumans/staff/events?state={shelf}\">{title}</a>. {text}</p>")
    };
    let overdue = |count: &str| said("overdue", &format!("Overdue: {count}"), Text::OverdueText);
    let held = said("quarantined", "Quarantined: 2", Text::HeldText);
    let dead = said("dead_letter", "Dead letters: 3", Text::DeadLettersText);
    let cases = [
        (with(1, 0, 0), overdue("1")),
        (with(100, 0, 0), overdue("100")),
        (with(101, 0, 0), overdue("more than 100")),
        (with(303, 0, 0), overdue("more than 100")),
        (with(0, 2, 0), held.clone()),
        (with(0, 0, 3), dead.clone()),
        (with(1, 2, 3), overdue("1") + &held + &dead),
    ];
    for (page, wanted) in cases {
        let html = drawn(&page);
        let attention = section(&html, "attention");
        assert_eq!(attention, format!("<h2>Needs attention</h2>{wanted}"));
        assert!(!html.contains(Text::NothingToDo.english()), "{html}");
    }
}

#[test]
fn how_many_stand_where_is_counted_and_what_needs_someone_stands_out() {
    let page = DeskPage {
        overdue: 6,
        stats: InboxStats {
            pending: 1,
            quarantined: 2,
            dead_letters: 3,
            done: 4,
            stale: 5,
            oldest_pending: None,
        },
        ..nothing()
    };
    let shelves = [
        ("pending", "1", "Pending", false),
        ("quarantined", "2", "Quarantined", true),
        ("overdue", "6", "Overdue", true),
        ("dead_letter", "3", "Dead letters", true),
        ("done", "4", "Done", false),
        ("stale", "5", "Stale", false),
    ];
    let html = drawn(&page);
    let cards = between(&html, "<li", "</li>");
    let wanted = shelves.map(|(name, count, text, alarm)| {
        let class = if alarm { " class=\"alarm\"" } else { "" };
        format!(
            "{class}><a href=\"/openhumans/staff/events?state={name}\">\
             <b id=\"count-{name}\">{count}</b><span>{text}</span></a>"
        )
    });
    assert_eq!(cards, wanted);
    let zero = drawn(&nothing());
    let counts = between(&zero, "<b id=\"count-", "</b>");
    let wanted = shelves.map(|(name, ..)| format!("{name}\">0"));
    assert_eq!(counts, wanted);
}

#[test]
fn what_is_being_worked_on_is_shown_with_how_long_already() {
    let running = |number: usize, attempt, seconds| RunningEvent {
        id: event(number, now()).id,
        attempt,
        since: None,
        seconds,
    };
    let page = DeskPage {
        running: vec![running(1, 2, Some(90)), running(2, 1, None)],
        stats: InboxStats {
            oldest_pending: Some(ago(3 * HOUR)),
            ..InboxStats::default()
        },
        ..nothing()
    };
    let html = drawn(&page);
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
    assert!(section.contains("Oldest pending: 3 h"), "{section}");
    assert!(!section.contains("Nothing is being worked on."));
}

#[test]
fn signs_of_life_are_told_from_silence() {
    let worker = |alive, confirmed_at| BackgroundView {
        worker_alive: alive,
        worker_heard_at: confirmed_at,
        ..nothing().background
    };
    let reconciler = |asking, asked_at| BackgroundView {
        reconciler_asking: asking,
        reconciler_asked_at: asked_at,
        ..nothing().background
    };
    let never = ("stale", "not heard of");
    let cases = [
        (nothing().background, never, never),
        (
            worker(true, Some(ago(3))),
            ("done", "alive, last asked 3 s ago"),
            never,
        ),
        (
            worker(false, Some(ago(300))),
            ("dead_letter", "silent, last asked 5 min ago"),
            never,
        ),
        (reconciler(true, None), never, ("done", "asking now")),
        (
            reconciler(true, Some(ago(HOUR))),
            never,
            ("done", "asking now"),
        ),
        (
            reconciler(false, Some(ago(3 * HOUR))),
            never,
            ("done", "last asked 3 h ago"),
        ),
    ];
    for (background, worker, reconciler) in cases {
        let is_alive = background.worker_alive;
        let html = drawn(&DeskPage {
            background,
            ..nothing()
        });
        let section = section(&html, "background");
        let line = |title: &str, (class, state): (&str, &str), text: Text| {
            let text = text.english();
            format!(
                "<p><strong>{title}</strong> <span class=\"state {class}\">{state}</span>\
                 <br><span class=\"soft\">{text}</span></p>"
            )
        };
        for line in [
            line("Worker", worker, Text::WorkerText),
            line("Reconciler", reconciler, Text::ReconcilerText),
        ] {
            assert!(section.contains(&line), "{line}: {section}");
        }
        let what_to_do = section.contains(Text::SilentText.english());
        assert_eq!(what_to_do, !is_alive, "{section}");
    }
}

#[test]
fn how_long_requests_took_is_said_in_three_figures() {
    let took = Took {
        count: 12,
        median: 0.5,
        p95: 90.0,
        longest: 7_200.0,
    };
    let html = drawn(&DeskPage {
        took: Some(took),
        ..nothing()
    });
    let section = section(&html, "took");
    assert!(section.contains("The newest 12 that are done"), "{section}");
    let figures = "<dt>Half of them within</dt><dd>500 ms</dd>\
         <dt>95 of 100 within</dt><dd>90 s</dd><dt>The longest</dt><dd>2 h</dd>";
    assert!(section.contains(figures), "{section}");
}
