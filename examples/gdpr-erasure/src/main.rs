//! A diary with auditable erasure: members leave, their data is deleted, and a ledger proves it.
//!
//! `cargo run -p gdpr-erasure` starts it together with a sandbox in place of Open Humans. Log in as
//! alice, add an entry, and disconnect with erasure. Then log in as bob, a staff member, and open the
//! erasure dashboard. A button on bob's first page makes erasures fail: the worker retries the event
//! and makes it a dead letter after four attempts (the default is more). The dashboard reports it,
//! and you can requeue it there.
//!
//! Checkpoints of the ledger are signed within a few seconds and appended to a file beside the
//! database. Export the ledger on the dashboard and verify it with the key that the program prints:
//! `oh ledger verify ledger.jsonl --key KEY`.
//!
//! With `OPENHUMANS_CLIENT_ID` and the other `OPENHUMANS_` variables set, it uses that server.
//! Erasures then cannot be made to fail, `DATABASE` is the database file, and the staff are
//! the members whose project member ids are in `STAFF`.

mod diary;
mod page;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use example_shared::start::{self, Startup};
use maud::Markup;
use oh_axum::{Handle, Member};
use oh_core::OpenHumans;
use oh_core::deauth::{CheckpointFile, WorkerSettings};
use oh_core::transport::BoxError;
use oh_core::{Background, BackgroundSettings};
use oh_pages::Pages;
use oh_sqlx::SqliteStore;
use serde::Deserialize;
use tower_http::csrf::CsrfLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::diary::Diary;

/// Project member ids with access to the erasure dashboard.
#[derive(Clone)]
struct Staff(Arc<[String]>);

impl Staff {
    fn includes(&self, member: &oh_core::Member) -> bool {
        self.0.iter().any(|id| id == member.id().as_str())
    }
}

/// Returns all routes, of the application and of Open Humans. Only with a sandbox can erasures be
/// made to fail.
fn app(openhumans: &OpenHumans, diary: Diary, staff: Staff, with_sandbox: bool) -> Router {
    let mut routes = Router::new()
        .route("/", get(home))
        .route("/diary", post(write));
    if with_sandbox {
        routes = routes.route("/failing", post(set_failing));
    }
    let pages = oh_axum::with_session(pages(staff.clone()).router(openhumans));
    routes
        .with_state(AppState {
            diary,
            staff,
            with_sandbox,
        })
        .nest("/openhumans", oh_axum::router(openhumans).merge(pages))
        .layer(oh_axum::layer(openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()))
        // Rejects forms from other sites. The webhook passes, because it has no Origin header.
        .layer(CsrfLayer::new())
        // The Open Humans pages set these headers themselves.
        .layer(if_not_present(CACHE_CONTROL, "no-store"))
        .layer(if_not_present(CONTENT_SECURITY_POLICY, page::POLICY))
}

fn if_not_present(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

#[derive(Clone)]
struct AppState {
    diary: Diary,
    staff: Staff,
    with_sandbox: bool,
}

/// Configures the Open Humans pages, with the erasure dashboard for the staff.
fn pages(staff: Staff) -> Pages {
    Pages::new("Diary").staff(move |_: &Parts, member: Option<&oh_core::Member>| {
        member.is_some_and(|member| staff.includes(member))
    })
}

/// Opens tokens, inbox and diary in one database, so that a webhook is one transaction.
async fn open(startup: &Startup) -> anyhow::Result<(OpenHumans, Diary)> {
    let staff = Staff(startup.staff.clone().into());
    let database = Path::new(&startup.database);
    let store = SqliteStore::connect(database).await?;
    // A real application sends its checkpoints to an auditor.
    let archive = CheckpointFile::new(database.with_extension("checkpoints"));
    let diary = Diary::new(store.pool().clone()).await?;
    let openhumans = OpenHumans::builder(startup.settings.clone())
        .token_store(store.clone())
        .deauth_inbox(store)
        .deauth_handler(diary.clone())
        .checkpoint_archive(archive)
        .login_pages(pages(staff))
        .build()?;
    Ok((openhumans, diary))
}

/// Starts the background tasks, with short intervals so that you can watch them.
fn start_background(openhumans: &OpenHumans) -> Background {
    openhumans.start_background_with(BackgroundSettings {
        worker: WorkerSettings {
            poll_interval: Duration::from_secs(1),
            max_attempts: 4,
            max_backoff: Duration::from_secs(4),
            ..WorkerSettings::default()
        },
        checkpoint_interval: Duration::from_secs(2),
        ..BackgroundSettings::default()
    })
}

async fn home(
    State(state): State<AppState>,
    Handle(openhumans): Handle,
    member: Option<Member>,
) -> Result<Markup, AppError> {
    let Some(member) = &member else {
        return Ok(page::home(&openhumans, None));
    };
    let diary = &state.diary;
    let staff_section = match state.staff.includes(member) {
        true => Some(page::StaffSection {
            failing: state.with_sandbox.then(|| diary.is_failing()),
            diary: diary.count().await?,
        }),
        false => None,
    };
    let entries = diary.read(member.id()).await?;
    Ok(page::home(
        &openhumans,
        Some((member, entries, staff_section)),
    ))
}

#[derive(Deserialize)]
struct EntryForm {
    entry: String,
}

async fn write(
    State(AppState { diary, .. }): State<AppState>,
    member: Member,
    Form(form): Form<EntryForm>,
) -> Result<Redirect, AppError> {
    let text: String = form.entry.chars().take(500).collect();
    diary.write(member.id(), &text).await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct FailingForm {
    failing: bool,
}

async fn set_failing(
    State(AppState { diary, staff, .. }): State<AppState>,
    member: Member,
    Form(form): Form<FailingForm>,
) -> Result<Redirect, StatusCode> {
    if !staff.includes(&member) {
        return Err(StatusCode::FORBIDDEN);
    }
    diary.set_failing(form.failing);
    Ok(Redirect::to("/"))
}

/// An error of a handler, as status 503.
struct AppError(BoxError);

impl<E: Into<BoxError>> From<E> for AppError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let body = page::error(&self.0.to_string());
        (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the program prints its verifying key")]
async fn main() -> anyhow::Result<()> {
    start::init_logging();
    let listener = start::listen().await?;
    let startup = Startup::new(listener.local_addr()?, start::sandbox_port()?).await?;
    let (openhumans, diary) = open(&startup).await.context("failed to open DATABASE")?;
    let background = start_background(&openhumans);
    startup.print_urls();
    println!("The database is {}", startup.database);
    for key in startup.settings.ledger_signing_keys() {
        println!("The verifying key is {}", key.verifying_key());
    }
    let staff = Staff(startup.staff.clone().into());
    let routes = app(&openhumans, diary, staff, startup.sandbox.is_some());
    axum::serve(listener, routes)
        .with_graceful_shutdown(start::shutdown_signal())
        .await?;
    background.stop().await;
    Ok(())
}
