//! The application in axum.

use axum::body::Bytes;
use axum::extract::{Extension, Path};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::{Router, middleware, routing};
use oh_axum::{Handle, Member, RequireMemberLayer, VerifiedWebhook, VerifyWebhookLayer};
use oh_core::SESSION_KEY;
use oh_core::login::LoginRequest;
use oh_core::webhook::Deauthorization;
use tower_sessions::cookie::SameSite as Cookie;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::apps::{Parts, SameSite};

pub(crate) fn start(parts: Parts) {
    let app = router(&parts);
    parts.listener.set_nonblocking(true).expect("a socket");
    let listener = tokio::net::TcpListener::from_std(parts.listener).expect("a socket");
    tokio::spawn(async move { axum::serve(listener, app).await });
}

fn router(parts: &Parts) -> Router {
    let openhumans = &parts.openhumans;
    let mut openhumans_routes = oh_axum::router(openhumans);
    if let Some(pages) = &parts.pages {
        let pages = oh_axum::with_session(pages.router(openhumans));
        openhumans_routes = openhumans_routes.merge(pages);
    }
    let same_site = match parts.same_site {
        SameSite::Strict => Cookie::Strict,
        SameSite::Lax => Cookie::Lax,
    };
    let guarded = get(guarded).route_layer(RequireMemberLayer::new(openhumans));
    let verified = post(layered).layer(VerifyWebhookLayer::new(openhumans));
    Router::new()
        .route("/", get(home))
        .route("/member", any(member))
        .route("/result", get(result))
        .route("/guarded", guarded)
        .route("/connect", get(connect))
        .route("/ask-again", get(ask_again))
        .route("/session/set/{theme}", routing::post(set))
        .route("/session/show", get(show))
        .route("/session/corrupt", routing::post(corrupt))
        .route("/webhook/extractor", post(extracted))
        .route("/webhook/layer", verified)
        .nest("/inner", Router::new().route("/member", any(member)))
        .nest("/openhumans", openhumans_routes)
        .fallback(async || (StatusCode::NOT_FOUND, "nothing here"))
        .layer(oh_axum::layer(openhumans))
        .layer(SessionManagerLayer::new(MemoryStore::default()).with_same_site(same_site))
        .layer(middleware::map_response(async |response: Response| {
            response
        }))
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

async fn result(member: Result<Member, oh_axum::Rejection>) -> String {
    match member {
        Ok(member) => format!("member {}", member.id()),
        Err(rejection) => format!("not in: {}", rejection.status().as_u16()),
    }
}

async fn guarded(Extension(inside): Extension<Member>, member: Member) -> String {
    format!("{} {}", inside.id(), member.id())
}

async fn connect(handle: Handle, headers: HeaderMap) -> Response {
    let login = LoginRequest::new().context("user 42").expect("short");
    handle.start_login(login, &headers)
}

async fn ask_again(handle: Handle, headers: HeaderMap) -> Response {
    let login = LoginRequest::new().force_approval().scope("read write");
    handle.start_login(login.expect("two scopes"), &headers)
}

async fn set(Path(theme): Path<String>, session: Session) -> &'static str {
    session.insert("theme", theme).await.expect("in memory");
    "set"
}

async fn show(session: Session) -> String {
    let theme: Option<String> = session.get("theme").await.expect("in memory");
    let ours = session.get_value(SESSION_KEY).await.expect("in memory");
    format!("theme {theme:?}, ours {}", ours.is_some())
}

async fn corrupt(session: Session) -> &'static str {
    session
        .insert(SESSION_KEY, "garbage")
        .await
        .expect("in memory");
    "corrupted"
}

async fn extracted(webhook: VerifiedWebhook) -> String {
    let length = webhook.body.len();
    format!("{} {length}", webhook.deauthorization.member())
}

async fn layered(Extension(told): Extension<Deauthorization>, body: Bytes) -> String {
    format!("{} {}", told.member(), body.len())
}
