//! The conformance suite: the same requests to the same application in axum and in actix-web.
//!
//! Each test runs a scenario on both applications over sockets, checks the responses, and compares the two
//! transcripts: status, headers, cookie attributes, body. Only dates and random values may differ.

#![allow(clippy::unwrap_used)]

mod actix_app;
mod apps;
mod axum_app;
mod dashboard;
mod failures;
mod login;
mod members;
mod pages;
mod routes;
mod sessions;
mod transcript;
mod webhook;
mod webhook_body;

use apps::{Plan, pair};
use oh_tests::wire::Request;

/// Tests the suite with an adapter that adds a header.
#[tokio::test]
async fn suite_reports_a_difference_between_the_adapters() {
    let plan = Plan {
        differ: true,
        ..Plan::default()
    };
    let (mut axum, mut actix) = pair(plan).await;
    for app in [&mut axum, &mut actix] {
        let response = app.send("GET", &Request::get("/openhumans/login")).await;
        assert_eq!(response.status, 303);
    }
    let differences = axum.transcript.differences(&actix.transcript);
    assert_eq!(differences.len(), 1);
    assert!(differences[0].contains("x-different: yes"));
}
