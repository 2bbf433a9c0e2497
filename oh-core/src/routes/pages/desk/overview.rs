//! The first look: what needs someone, what runs, how long things take.

use std::time::Duration;

use maud::{Markup, html};

use super::plot;
use crate::Timestamp;
use crate::deauth::{
    DeauthInbox, EventQuery, EventRecord, EventState, HEARTBEAT_INTERVAL, InboxError, LedgerQuery,
    Step,
};
use crate::pages::texts::Text;
use crate::pages::view::Page;
use crate::pages::view::{BackgroundView, DeskPage, RunningEvent, SealingView, Took};
use crate::routes::pages::context::{Context, span};
use crate::routes::pages::reply::{self, Outcome};

/// Events that plots and times are drawn from.
const SAMPLE: usize = 2_000;
const PAGE: usize = 500;

/// Running events that are shown.
const RUNNING: usize = 50;

pub(super) async fn overview(cx: &Context<'_>) -> Outcome {
    let deauthorizer = &cx.inner().deauthorizer;
    let inbox = &**deauthorizer.inbox();
    let now = cx.now();
    let newest = |state| EventQuery {
        state,
        newest_first: true,
        ..EventQuery::default()
    };
    let ledger = cx.openhumans.ledger();
    let first_overdue = EventQuery::first(DeskPage::OVERDUE_COUNTED + 1);
    let (stats, overdue, running, signs, sealing, sample, done) = tokio::try_join!(
        inbox.stats(),
        ledger.overdue(first_overdue),
        running(inbox, now),
        deauthorizer.heartbeats(),
        deauthorizer.checkpoint_status(),
        newest_of(inbox, newest(None), SAMPLE),
        newest_of(inbox, newest(Some(EventState::Done)), SAMPLE),
    )?;
    let heard_lately = |at: Timestamp| now.since(at) < 4 * HEARTBEAT_INTERVAL;
    reply::page(Page::Desk(DeskPage {
        stats,
        overdue: overdue.len(),
        running,
        background: BackgroundView {
            worker_alive: signs.worker.is_some_and(heard_lately),
            worker_heard_at: signs.worker,
            reconciler_asking: signs.reconciler_asking,
            reconciler_asked_at: signs.reconciler,
        },
        sealing: SealingView {
            lines: sealing.checkpoint.is_some().then_some(sealing.size),
            sealed_at: sealing.at,
            checkpoint: sealing.checkpoint,
            trouble: sealing.trouble,
        },
        took: took(&done),
        plotted: sample.len(),
        plot: plot::spans(&sample, now),
    }))
}

/// The first of a list, page by page.
async fn newest_of(
    inbox: &dyn DeauthInbox,
    mut query: EventQuery,
    most: usize,
) -> Result<Vec<EventRecord>, InboxError> {
    query.limit = PAGE;
    let mut all: Vec<EventRecord> = Vec::new();
    while all.len() < most {
        let page = inbox.events(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some((last.received_at, last.id.clone()));
        let whole = page.len() == PAGE;
        all.extend(page);
        if !whole {
            break;
        }
    }
    Ok(all)
}

async fn running(inbox: &dyn DeauthInbox, now: Timestamp) -> Result<Vec<RunningEvent>, InboxError> {
    let query = EventQuery {
        leased_at: Some(now),
        newest_first: true,
        limit: RUNNING,
        ..EventQuery::default()
    };
    let mut running = Vec::new();
    for record in inbox.events(&query).await? {
        let since = last_try(inbox, &record).await?;
        running.push(RunningEvent {
            id: record.id,
            attempt: record.attempts,
            since,
            seconds: since.map(|since| now.since(since).as_secs()),
        });
    }
    Ok(running)
}

/// When the attempt that is under way began: one of the newest lines says so.
async fn last_try(
    inbox: &dyn DeauthInbox,
    record: &EventRecord,
) -> Result<Option<Timestamp>, InboxError> {
    let query = LedgerQuery::first(PAGE)
        .event(record.id.clone())
        .newest_first();
    let lines = inbox.ledger(&query).await?;
    let tried = lines.iter().find(|line| line.step == Step::Tried);
    Ok(tried.map(|line| line.at))
}

fn took(done: &[EventRecord]) -> Option<Took> {
    let mut seconds: Vec<f64> = done.iter().filter_map(plot::seconds_to_done).collect();
    seconds.sort_by(f64::total_cmp);
    let last = seconds.len().checked_sub(1)?;
    Some(Took {
        count: seconds.len(),
        median: seconds[last / 2],
        p95: seconds[last * 95 / 100],
        longest: seconds[last],
    })
}

pub(in crate::routes::pages) fn html(cx: &Context<'_>, view: &DeskPage) -> Markup {
    html! {
        h1 { (cx.say(Text::Desk)) }
        p.lead { (cx.say(Text::DeskText)) }
        (attention(cx, view))
        (counts(cx, view))
        div.grid { (running_html(cx, view)) (background(cx, &view.background)) }
        (sealing(cx, &view.sealing))
        @if let Some(took) = &view.took { (took_html(cx, took)) }
        @if !view.plot.is_empty() { (plot::html(cx, view)) }
    }
}

fn attention(cx: &Context<'_>, view: &DeskPage) -> Markup {
    if view.overdue == 0 && view.stats.dead_letters == 0 && view.stats.quarantined == 0 {
        return html! { div.notice.good #attention { p { (cx.say(Text::NothingToDo)) } } };
    }
    let shelf = |name: &str| cx.path(&format!("/staff/events?state={name}"));
    html! {
        section.notice.bad #attention {
            h2 { (cx.say(Text::NeedsAttention)) }
            @if view.overdue > 0 {
                p { a href=(shelf("overdue")) { (cx.say(Text::Overdue)) ": " (overdue_count(cx, view)) } ". " (cx.say(Text::OverdueText)) }
            }
            @if view.stats.quarantined > 0 {
                p { a href=(shelf("quarantined")) { (cx.say(Text::Held)) ": " (view.stats.quarantined) } ". " (cx.say(Text::HeldText)) }
            }
            @if view.stats.dead_letters > 0 {
                p { a href=(shelf("dead_letter")) { (cx.say(Text::DeadLetters)) ": " (view.stats.dead_letters) } ". " (cx.say(Text::DeadLettersText)) }
            }
        }
    }
}

fn overdue_count(cx: &Context<'_>, view: &DeskPage) -> String {
    if view.overdue > DeskPage::OVERDUE_COUNTED {
        let count = DeskPage::OVERDUE_COUNTED.to_string();
        return cx.fill(Text::MoreThan, &[("count", &count)]);
    }
    view.overdue.to_string()
}

fn counts(cx: &Context<'_>, view: &DeskPage) -> Markup {
    let stats = &view.stats;
    let card = |name: &str, text: Text, count: String, alarm: bool| {
        html! {
            li class=[alarm.then_some("alarm")] {
                a href=(cx.path(&format!("/staff/events?state={name}"))) {
                    b id=(format!("count-{name}")) { (count) } span { (cx.say(text)) }
                }
            }
        }
    };
    html! {
        ul.counts {
            (card("pending", Text::Pending, stats.pending.to_string(), false))
            (card("quarantined", Text::Held, stats.quarantined.to_string(), stats.quarantined > 0))
            (card("overdue", Text::Overdue, overdue_count(cx, view), view.overdue > 0))
            (card("dead_letter", Text::DeadLetters, stats.dead_letters.to_string(), stats.dead_letters > 0))
            (card("done", Text::Done, stats.done.to_string(), false))
            (card("stale", Text::Stale, stats.stale.to_string(), false))
        }
    }
}

fn running_html(cx: &Context<'_>, view: &DeskPage) -> Markup {
    html! {
        section.card #running {
            h2 { (cx.say(Text::RunningNow)) }
            @if view.running.is_empty() {
                p.soft { (cx.say(Text::RunningNothing)) }
            } @else {
                table {
                    thead { tr {
                        th scope="col" { (cx.say(Text::Event)) }
                        th.num scope="col" { (cx.say(Text::Try)) }
                        th.num scope="col" { (cx.say(Text::For)) }
                    } }
                    tbody { @for event in &view.running { tr {
                        td { (super::table::event_link(cx, event.id.as_str())) }
                        td.num { (event.attempt) }
                        td.num { @if let Some(seconds) = event.seconds { (span(Duration::from_secs(seconds))) } }
                    } } }
                }
            }
            @if let Some(oldest) = view.stats.oldest_pending {
                p.soft { (cx.say(Text::OldestPending)) ": " (span(cx.now().since(oldest))) }
            }
        }
    }
}

fn background(cx: &Context<'_>, view: &BackgroundView) -> Markup {
    let ago = |at: Timestamp| cx.fill(Text::LastAsked, &[("ago", &span(cx.now().since(at)))]);
    let worker = match view.worker_heard_at {
        Some(at) if view.worker_alive => ("done", format!("{}, {}", cx.say(Text::Alive), ago(at))),
        Some(at) => (
            "dead_letter",
            format!("{}, {}", cx.say(Text::Silent), ago(at)),
        ),
        None => ("stale", cx.say(Text::NeverHeard)),
    };
    let reconciler = match view.reconciler_asked_at {
        _ if view.reconciler_asking => ("done", cx.say(Text::AskingNow)),
        Some(at) => ("done", ago(at)),
        None => ("stale", cx.say(Text::NeverHeard)),
    };
    let line = |title: Text, text: Text, (class, state): &(&str, String)| {
        html! {
            p { strong { (cx.say(title)) } " " span.state.(class) { (state) } br; span.soft { (cx.say(text)) } }
        }
    };
    html! {
        section.card #background {
            h2 { (cx.say(Text::Background)) }
            (line(Text::Worker, Text::WorkerText, &worker))
            (line(Text::Reconciler, Text::ReconcilerText, &reconciler))
            @if !view.worker_alive { p.soft { (cx.say(Text::SilentText)) } }
        }
    }
}

fn sealing(cx: &Context<'_>, view: &SealingView) -> Markup {
    let why = match cx.openhumans.settings().ledger_signing_keys() {
        [] => Text::NotSealedText,
        _ => Text::NotSealedYetText,
    };
    html! {
        section.card #sealing {
            h2 { (cx.say(Text::Sealing)) }
            p.soft { (cx.say(Text::SealingText)) }
            @if let Some(trouble) = &view.trouble {
                div.notice.bad #sealing-trouble {
                    p { strong { (cx.say(Text::SealingTrouble)) } }
                    p lang="en" { (trouble) "." }
                    p { (cx.say(Text::SealingTroubleText)) }
                }
            }
            @match (view.lines, view.sealed_at, &view.checkpoint) {
                (Some(lines), Some(at), Some(note)) => {
                    p {
                        span.state.done {
                            (cx.fill(Text::SealedLines, &[
                                ("count", &lines.to_string()),
                                ("ago", &span(cx.now().since(at))),
                            ]))
                        }
                    }
                    pre.note #checkpoint tabindex="0" aria-label=(cx.say(Text::Checkpoint)) { (note) }
                    p { a href=(cx.path("/staff/checkpoint")) download="checkpoint.txt" { (cx.say(Text::DownloadCheckpoint)) } }
                }
                _ => p { span.state.stale { (cx.say(Text::NotSealed)) } " " (cx.say(why)) }
            }
        }
    }
}

fn took_html(cx: &Context<'_>, took: &Took) -> Markup {
    let fact = |title: Text, seconds: f64| {
        html! { dt { (cx.say(title)) } dd { (span(Duration::from_secs_f64(seconds))) } }
    };
    html! {
        section.card #took {
            h2 { (cx.say(Text::HowLong)) }
            p.soft { (cx.fill(Text::HowLongText, &[("count", &took.count.to_string())])) }
            dl.facts {
                (fact(Text::Median, took.median)) (fact(Text::Most, took.p95)) (fact(Text::Longest, took.longest))
            }
        }
    }
}
