//! A small actix-web application: members log in, view their files, and leave.
//!
//! `cargo run -p actix-app` starts it together with a sandbox in place of Open Humans. With
//! `OPENHUMANS_CLIENT_ID` and the other variables of axum-app's `.env.example` set, it uses that
//! server.
//!
//! [`routes`], [`pages`] and [`main`] contain all code for Open Humans, and `examples/shared`
//! contains the handlers for logins and departures.

mod sessions;

use std::time::Duration;

use actix_session::SessionMiddleware;
use actix_web::cookie::Key;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{Data, ServiceConfig, get};
use actix_web::{App, HttpResponse, HttpServer, Responder};
use example_shared::layout;
use example_shared::start::{self, Startup};
use example_shared::users::Users;
use http::request::Parts;
use oh_actix::Member;
use oh_core::OpenHumans;
use oh_pages::Pages;

use crate::sessions::Sessions;

/// Adds the routes of Open Humans and of the application.
fn routes(config: &mut ServiceConfig, openhumans: &OpenHumans, pages: &Pages, users: &Users) {
    config
        .configure(oh_actix::configure_with(
            openhumans,
            pages.router(openhumans),
        ))
        .app_data(Data::new(users.clone()))
        .route("/", get().to(home))
        .route(
            "/static/brand.css",
            get().to(async || asset("text/css", layout::STYLESHEET)),
        )
        .route(
            "/static/logo.svg",
            get().to(async || asset("image/svg+xml", layout::LOGO)),
        );
}

async fn home(users: Data<Users>, member: Option<Member>) -> impl Responder {
    let member = member.as_deref();
    layout::home(member.map(|member| (member, users.get(member.id()))))
}

fn asset(content_type: &str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(content_type).body(body)
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
async fn main() -> anyhow::Result<()> {
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
    // A new key at each start ends all sessions. The store is in memory, so they end anyway.
    let key = Key::generate();
    let sessions = Sessions::default();
    HttpServer::new(move || {
        // The Open Humans pages set these headers themselves.
        let headers = DefaultHeaders::new()
            .add((CACHE_CONTROL, "no-store"))
            .add((CONTENT_SECURITY_POLICY, layout::CONTENT_SECURITY_POLICY));
        App::new()
            .configure(|config| routes(config, &openhumans, &pages, &users))
            .wrap(SessionMiddleware::new(sessions.clone(), key.clone()))
            .wrap(headers)
    })
    .client_request_timeout(Duration::from_secs(5))
    .listen(listener.into_std()?)?
    .run()
    .await?;
    background.stop().await;
    Ok(())
}
