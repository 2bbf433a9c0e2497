//! A small actix-web application where members of Open Humans log in, see their files, and leave.
//!
//! `cargo run -p actix-app` starts it with a sandbox that stands in for Open Humans. With
//! `OPENHUMANS_CLIENT_ID` and its siblings set, it talks to the server they name; `.env.example`
//! lists them.
//!
//! What an app needs for Open Humans is all in [`routes`], [`pages`] and [`main`]; the rest is what
//! any app has: a look, users, a start.

mod look;
mod sessions;
mod start;
mod users;

use std::thread::available_parallelism;
use std::time::Duration;

use actix_session::SessionMiddleware;
use actix_web::cookie::Key;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{Data, ServiceConfig, get};
use actix_web::{App, HttpResponse, HttpServer, Responder};
use http::request::Parts;
use oh_actix::{Connections, Member, keep_connection};
use oh_core::OpenHumans;
use oh_core::pages::Pages;

use crate::sessions::Sessions;
use crate::start::Start;
use crate::users::Users;

/// The routes of Open Humans beside the app's own.
fn routes(config: &mut ServiceConfig, openhumans: &OpenHumans, users: &Users) {
    config
        .configure(oh_actix::configure(openhumans))
        .app_data(Data::new(users.clone()))
        .route("/", get().to(home))
        .route("/static/brand.css", get().to(style))
        .route("/static/logo.svg", get().to(logo));
}

/// The app's first page. Members' pages, their files and the erasure desk are Open Humans'.
async fn home(users: Data<Users>, member: Option<Member>) -> impl Responder {
    let known = member.as_deref();
    look::home(known.map(|member| (member, users.get(member.id()))))
}

async fn style() -> impl Responder {
    HttpResponse::Ok()
        .content_type("text/css")
        .body(look::STYLE)
}

async fn logo() -> impl Responder {
    HttpResponse::Ok()
        .content_type("image/svg+xml")
        .body(look::LOGO)
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
async fn main() -> anyhow::Result<()> {
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
    // A connection is a file descriptor, and a process has few unless it asks for more. While none
    // is left, Open Humans' webhook finds no place.
    rlimit::increase_nofile_limit(16_384)?;
    // A key made at each start: sessions end when the app does.
    let key = Key::generate();
    let sessions = Sessions::default();
    let workers = available_parallelism()?.get();
    let connections = Connections::new(workers);
    HttpServer::new(move || {
        // What the app's own pages say to browsers; Open Humans' pages say it themselves.
        let headers = DefaultHeaders::new()
            .add((CACHE_CONTROL, "no-store"))
            .add((CONTENT_SECURITY_POLICY, look::POLICY));
        App::new()
            .configure(|config| routes(config, &openhumans, &users))
            .wrap(SessionMiddleware::new(sessions.clone(), key.clone()))
            .wrap(headers)
            .wrap(from_fn(keep_connection))
    })
    // The oldest silent connection makes room, and headers that do not come in time end theirs.
    .workers(workers)
    .max_connections(connections.for_each_worker())
    .on_connect(connections.on_connect())
    .client_request_timeout(Duration::from_secs(5))
    .listen(listener.into_std()?)?
    .run()
    .await?;
    background.stop().await;
    Ok(())
}
