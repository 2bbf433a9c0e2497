//! The webhook route and `disconnect`, against the sandbox that calls it.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use oh_core::OpenHumans;
use oh_core::deauth::{Departure, Discovery, ErasureRequest, EventQuery, EventRecord, EventState};
use oh_core::routes::Route;
use oh_core::webhook::SIGNATURE_HEADER;
use oh_sandbox::{Endpoint, Fault, webhook};
use support::*;
use time::OffsetDateTime;
use tokio::net::TcpListener;

async fn post(oh: &OpenHumans, body: &str, signatures: &[&str]) -> Response<Bytes> {
    let mut request = Request::post("/openhumans/deauth").header("content-length", body.len());
    for signature in signatures {
        request = request.header(SIGNATURE_HEADER, *signature);
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    oh.respond(Route::Deauth, request, None)
        .await
        .response
        .map(|body| body.into_bytes().unwrap())
}

async fn events(oh: &OpenHumans) -> Vec<EventRecord> {
    let query = EventQuery::first(10);
    oh.inbox().events(&query).await.unwrap()
}

fn body_now(member: &str) -> String {
    webhook::body(member, true, OffsetDateTime::now_utc())
}

#[tokio::test]
async fn a_signed_webhook_ends_the_authorization_at_once() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    browser.log_in(&oh, &sandbox, ALICE).await;
    let body = body_now(ALICE);
    let signature = webhook::sign(WEBHOOK_SECRET, &body);
    assert_eq!(post(&oh, &body, &[&signature]).await.status(), 204);
    assert!(oh.member(browser.session).await.unwrap().is_none());
    assert!(
        !oh.token_store()
            .load(&alice())
            .await
            .unwrap()
            .unwrap()
            .is_authorized()
    );
    // Sent again, it is the same event.
    assert_eq!(post(&oh, &body, &[&signature]).await.status(), 204);
    let events = events(&oh).await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].discovery, events[0].erasure),
        (Discovery::Webhook, ErasureRequest::Requested)
    );
}

#[tokio::test]
async fn an_old_webhook_after_a_rejoin_is_kept_and_not_acted_on() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let mut browser = Browser::default();
    let old = webhook::body(
        ALICE,
        true,
        OffsetDateTime::now_utc() - time::Duration::hours(1),
    );
    browser.log_in(&oh, &sandbox, ALICE).await;
    let signature = webhook::sign(WEBHOOK_SECRET, &old);
    assert_eq!(post(&oh, &old, &[&signature]).await.status(), 204);
    assert!(oh.member(browser.session).await.unwrap().is_some());
    assert_eq!(events(&oh).await.len(), 1);
}

#[tokio::test]
async fn nothing_but_a_good_signature_is_believed() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    let body = body_now(ALICE);
    let good = webhook::sign(WEBHOOK_SECRET, &body);
    let wrong = webhook::sign("ponmlkjihgfedcba", &body);
    for signatures in [&[][..], &[&*wrong], &[&*good, &*good], &["sha1=00"]] {
        assert_eq!(post(&oh, &body, signatures).await.status(), 401);
    }
    assert_eq!(
        post(&oh, &webhook::encode_twice(&body), &[]).await.status(),
        401
    );
    let huge = "x".repeat(20_000);
    assert_eq!(post(&oh, &huge, &[&good]).await.status(), 413);
    let odd = r#"{"project_member_id": 1}"#;
    assert_eq!(
        post(&oh, odd, &[&webhook::sign(WEBHOOK_SECRET, odd)])
            .await
            .status(),
        400
    );
    assert!(events(&oh).await.is_empty());
}

#[tokio::test]
async fn without_a_secret_nothing_is_accepted_unless_the_app_insists() {
    let sandbox = sandbox().await;
    let bare = || {
        oh_core::Settings::builder(sandbox.client_id(), sandbox.client_secret(), APP)
            .oh_base_url(sandbox.url().as_str())
    };
    let oh = OpenHumans::builder(bare().build().unwrap())
        .build()
        .unwrap();
    let body = body_now(ALICE);
    let signature = webhook::sign(WEBHOOK_SECRET, &body);
    assert_eq!(post(&oh, &body, &[&signature]).await.status(), 503);
    let insists = bare()
        .dangerously_accept_unsigned_webhooks()
        .build()
        .unwrap();
    let oh = OpenHumans::builder(insists).build().unwrap();
    assert_eq!(post(&oh, &body, &[]).await.status(), 204);
}

/// Serves the webhook route alone, on a socket, for the sandbox to call.
async fn serve(oh: &OpenHumans) -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/openhumans/deauth",
        listener.local_addr().unwrap()
    );
    let oh = oh.clone();
    let answer = move |request: axum::extract::Request| {
        let oh = oh.clone();
        async move {
            oh.respond(Route::Deauth, request, None)
                .await
                .response
                .map(axum::body::Body::new)
        }
    };
    let app = axum::Router::new().route("/openhumans/deauth", axum::routing::any(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url.parse().unwrap()
}

#[tokio::test]
async fn disconnecting_is_safe_against_the_webhook_it_provokes() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    sandbox.set_webhook_url(Some(serve(&oh).await));
    for fails in [false, true] {
        sandbox.set_remove_members_fails(fails);
        let mut browser = Browser::default();
        browser.log_in(&oh, &sandbox, ALICE).await;
        oh.disconnect(&alice(), ErasureRequest::NotRequested)
            .await
            .unwrap();
        assert!(!sandbox.is_joined(ALICE));
        assert!(oh.member(browser.session).await.unwrap().is_none());
    }
    // Each time one event, be it the webhook's or ours.
    assert_eq!(events(&oh).await.len(), 2);
}

#[tokio::test]
async fn disconnecting_passes_the_wish_on() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    sandbox.set_webhook_url(None);
    Browser::default().log_in(&oh, &sandbox, ALICE).await;
    oh.disconnect(&alice(), ErasureRequest::Requested)
        .await
        .unwrap();
    let events = events(&oh).await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].discovery, events[0].erasure),
        (Discovery::Disconnected, ErasureRequest::Requested)
    );
    assert_eq!(events[0].state, EventState::Pending, "it is acted on");
    let record = oh.token_store().load(&alice()).await.unwrap().unwrap();
    assert!(!record.is_authorized());
    // Of someone who left long ago nothing is known here, but the app may have data.
    let stranger = "99999999".parse().unwrap();
    oh.disconnect(&stranger, ErasureRequest::NotRequested)
        .await
        .unwrap();
    assert_eq!(self::events(&oh).await.len(), 1);
    oh.disconnect(&stranger, ErasureRequest::Requested)
        .await
        .unwrap();
    assert_eq!(self::events(&oh).await.len(), 2);
}

/// As when the process dies while Open Humans removes the member, whose webhook knows of no wish.
#[tokio::test]
async fn a_wish_outlives_whoever_was_at_it() {
    let sandbox = sandbox().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let oh = app(&sandbox)
        .deauth_handler(move |departure: Departure| {
            let event = departure.event;
            let told = (event.discovery, departure.delete_data);
            heard.lock().unwrap().push(told);
            async { Ok(()) }
        })
        .build()
        .unwrap();
    sandbox.set_webhook_url(None);
    Browser::default().log_in(&oh, &sandbox, ALICE).await;
    sandbox.fault(Endpoint::RemoveMembers, Fault::Hang);
    let member = alice();
    let mut disconnecting = Box::pin(oh.disconnect(&member, ErasureRequest::Requested));
    let held = async {
        while events(&oh).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut disconnecting => panic!("nobody answered"),
        () = held => {}
    }
    drop(disconnecting);
    let worker = oh.worker().spawn();
    worker.drain().await;
    assert!(told.lock().unwrap().is_empty(), "the member is there still");
    assert!(oh.access_token(&alice()).await.is_ok());

    let body = webhook::body(ALICE, false, OffsetDateTime::now_utc());
    let signature = webhook::sign(WEBHOOK_SECRET, &body);
    assert_eq!(post(&oh, &body, &[&signature]).await.status(), 204);
    worker.drain().await;
    let expected = [(Discovery::Webhook, false), (Discovery::Disconnected, true)];
    assert_eq!(*told.lock().unwrap(), expected);
    let events = events(&oh).await;
    assert!(events.iter().all(|event| event.state == EventState::Done));
    worker.stop().await;
}

#[tokio::test]
async fn nothing_is_forgotten_while_open_humans_is_in_trouble() {
    let sandbox = sandbox().await;
    let oh = app(&sandbox).build().unwrap();
    Browser::default().log_in(&oh, &sandbox, ALICE).await;
    sandbox.fault(Endpoint::RemoveMembers, Fault::Html500);
    assert!(
        oh.disconnect(&alice(), ErasureRequest::Requested)
            .await
            .is_err()
    );
    assert!(
        oh.token_store()
            .load(&alice())
            .await
            .unwrap()
            .unwrap()
            .is_authorized()
    );
    sandbox.clear_faults();
    oh.disconnect(&alice(), ErasureRequest::Requested)
        .await
        .unwrap();
    assert!(!sandbox.is_joined(ALICE));
}
