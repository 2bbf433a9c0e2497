//! A small axum application where members of Open Humans log in, see their files, and leave.
//!
//! `cargo run -p axum-app` starts it with a sandbox that stands in for Open Humans. With
//! `OPENHUMANS_CLIENT_ID` and its siblings set, it talks to the server they name.
//!
//! Everything about Open Humans is in [`app`]; the rest is what any app has: pages, users, start.

mod page;
mod start;
mod users;

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use maud::Markup;
use oh_axum::{Handle, Member};
use oh_core::OpenHumans;
use oh_core::deauth::{EventQuery, Worker};
use oh_core::transport::BoxError;
use tokio::net::TcpListener;
use tower_sessions::{MemoryStore, SessionManagerLayer};

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

async fn files(Handle(openhumans): Handle, member: Member) -> (StatusCode, Markup) {
    match openhumans
        .member_client(member.id())
        .exchange_member()
        .await
    {
        Ok(member) => (StatusCode::OK, page::files(&member.data)),
        Err(error) => (StatusCode::BAD_GATEWAY, page::problem(&error.to_string())),
    }
}

async fn ledger(Handle(openhumans): Handle) -> (StatusCode, Markup) {
    let inbox = openhumans.inbox();
    let query = EventQuery {
        limit: 100,
        ..EventQuery::default()
    };
    match futures_util::try_join!(inbox.stats(), inbox.events(&query)) {
        Ok((stats, events)) => (StatusCode::OK, page::ledger(&stats, &events)),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            page::problem(&error.to_string()),
        ),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_env_filter(start::log_filter())
        .init();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, start::port("PORT", 8000)?)).await?;
    let (settings, sandbox) = start::settings(listener.local_addr()?).await?;
    let users = Users::default();
    let openhumans = OpenHumans::builder(settings)
        .login_handler(users.clone())
        .deauth_handler(users.clone())
        .build()?;
    let worker = Worker::new(
        openhumans.deauthorizer().clone(),
        Arc::new(users.clone()),
        openhumans.settings().deletion(),
    )
    .spawn();
    start::say(&openhumans, sandbox.as_ref());
    axum::serve(listener, app(&openhumans, users))
        .with_graceful_shutdown(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
        .await?;
    worker.stop().await;
    Ok(())
}
