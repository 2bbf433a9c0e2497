//! A small axum application: members log in, view their files, and leave.
//!
//! `cargo run -p axum-app` starts it together with a sandbox in place of Open Humans. With
//! `OPENHUMANS_CLIENT_ID` and the other variables of `.env.example` set, it uses that server.
//!
//! [`app`], [`pages`] and [`main`] contain all code for Open Humans, and `examples/shared` contains
//! the handlers for logins and departures.

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::routing::get;
use example_shared::layout;
use example_shared::start::{self, Startup};
use example_shared::users::Users;
use maud::Markup;
use oh_axum::Member;
use oh_core::OpenHumans;
use oh_pages::Pages;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_sessions::{MemoryStore, SessionManagerLayer};

/// Returns all routes, of the application and of Open Humans, inside the session layer.
fn app(openhumans: &OpenHumans, pages: &Pages, users: Users) -> Router {
    let pages = oh_axum::with_session(pages.router(openhumans));
    let stylesheet = ([(CONTENT_TYPE, "text/css")], layout::STYLESHEET);
    let logo = ([(CONTENT_TYPE, "image/svg+xml")], layout::LOGO);
    Router::new()
        .route("/", get(home))
        .with_state(users)
        .nest("/openhumans", oh_axum::router(openhumans).merge(pages))
        .layer(oh_axum::layer(openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()))
        // The Open Humans pages set these headers themselves.
        .layer(if_not_present(CACHE_CONTROL, "no-store"))
        .layer(if_not_present(
            CONTENT_SECURITY_POLICY,
            layout::CONTENT_SECURITY_POLICY,
        ))
        .route("/static/brand.css", get(stylesheet))
        .route("/static/logo.svg", get(logo))
}

fn if_not_present(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

async fn home(State(users): State<Users>, member: Option<Member>) -> Markup {
    let member = member.as_deref();
    layout::home(member.map(|member| (member, users.get(member.id()))))
}

/// Configures the Open Humans pages: name, logo, colors, and access to the erasure dashboard.
fn pages(staff: Vec<String>) -> Pages {
    Pages::new(layout::NAME)
        .logo("/static/logo.svg")
        .stylesheet("/static/brand.css")
        .staff(move |_: &Parts, member: Option<&oh_core::Member>| {
            member.is_some_and(|member| staff.iter().any(|id| id == member.id().as_str()))
        })
}

#[tokio::main]
async fn main() -> Result<()> {
    start::init_logging();
    let listener = start::listen().await?;
    let startup = Startup::new(listener.local_addr()?, start::sandbox_port()?).await?;

    let users = Users::default();
    let pages = pages(startup.staff.clone());
    let openhumans = OpenHumans::builder(startup.settings.clone());
    let openhumans = startup
        .connect(openhumans)
        .await?
        .login_handler(users.clone())
        .deauth_handler(users.clone())
        .login_pages(pages.clone())
        .build()?;
    let background = openhumans.start_background();

    startup.print_urls();
    axum::serve(listener, app(&openhumans, &pages, users))
        .with_graceful_shutdown(start::shutdown_signal())
        .await?;
    background.stop().await;
    Ok(())
}
