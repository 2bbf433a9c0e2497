//! Faults, and whether the request takes effect.

mod support;

use std::time::{Duration, Instant};

use oh_sandbox::{Endpoint, Fault, Sandbox};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;
use support::{ALICE, answer, api, at, client, direct, encode, exchange_member, token};

/// Creates a refresh request. It has taken effect if the same token cannot be used again.
fn refresh(sandbox: &Sandbox, refresh_token: &str) -> RequestBuilder {
    client()
        .post(at(sandbox, "/oauth2/token/"))
        .basic_auth(sandbox.client_id(), Some(sandbox.client_secret()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encode(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ]))
}

async fn is_still_valid(sandbox: &Sandbox, refresh_token: &str) -> bool {
    token(
        sandbox,
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ],
    )
    .await
    .0 == 200
}

#[tokio::test]
async fn replaced_response_has_no_effect() {
    let sandbox = support::sandbox().await;
    for (fault, status, content_type) in [
        (
            Fault::json(401, r#"{"error": "invalid_grant"}"#),
            401,
            "application/json",
        ),
        (Fault::page(503), 503, "text/html"),
        (Fault::Html500, 500, "text/html; charset=utf-8"),
        (
            Fault::RateLimited {
                retry_after: Some(7),
            },
            429,
            "application/json",
        ),
        (
            Fault::RateLimited { retry_after: None },
            429,
            "application/json",
        ),
    ] {
        let tokens = sandbox.issue_tokens(ALICE);
        sandbox.fault_next(Endpoint::Token, 1, fault.clone());
        let response = refresh(&sandbox, &tokens.refresh_token)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], content_type);
        let retry_after = response
            .headers()
            .get("retry-after")
            .map(|value| value.to_str().unwrap());
        let expected = (fault
            == Fault::RateLimited {
                retry_after: Some(7),
            })
        .then_some("7");
        assert_eq!(retry_after, expected);
        assert!(
            is_still_valid(&sandbox, &tokens.refresh_token).await,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn fault_after_effect_keeps_effect() {
    let sandbox = support::sandbox().await;
    for fault in [Fault::Html500After, Fault::ResetAfter, Fault::ResetMidBody] {
        let tokens = sandbox.issue_tokens(ALICE);
        sandbox.fault_next(Endpoint::Token, 1, fault.clone());
        let failed = match refresh(&sandbox, &tokens.refresh_token).send().await {
            Ok(response) => response.status() == 500 || response.bytes().await.is_err(),
            Err(_) => true,
        };
        assert!(failed, "{fault:?}");
        assert!(
            !is_still_valid(&sandbox, &tokens.refresh_token).await,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn reset_prevents_effect() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.fault_next(Endpoint::Token, 1, Fault::Reset);
    assert!(
        refresh(&sandbox, &tokens.refresh_token)
            .send()
            .await
            .is_err()
    );
    assert!(is_still_valid(&sandbox, &tokens.refresh_token).await);
}

#[tokio::test]
async fn released_request_receives_real_response() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.fault_next(Endpoint::Token, 1, Fault::Hang);
    let hanging = tokio::spawn(refresh(&sandbox, &tokens.refresh_token).send());
    sandbox.wait_for_hanging(1).await;
    sandbox.release();
    assert_eq!(hanging.await.unwrap().unwrap().status(), StatusCode::OK);
    assert!(!is_still_valid(&sandbox, &tokens.refresh_token).await);
}

#[tokio::test]
async fn hanging_request_has_no_effect_after_disconnect() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.fault_next(Endpoint::Token, 1, Fault::Hang);
    let hanging = tokio::spawn(refresh(&sandbox, &tokens.refresh_token).send());
    sandbox.wait_for_hanging(1).await;
    hanging.abort();
    sandbox.wait_for_hanging(0).await;
    sandbox.release();
    assert!(is_still_valid(&sandbox, &tokens.refresh_token).await);
}

#[tokio::test]
async fn hang_after_keeps_effect() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.fault_next(Endpoint::Token, 1, Fault::HangAfter);
    let hanging = tokio::spawn(refresh(&sandbox, &tokens.refresh_token).send());
    sandbox.wait_for_hanging(1).await;
    hanging.abort();
    sandbox.wait_for_hanging(0).await;
    assert!(!is_still_valid(&sandbox, &tokens.refresh_token).await);
}

#[tokio::test]
async fn slow_fault_delays_and_throttles_response() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.fault(
        Endpoint::ExchangeMember,
        Fault::delay(Duration::from_millis(150)),
    );
    let start = Instant::now();
    assert_eq!(exchange_member(&sandbox, &tokens.access_token).await.0, 200);
    assert!(start.elapsed() >= Duration::from_millis(150));
    sandbox.clear_faults();
    sandbox.fault(Endpoint::ExchangeMember, Fault::trickle(500));
    let start = Instant::now();
    let (_, member) = exchange_member(&sandbox, &tokens.access_token).await;
    assert_eq!(member["project_member_id"], ALICE);
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn body_faults_truncate_response() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let ask = || {
        client()
            .get(api(&sandbox, "exchange-member/"))
            .bearer_auth(&tokens.access_token)
            .send()
    };
    sandbox.fault_next(Endpoint::ExchangeMember, 1, Fault::TruncatedJson);
    let truncated = ask().await.unwrap();
    assert_eq!(truncated.status(), 200);
    let text = truncated.text().await.expect("it is complete HTTP");
    assert!(text.starts_with('{') && serde_json::from_str::<serde_json::Value>(&text).is_err());

    sandbox.fault_next(Endpoint::ExchangeMember, 1, Fault::WrongContentLength);
    assert!(ask().await.unwrap().bytes().await.is_err());

    sandbox.fault_next(Endpoint::ExchangeMember, 1, Fault::ResetMidBody);
    let mut response = ask().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(
        response
            .chunk()
            .await
            .unwrap()
            .is_some_and(|half| half.starts_with(b"{")),
        "the first half arrives"
    );
    assert!(response.chunk().await.is_err());
    assert_eq!(ask().await.unwrap().status(), 200, "the fault is used up");
}

#[tokio::test]
async fn object_store_faults_interrupt_upload_and_download() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let (id, url) = direct(&sandbox, &tokens.access_token, "x.bin").await;
    sandbox.fault_next(Endpoint::ObjectPut, 1, Fault::ResetMidBody);
    let content = vec![7_u8; 3_000_000];
    assert!(
        client()
            .put(&url)
            .body(content.clone())
            .send()
            .await
            .is_err()
    );
    assert_eq!(sandbox.file_content(id), None);
    assert_eq!(
        client()
            .put(&url)
            .body(content.clone())
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(sandbox.file_content(id), Some(content.clone()));

    let link = support::download_link(&sandbox, &tokens.access_token, id).await;
    sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::ResetMidBody);
    let mut response = client().get(&link).send().await.unwrap();
    assert_eq!(response.content_length(), Some(3_000_000));
    let mut got = 0;
    let failed = loop {
        match response.chunk().await {
            Ok(Some(piece)) => got += piece.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(failed && got > 0 && got < 3_000_000, "{got}");
}

#[tokio::test]
async fn list_faults_change_next_link_and_offset() {
    let sandbox = support::sandbox().await;
    let ids = sandbox.populate(6);
    let list = |query: &str| {
        let token = sandbox.master_token();
        answer(client().get(format!(
            "{}?access_token={token}&limit=2{query}",
            api(&sandbox, "members/")
        )))
    };
    let host = "http://evil.test:1".parse().unwrap();
    sandbox.fault_next(Endpoint::Members, 1, Fault::NextLinkToOtherHost { host });
    let (_, page) = list("").await;
    assert!(
        page["next"]
            .as_str()
            .unwrap()
            .starts_with("http://evil.test:1/api/direct-sharing/project/members/?")
    );

    sandbox.fault_next(Endpoint::Members, 2, Fault::ShiftingPages { by: -1 });
    assert_eq!(list("").await.1["results"][1]["project_member_id"], ids[1]);
    assert_eq!(
        list("&offset=2").await.1["results"][0]["project_member_id"],
        ids[1],
        "an item comes twice"
    );
    sandbox.fault_next(Endpoint::Members, 1, Fault::ShiftingPages { by: 1 });
    assert_eq!(
        list("&offset=2").await.1["results"][0]["project_member_id"],
        ids[3],
        "an item is missed"
    );
}

#[tokio::test]
async fn admin_path_adds_and_clears_faults() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let add_fault = |body: serde_json::Value| {
        let request = client()
            .post(at(&sandbox, "/sandbox/faults"))
            .header("content-type", "application/json");
        answer(request.body(body.to_string()))
    };
    let fault = json!({ "endpoint": "exchange_member", "fault": { "kind": "rate_limited", "retry_after": 2 } });
    assert_eq!(add_fault(fault).await.0, 200);
    assert_eq!(exchange_member(&sandbox, &tokens.access_token).await.0, 429);
    assert_eq!(exchange_member(&sandbox, &tokens.access_token).await.0, 429);
    assert_eq!(
        answer(client().delete(at(&sandbox, "/sandbox/faults")))
            .await
            .0,
        200
    );
    assert_eq!(exchange_member(&sandbox, &tokens.access_token).await.0, 200);
    let (status, body) =
        add_fault(json!({ "endpoint": "nowhere", "fault": { "kind": "html500" } })).await;
    assert_eq!(status, 400);
    assert!(
        body["detail"].as_str().unwrap().contains("exchange_member"),
        "the error lists the endpoints: {body}"
    );
}

#[tokio::test]
async fn messages_are_stored() {
    let sandbox = support::sandbox().await;
    sandbox.join(ALICE);
    let body = json!({ "all_members": true, "subject": "Hi", "message": "x".repeat(3_000_000) });
    let request = support::post_json(api(&sandbox, "message/"), sandbox.master_token(), &body);
    assert_eq!(answer(request).await, (200, json!("success")));
    let messages = sandbox.messages();
    assert_eq!(
        (messages[0].subject.as_str(), messages[0].to.as_slice()),
        ("Hi", &[ALICE.to_owned()][..])
    );
    assert_eq!(messages[0].message.len(), 3_000_000);
}
