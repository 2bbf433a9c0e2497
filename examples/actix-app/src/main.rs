//! A small actix-web application where members of Open Humans log in, see their files, and leave.
//!
//! `cargo run -p actix-app` starts it with a sandbox that stands in for Open Humans. With
//! `OPENHUMANS_CLIENT_ID` and its siblings set, it talks to the server they name.
//!
//! What an app needs for Open Humans is all in [`routes`] and [`main`]. The pages, the users and
//! the start are those of its twin, `axum-app`.

#[path = "../../axum-app/src/page.rs"]
mod page;
#[path = "../../axum-app/src/start.rs"]
mod start;
#[path = "../../axum-app/src/users.rs"]
mod users;

use std::net::{Ipv4Addr, TcpListener};

use actix_session::SessionMiddleware;
use actix_session::storage::CookieSessionStore;
use actix_web::cookie::Key;
use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig, get};
use actix_web::{App, HttpServer, Responder};
use futures_util::{TryStreamExt, try_join};
use oh_actix::{Handle, Member};
use oh_core::OpenHumans;
use oh_core::deauth::EventQuery;
use oh_core::transport::BoxError;
use oh_sqlx::SqliteStore;

use crate::start::Start;
use crate::users::Users;

/// The routes of Open Humans beside the app's own.
fn routes(config: &mut ServiceConfig, openhumans: &OpenHumans, users: &Users) {
    config
        .configure(oh_actix::configure(openhumans))
        .app_data(Data::new(users.clone()))
        .route("/", get().to(home))
        .route("/files", get().to(files))
        .route("/ledger", get().to(ledger));
}

/// Anyone's page.
async fn home(
    users: Data<Users>,
    Handle(openhumans): Handle,
    member: Option<Member>,
) -> impl Responder {
    let known = member
        .as_deref()
        .map(|member| (member, users.get(member.id())));
    page::home(&openhumans, known)
}

/// A page for members: everyone else is sent to log in, and comes back to it.
async fn files(Handle(openhumans): Handle, member: Member) -> impl Responder {
    let files = openhumans.member_client(member.id()).files();
    match files.try_collect::<Vec<_>>().await {
        Ok(files) => (page::files(&files), StatusCode::OK),
        Err(error) => (page::problem(&error.to_string()), StatusCode::BAD_GATEWAY),
    }
}

/// What became of those who left. A real app shows it to its staff only.
async fn ledger(Handle(openhumans): Handle) -> impl Responder {
    let inbox = openhumans.inbox();
    let query = EventQuery::first(100);
    match try_join!(inbox.stats(), inbox.events(&query)) {
        Ok((stats, events)) => (page::ledger(&stats, &events), StatusCode::OK),
        Err(error) => {
            let problem = page::problem(&error.to_string());
            (problem, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    start::log();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, start::port("PORT", 8000)?))?;
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
    // A key made at each start: sessions end when the app does.
    let key = Key::generate();
    HttpServer::new(move || {
        let sessions = SessionMiddleware::new(CookieSessionStore::default(), key.clone());
        App::new()
            .configure(|config| routes(config, &openhumans, &users))
            .wrap(sessions)
    })
    .listen(listener)?
    .run()
    .await?;
    background.stop().await;
    Ok(())
}
