use super::super::plot::{self, PlotInterval};
use super::*;

/// Empty intervals of `width` seconds.
fn intervals<const N: usize>(width: u64) -> [PlotInterval; N] {
    std::array::from_fn(|number| PlotInterval {
        from: at(0) + Duration::from_secs(width * number as u64),
        received: 0,
        open: 0,
        median: None,
        max: None,
    })
}

fn rendered(intervals: &[PlotInterval]) -> String {
    let page = DashboardPage {
        plotted: 7,
        plot: intervals.to_vec(),
        ..empty()
    };
    Dashboard::new().render(|cx| plot::html(cx, &page.plot, page.plotted))
}

/// The plot of the counts and the plot of the durations.
fn plots(html: &str) -> (&str, &str) {
    html.split_once("id=\"time-to-done\"").unwrap()
}

/// The tags that start with `start`.
fn tags<'a>(html: &'a str, start: &str) -> Vec<&'a str> {
    between(html, start, ">")
}

/// The horizontal lines of a plot with their labels.
fn rules(expected: &[(f64, &str)]) -> Vec<String> {
    let rule = |(y, label): &(f64, &str)| {
        let beside = y + 4.0;
        format!(
            "x1=\"52.0\" x2=\"720.0\" y1=\"{y:.1}\" y2=\"{y:.1}\"></line>\
             <text x=\"44.0\" y=\"{beside:.1}\" text-anchor=\"end\">{label}"
        )
    };
    expected.iter().map(rule).collect()
}

fn rules_of(plot: &str) -> Vec<&str> {
    between(plot, "<line class=\"rule\" ", "</text>")
}

#[test]
fn intervals_contain_events_by_time_of_receipt() {
    let ages = [41_400, 3 * HOUR, 2 * HOUR + 1, 2 * HOUR + 1, 0];
    let events = ages.map(|age| record(1, ago(age), EventState::Pending));
    let intervals = plot::intervals(&events, now());
    let from: Vec<_> = intervals.iter().map(|interval| interval.from).collect();
    let hours: Vec<_> = (1..=12).rev().map(|hours| ago(hours * HOUR)).collect();
    assert_eq!(from, hours);
    let received: Vec<_> = intervals.iter().map(|interval| interval.received).collect();
    assert_eq!(received, [1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1]);
}

#[test]
fn intervals_are_as_short_as_forty_of_them_allow() {
    for hours in [1, 6, 24, 48, 168, 336, 720, 2_184] {
        let width = hours * HOUR;
        let oldest = record(1, ago(40 * width - 1), EventState::Pending);
        let intervals = plot::intervals(&[oldest], now());
        let found = intervals[1].from.since(intervals[0].from).as_secs();
        assert_eq!((intervals.len(), found), (40, width), "{hours}");
    }
    let a_little_older = record(1, ago(40 * 720 * HOUR), EventState::Pending);
    let intervals = plot::intervals(&[a_little_older], now());
    let found = intervals[1].from.since(intervals[0].from).as_secs();
    assert_eq!(found, 2_184 * HOUR);
}

#[test]
fn intervals_start_before_their_events() {
    let ages = [Duration::ZERO, Duration::from_millis(144_000_500)];
    for age in ages {
        let received_at = now() - age;
        let events = [record(1, received_at, EventState::Pending)];
        let intervals = plot::intervals(&events, now());
        let interval = intervals
            .iter()
            .find(|interval| interval.received > 0)
            .unwrap();
        assert!(interval.from <= received_at, "{age:?}");
    }
}

#[test]
fn bars_have_the_height_of_the_count() {
    let mut intervals = intervals::<4>(HOUR);
    for (number, received, open) in [(0, 4, 1), (2, 2, 0), (3, 1, 1)] {
        (intervals[number].received, intervals[number].open) = (received, open);
    }
    let html = rendered(&intervals);
    let (plot, _) = plots(&html);
    assert_eq!(rules_of(plot), rules(&[(12.0, "4"), (160.0, "0")]));
    let bars = [
        r#"72.0" width="126.9" y="12.0" height="148.0""#,
        r#"406.0" width="126.9" y="86.0" height="74.0""#,
        r#"573.0" width="126.9" y="123.0" height="37.0""#,
    ];
    assert_eq!(tags(plot, "<rect class=\"bar\" x=\""), bars);
    let open = [
        r#"72.0" width="126.9" y="123.0" height="37.0""#,
        r#"573.0" width="126.9" y="123.0" height="37.0""#,
    ];
    assert_eq!(tags(plot, "<rect class=\"open\" x=\""), open);
    assert_eq!(
        between(plot, "<title>", "</title>"),
        [
            "2020-09-13 12:26: 4",
            "2020-09-13 14:26: 2",
            "2020-09-13 15:26: 1"
        ]
    );
}

#[test]
fn dots_mark_the_median_and_the_maximum() {
    let mut intervals = intervals::<4>(HOUR);
    let times = [(0, 1.0, 90.0), (2, 0.05, 0.05), (3, 0.0, 1.0)];
    for (number, median, longest) in times {
        (intervals[number].median, intervals[number].max) = (Some(median), Some(longest));
    }
    let html = rendered(&intervals);
    let (_, plot) = plots(&html);
    let lines = [
        r#"135.5" x2="135.5" y1="71.2" y2="13.4""#,
        r#"469.5" x2="469.5" y1="109.7" y2="109.7""#,
        r#"636.5" x2="636.5" y1="160.0" y2="71.2""#,
    ];
    assert_eq!(
        tags(plot, "<line class=\"span\" x1=\""),
        lines,
        "from the median to the maximum"
    );
    let longest = [("135.5", "13.4"), ("469.5", "109.7"), ("636.5", "71.2")];
    let median = [("135.5", "71.2"), ("469.5", "109.7"), ("636.5", "160.0")];
    for (class, dots) in [("top-dot", longest), ("dot", median)] {
        let dots = dots.map(|(x, y)| format!(r#"{x}" cy="{y}" r="4""#));
        let start = format!("<circle class=\"{class}\" cx=\"");
        let mut drawn = tags(plot, &start);
        drawn.retain(|dot| dot.contains("r=\"4\""));
        assert_eq!(drawn, dots, "{class}");
    }
}

#[test]
fn time_scale_reaches_the_maximum() {
    let cases = [
        (None, scale(3, 1)),
        (Some(0.5), scale(3, 1)),
        (Some(90.0), scale(5, 1)),
        (Some(900.0), scale(6, 2)),
        (Some(9_000.0), scale(7, 2)),
    ];
    for (longest, expected) in cases {
        let mut intervals = intervals::<2>(HOUR);
        intervals[1].max = longest;
        let html = rendered(&intervals);
        assert_eq!(rules_of(plots(&html).1), rules(&expected), "{longest:?}");
    }
}

/// Powers of ten of a millisecond, up to this one: each, or every second.
fn scale(decades: u32, step: usize) -> Vec<(f64, &'static str)> {
    let labels = [
        "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s", "16 min", "2 h",
    ];
    let high = |power: u32| 148.0 * f64::from(power) / f64::from(decades);
    let all = (0..=decades).map(|power| 160.0 - high(power)).zip(labels);
    all.step_by(step).collect()
}

#[test]
fn axis_labels_the_first_middle_and_last_interval() {
    let cases = [
        (
            HOUR,
            ["2020-09-13 12:26", "2020-09-13 13:26", "2020-09-13 15:26"],
        ),
        (
            6 * HOUR,
            ["2020-09-13 12:26", "2020-09-13 18:26", "2020-09-14 06:26"],
        ),
        (DAY, ["2020-09-13", "2020-09-14", "2020-09-16"]),
        (7 * DAY, ["2020-09-13", "2020-09-20", "2020-10-04"]),
    ];
    for (width, times) in cases {
        let html = rendered(&intervals::<4>(width));
        let [first, middle, last] = times;
        let days = format!(
            r#"<text x="52.0" y="180.0" text-anchor="start">{first}</text><text x="302.5" y="180.0" text-anchor="middle">{middle}</text><text x="720.0" y="180.0" text-anchor="end">{last}</text></svg>"#
        );
        assert_eq!(html.matches(&days).count(), 2, "{width}: {html}");
    }
}

#[test]
fn table_contains_the_figures_of_the_plots() {
    let mut intervals = intervals::<3>(DAY);
    (intervals[0].received, intervals[0].open) = (4, 1);
    (intervals[0].median, intervals[0].max) = (Some(0.25), Some(200.0));
    (intervals[2].received, intervals[2].open) = (3, 3);
    let html = rendered(&intervals);
    let rows = between(&html, "<tbody>", "</tbody>");
    let expected = "<tr><td><time datetime=\"2020-09-13T12:26:40Z\">2020-09-13 12:26 UTC</time></td>\
         <td class=\"num\">4</td><td class=\"num\">1</td>\
         <td class=\"num\">250 ms</td><td class=\"num\">3 min</td></tr>\
         <tr><td><time datetime=\"2020-09-15T12:26:40Z\">2020-09-15 12:26 UTC</time></td>\
         <td class=\"num\">3</td><td class=\"num\">3</td>\
         <td class=\"num\"></td><td class=\"num\"></td></tr>";
    assert_eq!(rows, [expected], "intervals without events are omitted");
}

#[test]
fn plots_have_a_name_and_a_key_and_scroll_by_keyboard() {
    let html = rendered(&intervals::<3>(DAY));
    let start = r#"<div class="wide" role="region" tabindex="0" aria-label=""#;
    let names = [
        "Events received",
        "Time to completion over time",
        "Show as a table",
    ];
    assert_eq!(between(&html, start, "\""), names);
    assert_eq!(
        between(&html, r#"role="img" aria-label=""#, "\""),
        names[..2]
    );
    let keys = between(&html, "<ul class=\"key\">", "</ul>");
    let swatch = |shape: &str, text: &str| {
        format!(
            r#"<li><svg class="plot" viewBox="0 0 12 12" aria-hidden="true">{shape}</svg>{text}</li>"#
        )
    };
    let rect =
        |class: &str| format!(r#"<rect class="{class}" width="12" height="12" rx="2"></rect>"#);
    let dot = |class: &str| format!(r#"<circle class="{class}" cx="6" cy="6" r="4.5"></circle>"#);
    let expected = [
        swatch(&rect("bar"), "Received") + &swatch(&rect("open"), "open"),
        swatch(&dot("dot"), "median") + &swatch(&dot("top-dot"), "longest"),
    ];
    assert_eq!(keys, expected);
    assert!(html.contains("The latest 7, by date of receipt"), "{html}");
}
