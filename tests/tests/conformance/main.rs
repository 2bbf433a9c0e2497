//! One suite for both adapters: the same requests to the same app in axum and in actix-web.
//!
//! Each test runs a scenario over both apps on real sockets, checks what the answers must be, and
//! then compares the two transcripts: statuses, every header, cookie attributes, bodies. Only
//! dates and random values may differ.

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

/// The suite itself is held to account: an adapter that adds one header is found out.
#[tokio::test]
async fn a_difference_in_one_adapter_is_noticed() {
    let plan = Plan {
        differ: true,
        ..Plan::default()
    };
    let (mut axum, mut actix) = pair(plan).await;
    for app in [&mut axum, &mut actix] {
        let answer = app.send("GET", &Request::get("/openhumans/login")).await;
        assert_eq!(answer.status, 303);
    }
    let differences = axum.transcript.differences(&actix.transcript);
    assert_eq!(differences.len(), 1);
    assert!(differences[0].contains("x-different: yes"));
}
