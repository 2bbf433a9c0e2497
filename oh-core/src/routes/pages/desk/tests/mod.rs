//! The desk as the staff sees it, over an inbox in memory.

mod event;
mod lists;
mod overview;
mod overview_html;
mod plot;
mod table;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use maud::Markup;
use serde_json::Value;

use crate::deauth::test_support::{FaultyInbox, at, member};
use crate::deauth::{
    Completion, DeauthEvent, DeauthInbox, Discovery, ErasureRequest, EventId, EventRecord,
    EventState, InboxStats, Lease, Pseudonym,
};
use crate::pages::view::{BackgroundView, DeskPage, SealingView};
use crate::pages::{PageRoute, Pages};
use crate::routes::Route;
use crate::routes::pages::context::Context;
use crate::{Clock, Member, OpenHumans, Settings, Timestamp};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// What the clock says: 2020-12-15, 02:40 UTC.
fn now() -> Timestamp {
    at(8_000_000)
}

fn ago(seconds: u64) -> Timestamp {
    now() - Duration::from_secs(seconds)
}

/// The event of the member of this number; ids and pseudonyms begin with it.
fn event(number: usize, received_at: Timestamp) -> DeauthEvent {
    DeauthEvent {
        id: EventId::new(format!("{number:08}eeeeeeeeeeeeeeeeeeeeeeee")),
        member: member(number),
        pseudonym: Pseudonym::new(format!("{number:08}aaaaaaaaaaaaaaaaaaaaaaaa")),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: received_at,
        received_at,
    }
}

/// The record of such an event in this state.
fn record(number: usize, received_at: Timestamp, state: EventState) -> EventRecord {
    EventRecord {
        state,
        ..EventRecord::pending(&event(number, received_at))
    }
}

/// An app with a desk that is open to everyone.
struct Desk {
    openhumans: OpenHumans,
    inbox: Arc<FaultyInbox>,
}

impl Desk {
    fn new() -> Self {
        let settings = Settings::builder("id", "secret", "https://app.example");
        let inbox = Arc::new(FaultyInbox::default());
        let openhumans = OpenHumans::builder(settings.build().unwrap())
            .deauth_inbox(inbox.clone())
            .clock(Clock::manual(now()))
            .pages(Pages::new("Sleep study").staff(|_: &Parts, _: Option<&Member>| true))
            .build()
            .unwrap();
        Self { openhumans, inbox }
    }

    async fn accept(&self, event: &DeauthEvent) {
        let _ = self.inbox.accept(event).await.unwrap();
    }

    async fn hold(&self, event: &DeauthEvent) {
        let _ = self
            .inbox
            .quarantine(event, "too many at once")
            .await
            .unwrap();
    }

    /// Has a worker take the oldest event that is free, for an hour.
    async fn lease(&self, from: Timestamp) -> Lease {
        let until = from + Duration::from_secs(HOUR);
        let leased = self.inbox.lease(from, until, 1).await.unwrap();
        leased.into_iter().next().unwrap().lease
    }

    async fn settle(&self, lease: &Lease, completion: Completion, at: Timestamp) {
        let _ = self.inbox.complete(lease, &completion, at).await.unwrap();
    }

    /// Takes an event and settles it this long after; nothing else may be pending.
    async fn settled(&self, event: &DeauthEvent, completion: Completion, after: u64) {
        self.accept(event).await;
        let lease = self.lease(event.received_at).await;
        assert_eq!(lease.event, event.id);
        let at = event.received_at + Duration::from_secs(after);
        self.settle(&lease, completion, at).await;
    }

    async fn send(&self, method: &str, path: &str, accept: &str) -> Response<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/openhumans{path}"))
            .header("accept", accept)
            .header("sec-fetch-site", "same-origin")
            .body(Full::new(Bytes::new()))
            .unwrap();
        let route = Route::Page(route(path));
        let answer = self.openhumans.respond(route, request, None).await;
        answer.response.map(|body| body.into_bytes().unwrap())
    }

    async fn html(&self, path: &str) -> String {
        let answer = self.send("GET", path, "text/html").await;
        assert_eq!(answer.status(), 200, "{path}");
        String::from_utf8(answer.into_body().into()).unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.send("GET", path, "application/json").await;
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_slice(answer.body()).unwrap()
    }

    /// What is drawn for a request of someone who speaks English.
    fn draw(&self, draw: impl FnOnce(&Context<'_>) -> Markup) -> String {
        let (head, ()) = Request::new(()).into_parts();
        let pages = self.openhumans.inner.pages.as_ref().unwrap();
        draw(&Context::new(&self.openhumans, pages, &head)).into_string()
    }
}

/// Which route leads to this path.
fn route(path: &str) -> PageRoute {
    let path = path.split('?').next().unwrap();
    let fits = |route: &PageRoute| {
        let (mut parts, mut pattern) = (path.split('/'), route.path().split('/'));
        let same = |part| {
            pattern
                .next()
                .is_some_and(|p| p == part || p.starts_with('{'))
        };
        parts.all(same) && pattern.next().is_none()
    };
    PageRoute::ALL.into_iter().find(fits).unwrap()
}

/// The overview of an app that nobody has left yet.
fn nothing() -> DeskPage {
    DeskPage {
        stats: InboxStats::default(),
        overdue: 0,
        running: Vec::new(),
        background: BackgroundView {
            worker_alive: false,
            worker_heard_at: None,
            reconciler_asking: false,
            reconciler_asked_at: None,
        },
        sealing: SealingView {
            lines: None,
            sealed_at: None,
            checkpoint: None,
            trouble: None,
        },
        took: None,
        plotted: 0,
        plot: Vec::new(),
    }
}

/// The parts of a page that lie between these texts, the last of which may lack its end.
fn between<'a>(html: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    let parts = html.split(start).skip(1);
    parts.map(|part| part.split(end).next().unwrap()).collect()
}
