//! A small axum application where members of Open Humans log in, see their files, and leave.
//!
//! `cargo run -p axum-app` starts it with a sandbox that stands in for Open Humans. With
//! `OPENHUMANS_CLIENT_ID` and its siblings set, it talks to the server they name; `.env.example`
//! lists them.
//!
//! What an app needs for Open Humans is all in [`app`], [`pages`] and [`main`]; the rest is what any
//! app has: a look, users, a start.

mod look;
mod start;
mod users;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::routing::get;
use maud::Markup;
use oh_axum::Member;
use oh_core::OpenHumans;
use oh_core::pages::Pages;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::start::Start;
use crate::users::Users;

/// The routes of Open Humans beside the app's own, inside the app's sessions.
fn app(openhumans: &OpenHumans, users: Users) -> Router {
    let style = ([(CONTENT_TYPE, "text/css")], look::STYLE);
    let logo = ([(CONTENT_TYPE, "image/svg+xml")], look::LOGO);
    Router::new()
        .route("/", get(home))
        .with_state(users)
        .nest("/openhumans", oh_axum::router(openhumans))
        .layer(oh_axum::layer(openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()))
        .layer(unless_set(CACHE_CONTROL, "no-store"))
        .layer(unless_set(CONTENT_SECURITY_POLICY, look::POLICY))
        .route("/static/brand.css", get(style))
        .route("/static/logo.svg", get(logo))
}

/// What the app's own pages say to browsers; Open Humans' pages say it themselves.
fn unless_set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// The app's first page. Members' pages, their files and the erasure desk are Open Humans'.
async fn home(State(users): State<Users>, member: Option<Member>) -> Markup {
    let known = member.as_deref();
    look::home(known.map(|member| (member, users.get(member.id()))))
}

/// Open Humans' pages, in the app's name and colours, and who may see the desk.
fn pages(staff: Vec<String>) -> Pages {
    Pages::new(look::NAME)
        .logo("/static/logo.svg")
        .stylesheet("/static/brand.css")
        .staff(move |_: &Parts, member: Option<&oh_core::Member>| {
            member.is_some_and(|member| staff.iter().any(|id| id == member.id().as_str()))
        })
}

#[tokio::main]
async fn main() -> Result<()> {
    start::log();
    let listener = start::listen().await?;
    let start = Start::new(listener.local_addr()?).await?;

    let users = Users::default();
    let openhumans = OpenHumans::builder(start.settings.clone());
    let openhumans = start
        .keep_in_database(openhumans)
        .await?
        .login_handler(users.clone())
        .deauth_handler(users.clone())
        .pages(pages(start.staff.clone()))
        .build()?;
    let background = openhumans.start_background();

    start.say_where();
    oh_axum::serve(listener, app(&openhumans, users))
        .until_terminated()
        .await;
    background.stop().await;
    Ok(())
}
