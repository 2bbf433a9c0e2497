//! Behavior that was measured on the newest server and has no recorded exchange.

mod support;

use oh_sandbox::{Sandbox, SandboxBuilder};
use serde_json::{Value, json};
use support::{ALICE, BOB, answer, api, at, client, direct, exchange_member, post_json, token};

async fn start(builder: SandboxBuilder) -> Sandbox {
    builder.start().await.expect("the sandbox starts")
}

async fn get(sandbox: &Sandbox, path: &str) -> (u16, Value) {
    answer(client().get(at(sandbox, path))).await
}

async fn listed_members(sandbox: &Sandbox) -> Vec<String> {
    let token = sandbox.master_token();
    let path = format!("/api/direct-sharing/project/members/?access_token={token}");
    let (_, page) = get(sandbox, &path).await;
    let members = page["results"].as_array().expect("a list");
    let ids = members.iter().map(|member| &member["project_member_id"]);
    ids.map(|id| id.as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn account_deletion_fails_for_joined_member_on_newest_server() {
    let sandbox = start(Sandbox::builder().newest_server(true)).await;
    let tokens = sandbox.issue_tokens(ALICE);
    let delete = |id: &str| {
        let path = format!("/sandbox/members/{id}/delete-account");
        answer(client().post(at(&sandbox, &path)))
    };
    assert_eq!(delete(ALICE).await.0, 500);
    assert!(!sandbox.delete_account(ALICE) && sandbox.is_joined(ALICE));
    assert_eq!(exchange_member(&sandbox, &tokens.access_token).await.0, 200);
    assert_eq!(delete(BOB).await.0, 200);
    sandbox.set_account_deletion_fails(false);
    assert!(sandbox.delete_account(ALICE) && !sandbox.is_joined(ALICE));
}

#[tokio::test]
async fn inactive_account_is_unlisted_and_its_tokens_remain_valid() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.join(BOB);
    sandbox.set_account_active(ALICE, false);
    assert_eq!(listed_members(&sandbox).await, [BOB]);
    let message = |body: Value| {
        answer(post_json(
            api(&sandbox, "message/"),
            sandbox.master_token(),
            &body,
        ))
    };
    let (status, error) = message(json!({ "message": "x", "project_member_ids": [ALICE] })).await;
    assert_eq!(status, 400, "{error}");
    assert_eq!(
        message(json!({ "message": "x", "all_members": true }))
            .await
            .0,
        200
    );
    assert_eq!(sandbox.messages()[0].to, [BOB]);

    assert_eq!(exchange_member(&sandbox, &tokens.access_token).await.0, 200);
    direct(&sandbox, &tokens.access_token, "x.txt").await;
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh_token.as_str()),
    ];
    assert_eq!(token(&sandbox, &refresh).await.0, 200);

    let activate = format!("/sandbox/members/{ALICE}/account?active=true");
    assert_eq!(answer(client().post(at(&sandbox, &activate))).await.0, 200);
    assert_eq!(listed_members(&sandbox).await, [ALICE, BOB]);
}

#[tokio::test]
async fn files_of_hidden_member_have_no_username_and_vanish_from_matching_filter() {
    let sandbox = start(
        Sandbox::builder()
            .member(ALICE, Some("alice"))
            .member(BOB, Some("alice-two")),
    )
    .await;
    for id in [ALICE, BOB] {
        sandbox.join(id);
        sandbox.add_file(id, "x.txt", b"x", json!({})).unwrap();
    }
    sandbox.set_hidden(BOB, true);
    let files = async |path: &str| {
        let (status, page) = get(&sandbox, path).await;
        assert_eq!(status, 200, "{path}");
        page["results"].as_array().unwrap().clone()
    };
    let hidden = json!({ "username": null });
    // The newest file is first. The filter does not restrict the list.
    let all = files("/api/public/datafiles/").await;
    assert_eq!((all.len(), &all[0]["user"]), (2, &hidden));
    let matching = files("/api/public/datafiles/?username=alice").await;
    assert_eq!(
        (&matching[0], &matching[1]["user"]["username"]),
        (&json!({}), &json!("alice"))
    );
    let other = files("/api/public/datafiles/?username=carol").await;
    assert_eq!((other.len(), &other[0]["user"]), (2, &hidden));
    let exact = files("/api/public/member/alice/datafiles/").await;
    assert_eq!(
        (exact.len(), &exact[0]["user"]["username"]),
        (1, &json!("alice"))
    );
    let legacy = files("/api/public-data/").await;
    assert_eq!(
        (&legacy[0]["user"], &legacy[1]["user"]["id"]),
        (&hidden, &json!(ALICE))
    );
}

#[tokio::test]
async fn members_by_source_filters_and_crashes_for_unknown_source() {
    let sandbox = support::sandbox().await;
    sandbox.join(ALICE);
    let path = "/api/public-data/members-by-source/";
    let (_, page) = get(&sandbox, &format!("{path}?source=direct-sharing-2")).await;
    assert_eq!(
        (&page["count"], &page["results"][0]["usernames"]),
        (&json!(1), &json!(["alice"]))
    );
    assert_eq!(
        get(&sandbox, &format!("{path}?source=unknown")).await.0,
        500
    );
}

#[tokio::test]
async fn message_and_removal_accept_ids_of_eight_or_sixteen_digits() {
    const LONG: &str = "0102677801026778";
    let sandbox = start(Sandbox::builder().member(LONG, None)).await;
    sandbox.join(LONG);
    let send = |path: &str, id: &str| {
        let body = json!({ "message": "x", "project_member_ids": [id] });
        answer(post_json(
            api(&sandbox, path),
            sandbox.master_token(),
            &body,
        ))
    };
    assert_eq!(send("message/", LONG).await.0, 200);
    for id in ["1234567", "123456789012", "12345678901234567"] {
        let (status, error) = send("message/", id).await;
        let text = "Project member IDs are always 8 digits long.";
        assert_eq!(status, 400);
        assert_eq!(error["errors"]["project_member_ids"][0], text, "{id}");
    }
    assert_eq!(send("remove-members/", LONG).await.0, 200);
    assert!(!sandbox.is_joined(LONG));
}
