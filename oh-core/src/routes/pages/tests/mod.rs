//! What visitors and programs are shown, without Open Humans: each page as it is rendered.

mod assets;
mod context;
mod files;
mod form;
mod home;
mod layout;
mod openapi;
mod probes;
mod problem;
mod serve;

use http::StatusCode;
use http::request::{Builder, Parts};
use serde_json::Value;

use super::context::Context;
use super::show;
use crate::pages::Pages;
use crate::pages::view::Page;
use crate::routes::RouteOutcome;
use crate::{Member, OpenHumans, OpenHumansBuilder, Settings};

/// An app with pages, and a desk that everyone may see.
fn app() -> OpenHumansBuilder {
    at("https://app.example").pages(pages().staff(|_: &Parts, _: Option<&Member>| true))
}

fn pages() -> Pages {
    Pages::new("Sleep")
}

/// An app at this address.
fn at(address: &str) -> OpenHumansBuilder {
    OpenHumans::builder(
        Settings::builder("id", "secret", address)
            .webhook_secret("abcdefghijklmnop")
            .build()
            .unwrap(),
    )
}

/// A request that is being answered.
struct Visit {
    openhumans: OpenHumans,
    head: Parts,
}

impl Visit {
    fn to(path: &str) -> Self {
        Self::of(app(), http::Request::get(path))
    }

    fn of(app: OpenHumansBuilder, request: Builder) -> Self {
        Self {
            openhumans: app.build().unwrap(),
            head: request.body(()).unwrap().into_parts().0,
        }
    }

    fn cx(&self) -> Context<'_> {
        let pages = self.openhumans.inner.pages.as_ref().unwrap();
        Context::new(&self.openhumans, pages, &self.head)
    }

    /// What a person sees.
    fn html(&self, page: &Page) -> String {
        let response = show::rendered(&self.cx(), StatusCode::OK, page);
        String::from_utf8(response.into_body().into()).unwrap()
    }
}

fn text(answer: RouteOutcome) -> String {
    let body = answer.response.into_body().into_bytes();
    String::from_utf8(body.unwrap().into()).unwrap()
}

fn json(answer: RouteOutcome) -> Value {
    serde_json::from_str(&text(answer)).unwrap()
}

/// That a page has all of these parts.
#[track_caller]
fn has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}
