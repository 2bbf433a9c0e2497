//! A diary whose members can leave, be erased, and have it proved.
//!
//! `cargo run -p gdpr-erasure` starts it with a sandbox that stands in for Open Humans. Log in,
//! write something, leave at the sandbox with erasure, and see the ledger. The switch there makes
//! erasing fail: the event is tried again, and given up after four tries (a real app has more patience),
//! and comes back with the button beside it.
//!
//! With `OPENHUMANS_CLIENT_ID` and its siblings set it talks to the server they name; with
//! `GDPR_ERASURE_DB` its database stays.

mod diary;
mod page;
mod start;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use maud::Markup;
use oh_axum::{Handle, Member};
use oh_core::Background;
use oh_core::deauth::{DEADLINE, EventId, EventState, LedgerQuery};
use oh_core::transport::BoxError;
use oh_core::{OpenHumans, Settings};
use oh_sqlx::SqliteStore;
use serde::Deserialize;
use tokio::net::TcpListener;
use tower_sessions::{MemoryStore, SessionManagerLayer};
use tracing_subscriber::EnvFilter;

use crate::diary::Diary;

/// The routes of Open Humans beside the app's own. A real app keeps its ledger behind a login of
/// its staff.
fn app(openhumans: &OpenHumans, diary: Diary) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/diary", post(write))
        .route("/ledger", get(ledger))
        .route("/ledger.jsonl", get(export))
        .route("/ledger/failing", post(set_failing))
        .route("/ledger/requeue", post(requeue))
        .with_state(diary)
        .nest("/openhumans", oh_axum::router(openhumans))
        .layer(oh_axum::layer(openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()))
}

/// Tokens, inbox and diary in one database: a webhook is one commit.
async fn open(settings: Settings, database: &Path) -> Result<(OpenHumans, Diary), BoxError> {
    let store = SqliteStore::connect(database).await?;
    let diary = Diary::new(store.pool().clone()).await?;
    let openhumans = OpenHumans::builder(settings)
        .token_store(store.clone())
        .deauth_inbox(store)
        .deauth_handler(diary.clone())
        .build()?;
    Ok((openhumans, diary))
}

/// The worker, impatient so that one can watch it, and the reconciler as it comes.
fn start_background(openhumans: &OpenHumans) -> Background {
    let (first, longest) = (Duration::from_secs(1), Duration::from_secs(4));
    let worker = openhumans.worker().max_attempts(4).backoff(first, longest);
    Background {
        worker: worker.spawn(),
        reconciler: openhumans.reconciler().spawn(),
    }
}

async fn home(
    State(diary): State<Diary>,
    Handle(openhumans): Handle,
    member: Option<Member>,
) -> Result<Markup, Problem> {
    Ok(match &member {
        Some(member) => {
            let entries = diary.read(member.id()).await?;
            page::home(&openhumans, Some((member, entries)))
        }
        None => page::home(&openhumans, None),
    })
}

#[derive(Deserialize)]
struct Entry {
    entry: String,
}

async fn write(
    State(diary): State<Diary>,
    member: Member,
    Form(form): Form<Entry>,
) -> Result<Redirect, Problem> {
    let text: String = form.entry.chars().take(500).collect();
    diary.write(member.id(), &text).await?;
    Ok(Redirect::to("/"))
}

async fn ledger(State(diary): State<Diary>, Handle(openhumans): Handle) -> Result<Markup, Problem> {
    let ledger = openhumans.ledger();
    let mut open = Vec::new();
    for state in [
        EventState::Pending,
        EventState::DeadLetter,
        EventState::Stale,
    ] {
        open.extend(ledger.events(state).await?);
    }
    let query = LedgerQuery::first(10_000);
    let mut lines = openhumans.inbox().ledger(&query).await?;
    lines.reverse();
    lines.truncate(100);
    Ok(page::ledger(&page::Overview {
        stats: ledger.stats().await?,
        open,
        overdue: ledger.overdue(DEADLINE).await?,
        lines,
        failing: diary.is_failing(),
        diary: diary.size().await?,
    }))
}

async fn export(Handle(openhumans): Handle) -> Result<impl IntoResponse, Problem> {
    let mut lines = Vec::new();
    openhumans.ledger().export(&mut lines).await?;
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], lines))
}

#[derive(Deserialize)]
struct Switch {
    failing: bool,
}

async fn set_failing(State(diary): State<Diary>, Form(form): Form<Switch>) -> Redirect {
    diary.set_failing(form.failing);
    Redirect::to("/ledger")
}

#[derive(Deserialize)]
struct Which {
    event: String,
}

async fn requeue(Handle(openhumans): Handle, Form(form): Form<Which>) -> Result<Redirect, Problem> {
    let event = EventId::new(form.event);
    openhumans.deauthorizer().requeue(&event).await?;
    Ok(Redirect::to("/ledger"))
}

/// What a handler could not do.
struct Problem(BoxError);

impl<E: Into<BoxError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            page::problem(&self.0.to_string()),
        )
            .into_response()
    }
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "a program that says where it can be found"
)]
async fn main() -> Result<(), BoxError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let address = (Ipv4Addr::LOCALHOST, start::port("PORT", 8000)?);
    let listener = TcpListener::bind(address).await?;
    let sandbox_port = start::port("SANDBOX_PORT", 8001)?;
    let (settings, _sandbox) = start::settings(listener.local_addr()?, sandbox_port).await?;
    let (database, _folder) = start::database()?;
    let (openhumans, diary) = open(settings, &database).await?;
    let background = start_background(&openhumans);
    println!("the app:         {}", openhumans.settings().app_base_url());
    println!("its Open Humans: {}", openhumans.settings().oh_base_url());
    println!("its database:    {}", database.display());
    serve(listener, app(&openhumans, diary))
        .with_graceful_shutdown(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
        .await?;
    background.stop().await;
    Ok(())
}
