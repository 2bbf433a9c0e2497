//! Two plots, drawn on the server: events over time, and the time to done.
//!
//! They are SVG without any style of its own, and each has its figures as a table beside it.

use std::time::Duration;

use maud::{Markup, html};

use crate::Timestamp;
use crate::deauth::{EventRecord, EventState};
use crate::pages::texts::Text;
use crate::pages::view::{DeskPage, PlotSpan};
use crate::routes::pages::context::{Context, minute, span};

const HOUR: u64 = 3_600;
/// How long a span of a plot may be, in seconds: an hour, then up to a quarter of a year.
const WIDTHS: [u64; 8] = [
    HOUR,
    6 * HOUR,
    24 * HOUR,
    2 * 24 * HOUR,
    7 * 24 * HOUR,
    14 * 24 * HOUR,
    30 * 24 * HOUR,
    91 * 24 * HOUR,
];

/// Spans of a plot: at most, and at least.
const MOST: u64 = 40;
const LEAST: u64 = 12;

/// How long an event took, if it is done.
#[expect(clippy::cast_precision_loss, reason = "a time to be shown")]
pub(super) fn seconds_to_done(event: &EventRecord) -> Option<f64> {
    let settled = event
        .settled_at
        .filter(|_| event.state == EventState::Done)?;
    Some(settled.since(event.received_at).as_micros() as f64 / 1e6)
}

/// Puts events into spans of equal length, the last of which holds `now`.
pub(super) fn spans(events: &[EventRecord], now: Timestamp) -> Vec<PlotSpan> {
    let Some(oldest) = events.iter().map(|event| event.received_at).min() else {
        return Vec::new();
    };
    let whole = now.since(oldest).as_secs() + 1;
    let width = WIDTHS
        .into_iter()
        .find(|width| whole.div_ceil(*width) <= MOST);
    let width = width.unwrap_or_else(|| whole.div_ceil(MOST));
    let count = whole.div_ceil(width).max(LEAST);
    let width = Duration::from_secs(width);
    let begin = now - width * u32::try_from(count).unwrap_or(u32::MAX);
    let mut spans: Vec<(PlotSpan, Vec<f64>)> = (0..u32::try_from(count).unwrap_or(0))
        .map(|number| {
            let span = PlotSpan {
                from: begin + width * number,
                received: 0,
                open: 0,
                median: None,
                longest: None,
            };
            (span, Vec::new())
        })
        .collect();
    for event in events {
        let number = event.received_at.since(begin).as_micros() / width.as_micros();
        let last = spans.len() - 1;
        let number = usize::try_from(number).unwrap_or(last).min(last);
        let (span, times) = &mut spans[number];
        span.received += 1;
        if !matches!(event.state, EventState::Done | EventState::Stale) {
            span.open += 1;
        }
        times.extend(seconds_to_done(event));
    }
    let finish = |(mut span, mut times): (PlotSpan, Vec<f64>)| {
        times.sort_by(f64::total_cmp);
        if let Some(last) = times.len().checked_sub(1) {
            span.median = Some(times[last / 2]);
            span.longest = Some(times[last]);
        }
        span
    };
    spans.into_iter().map(finish).collect()
}

const WIDE: f64 = 720.0;
const HIGH: f64 = 190.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 160.0;
const TOP: f64 = 12.0;

pub(super) fn html(cx: &Context<'_>, view: &DeskPage) -> Markup {
    let count = view.plotted.to_string();
    html! {
        section.card #over-time {
            h2 { (cx.say(Text::OverTime)) }
            p.soft { (cx.fill(Text::OverTimeText, &[("count", &count)])) }
            (wide(cx, Text::OverTime, &bars(cx, &view.plot)))
            ul.key {
                li { (swatch("bar")) (cx.say(Text::Received)) }
                li { (swatch("open")) (cx.say(Text::NotDone)) }
            }
        }
        section.card #time-to-done {
            h2 { (cx.say(Text::TimeToDone)) }
            p.soft { (cx.say(Text::TimeToDoneText)) }
            (wide(cx, Text::TimeToDone, &times(cx, &view.plot)))
            ul.key {
                li { (swatch("dot")) (cx.say(Text::MedianShort)) }
                li { (swatch("top-dot")) (cx.say(Text::LongestShort)) }
            }
            details {
                summary { (cx.say(Text::AsTable)) }
                (table(cx, &view.plot))
            }
        }
    }
}

/// Something that narrow windows scroll sideways, also by keyboard.
fn wide(cx: &Context<'_>, name: Text, content: &Markup) -> Markup {
    html! { div.wide role="region" tabindex="0" aria-label=(cx.say(name)) { (content) } }
}

fn swatch(class: &str) -> Markup {
    html! {
        svg.plot viewBox="0 0 12 12" aria-hidden="true" {
            @if class.ends_with("dot") { circle class=(class) cx="6" cy="6" r="4.5" {} }
            @else { rect class=(class) width="12" height="12" rx="2" {} }
        }
    }
}

/// Where the span of this number lies, and how wide it is.
#[expect(clippy::cast_precision_loss, reason = "at most 40 spans")]
fn across(number: usize, count: usize) -> (f64, f64) {
    let width = (WIDE - LEFT) / count as f64;
    (LEFT + number as f64 * width, width)
}

/// A number for SVG.
fn n(value: f64) -> String {
    format!("{value:.1}")
}

fn rule(at: f64, label: &str) -> Markup {
    html! {
        line.rule x1=(n(LEFT)) x2=(n(WIDE)) y1=(n(at)) y2=(n(at)) {}
        text x=(n(LEFT - 8.0)) y=(n(at + 4.0)) text-anchor="end" { (label) }
    }
}

/// When a span begins, as exactly as spans are long.
fn when(spans: &[PlotSpan], number: usize) -> String {
    let is_short = spans
        .windows(2)
        .any(|two| two[1].from.since(two[0].from).as_secs() < 24 * HOUR);
    let whole = minute(spans[number].from);
    match is_short {
        true => whole,
        false => whole.get(..10).unwrap_or_default().to_owned(),
    }
}

/// The days below a plot: the first, the middle and the last.
fn days(spans: &[PlotSpan]) -> Markup {
    let last = spans.len() - 1;
    let mut shown = vec![(0, "start"), (last / 2, "middle"), (last, "end")];
    shown.dedup_by_key(|(number, _)| *number);
    html! {
        @for (number, anchor) in shown {
            @let (x, width) = across(number, spans.len());
            @let x = match anchor { "start" => x, "end" => x + width, _ => x + width / 2.0 };
            text x=(n(x)) y=(n(BOTTOM + 20.0)) text-anchor=(anchor) { (when(spans, number)) }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 2,000 events")]
fn bars(cx: &Context<'_>, spans: &[PlotSpan]) -> Markup {
    let most = spans
        .iter()
        .map(|span| span.received)
        .max()
        .unwrap_or(1)
        .max(1);
    let high = |count: u64| (BOTTOM - TOP) * count as f64 / most as f64;
    html! {
        svg.plot viewBox=(format!("0 0 {WIDE} {HIGH}")) role="img" aria-label=(cx.say(Text::OverTime)) {
            (rule(TOP, &most.to_string()))
            (rule(BOTTOM, "0"))
            @for (number, span) in spans.iter().enumerate() {
                @let (x, width) = across(number, spans.len());
                @if span.received > 0 {
                    rect.bar x=(n(x + width * 0.12)) width=(n(width * 0.76)) y=(n(BOTTOM - high(span.received))) height=(n(high(span.received))) {
                        title { (minute(span.from)) ": " (span.received) }
                    }
                }
                @if span.open > 0 {
                    rect.open x=(n(x + width * 0.12)) width=(n(width * 0.76)) y=(n(BOTTOM - high(span.open))) height=(n(high(span.open))) {}
                }
            }
            (days(spans))
        }
    }
}

fn times(cx: &Context<'_>, spans: &[PlotSpan]) -> Markup {
    let longest = spans
        .iter()
        .filter_map(|span| span.longest)
        .fold(1.0, f64::max);
    // Powers of ten of milliseconds.
    let decades = (longest * 1000.0).log10().ceil().max(1.0);
    let at = |seconds: f64| {
        let part = (seconds.max(0.001) * 1000.0).log10() / decades;
        BOTTOM - (BOTTOM - TOP) * part
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "powers of ten of a time"
    )]
    let powers = 0..=(decades as u32);
    html! {
        svg.plot viewBox=(format!("0 0 {WIDE} {HIGH}")) role="img" aria-label=(cx.say(Text::TimeToDone)) {
            @for power in powers.filter(|power| decades < 6.0 || power % 2 == 0) {
                @let time = Duration::from_millis(10_u64.saturating_pow(power));
                (rule(at(time.as_secs_f64()), &span(time)))
            }
            @for (number, span) in spans.iter().enumerate() {
                @let (x, width) = across(number, spans.len());
                @let x = n(x + width / 2.0);
                @if let (Some(median), Some(longest)) = (span.median, span.longest) {
                    line.span x1=(x) x2=(x) y1=(n(at(median))) y2=(n(at(longest))) {}
                    circle.top-dot cx=(x) cy=(n(at(longest))) r="4" {}
                    circle.dot cx=(x) cy=(n(at(median))) r="4" {}
                }
            }
            (days(spans))
        }
    }
}

fn table(cx: &Context<'_>, spans: &[PlotSpan]) -> Markup {
    let time = |seconds: Option<f64>| seconds.map(|s| span(Duration::from_secs_f64(s)));
    html! {
        (wide(cx, Text::AsTable, &html! { table {
            thead { tr {
                th scope="col" { (cx.say(Text::From)) }
                th.num scope="col" { (cx.say(Text::Received)) }
                th.num scope="col" { (cx.say(Text::NotDone)) }
                th.num scope="col" { (cx.say(Text::MedianShort)) }
                th.num scope="col" { (cx.say(Text::LongestShort)) }
            } }
            tbody { @for span in spans.iter().filter(|span| span.received > 0) { tr {
                td { (cx.time(span.from)) }
                td.num { (span.received) }
                td.num { (span.open) }
                td.num { (time(span.median).unwrap_or_default()) }
                td.num { (time(span.longest).unwrap_or_default()) }
            } } }
        } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deauth::{Discovery, ErasureRequest, EventId, Pseudonym};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_secs(seconds)
    }

    fn event(received: u64, took: Option<u64>) -> EventRecord {
        EventRecord {
            id: EventId::new(format!("{received}")),
            member: None,
            pseudonym: Pseudonym::new("p"),
            erasure: ErasureRequest::Requested,
            discovery: Discovery::Webhook,
            left_at: at(received),
            received_at: at(received),
            state: match took {
                Some(_) => EventState::Done,
                None => EventState::Pending,
            },
            attempts: 1,
            due_at: at(received),
            settled_at: took.map(|took| at(received + took)),
            leased_until: None,
        }
    }

    #[test]
    fn every_event_is_in_one_span_and_the_spans_have_no_gaps() {
        for age in [1, 3_000, 200_000, 40_000_000, 2_000_000_000] {
            let events: Vec<_> = (0..100).map(|i| event(i * age / 100, Some(i))).collect();
            let spans = spans(&events, at(age));
            assert!(spans.len() as u64 <= MOST, "{age}");
            let received: u64 = spans.iter().map(|span| span.received).sum();
            assert_eq!(received, 100, "{age}");
            let widths: Vec<_> = spans
                .windows(2)
                .map(|two| two[1].from.since(two[0].from))
                .collect();
            assert!(widths.windows(2).all(|two| two[0] == two[1]));
        }
    }

    #[test]
    fn what_is_open_and_how_long_the_rest_took_is_told_apart() {
        let events = [
            event(0, Some(1)),
            event(1, Some(5)),
            event(2, Some(60)),
            event(3, None),
        ];
        let spans = spans(&events, at(10));
        assert_eq!(spans.len() as u64, LEAST);
        let last = spans.last().unwrap();
        assert_eq!((last.received, last.open), (4, 1));
        assert_eq!((last.median, last.longest), (Some(5.0), Some(60.0)));
        assert!(super::spans(&[], at(10)).is_empty());
    }
}
