//! The application in axum.

use std::net::TcpListener;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use oh_axum::Member;
use oh_core::OpenHumans;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::BODY_LIMIT;

pub(crate) fn start(listener: TcpListener, openhumans: Option<OpenHumans>) {
    let mut app = Router::new()
        .route("/own", get(async || "a".repeat(4000)))
        .route("/count", post(count))
        .route("/echo", post(async |body: String| body))
        .fallback(async || (StatusCode::NOT_FOUND, "no such page here"))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    if let Some(openhumans) = openhumans {
        app = app
            .route(
                "/members",
                get(async |member: Member| member.id().to_string()),
            )
            .nest("/openhumans", oh_axum::router(&openhumans))
            .layer(oh_axum::layer(&openhumans));
    }
    let app = app
        .layer(SessionManagerLayer::new(MemoryStore::default()))
        .layer(CsrfLayer::new())
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
}

async fn count(session: Session) -> String {
    let count = session.get::<u32>("count").await.unwrap().unwrap_or(0) + 1;
    session.insert("count", count).await.unwrap();
    count.to_string()
}
