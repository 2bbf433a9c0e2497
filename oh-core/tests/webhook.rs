//! The webhook route and `disconnect`, against the sandbox that calls the route.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use oh_core::OpenHumans;
use oh_core::deauth::{
    Departure, Discovery, ErasureRequest, EventQuery, EventRecord, EventState, WorkerSettings,
};
use oh_core::routes::Route;
use oh_core::webhook::SIGNATURE_HEADER;
use oh_sandbox::{Endpoint, Fault, webhook};
use support::*;
use time::OffsetDateTime;
use tokio::net::TcpListener;

async fn post(oh: &OpenHumans, body: &str, signatures: &[&str]) -> StatusCode {
    let mut request = Request::post("/openhumans/deauth").header("content-length", body.len());
    for signature in signatures {
        request = request.header(SIGNATURE_HEADER, *signature);
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let outcome = oh.respond(Route::Deauth, request, None).await;
    outcome.response.status()
}

async fn post_signed(oh: &OpenHumans, body: &str) -> StatusCode {
    post(oh, body, &[&webhook::sign(WEBHOOK_SECRET, body)]).await
}

async fn events(oh: &OpenHumans) -> Vec<EventRecord> {
    let query = EventQuery::first(10);
    oh.inbox().events(&query).await.unwrap()
}

/// The body of a webhook about Alice, sent now.
fn body(erasure_requested: bool) -> String {
    webhook::body(ALICE, erasure_requested, OffsetDateTime::now_utc())
}

#[tokio::test]
async fn signed_webhook_ends_authorization_and_is_stored_once() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    browser.log_in(&oh, &sandbox).await;
    let body = body(true);
    for _ in 0..2 {
        assert_eq!(post_signed(&oh, &body).await, 204);
        assert!(!browser.is_logged_in(&oh).await);
        assert!(!record(&oh).await.is_authorized());
        let events = events(&oh).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].discovery, Discovery::Webhook);
        assert_eq!(events[0].erasure, ErasureRequest::Requested);
    }
}

#[tokio::test]
async fn old_webhook_is_stored_and_ignored_after_new_authorization() {
    let (sandbox, oh) = start().await;
    let mut browser = Browser::default();
    let an_hour_ago = OffsetDateTime::now_utc() - time::Duration::hours(1);
    let old = webhook::body(ALICE, true, an_hour_ago);
    browser.log_in(&oh, &sandbox).await;
    assert_eq!(post_signed(&oh, &old).await, 204);
    assert!(browser.is_logged_in(&oh).await);
    assert_eq!(events(&oh).await.len(), 1);
}

#[tokio::test]
async fn webhook_is_rejected_without_exactly_one_valid_signature() {
    let (_sandbox, oh) = start().await;
    let body = body(true);
    let valid = webhook::sign(WEBHOOK_SECRET, &body);
    let wrong = webhook::sign("ponmlkjihgfedcba", &body);
    for signatures in [&[][..], &[&*wrong], &[&*valid, &*valid], &["sha1=00"]] {
        assert_eq!(post(&oh, &body, signatures).await, 401);
    }
    assert_eq!(post(&oh, &webhook::encode_twice(&body), &[]).await, 401);
    assert_eq!(post(&oh, &"x".repeat(20_000), &[&valid]).await, 413);
    assert_eq!(post_signed(&oh, r#"{"project_member_id": 1}"#).await, 400);
    assert!(events(&oh).await.is_empty());
}

#[tokio::test]
async fn webhook_needs_a_secret_unless_unsigned_ones_are_accepted() {
    let sandbox = sandbox().await;
    let settings = || {
        oh_core::Settings::builder(sandbox.client_id(), sandbox.client_secret(), APP)
            .oh_base_url(sandbox.url().as_str())
    };
    let oh = OpenHumans::builder(settings().build().unwrap());
    assert_eq!(post_signed(&oh.build().unwrap(), &body(true)).await, 503);
    let settings = settings().dangerously_accept_unsigned_webhooks();
    let oh = OpenHumans::builder(settings.build().unwrap());
    assert_eq!(post(&oh.build().unwrap(), &body(true), &[]).await, 204);
}

/// Serves the webhook route on a socket, for the sandbox to call.
async fn serve(oh: &OpenHumans) -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let oh = oh.clone();
    let respond = move |request: axum::extract::Request| {
        let oh = oh.clone();
        async move {
            let outcome = oh.respond(Route::Deauth, request, None).await;
            outcome.response.map(axum::body::Body::from)
        }
    };
    let app = axum::Router::new().route("/openhumans/deauth", axum::routing::any(respond));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("http://{address}/openhumans/deauth");
    url.parse().unwrap()
}

#[tokio::test]
async fn disconnect_and_its_webhook_store_one_event() {
    let (sandbox, oh) = start().await;
    sandbox.set_webhook_url(Some(serve(&oh).await));
    for (fails, count) in [(false, 1), (true, 2)] {
        sandbox.set_remove_members_fails(fails);
        let mut browser = Browser::default();
        browser.log_in(&oh, &sandbox).await;
        let disconnected = oh.disconnect(&alice(), ErasureRequest::NotRequested).await;
        disconnected.unwrap();
        assert!(!sandbox.is_joined(ALICE));
        assert!(!browser.is_logged_in(&oh).await);
        assert_eq!(events(&oh).await.len(), count);
    }
}

#[tokio::test]
async fn disconnect_stores_erasure_request_even_for_unknown_member() {
    let (sandbox, oh) = start().await;
    sandbox.set_webhook_url(None);
    Browser::default().log_in(&oh, &sandbox).await;
    let disconnected = oh.disconnect(&alice(), ErasureRequest::Requested).await;
    disconnected.unwrap();
    let stored = events(&oh).await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].discovery, Discovery::Disconnected);
    assert_eq!(stored[0].erasure, ErasureRequest::Requested);
    assert_eq!(stored[0].state, EventState::Pending);
    assert!(!record(&oh).await.is_authorized());
    // The application may have data about a member that this library does not know.
    let unknown = "99999999".parse().unwrap();
    for (erasure, count) in [
        (ErasureRequest::NotRequested, 1),
        (ErasureRequest::Requested, 2),
    ] {
        oh.disconnect(&unknown, erasure).await.unwrap();
        assert_eq!(events(&oh).await.len(), count);
    }
}

/// The process dies while Open Humans removes the member. Its webhook contains no erasure request.
#[tokio::test]
async fn erasure_request_survives_interrupted_disconnect() {
    let sandbox = sandbox().await;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let recorded = calls.clone();
    let oh = app(&sandbox)
        .deauth_handler(move |departure: Departure| {
            let call = (departure.event.discovery, departure.delete_data);
            recorded.lock().unwrap().push(call);
            async { Ok(()) }
        })
        .build()
        .unwrap();
    sandbox.set_webhook_url(None);
    Browser::default().log_in(&oh, &sandbox).await;
    sandbox.fault(Endpoint::RemoveMembers, Fault::Hang);
    let member = alice();
    let mut disconnect = Box::pin(oh.disconnect(&member, ErasureRequest::Requested));
    let stored = async {
        while events(&oh).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut disconnect => panic!("Open Humans does not respond"),
        () = stored => {}
    }
    drop(disconnect);
    let run_worker = || oh.worker(WorkerSettings::default()).run_until_idle();
    run_worker().await;
    assert!(calls.lock().unwrap().is_empty(), "the member is authorized");
    assert!(oh.access_token(&alice()).await.is_ok());

    assert_eq!(post_signed(&oh, &body(false)).await, 204);
    run_worker().await;
    let expected = [(Discovery::Webhook, false), (Discovery::Disconnected, true)];
    assert_eq!(*calls.lock().unwrap(), expected);
    let events = events(&oh).await;
    assert!(events.iter().all(|event| event.state == EventState::Done));
}

#[tokio::test]
async fn disconnect_changes_nothing_when_open_humans_fails() {
    let (sandbox, oh) = start().await;
    Browser::default().log_in(&oh, &sandbox).await;
    sandbox.fault(Endpoint::RemoveMembers, Fault::Html500);
    let member = alice();
    let failed = oh.disconnect(&member, ErasureRequest::Requested).await;
    assert!(failed.is_err());
    assert!(record(&oh).await.is_authorized());
    sandbox.clear_faults();
    let disconnected = oh.disconnect(&member, ErasureRequest::Requested).await;
    disconnected.unwrap();
    assert!(!sandbox.is_joined(ALICE));
}
