//! The dashboard over an inbox in memory.

mod event;
mod lists;
mod overview;
mod overview_html;
mod plot;
mod table;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::{HeaderMap, Request};
use maud::Markup;
use oh_core::deauth::{
    Completion, DeauthEvent, DeauthInbox, Discovery, ErasureRequest, EventId, EventRecord,
    EventState, Lease, MemoryInbox, Pseudonym,
};
use oh_core::{Clock, OpenHumans, Timestamp};
use serde_json::Value;

use super::{BackgroundStatus, CheckpointPage, DashboardPage, EventCounts};
use crate::context::Context;
use crate::settings::Pages;
use crate::tests;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_600_000_000 + seconds) * 1_000_000)
}

/// The time of the clock: 2020-12-15, 02:40 UTC.
fn now() -> Timestamp {
    at(8_000_000)
}

fn ago(seconds: u64) -> Timestamp {
    now() - Duration::from_secs(seconds)
}

/// An event of member `number`. Its id and its pseudonym start with the number.
fn event(number: usize, received_at: Timestamp) -> DeauthEvent {
    DeauthEvent {
        id: EventId::new(format!("{number:08}eeeeeeeeeeeeeeeeeeeeeeee")),
        member: format!("{number:08}").parse().unwrap(),
        pseudonym: Pseudonym::new(format!("{number:08}aaaaaaaaaaaaaaaaaaaaaaaa")),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: received_at,
        received_at,
    }
}

/// The record of such an event in a state.
fn record(number: usize, received_at: Timestamp, state: EventState) -> EventRecord {
    let mut record = EventRecord::pending(&event(number, received_at));
    record.state = state;
    record
}

/// An app whose dashboard is open to everyone.
struct Dashboard {
    openhumans: OpenHumans,
    inbox: Arc<MemoryInbox>,
    pages: Pages,
    router: Router,
}

impl Dashboard {
    fn new() -> Self {
        let inbox = Arc::new(MemoryInbox::new());
        let openhumans = tests::app("https://app.example")
            .deauth_inbox(inbox.clone())
            .clock(Clock::manual(now()))
            .build()
            .unwrap();
        let pages = tests::pages();
        Self {
            router: pages.router(&openhumans),
            pages,
            openhumans,
            inbox,
        }
    }

    async fn accept(&self, event: &DeauthEvent) {
        let _ = self.inbox.accept(event).await.unwrap();
    }

    async fn quarantine(&self, event: &DeauthEvent) {
        let quarantined = self.inbox.quarantine(event, "too many at once").await;
        let _ = quarantined.unwrap();
    }

    /// Leases the oldest due event for an hour.
    async fn lease(&self, from: Timestamp) -> Lease {
        let until = from + Duration::from_secs(HOUR);
        let leased = self.inbox.lease(from, until, 1).await.unwrap();
        leased.into_iter().next().unwrap().lease
    }

    async fn complete(&self, lease: &Lease, completion: Completion, at: Timestamp) {
        let _ = self.inbox.complete(lease, &completion, at).await.unwrap();
    }

    /// Accepts an event and completes its first attempt after `seconds`. No other event may be
    /// pending.
    async fn settled(&self, event: &DeauthEvent, completion: Completion, seconds: u64) {
        self.accept(event).await;
        let lease = self.lease(event.received_at).await;
        assert_eq!(lease.event, event.id);
        let at = event.received_at + Duration::from_secs(seconds);
        self.complete(&lease, completion, at).await;
    }

    async fn send(&self, method: &str, path: &str, accept: &str) -> Response {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", accept)
            .header("sec-fetch-site", "same-origin");
        tests::send(&self.router, request, "", None).await
    }

    async fn html(&self, path: &str) -> String {
        let response = self.send("GET", path, "text/html").await;
        assert_eq!(response.status(), 200, "{path}");
        tests::text(response).await
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.send("GET", path, "application/json").await;
        assert_eq!(response.status(), 200, "{path}");
        tests::json(response).await
    }

    /// Renders in English.
    fn render(&self, render: impl FnOnce(&Context<'_>) -> Markup) -> String {
        let headers = HeaderMap::new();
        let settings = self.openhumans.settings();
        render(&Context::new(
            &self.pages.appearance,
            settings,
            &headers,
            now(),
        ))
        .into_string()
    }
}

/// A message in English.
fn text(id: &str) -> String {
    let mut text = String::new();
    Dashboard::new().render(|cx| {
        text = cx.text(id);
        maud::html! {}
    });
    text
}

/// The overview of an app without events.
fn empty() -> DashboardPage {
    DashboardPage {
        counts: EventCounts::default(),
        running: Vec::new(),
        background: BackgroundStatus::default(),
        checkpoint: CheckpointPage::default(),
        durations: None,
        plotted: 0,
        plot: Vec::new(),
        has_signing_key: false,
    }
}

/// The texts between `start` and `end`, for each `start`.
fn between<'a>(html: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    let parts = html.split(start).skip(1);
    parts.map(|part| part.split(end).next().unwrap()).collect()
}
