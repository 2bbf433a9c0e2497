//! The app, in actix-web.

use std::net::TcpListener;

use actix_session::storage::CookieSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::body::MessageBody;
use actix_web::cookie::Key;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, Next, from_fn};
use actix_web::web::{self, FormConfig, JsonConfig, PayloadConfig};
use actix_web::{App, Error, HttpResponse, HttpServer, error};
use oh_actix::Member;
use oh_core::OpenHumans;

use crate::LIMIT;

pub(crate) fn start(listener: TcpListener, openhumans: Option<OpenHumans>) {
    let key = Key::generate();
    let server = HttpServer::new(move || {
        let mut app = App::new()
            .app_data(PayloadConfig::new(LIMIT))
            .app_data(JsonConfig::default().limit(LIMIT))
            .app_data(FormConfig::default().limit(LIMIT))
            .service(
                web::resource("/own")
                    .route(web::get().to(own))
                    .default_service(web::to(HttpResponse::MethodNotAllowed)),
            )
            .route("/count", web::post().to(count))
            .route("/echo", web::post().to(async |body: String| body))
            .default_service(web::to(nowhere));
        if let Some(openhumans) = &openhumans {
            app = app
                .configure(oh_actix::configure(openhumans))
                .route("/members", web::get().to(members));
        }
        app.wrap(SessionMiddleware::new(
            CookieSessionStore::default(),
            key.clone(),
        ))
        .wrap(from_fn(own_pages_only))
        .wrap(Compress::default())
    });
    let server = server
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
    tokio::spawn(server);
}

/// The app's CSRF protection: what changes something must not come from another site.
async fn own_pages_only(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let site = request.headers().get("sec-fetch-site");
    let foreign = site.is_some_and(|site| site == "cross-site" || site == "same-site");
    if foreign && !request.method().is_safe() {
        return Err(error::ErrorForbidden("not from here"));
    }
    next.call(request).await
}

async fn own() -> String {
    "a".repeat(4000)
}

async fn members(member: Member) -> String {
    member.id().to_string()
}

async fn nowhere() -> HttpResponse {
    HttpResponse::NotFound().body("no such page here")
}

async fn count(session: Session) -> String {
    let count = session.get::<u32>("count").unwrap().unwrap_or(0) + 1;
    session.insert("count", count).unwrap();
    count.to_string()
}
