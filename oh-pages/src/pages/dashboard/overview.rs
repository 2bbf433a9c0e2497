//! The overview: alarms, counts, running events, background tasks, durations.

use std::time::Duration;

use axum::extract::State;
use maud::{Markup, html};
use oh_core::Timestamp;
use oh_core::deauth::{
    DeauthInbox, EventId, EventQuery, EventRecord, EventState, HEARTBEAT_INTERVAL, InboxError,
    InboxStats, LedgerQuery, Step,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::plot::{self, PlotInterval};
use super::table;
use crate::app::App;
use crate::context::{Context, duration};
use crate::error::PageError;
use crate::layout::View;
use crate::layout::{Frame, Section};
use crate::pages::Page;

/// Events that plots and durations are computed from.
const SAMPLE_SIZE: usize = 2_000;

/// Records that are read at a time.
const BATCH_SIZE: usize = 500;

/// Running events that are shown.
const MAX_RUNNING: usize = 50;

/// The number up to which overdue events are counted.
const MAX_OVERDUE_COUNT: usize = 100;

/// A worker counts as alive for this long after a heartbeat.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(4 * HEARTBEAT_INTERVAL.as_secs());

/// The overview of the erasure dashboard.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct DashboardPage {
    /// The number of events in each state.
    pub counts: EventCounts,
    /// Events in progress, in any process; at most 50.
    pub running: Vec<RunningEvent>,
    /// The status of the background tasks.
    pub background: BackgroundStatus,
    /// The status of the checkpoints of the ledger.
    pub checkpoint: CheckpointPage,
    /// How long the latest done events took; `None` if no event is done.
    pub durations: Option<Durations>,
    /// The number of events in the plots.
    pub plotted: usize,
    /// The plots, oldest interval first.
    pub plot: Vec<PlotInterval>,
    #[serde(skip)]
    pub(super) has_signing_key: bool,
}

/// The number of events in each state.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[non_exhaustive]
pub struct EventCounts {
    /// Waiting, or being processed.
    pub pending: u64,
    /// Quarantined.
    pub quarantined: u64,
    /// Overdue; 101 if there are more than 100.
    pub overdue: u64,
    /// Abandoned after too many attempts.
    pub dead_letters: u64,
    /// Done.
    pub done: u64,
    /// Older than the member's latest authorization.
    pub stale: u64,
    /// When the oldest pending event was received.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_pending: Option<Timestamp>,
}

/// An event in progress.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct RunningEvent {
    /// The event.
    #[schema(value_type = String)]
    pub id: EventId,
    /// The number of the attempt.
    pub attempt: u32,
    /// When the attempt started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// How long the attempt has taken, in seconds.
    pub seconds: Option<u64>,
}

/// The status of the background tasks of all processes.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[non_exhaustive]
pub struct BackgroundStatus {
    /// Whether a worker sent a heartbeat within the last minute.
    pub worker_alive: bool,
    /// When a worker sent its latest heartbeat.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub worker_heartbeat_at: Option<Timestamp>,
    /// Whether a reconciliation pass is in progress.
    pub reconciler_active: bool,
    /// When the latest reconciliation pass finished.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reconciler_finished_at: Option<Timestamp>,
}

/// The status of the checkpoints of the ledger.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[non_exhaustive]
pub struct CheckpointPage {
    /// The number of lines that the latest checkpoint covers; `None` if there is none.
    pub lines: Option<u64>,
    /// When the latest checkpoint was signed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub signed_at: Option<Timestamp>,
    /// The latest checkpoint as a signed note.
    pub note: Option<String>,
    /// Why no further checkpoint is signed: the ledger does not match the latest one.
    pub conflict: Option<String>,
}

/// How long events took from receipt to completion, in seconds.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Durations {
    /// The number of events, which are the latest done.
    pub count: usize,
    /// The median.
    pub median: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The maximum.
    pub max: f64,
}

/// Shows alarms, counts, running events, background tasks and durations
#[utoipa::path(get, path = "/staff", responses(
    (status = 200, description = "The overview", body = DashboardPage),
))]
pub(crate) async fn overview(State(app): State<App>) -> Result<Page, PageError> {
    let openhumans = app.openhumans();
    let inbox = &**openhumans.inbox();
    let now = openhumans.clock().now();
    let ledger = openhumans.ledger();
    let overdue = EventQuery::first(MAX_OVERDUE_COUNT + 1);
    let (stats, overdue, running, heartbeats, checkpoint, sample, done) = tokio::try_join!(
        inbox.stats(),
        ledger.overdue(overdue),
        running(inbox, now),
        openhumans.heartbeats(),
        openhumans.checkpoint_status(),
        newest(inbox, None),
        newest(inbox, Some(EventState::Done)),
    )?;
    let is_alive = |at: Timestamp| now.since(at) < HEARTBEAT_TIMEOUT;
    Ok(DashboardPage {
        counts: counts(&stats, overdue.len()),
        running,
        background: BackgroundStatus {
            worker_alive: heartbeats.worker.is_some_and(is_alive),
            worker_heartbeat_at: heartbeats.worker,
            reconciler_active: heartbeats.reconciler_running,
            reconciler_finished_at: heartbeats.reconciler,
        },
        checkpoint: CheckpointPage {
            lines: checkpoint.checkpoint.is_some().then_some(checkpoint.size),
            signed_at: checkpoint.at,
            note: checkpoint.checkpoint,
            conflict: checkpoint.problem,
        },
        durations: durations(&done),
        plotted: sample.len(),
        plot: plot::intervals(&sample, now),
        has_signing_key: checkpoint.enabled,
    }
    .into())
}

fn counts(stats: &InboxStats, overdue: usize) -> EventCounts {
    EventCounts {
        pending: stats.pending,
        quarantined: stats.quarantined,
        overdue: overdue as u64,
        dead_letters: stats.dead_letters,
        done: stats.done,
        stale: stats.stale,
        oldest_pending: stats.oldest_pending,
    }
}

/// Loads the newest events in a state, in batches.
async fn newest(
    inbox: &dyn DeauthInbox,
    state: Option<EventState>,
) -> Result<Vec<EventRecord>, InboxError> {
    let mut query = EventQuery::first(BATCH_SIZE).state(state).newest_first();
    let mut records: Vec<EventRecord> = Vec::new();
    while records.len() < SAMPLE_SIZE {
        let batch = inbox.events(&query).await?;
        let Some(last) = batch.last() else { break };
        query.after = Some((last.received_at, last.id.clone()));
        let is_last = batch.len() < BATCH_SIZE;
        records.extend(batch);
        if is_last {
            break;
        }
    }
    Ok(records)
}

async fn running(inbox: &dyn DeauthInbox, now: Timestamp) -> Result<Vec<RunningEvent>, InboxError> {
    let query = EventQuery::first(MAX_RUNNING).leased_at(now).newest_first();
    let mut running = Vec::new();
    for record in inbox.events(&query).await? {
        let since = attempt_started_at(inbox, &record).await?;
        running.push(RunningEvent {
            id: record.id,
            attempt: record.attempts,
            since,
            seconds: since.map(|since| now.since(since).as_secs()),
        });
    }
    Ok(running)
}

/// Finds the start of the current attempt among the latest lines of an event.
async fn attempt_started_at(
    inbox: &dyn DeauthInbox,
    record: &EventRecord,
) -> Result<Option<Timestamp>, InboxError> {
    let query = LedgerQuery::first(BATCH_SIZE)
        .event(record.id.clone())
        .newest_first();
    let lines = inbox.ledger(&query).await?;
    let tried = lines.iter().find(|line| line.step == Step::Tried);
    Ok(tried.map(|line| line.at))
}

fn durations(done: &[EventRecord]) -> Option<Durations> {
    let mut seconds: Vec<f64> = done.iter().filter_map(plot::seconds_to_done).collect();
    seconds.sort_by(f64::total_cmp);
    let last = seconds.len().checked_sub(1)?;
    Some(Durations {
        count: seconds.len(),
        median: seconds[last / 2],
        p95: seconds[last * 95 / 100],
        max: seconds[last],
    })
}

impl View for DashboardPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("dashboard-title"), Section::Staff, "/staff")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        html! {
            h1 { (cx.text("dashboard-title")) }
            p.lead { (cx.text("dashboard-text")) }
            (attention(cx, &self.counts))
            (count_cards(cx, &self.counts))
            div.grid { (running_card(cx, self)) (background_card(cx, &self.background)) }
            (checkpoint_card(cx, &self.checkpoint, self.has_signing_key))
            @if let Some(durations) = &self.durations { (durations_card(cx, durations)) }
            @if !self.plot.is_empty() { (plot::html(cx, &self.plot, self.plotted)) }
        }
    }
}

fn list_path(cx: &Context<'_>, list: &str) -> String {
    cx.path(&format!("/staff/events?list={list}"))
}

fn attention(cx: &Context<'_>, counts: &EventCounts) -> Markup {
    let lists = [
        ("overdue", "list-overdue", counts.overdue),
        ("quarantined", "list-quarantined", counts.quarantined),
        ("dead_letter", "list-dead-letter", counts.dead_letters),
    ];
    if lists.iter().all(|(.., count)| *count == 0) {
        return html! { div.notice.good #attention { p { (cx.text("attention-none")) } } };
    }
    html! {
        section.notice.bad #attention {
            h2 { (cx.text("attention")) }
            @for (list, text, count) in lists.into_iter().filter(|(.., count)| *count > 0) {
                p {
                    a href=(list_path(cx, list)) { (cx.text(text)) ": " (count_text(cx, list, count)) }
                    ". " (cx.text(&format!("{text}-text")))
                }
            }
        }
    }
}

fn count_text(cx: &Context<'_>, list: &str, count: u64) -> String {
    if list == "overdue" && count > MAX_OVERDUE_COUNT as u64 {
        let count = MAX_OVERDUE_COUNT.to_string();
        return cx.text_with("more-than", &[("count", &count)]);
    }
    count.to_string()
}

fn count_cards(cx: &Context<'_>, counts: &EventCounts) -> Markup {
    let cards = [
        ("pending", "list-pending", counts.pending, false),
        ("quarantined", "list-quarantined", counts.quarantined, true),
        ("overdue", "list-overdue", counts.overdue, true),
        ("dead_letter", "list-dead-letter", counts.dead_letters, true),
        ("done", "list-done", counts.done, false),
        ("stale", "list-stale", counts.stale, false),
    ];
    html! {
        ul.counts { @for (list, text, count, is_alarm) in cards {
            li class=[(is_alarm && count > 0).then_some("alarm")] {
                a href=(list_path(cx, list)) {
                    b id=(format!("count-{list}")) { (count_text(cx, list, count)) } span { (cx.text(text)) }
                }
            }
        } }
    }
}

fn running_card(cx: &Context<'_>, page: &DashboardPage) -> Markup {
    html! {
        section.card #running {
            h2 { (cx.text("running")) }
            @if page.running.is_empty() {
                p.soft { (cx.text("running-none")) }
            } @else {
                table {
                    thead { tr {
                        th scope="col" { (cx.text("event")) }
                        th.num scope="col" { (cx.text("attempt")) }
                        th.num scope="col" { (cx.text("duration")) }
                    } }
                    tbody { @for event in &page.running { tr {
                        td { (table::event_link(cx, event.id.as_str())) }
                        td.num { (event.attempt) }
                        td.num { @if let Some(seconds) = event.seconds { (duration(Duration::from_secs(seconds))) } }
                    } } }
                }
            }
            @if let Some(oldest) = page.counts.oldest_pending {
                p.soft { (cx.text("oldest-pending")) ": " (cx.ago(oldest)) }
            }
        }
    }
}

fn background_card(cx: &Context<'_>, status: &BackgroundStatus) -> Markup {
    let with_ago = |id: &str, at: Timestamp| cx.text_with(id, &[("ago", &cx.ago(at))]);
    let worker = match status.worker_heartbeat_at {
        Some(at) if status.worker_alive => ("done", with_ago("worker-alive", at)),
        Some(at) => ("dead_letter", with_ago("worker-silent", at)),
        None => ("stale", cx.text("never-seen")),
    };
    let reconciler = match status.reconciler_finished_at {
        _ if status.reconciler_active => ("done", cx.text("reconciler-active")),
        Some(at) => ("done", with_ago("reconciler-finished", at)),
        None => ("stale", cx.text("never-seen")),
    };
    let line = |task: &str, (class, state): (&str, String)| {
        html! {
            p {
                strong { (cx.text(task)) } " " span.state.(class) { (state) }
                br; span.soft { (cx.text(&format!("{task}-text"))) }
            }
        }
    };
    html! {
        section.card #background {
            h2 { (cx.text("background")) }
            (line("worker", worker))
            (line("reconciler", reconciler))
            @if !status.worker_alive { p.soft { (cx.text("worker-hint")) } }
        }
    }
}

fn checkpoint_card(cx: &Context<'_>, status: &CheckpointPage, has_key: bool) -> Markup {
    let reason = match has_key {
        false => "checkpoint-no-key",
        true => "checkpoint-not-yet",
    };
    html! {
        section.card #checkpoint {
            h2 { (cx.text("checkpoint-title")) }
            p.soft { (cx.text("checkpoint-text")) }
            @if let Some(conflict) = &status.conflict {
                div.notice.bad #checkpoint-conflict {
                    p { strong { (cx.text("checkpoint-conflict")) } }
                    p lang="en" { (conflict) "." }
                    p { (cx.text("checkpoint-conflict-text")) }
                }
            }
            @match (status.lines, status.signed_at, &status.note) {
                (Some(lines), Some(at), Some(note)) => {
                    p {
                        span.state.done {
                            (cx.text_with("checkpoint-covers", &[("count", &lines.to_string()), ("ago", &cx.ago(at))]))
                        }
                    }
                    pre.note #checkpoint-note tabindex="0" aria-label=(cx.text("checkpoint-note")) { (note) }
                    p { a href=(cx.path("/staff/checkpoint")) download="checkpoint.txt" { (cx.text("checkpoint-download")) } }
                }
                _ => p { span.state.stale { (cx.text("checkpoint-none")) } " " (cx.text(reason)) }
            }
        }
    }
}

fn durations_card(cx: &Context<'_>, durations: &Durations) -> Markup {
    let fact = |text: &str, seconds: f64| {
        html! { dt { (cx.text(text)) } dd { (duration(Duration::from_secs_f64(seconds))) } }
    };
    html! {
        section.card #durations {
            h2 { (cx.text("durations-title")) }
            p.soft { (cx.text_with("durations-text", &[("count", &durations.count.to_string())])) }
            dl.facts {
                (fact("duration-median", durations.median))
                (fact("duration-p95", durations.p95))
                (fact("duration-max", durations.max))
            }
        }
    }
}
