//! Two plots as SVG: events over time, and the time to completion. A table has the same figures.

use std::time::Duration;

use maud::{Markup, html};

use oh_core::Timestamp;
use oh_core::deauth::{EventRecord, EventState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::{Context, duration, minute};

/// One interval of the plots.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct PlotInterval {
    /// The start.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Events received in the interval.
    pub received: u64,
    /// Those of them that are pending, quarantined or dead letters.
    pub open: u64,
    /// The median time to completion in seconds.
    pub median: Option<f64>,
    /// The longest time to completion in seconds.
    pub max: Option<f64>,
}

const HOUR: u64 = 3_600;

/// The lengths that an interval may have, in seconds.
const INTERVAL_LENGTHS: [u64; 8] = [
    HOUR,
    6 * HOUR,
    24 * HOUR,
    2 * 24 * HOUR,
    7 * 24 * HOUR,
    14 * 24 * HOUR,
    30 * 24 * HOUR,
    91 * 24 * HOUR,
];

/// The range of the number of intervals in a plot.
const MIN_INTERVALS: u64 = 12;
const MAX_INTERVALS: u64 = 40;

/// The time from receipt to completion, if an event is done.
#[expect(clippy::cast_precision_loss, reason = "a plot needs no more digits")]
pub(super) fn seconds_to_done(event: &EventRecord) -> Option<f64> {
    let settled = event
        .settled_at
        .filter(|_| event.state == EventState::Done)?;
    Some(settled.since(event.received_at).as_micros() as f64 / 1e6)
}

/// Groups events into intervals of equal length. The last one contains `now`.
pub(super) fn intervals(events: &[EventRecord], now: Timestamp) -> Vec<PlotInterval> {
    let Some(oldest) = events.iter().map(|event| event.received_at).min() else {
        return Vec::new();
    };
    let total = now.since(oldest).as_secs() + 1;
    let width = INTERVAL_LENGTHS
        .into_iter()
        .find(|width| total.div_ceil(*width) <= MAX_INTERVALS);
    let width = width.unwrap_or_else(|| total.div_ceil(MAX_INTERVALS));
    let count = total.div_ceil(width).max(MIN_INTERVALS);
    let width = Duration::from_secs(width);
    let begin = now - width * u32::try_from(count).unwrap_or(u32::MAX);
    let mut intervals: Vec<(PlotInterval, Vec<f64>)> = (0..u32::try_from(count).unwrap_or(0))
        .map(|number| {
            let interval = PlotInterval {
                from: begin + width * number,
                received: 0,
                open: 0,
                median: None,
                max: None,
            };
            (interval, Vec::new())
        })
        .collect();
    for event in events {
        let number = event.received_at.since(begin).as_micros() / width.as_micros();
        let last = intervals.len() - 1;
        let number = usize::try_from(number).unwrap_or(last).min(last);
        let (interval, times) = &mut intervals[number];
        interval.received += 1;
        if !matches!(event.state, EventState::Done | EventState::Stale) {
            interval.open += 1;
        }
        times.extend(seconds_to_done(event));
    }
    let finish = |(mut interval, mut times): (PlotInterval, Vec<f64>)| {
        times.sort_by(f64::total_cmp);
        if let Some(last) = times.len().checked_sub(1) {
            interval.median = Some(times[last / 2]);
            interval.max = Some(times[last]);
        }
        interval
    };
    intervals.into_iter().map(finish).collect()
}

const WIDE: f64 = 720.0;
const HIGH: f64 = 190.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 160.0;
const TOP: f64 = 12.0;

/// The plots of `intervals`, which sum up `events` events.
pub(super) fn html(cx: &Context<'_>, intervals: &[PlotInterval], events: usize) -> Markup {
    let count = events.to_string();
    html! {
        section.card #over-time {
            h2 { (cx.text("plot-received")) }
            p.soft { (cx.text_with("plot-received-text", &[("count", &count)])) }
            (wide(cx, "plot-received", &bars(cx, intervals)))
            ul.key {
                li { (swatch("bar")) (cx.text("received")) }
                li { (swatch("open")) (cx.text("plot-open")) }
            }
        }
        section.card #time-to-done {
            h2 { (cx.text("plot-duration")) }
            p.soft { (cx.text("plot-duration-text")) }
            (wide(cx, "plot-duration", &times(cx, intervals)))
            ul.key {
                li { (swatch("dot")) (cx.text("plot-median")) }
                li { (swatch("top-dot")) (cx.text("plot-max")) }
            }
            details {
                summary { (cx.text("plot-table")) }
                (table(cx, intervals))
            }
        }
    }
}

/// A region that scrolls horizontally in narrow windows, also with the keyboard.
fn wide(cx: &Context<'_>, name: &str, content: &Markup) -> Markup {
    html! { div.wide role="region" tabindex="0" aria-label=(cx.text(name)) { (content) } }
}

fn swatch(class: &str) -> Markup {
    html! {
        svg.plot viewBox="0 0 12 12" aria-hidden="true" {
            @if class.ends_with("dot") { circle class=(class) cx="6" cy="6" r="4.5" {} }
            @else { rect class=(class) width="12" height="12" rx="2" {} }
        }
    }
}

/// The position and the width of an interval.
#[expect(clippy::cast_precision_loss, reason = "at most 40 intervals")]
fn across(number: usize, count: usize) -> (f64, f64) {
    let width = (WIDE - LEFT) / count as f64;
    (LEFT + number as f64 * width, width)
}

/// Formats a coordinate.
fn n(value: f64) -> String {
    format!("{value:.1}")
}

fn rule(at: f64, label: &str) -> Markup {
    html! {
        line.rule x1=(n(LEFT)) x2=(n(WIDE)) y1=(n(at)) y2=(n(at)) {}
        text x=(n(LEFT - 8.0)) y=(n(at + 4.0)) text-anchor="end" { (label) }
    }
}

/// The start of an interval: the minute, or the day if intervals are at least that long.
fn start_label(intervals: &[PlotInterval], number: usize) -> String {
    let is_short = intervals
        .windows(2)
        .any(|two| two[1].from.since(two[0].from).as_secs() < 24 * HOUR);
    let start = minute(intervals[number].from);
    match is_short {
        true => start,
        false => start.get(..10).unwrap_or_default().to_owned(),
    }
}

/// The labels below a plot: the first, the middle and the last interval.
fn axis(intervals: &[PlotInterval]) -> Markup {
    let last = intervals.len() - 1;
    let mut shown = vec![(0, "start"), (last / 2, "middle"), (last, "end")];
    shown.dedup_by_key(|(number, _)| *number);
    html! {
        @for (number, anchor) in shown {
            @let (x, width) = across(number, intervals.len());
            @let x = match anchor { "start" => x, "end" => x + width, _ => x + width / 2.0 };
            text x=(n(x)) y=(n(BOTTOM + 20.0)) text-anchor=(anchor) { (start_label(intervals, number)) }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 2,000 events")]
fn bars(cx: &Context<'_>, intervals: &[PlotInterval]) -> Markup {
    let max = intervals
        .iter()
        .map(|interval| interval.received)
        .max()
        .unwrap_or(1)
        .max(1);
    let height = |count: u64| (BOTTOM - TOP) * count as f64 / max as f64;
    html! {
        svg.plot viewBox=(format!("0 0 {WIDE} {HIGH}")) role="img" aria-label=(cx.text("plot-received")) {
            (rule(TOP, &max.to_string()))
            (rule(BOTTOM, "0"))
            @for (number, interval) in intervals.iter().enumerate() {
                @let (x, width) = across(number, intervals.len());
                @if interval.received > 0 {
                    rect.bar x=(n(x + width * 0.12)) width=(n(width * 0.76)) y=(n(BOTTOM - height(interval.received))) height=(n(height(interval.received))) {
                        title { (minute(interval.from)) ": " (interval.received) }
                    }
                }
                @if interval.open > 0 {
                    rect.open x=(n(x + width * 0.12)) width=(n(width * 0.76)) y=(n(BOTTOM - height(interval.open))) height=(n(height(interval.open))) {}
                }
            }
            (axis(intervals))
        }
    }
}

fn times(cx: &Context<'_>, intervals: &[PlotInterval]) -> Markup {
    let max = intervals
        .iter()
        .filter_map(|interval| interval.max)
        .fold(1.0, f64::max);
    // The scale has one step for each power of ten of milliseconds.
    let decades = (max * 1000.0).log10().ceil().max(1.0);
    let at = |seconds: f64| {
        let part = (seconds.max(0.001) * 1000.0).log10() / decades;
        BOTTOM - (BOTTOM - TOP) * part
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive number"
    )]
    let powers = 0..=(decades as u32);
    html! {
        svg.plot viewBox=(format!("0 0 {WIDE} {HIGH}")) role="img" aria-label=(cx.text("plot-duration")) {
            @for power in powers.filter(|power| decades < 6.0 || power % 2 == 0) {
                @let time = Duration::from_millis(10_u64.saturating_pow(power));
                (rule(at(time.as_secs_f64()), &duration(time)))
            }
            @for (number, interval) in intervals.iter().enumerate() {
                @let (x, width) = across(number, intervals.len());
                @let x = n(x + width / 2.0);
                @if let (Some(median), Some(max)) = (interval.median, interval.max) {
                    line.span x1=(x) x2=(x) y1=(n(at(median))) y2=(n(at(max))) {}
                    circle.top-dot cx=(x) cy=(n(at(max))) r="4" {}
                    circle.dot cx=(x) cy=(n(at(median))) r="4" {}
                }
            }
            (axis(intervals))
        }
    }
}

fn table(cx: &Context<'_>, intervals: &[PlotInterval]) -> Markup {
    let time = |seconds: Option<f64>| seconds.map(|s| duration(Duration::from_secs_f64(s)));
    html! {
        (wide(cx, "plot-table", &html! { table {
            thead { tr {
                th scope="col" { (cx.text("plot-start")) }
                th.num scope="col" { (cx.text("received")) }
                th.num scope="col" { (cx.text("plot-open")) }
                th.num scope="col" { (cx.text("plot-median")) }
                th.num scope="col" { (cx.text("plot-max")) }
            } }
            tbody { @for interval in intervals.iter().filter(|interval| interval.received > 0) { tr {
                td { (cx.time(interval.from)) }
                td.num { (interval.received) }
                td.num { (interval.open) }
                td.num { (time(interval.median).unwrap_or_default()) }
                td.num { (time(interval.max).unwrap_or_default()) }
            } } }
        } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oh_core::deauth::{DeauthEvent, Discovery, ErasureRequest, EventId, Pseudonym};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_secs(seconds)
    }

    fn event(received: u64, took: Option<u64>) -> EventRecord {
        let mut record = EventRecord::pending(&DeauthEvent {
            id: EventId::new(format!("{received}")),
            member: "01026778".parse().unwrap(),
            pseudonym: Pseudonym::new("p"),
            erasure: ErasureRequest::Requested,
            discovery: Discovery::Webhook,
            left_at: at(received),
            received_at: at(received),
        });
        if let Some(took) = took {
            record.state = EventState::Done;
            record.settled_at = Some(at(received + took));
        }
        record
    }

    #[test]
    fn intervals_contain_each_event_once_and_have_no_gaps() {
        for age in [1, 3_000, 200_000, 40_000_000, 2_000_000_000] {
            let events: Vec<_> = (0..100).map(|i| event(i * age / 100, Some(i))).collect();
            let intervals = intervals(&events, at(age));
            assert!(intervals.len() as u64 <= MAX_INTERVALS, "{age}");
            let received: u64 = intervals.iter().map(|interval| interval.received).sum();
            assert_eq!(received, 100, "{age}");
            let widths: Vec<_> = intervals
                .windows(2)
                .map(|two| two[1].from.since(two[0].from))
                .collect();
            assert!(widths.windows(2).all(|two| two[0] == two[1]));
        }
    }

    #[test]
    fn intervals_count_open_events_and_measure_done_ones() {
        let events = [
            event(0, Some(1)),
            event(1, Some(5)),
            event(2, Some(60)),
            event(3, None),
        ];
        let intervals = intervals(&events, at(10));
        assert_eq!(intervals.len() as u64, MIN_INTERVALS);
        let last = intervals.last().unwrap();
        assert_eq!((last.received, last.open), (4, 1));
        assert_eq!((last.median, last.max), (Some(5.0), Some(60.0)));
        assert!(super::intervals(&[], at(10)).is_empty());
    }
}
