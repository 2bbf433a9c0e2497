//! The pages over stores in memory, without a server.

mod context;
mod error;
mod files;
mod home;
mod layout;
mod login;
mod openapi;
mod sandbox;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::request::{Builder, Parts};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use oh_core::routes::SessionReader;
use oh_core::{Member, OpenHumans, OpenHumansBuilder, SessionMember, Settings};
use serde_json::Value;
use tower::ServiceExt;

use crate::context::Context;
use crate::pages::Page;
use crate::render::page_response;
use crate::settings::Pages;

/// An app whose dashboard is open to everyone.
pub(crate) fn pages() -> Pages {
    Pages::new("Sleep").staff(|_: &Parts, _: Option<&Member>| true)
}

/// An app at this URL.
pub(crate) fn app(url: &str) -> OpenHumansBuilder {
    let settings = Settings::builder("id", "secret", url).webhook_secret("abcdefghijklmnop");
    OpenHumans::builder(settings.build().unwrap()).login_pages(pages())
}

/// The surroundings of a response.
pub(crate) struct Surroundings {
    openhumans: OpenHumans,
    pages: Pages,
    headers: HeaderMap,
    query: &'static str,
}

impl Surroundings {
    fn new() -> Self {
        Self::of(app("https://app.example"))
    }

    fn of(app: OpenHumansBuilder) -> Self {
        Self {
            openhumans: app.build().unwrap(),
            pages: pages(),
            headers: HeaderMap::new(),
            query: "",
        }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    fn cx(&self) -> Context<'_> {
        let (settings, now) = (self.openhumans.settings(), self.openhumans.clock().now());
        let mut cx = Context::new(&self.pages.appearance, settings, &self.headers, now);
        cx.query = self.query;
        cx
    }

    fn html(&self, page: impl Into<Page>) -> String {
        let response = page_response(
            &self.cx(),
            self.pages.renderer.as_deref(),
            StatusCode::OK,
            &page.into(),
        );
        String::from_utf8(response.into_body().into()).unwrap()
    }
}

/// Sends a request with this session.
pub(crate) async fn send(
    router: &Router,
    request: Builder,
    body: impl Into<Body>,
    session: Option<SessionMember>,
) -> Response {
    let reader: SessionReader = Arc::new(move || {
        let session = session.clone();
        Box::pin(async move { Ok(session) })
    });
    let request = request.extension(reader).body(body.into()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

pub(crate) async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

pub(crate) async fn json(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// Asserts that a page contains all of these parts.
#[track_caller]
pub(crate) fn assert_contains(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}
