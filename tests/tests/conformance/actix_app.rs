//! The application in actix-web.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Key, SameSite as Cookie};
use actix_web::middleware::{Condition, DefaultHeaders, from_fn};
use actix_web::web::{self, Bytes, ReqData};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError};
use oh_actix::{Handle, Member, Rejection, VerifiedWebhook, require_member, verify_webhook};
use oh_core::SESSION_KEY;
use oh_core::login::LoginRequest;
use oh_core::webhook::Deauthorization;

use crate::apps::{Parts, SameSite};

pub(crate) fn start(parts: Parts) {
    let sessions = Sessions::default();
    let key = Key::generate();
    let server = HttpServer::new(move || {
        let same_site = match parts.same_site {
            SameSite::Strict => Cookie::Strict,
            SameSite::Lax => Cookie::Lax,
        };
        let sessions = SessionMiddleware::builder(sessions.clone(), key.clone())
            .cookie_name("id".to_owned())
            .cookie_same_site(same_site)
            .build();
        let meddle = DefaultHeaders::new().add(("x-different", "yes"));
        App::new()
            .configure(|config| match &parts.pages {
                Some(pages) => {
                    let pages = pages.router(&parts.openhumans);
                    config.configure(oh_actix::configure_with(&parts.openhumans, pages));
                }
                None => {
                    config.configure(oh_actix::configure(&parts.openhumans));
                }
            })
            .route("/", web::get().to(home))
            .route("/member", web::to(member))
            .route("/result", web::get().to(result))
            .service(
                web::resource("/guarded")
                    .wrap(from_fn(require_member))
                    .route(web::get().to(guarded)),
            )
            .route("/connect", web::get().to(connect))
            .route("/ask-again", web::get().to(ask_again))
            .route("/session/set/{theme}", web::post().to(set))
            .route("/session/show", web::get().to(show))
            .route("/session/corrupt", web::post().to(corrupt))
            .route("/webhook/extractor", web::post().to(extracted))
            .service(
                web::resource("/webhook/layer")
                    .wrap(from_fn(verify_webhook))
                    .route(web::post().to(layered)),
            )
            .service(web::scope("/inner").route("/member", web::to(member)))
            .default_service(web::to(nothing_here))
            .wrap(sessions)
            .wrap(Condition::new(parts.differ, meddle))
    });
    let server = server
        .workers(1)
        .disable_signals()
        .listen(parts.listener)
        .expect("a socket")
        .run();
    tokio::spawn(server);
}

async fn nothing_here() -> HttpResponse {
    HttpResponse::NotFound()
        .content_type("text/plain; charset=utf-8")
        .body("nothing here")
}

async fn home(member: Option<Member>) -> String {
    match member {
        Some(member) => format!("member {}", member.id()),
        None => "nobody".to_owned(),
    }
}

async fn member(member: Member) -> String {
    format!("{} {}", member.id(), member.username().unwrap_or("-"))
}

async fn result(member: Result<Member, Rejection>) -> String {
    match member {
        Ok(member) => format!("member {}", member.id()),
        Err(rejection) => format!("not in: {}", rejection.status_code().as_u16()),
    }
}

async fn guarded(inside: ReqData<Member>, member: Member) -> String {
    format!("{} {}", inside.id(), member.id())
}

async fn connect(handle: Handle, request: HttpRequest) -> Result<HttpResponse, Rejection> {
    let login = LoginRequest::new().context("user 42").expect("short");
    handle.start_login(login, &request)
}

async fn ask_again(handle: Handle, request: HttpRequest) -> Result<HttpResponse, Rejection> {
    let login = LoginRequest::new().force_approval().scope("read write");
    handle.start_login(login.expect("two scopes"), &request)
}

async fn set(theme: web::Path<String>, session: Session) -> &'static str {
    let set = session.insert("theme", theme.into_inner());
    set.expect("a string");
    "set"
}

async fn show(session: Session) -> String {
    let theme: Option<String> = session.get("theme").expect("a string");
    format!(
        "theme {theme:?}, ours {}",
        session.contains_key(SESSION_KEY)
    )
}

async fn corrupt(session: Session) -> &'static str {
    session.insert(SESSION_KEY, "garbage").expect("a string");
    "corrupted"
}

async fn extracted(webhook: VerifiedWebhook) -> String {
    let length = webhook.body.len();
    format!("{} {length}", webhook.deauthorization.member())
}

async fn layered(told: ReqData<Deauthorization>, body: Bytes) -> String {
    format!("{} {}", told.member(), body.len())
}

type Values = HashMap<String, String>;

/// Server-side sessions, as in tower-sessions: a session id is invalid after its renewal.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<HashMap<String, Values>>>, Arc<AtomicU64>);

impl Sessions {
    fn put(&self, key: String, values: Values) -> SessionKey {
        self.0.lock().unwrap().insert(key.clone(), values);
        key.try_into().expect("a short key")
    }
}

impl SessionStore for Sessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<Values>, LoadError> {
        Ok(self.0.lock().unwrap().get(key.as_ref()).cloned())
    }

    async fn save(&self, values: Values, _ttl: &Duration) -> Result<SessionKey, SaveError> {
        let number = self.1.fetch_add(1, Ordering::SeqCst);
        Ok(self.put(format!("session-{number}"), values))
    }

    async fn update(
        &self,
        key: SessionKey,
        values: Values,
        _ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        Ok(self.put(key.as_ref().to_owned(), values))
    }

    async fn update_ttl(&self, _key: &SessionKey, _ttl: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.0.lock().unwrap().remove(key.as_ref());
        Ok(())
    }
}
