//! A small axum application where members of Open Humans log in, see their files, and leave.
//!
//! `cargo run -p axum-app` starts it with a sandbox that stands in for Open Humans. With
//! `OPENHUMANS_CLIENT_ID` and its siblings set, it talks to the server they name.
//!
//! What an app needs for Open Humans is all in [`app`] and [`main`]; the rest is what any app has:
//! pages, users, a start.

mod page;
mod start;
mod users;

use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use futures_util::{TryStreamExt, try_join};
use maud::Markup;
use oh_axum::{Handle, Member};
use oh_core::OpenHumans;
use oh_core::deauth::EventQuery;
use oh_core::transport::BoxError;
use oh_sqlx::SqliteStore;
use tokio::net::TcpListener;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::start::Start;
use crate::users::Users;

/// The routes of Open Humans beside the app's own, inside the app's sessions.
fn app(openhumans: &OpenHumans, users: Users) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/files", get(files))
        .route("/ledger", get(ledger))
        .with_state(users)
        .nest("/openhumans", oh_axum::router(openhumans))
        .layer(oh_axum::layer(openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()))
}

/// Anyone's page.
async fn home(
    State(users): State<Users>,
    Handle(openhumans): Handle,
    member: Option<Member>,
) -> Markup {
    let known = member
        .as_deref()
        .map(|member| (member, users.get(member.id())));
    page::home(&openhumans, known)
}

/// A page for members: everyone else is sent to log in, and comes back to it.
async fn files(Handle(openhumans): Handle, member: Member) -> (StatusCode, Markup) {
    let files = openhumans.member_client(member.id()).files();
    match files.try_collect::<Vec<_>>().await {
        Ok(files) => (StatusCode::OK, page::files(&files)),
        Err(error) => (StatusCode::BAD_GATEWAY, page::problem(&error.to_string())),
    }
}

/// What became of those who left. A real app shows it to its staff only.
async fn ledger(Handle(openhumans): Handle) -> (StatusCode, Markup) {
    let inbox = openhumans.inbox();
    let query = EventQuery::first(100);
    match try_join!(inbox.stats(), inbox.events(&query)) {
        Ok((stats, events)) => (StatusCode::OK, page::ledger(&stats, &events)),
        Err(error) => {
            let problem = page::problem(&error.to_string());
            (StatusCode::SERVICE_UNAVAILABLE, problem)
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    start::log();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, start::port("PORT", 8000)?)).await?;
    let start = Start::new(listener.local_addr()?).await?;

    let users = Users::default();
    let store = SqliteStore::connect(&start.database).await?;
    let openhumans = OpenHumans::builder(start.settings.clone())
        .token_store(store.clone())
        .deauth_inbox(store)
        .login_handler(users.clone())
        .deauth_handler(users.clone())
        .build()?;
    let background = openhumans.start_background();

    start.say_where();
    axum::serve(listener, app(&openhumans, users))
        .with_graceful_shutdown(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
        .await?;
    background.stop().await;
    Ok(())
}
