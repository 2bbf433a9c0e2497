//! A small actix-web application where members of Open Humans log in, see their files, and leave.
//!
//! `cargo run -p actix-app` starts it with a sandbox that stands in for Open Humans. With
//! `OPENHUMANS_CLIENT_ID` and its siblings set, it talks to the server they name.
//!
//! Everything about Open Humans is in [`routes`] and where `main` wraps the sessions around it; the
//! pages, the users and the start are those of `axum-app`, its twin.

#[path = "../../axum-app/src/page.rs"]
mod page;
#[path = "../../axum-app/src/start.rs"]
mod start;
#[path = "../../axum-app/src/users.rs"]
mod users;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use actix_session::SessionMiddleware;
use actix_session::storage::CookieSessionStore;
use actix_web::cookie::Key;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpServer, Responder};
use oh_actix::{Handle, Member};
use oh_core::OpenHumans;
use oh_core::deauth::{EventQuery, Worker};
use oh_core::transport::BoxError;

use crate::users::Users;

/// The routes of Open Humans beside the app's own.
fn routes(config: &mut ServiceConfig, openhumans: &OpenHumans, users: &Users) {
    config
        .configure(oh_actix::configure(openhumans))
        .app_data(Data::new(users.clone()))
        .route("/", web::get().to(home))
        .route("/files", web::get().to(files))
        .route("/ledger", web::get().to(ledger));
}

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

async fn files(Handle(openhumans): Handle, member: Member) -> impl Responder {
    let client = openhumans.member_client(member.id());
    match client.exchange_member().await {
        Ok(member) => (page::files(&member.data), StatusCode::OK),
        Err(error) => (page::problem(&error.to_string()), StatusCode::BAD_GATEWAY),
    }
}

async fn ledger(Handle(openhumans): Handle) -> impl Responder {
    let inbox = openhumans.inbox();
    let query = EventQuery {
        limit: 100,
        ..EventQuery::default()
    };
    match futures_util::try_join!(inbox.stats(), inbox.events(&query)) {
        Ok((stats, events)) => (page::ledger(&stats, &events), StatusCode::OK),
        Err(error) => {
            let problem = page::problem(&error.to_string());
            (problem, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_env_filter(start::log_filter())
        .init();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, start::port("PORT", 8000)?))?;
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
    // Made anew at each start: whoever was logged in logs in again.
    let key = Key::generate();
    HttpServer::new(move || {
        App::new()
            .configure(|config| routes(config, &openhumans, &users))
            .wrap(SessionMiddleware::new(
                CookieSessionStore::default(),
                key.clone(),
            ))
    })
    .listen(listener)?
    .run()
    .await?;
    worker.stop().await;
    Ok(())
}
