//! A diary whose members can leave, be erased, and have it proved.
//!
//! `cargo run -p gdpr-erasure` starts it with a sandbox that stands in for Open Humans. Log in as
//! alice, write something, and disconnect with erasure. Then log in as bob, who is of the staff, and
//! see the erasure desk. The switch on his first page makes erasing fail: the event is tried again,
//! and given up after four tries (a real app has more patience). The desk says so, and puts it back.
//!
//! What was done is sealed within a few seconds; the last checkpoint is at the desk, and beside the
//! database. Export the ledger at the desk, and check it with the key that is printed at the start:
//! `oh ledger verify ledger.jsonl --key …`.
//!
//! With `OPENHUMANS_CLIENT_ID` and its siblings set it talks to the server they name, has no such
//! switch, and knows no staff but the members whose ids `STAFF` lists. With `GDPR_ERASURE_DB` its
//! database stays.

mod diary;
mod page;
mod start;
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
use maud::Markup;
use oh_axum::{Handle, Member};
use oh_core::Background;
use oh_core::deauth::CheckpointFile;
use oh_core::pages::Pages;
use oh_core::transport::BoxError;
use oh_core::{OpenHumans, Settings};
use oh_sqlx::SqliteStore;
use serde::Deserialize;
use tower_http::csrf::CsrfLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_sessions::{MemoryStore, SessionManagerLayer};
use tracing_subscriber::EnvFilter;

use crate::diary::Diary;

/// Who of the members is of the staff, by project member id.
#[derive(Clone)]
struct Staff(Arc<[String]>);

impl Staff {
    fn includes(&self, member: &oh_core::Member) -> bool {
        self.0.iter().any(|id| id == member.id().as_str())
    }
}

/// The routes of Open Humans, with the erasure desk among them, beside the app's own. Only where
/// nobody is real is there a switch that makes erasing fail.
fn app(openhumans: &OpenHumans, diary: Diary, staff: Staff, nobody_is_real: bool) -> Router {
    let mut own = Router::new()
        .route("/", get(home))
        .route("/diary", post(write));
    if nobody_is_real {
        own = own.route("/failing", post(set_failing));
    }
    own.with_state(Shared {
        diary,
        staff,
        has_switch: nobody_is_real,
    })
    .nest("/openhumans", oh_axum::router(openhumans))
    .layer(oh_axum::layer(openhumans))
    .layer(SessionManagerLayer::new(MemoryStore::default()))
    // Forms come from the app's own pages. The webhook is no browser's and says of no origin.
    .layer(CsrfLayer::new())
    .layer(unless_set(CACHE_CONTROL, "no-store"))
    .layer(unless_set(CONTENT_SECURITY_POLICY, page::POLICY))
}

/// What the app's own pages say to browsers; Open Humans' pages say it themselves.
fn unless_set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// What the app's own handlers know.
#[derive(Clone)]
struct Shared {
    diary: Diary,
    staff: Staff,
    has_switch: bool,
}

/// Tokens, inbox and diary in one database: a webhook is one commit.
async fn open(
    settings: Settings,
    database: &Path,
    staff: &Staff,
) -> anyhow::Result<(OpenHumans, Diary)> {
    let staff = staff.clone();
    let pages = Pages::new("Diary").staff(move |_: &Parts, member: Option<&oh_core::Member>| {
        member.is_some_and(|member| staff.includes(member))
    });
    let store = SqliteStore::connect(database).await?;
    // Where a real app posts its checkpoints to those who check.
    let archive = CheckpointFile::new(database.with_extension("checkpoints"));
    let diary = Diary::new(store.pool().clone()).await?;
    let openhumans = OpenHumans::builder(settings)
        .token_store(store.clone())
        .deauth_inbox(store)
        .deauth_handler(diary.clone())
        .checkpoint_archive(archive)
        .pages(pages)
        .build()?;
    Ok((openhumans, diary))
}

/// Worker and sealing, impatient so that one can watch them, and the reconciler as it comes.
fn start_background(openhumans: &OpenHumans) -> Background {
    let (first, longest) = (Duration::from_secs(1), Duration::from_secs(4));
    let worker = openhumans.worker().max_attempts(4).backoff(first, longest);
    let mut background = openhumans.start_background_with(worker, openhumans.reconciler());
    let checkpointer = openhumans.checkpointer();
    background.checkpointer = checkpointer.map(|c| c.interval(Duration::from_secs(2)).spawn());
    background
}

async fn home(
    State(shared): State<Shared>,
    Handle(openhumans): Handle,
    member: Option<Member>,
) -> Result<Markup, Problem> {
    let Some(member) = &member else {
        return Ok(page::home(&openhumans, None));
    };
    let diary = &shared.diary;
    let for_staff = match shared.staff.includes(member) {
        true => Some(page::ForStaff {
            failing: shared.has_switch.then(|| diary.is_failing()),
            diary: diary.size().await?,
        }),
        false => None,
    };
    let entries = diary.read(member.id()).await?;
    Ok(page::home(&openhumans, Some((member, entries, for_staff))))
}

#[derive(Deserialize)]
struct Entry {
    entry: String,
}

async fn write(
    State(Shared { diary, .. }): State<Shared>,
    member: Member,
    Form(form): Form<Entry>,
) -> Result<Redirect, Problem> {
    let text: String = form.entry.chars().take(500).collect();
    diary.write(member.id(), &text).await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Switch {
    failing: bool,
}

async fn set_failing(
    State(Shared { diary, staff, .. }): State<Shared>,
    member: Member,
    Form(form): Form<Switch>,
) -> Result<Redirect, StatusCode> {
    if !staff.includes(&member) {
        return Err(StatusCode::FORBIDDEN);
    }
    diary.set_failing(form.failing);
    Ok(Redirect::to("/"))
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
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let listener = start::listen().await?;
    let sandbox_port = start::port("SANDBOX_PORT", 8001)?;
    let (database, _folder) = start::database()?;
    let signing_key = start::signing_key(&database);
    let signing_key = signing_key.with_context(|| {
        format!(
            "the database {} cannot be opened: GDPR_ERASURE_DB says which file it is",
            database.display()
        )
    })?;
    let (settings, sandbox) =
        start::settings(listener.local_addr()?, sandbox_port, signing_key).await?;
    let staff = start::staff();
    let opened = open(settings, &database, &staff).await;
    let (openhumans, diary) = opened.context("GDPR_ERASURE_DB says which file the database is")?;
    let background = start_background(&openhumans);
    println!("the app:         {}", openhumans.settings().app_base_url());
    println!("its Open Humans: {}", openhumans.settings().oh_base_url());
    println!(
        "the desk:        {}openhumans/staff",
        openhumans.settings().app_base_url()
    );
    println!("its database:    {}", database.display());
    for key in openhumans.settings().ledger_signing_keys() {
        println!("ledger checked by: {}", key.verifying_key());
    }
    let routes = app(&openhumans, diary, staff, sandbox.is_some());
    oh_axum::serve(listener, routes).until_terminated().await;
    background.stop().await;
    Ok(())
}
