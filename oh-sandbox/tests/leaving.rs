//! Departures and webhooks.

#[path = "support/receiver.rs"]
mod receiver;
mod support;

use http::Method;
use oh_sandbox::{Endpoint, Fault, Sandbox, webhook};
use receiver::Receiver;
use serde_json::{Value, json};
use support::{ALICE, BOB, answer, api, at, client, exchange_member, post_json, read, token};

const SECRET: &str = "abcdefghijklmnop";

/// Starts a sandbox that sends webhooks to a receiver.
async fn with_webhook(statuses: &[u16]) -> (Sandbox, Receiver) {
    let receiver = Receiver::responding(statuses).await;
    let sandbox = Sandbox::builder()
        .webhook_url(receiver.url.as_str())
        .webhook_secret(SECRET)
        .start()
        .await
        .expect("the sandbox starts");
    (sandbox, receiver)
}

#[tokio::test]
async fn leave_with_erasure_sends_one_signed_webhook() {
    let (sandbox, receiver) = with_webhook(&[]).await;
    sandbox.join(ALICE);
    let deliveries = sandbox.leave(ALICE, true).await;
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let first = &received[0];
    assert_eq!(
        (first.method.clone(), first.path.as_str()),
        (Method::POST, "/deauth")
    );
    assert_eq!(first.content_type.as_deref(), Some("application/json"));
    assert_eq!(first.signature, Some(webhook::sign(SECRET, &first.body)));
    assert!(first.body.starts_with(
        r#"{"project_member_id": "01026778", "erasure_requested": true, "timestamp": "2"#
    ));
    assert!(first.body.ends_with(r#"+00:00"}"#));
    assert_eq!(deliveries.len(), 1);
    assert!(deliveries[0].signed && deliveries[0].accepted());
    assert_eq!(deliveries[0].body, first.body);
}

#[tokio::test]
async fn webhook_without_2xx_is_sent_again_unsigned_and_doubly_encoded() {
    for status in [400, 404, 410, 500] {
        let (sandbox, receiver) = with_webhook(&[status, 500]).await;
        sandbox.join(ALICE);
        let deliveries = sandbox.leave(ALICE, true).await;
        let received = receiver.received();
        assert_eq!(received.len(), 2, "after {status}");
        assert!(received[0].signature.is_some());
        assert_eq!(received[1].signature, None);
        assert_eq!(
            received[1].content_type.as_deref(),
            Some("application/json")
        );
        let inner: String = serde_json::from_str(&received[1].body).expect("a JSON string");
        assert_eq!(inner, received[0].body);
        let statuses: Vec<_> = deliveries
            .iter()
            .map(|delivery| (delivery.signed, delivery.status))
            .collect();
        assert_eq!(statuses, [(true, Some(status)), (false, Some(500))]);
    }
    let (sandbox, receiver) = with_webhook(&[204]).await;
    sandbox.join(ALICE);
    sandbox.leave(ALICE, true).await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn webhook_redirect_becomes_get_or_repeats_post() {
    for status in [301, 302, 303] {
        let (sandbox, receiver) = with_webhook(&[status]).await;
        sandbox.join(ALICE);
        let deliveries = sandbox.leave(ALICE, true).await;
        let received = receiver.received();
        assert_eq!(received.len(), 2, "{status}");
        assert_eq!(
            (received[1].method.clone(), received[1].path.as_str()),
            (Method::GET, "/elsewhere")
        );
        assert_eq!(
            (received[1].body.as_str(), &received[1].content_type),
            ("", &None),
            "{status}"
        );
        assert_eq!(received[1].signature, received[0].signature);
        assert_eq!(deliveries.len(), 1);
    }
    for status in [307, 308] {
        let (sandbox, receiver) = with_webhook(&[status]).await;
        sandbox.join(ALICE);
        sandbox.leave(ALICE, true).await;
        let received = receiver.received();
        assert_eq!(received.len(), 2, "{status}");
        assert_eq!(received[1].method, Method::POST);
        assert_eq!(
            (&received[1].body, &received[1].signature),
            (&received[0].body, &received[0].signature)
        );
    }
}

#[tokio::test]
async fn webhook_without_response_is_not_sent_again() {
    let sandbox = support::sandbox().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    sandbox.set_webhook_url(format!("http://{closed}/deauth").parse().ok());
    sandbox.join(ALICE);
    let deliveries = sandbox.leave(ALICE, true).await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!((deliveries[0].signed, deliveries[0].status), (true, None));
}

#[tokio::test]
async fn webhook_is_unsigned_without_secret() {
    let (sandbox, receiver) = with_webhook(&[]).await;
    sandbox.set_webhook_secret(None);
    sandbox.join(ALICE);
    sandbox.leave(ALICE, true).await;
    assert_eq!(receiver.received()[0].signature, None);
}

#[tokio::test]
async fn leave_without_erasure_sends_webhook_on_older_server_only() {
    let (sandbox, receiver) = with_webhook(&[]).await;
    sandbox.join(ALICE);
    sandbox.leave(ALICE, false).await;
    assert!(
        receiver.received()[0]
            .body
            .contains(r#""erasure_requested": false"#)
    );

    sandbox.set_silent_leave(true);
    sandbox.join(ALICE);
    assert!(sandbox.leave(ALICE, false).await.is_empty());
    assert_eq!(receiver.received().len(), 1);
    assert!(!sandbox.is_joined(ALICE));

    sandbox.join(ALICE);
    sandbox.leave(ALICE, true).await;
    assert_eq!(receiver.received().len(), 2, "a webhook is sent");
}

#[tokio::test]
async fn leave_revokes_tokens_and_master_token_still_reads_member() {
    let (sandbox, _receiver) = with_webhook(&[]).await;
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.add_file(ALICE, "a.txt", b"a", support::metadata());
    let old_code = support::code(&sandbox, ALICE, &[]).await;
    sandbox.leave(ALICE, false).await;

    let (status, body) = exchange_member(&sandbox, &tokens.access_token).await;
    assert_eq!(
        (status, body["detail"].as_str()),
        (401, Some("Invalid token."))
    );
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens.refresh_token),
    ];
    assert_eq!(
        token(&sandbox, &refresh).await,
        (400, json!({ "error": "invalid_grant" }))
    );

    let mut members = api(&sandbox, "members/");
    members
        .query_pairs_mut()
        .append_pair("access_token", sandbox.master_token());
    assert_eq!(answer(client().get(members)).await.1["count"], 0);

    let mut asked = api(&sandbox, "exchange-member/");
    asked
        .query_pairs_mut()
        .append_pair("project_member_id", ALICE);
    let (status, body) = answer(client().get(asked).bearer_auth(sandbox.master_token())).await;
    assert_eq!((status, &body["count"]), (200, &json!(1)));

    // A code from before the departure still returns tokens, which can only read.
    let (status, body) = token(
        &sandbox,
        &[("grant_type", "authorization_code"), ("code", &old_code)],
    )
    .await;
    assert_eq!(status, 200);
    let access = body["access_token"].as_str().unwrap();
    assert_eq!(exchange_member(&sandbox, access).await.0, 200);
    let message = json!({ "message": "x" });
    let (status, body) = answer(post_json(api(&sandbox, "message/"), access, &message)).await;
    assert_eq!(status, 400);
    assert_eq!(
        body["errors"]["project_member_ids"][0],
        "Invalid project member ID(s): 01026778"
    );
}

#[tokio::test]
async fn rejoin_keeps_id_and_account_deletion_sends_no_webhook() {
    let (sandbox, receiver) = with_webhook(&[]).await;
    sandbox.join(ALICE);
    sandbox.leave(ALICE, true).await;
    support::code(&sandbox, ALICE, &[]).await;
    assert!(sandbox.is_joined(ALICE));
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.delete_account(ALICE);
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(exchange_member(&sandbox, &tokens.access_token).await.0, 401);
}

async fn remove(sandbox: &Sandbox, ids: &Value) -> (u16, Value) {
    let body = json!({ "project_member_ids": ids });
    answer(post_json(
        api(sandbox, "remove-members/"),
        sandbox.master_token(),
        &body,
    ))
    .await
}

#[tokio::test]
async fn remove_members_calls_webhook_of_project() {
    let (sandbox, receiver) = with_webhook(&[]).await;
    sandbox.join(ALICE);
    sandbox.join(BOB);
    assert_eq!(
        remove(&sandbox, &json!([ALICE, BOB])).await,
        (200, json!("success"))
    );
    assert_eq!(receiver.received().len(), 2);
    let (status, body) = remove(&sandbox, &json!([ALICE])).await;
    assert_eq!(status, 400);
    assert_eq!(
        body["errors"]["project_member_ids"][0],
        "Invalid project member ID(s): 01026778"
    );
}

#[tokio::test]
async fn remove_members_fails_after_first_member_on_newest_server() {
    let (sandbox, receiver) = with_webhook(&[]).await;
    sandbox.set_silent_leave(true);
    sandbox.set_remove_members_fails(true);
    sandbox.join(ALICE);
    sandbox.join(BOB);
    assert_eq!(remove(&sandbox, &json!([ALICE, BOB])).await.0, 500);
    assert!(!sandbox.is_joined(ALICE));
    assert!(sandbox.is_joined(BOB));
    assert!(receiver.received().is_empty());

    let tokens = sandbox.issue_tokens(BOB);
    let request = post_json(
        api(&sandbox, "remove-members/"),
        &tokens.access_token,
        &json!({}),
    );
    let response = request.send().await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/html; charset=utf-8"
    );
    assert_eq!(response.status(), 500);
    assert!(!sandbox.is_joined(BOB));

    sandbox.set_webhook_url(None);
    sandbox.join(ALICE);
    assert_eq!(
        remove(&sandbox, &json!([ALICE])).await,
        (200, json!("success"))
    );
}

#[tokio::test]
async fn leave_path_returns_webhook_deliveries() {
    let (sandbox, receiver) = with_webhook(&[500]).await;
    sandbox.join(ALICE);
    let url = at(&sandbox, "/sandbox/members/01026778/leave");
    assert_eq!(
        answer(client().post(url.clone())).await.0,
        400,
        "erasure is required"
    );
    let form = client()
        .post(url.clone())
        .header("content-type", "application/x-www-form-urlencoded");
    let (status, body) = answer(form.body("erasure=true")).await;
    assert_eq!(status, 200);
    let deliveries = body["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), 2);
    assert_eq!(
        (&deliveries[0]["signed"], &deliveries[0]["status"]),
        (&json!(true), &json!(500))
    );
    assert_eq!(
        (&deliveries[1]["signed"], &deliveries[1]["status"]),
        (&json!(false), &json!(200))
    );
    assert_eq!(receiver.received().len(), 2);

    let query = client().post(format!("{url}?erasure=false"));
    assert_eq!(answer(query).await.0, 409, "the member has already left");
    let nobody = client().post(at(&sandbox, "/sandbox/members/99999999/leave?erasure=true"));
    assert_eq!(answer(nobody).await.0, 404);
    let strange = client()
        .post(format!("{url}?erasure=true"))
        .header("sec-fetch-site", "cross-site");
    assert_eq!(answer(strange).await.0, 403);
}

#[tokio::test]
async fn leave_form_requires_csrf_token() {
    let (sandbox, receiver) = with_webhook(&[]).await;
    sandbox.join(ALICE);
    let page = client()
        .get(at(&sandbox, "/member/me/connections/"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        page.contains(r#"id="leave-01026778""#) && page.contains(r#"id="leave-erase-01026778""#)
    );
    let csrf = page
        .split(r#"name="csrfmiddlewaretoken" value=""#)
        .nth(1)
        .unwrap();
    let csrf = csrf.split('"').next().unwrap();
    let leave = |csrf: &str| {
        client()
            .post(at(&sandbox, "/direct-sharing/projects/leave/01026778/"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("csrfmiddlewaretoken={csrf}&erasure_requested=on"))
    };
    assert_eq!(leave("wrong").send().await.unwrap().status(), 403);
    assert!(sandbox.is_joined(ALICE));
    let response = leave(csrf).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(
        response
            .text()
            .await
            .unwrap()
            .contains("signed, response 200")
    );
    assert!(
        receiver.received()[0]
            .body
            .contains(r#""erasure_requested": true"#)
    );
}

#[tokio::test]
async fn removal_completes_when_client_disconnects() {
    let (sandbox, receiver) = with_webhook(&[]).await;
    sandbox.join(ALICE);
    sandbox.fault_next(Endpoint::RemoveMembers, 1, Fault::HangAfter);
    let body = json!({ "project_member_ids": [ALICE] });
    let request = post_json(
        api(&sandbox, "remove-members/"),
        sandbox.master_token(),
        &body,
    );
    let hanging = tokio::spawn(async move { read(request.send().await.unwrap()).await });
    sandbox.wait_for(Endpoint::RemoveMembers, 1).await;
    receiver.wait_for(1).await;
    hanging.abort();
    assert!(!sandbox.is_joined(ALICE));
}
