//! The application in actix-web.

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

use crate::BODY_LIMIT;

pub(crate) fn start(listener: TcpListener, openhumans: Option<OpenHumans>) {
    let key = Key::generate();
    let server = HttpServer::new(move || {
        let mut app = App::new()
            .app_data(PayloadConfig::new(BODY_LIMIT))
            .app_data(JsonConfig::default().limit(BODY_LIMIT))
            .app_data(FormConfig::default().limit(BODY_LIMIT))
            .service(
                web::resource("/own")
                    .route(web::get().to(own))
                    .default_service(web::to(HttpResponse::MethodNotAllowed)),
            )
            .route("/count", web::post().to(count))
            .route("/echo", web::post().to(async |body: String| body))
            .default_service(web::to(not_found));
        if let Some(openhumans) = &openhumans {
            app = app
                .configure(oh_actix::configure(openhumans))
                .route("/members", web::get().to(members));
        }
        app.wrap(SessionMiddleware::new(
            CookieSessionStore::default(),
            key.clone(),
        ))
        .wrap(from_fn(reject_cross_site))
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

/// Rejects unsafe requests from other sites.
async fn reject_cross_site(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let site = request.headers().get("sec-fetch-site");
    let cross_site = site.is_some_and(|site| site == "cross-site" || site == "same-site");
    if cross_site && !request.method().is_safe() {
        return Err(error::ErrorForbidden("cross-site request"));
    }
    next.call(request).await
}

async fn own() -> String {
    "a".repeat(4000)
}

async fn members(member: Member) -> String {
    member.id().to_string()
}

async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().body("no such page here")
}

async fn count(session: Session) -> String {
    let count = session.get::<u32>("count").unwrap().unwrap_or(0) + 1;
    session.insert("count", count).unwrap();
    count.to_string()
}
