//! Kinds of projects, formats in paths, access logs and member pages.

mod support;

use oh_sandbox::{AuthorizeError, Sandbox, SandboxBuilder};
use serde_json::{Value, json};
use std::time::Duration;
use support::{ALICE, BOB, answer, api, at, authorization_url, client, post_json, token};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

async fn start(builder: SandboxBuilder) -> Sandbox {
    builder.start().await.expect("the sandbox starts")
}

async fn get(sandbox: &Sandbox, path: &str, token: Option<&str>) -> (u16, Value) {
    let mut request = client().get(at(sandbox, path));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    answer(request).await
}

async fn page(sandbox: &Sandbox, path: &str) -> (u16, String) {
    let response = client().get(at(sandbox, path)).send().await;
    let response = response.expect("an answer");
    let status = response.status().as_u16();
    (status, response.text().await.expect("a page"))
}

#[tokio::test]
async fn path_format_is_accepted_except_for_file_posts() {
    let sandbox = start(Sandbox::builder()).await;
    let alice = sandbox.issue_tokens(ALICE).access_token;
    let base = "/api/direct-sharing/project";
    for path in [".json", ".json/", "/exchange-member.json"] {
        let (status, body) = get(&sandbox, &format!("{base}{path}"), Some(&alice)).await;
        assert_eq!((status, body.is_object()), (200, true), "{path}");
    }
    let members = format!(
        "{base}/members.json?limit=1&access_token={}",
        sandbox.master_token()
    );
    assert_eq!(get(&sandbox, &members, None).await.0, 200);
    let (status, body) = get(&sandbox, &format!("{base}.yaml"), Some(&alice)).await;
    assert_eq!((status, &body["detail"]), (404, &json!("Not found.")));
    assert_eq!(get(&sandbox, &format!("{base}.json"), None).await.0, 401);

    let message = post_json(
        api(&sandbox, "message.json"),
        &alice,
        &json!({"message": "m"}),
    );
    assert_eq!(answer(message).await.0, 200);
    for path in [
        "files/upload",
        "files/upload/direct",
        "files/upload/complete",
        "files/delete",
    ] {
        let path = format!("{path}.json");
        let posted = post_json(api(&sandbox, &path), &alice, &json!({"all_files": true}));
        assert_eq!(answer(posted).await.0, 500, "{path}");
        let unauthorized = post_json(api(&sandbox, &path), "bogus", &json!({}));
        assert_eq!(answer(unauthorized).await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn public_subpaths_crash_for_unknown_names() {
    let sandbox = start(Sandbox::builder()).await;
    for path in [
        "project/999/datafiles/",
        "project/999/members/",
        "datatype/999/datafiles/",
        "datatype/1/datafiles/?include_children=perhaps",
        "member/nobody/projects/",
        "member/nobody/datafiles/",
    ] {
        let path = format!("/api/public/{path}");
        assert_eq!(get(&sandbox, &path, None).await.0, 500, "{path}");
    }
    for flag in ["Yes", "0"] {
        let path = format!("/api/public/datatype/1/datafiles/?include_children={flag}");
        assert_eq!(get(&sandbox, &path, None).await.0, 200, "{flag}");
    }
}

#[tokio::test]
async fn unapproved_project_is_unlisted_and_accepts_twenty_members() {
    let sandbox = start(Sandbox::builder().approved(false)).await;
    sandbox.populate(19);
    let ask = authorization_url(&sandbox, &[]);
    assert!(sandbox.authorize(ALICE, &ask).await.is_ok());
    let refused = sandbox.authorize(BOB, &ask).await.unwrap_err();
    assert_eq!(refused, AuthorizeError::NotRedirected { status: 302 });
    assert!(!sandbox.is_joined(BOB));
    let (_, text) = page(&sandbox, "/direct-sharing/authorize-full/").await;
    assert!(text.contains("exceeded the 20 member limit"), "{text}");
    // Members can log in again, and a departure makes room for another member.
    assert!(sandbox.authorize(ALICE, &ask).await.is_ok());
    sandbox.leave(ALICE, false).await;
    assert!(sandbox.authorize(BOB, &ask).await.is_ok());

    let project = "/api/direct-sharing/project/";
    let (_, record) = get(&sandbox, project, Some(sandbox.master_token())).await;
    assert_eq!(record["approved"], false);
    assert_eq!(get(&sandbox, "/api/public/project/2/", None).await.0, 404);
    assert_eq!(
        get(&sandbox, "/api/public/project/2/members/", None)
            .await
            .0,
        500
    );
    let (_, projects) = get(&sandbox, "/api/public/projects/", None).await;
    assert_eq!(
        (projects["count"].as_u64(), &projects["results"][0]["id"]),
        (Some(1), &json!(1))
    );

    sandbox.set_approved(true);
    assert!(sandbox.authorize(ALICE, &ask).await.is_ok());
    assert_eq!(get(&sandbox, "/api/public/project/2/", None).await.0, 200);
}

#[tokio::test]
async fn master_token_expires_independently_of_member_tokens() {
    let sandbox = start(Sandbox::builder().expiring_master_token(true)).await;
    let project = "/api/direct-sharing/project/";
    let master = sandbox.master_token().to_owned();
    assert_eq!(get(&sandbox, project, Some(&master)).await.0, 200);
    sandbox.advance(Duration::from_secs(24 * 3_600));
    let (status, body) = get(&sandbox, project, Some(&master)).await;
    assert_eq!((status, &body["detail"]), (401, &json!("Expired token.")));
    let alice = sandbox.issue_tokens(ALICE).access_token;
    assert_eq!(get(&sandbox, project, Some(&alice)).await.0, 200);
    sandbox.renew_master_token();
    assert_eq!(get(&sandbox, project, Some(&master)).await.0, 200);
    let set = |when: &str| {
        client().post(at(
            &sandbox,
            &format!("/sandbox/master-token?expires={when}"),
        ))
    };
    for (when, status) in [("now", 401), ("never", 200), ("tomorrow", 200)] {
        assert_eq!(answer(set(when)).await.0, 200);
        assert_eq!(
            get(&sandbox, project, Some(&master)).await.0,
            status,
            "{when}"
        );
    }
    assert_eq!(answer(set("yesterday")).await.0, 400);
}

#[tokio::test]
async fn on_site_project_rejects_oauth_and_accepts_master_token() {
    let sandbox = start(Sandbox::builder().on_site(true)).await;
    sandbox.join(ALICE);
    let ask = authorization_url(&sandbox, &[]);
    let refused = sandbox.authorize(ALICE, &ask).await.unwrap_err();
    assert_eq!(refused, AuthorizeError::NotRedirected { status: 404 });
    let text = client()
        .get(ask)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains("This is an on-site project"), "{text}");
    let form = [("grant_type", "authorization_code"), ("code", "none")];
    let (status, body) = token(&sandbox, &form).await;
    assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
    let project = "/api/direct-sharing/project/";
    let (_, record) = get(&sandbox, project, Some(sandbox.master_token())).await;
    assert_eq!(record["type"], "on-site");
    let who = format!("{project}exchange-member/?project_member_id={ALICE}");
    assert_eq!(
        get(&sandbox, &who, Some(sandbox.master_token())).await.0,
        200
    );
}

#[tokio::test]
async fn access_logs_are_readable_by_permitted_project_only() {
    const LOGS: [&str; 2] = [
        "/data-management/newdatafileaccesslog/",
        "/data-management/awsdatafileaccesslog/",
    ];
    let sandbox = start(Sandbox::builder().access_logs(true)).await;
    let alice = sandbox.issue_tokens(ALICE).access_token;
    let bob = sandbox.issue_tokens(BOB).access_token;
    let id = sandbox.add_file(ALICE, "a.txt", b"four", json!({}));
    let (_, member) = get(
        &sandbox,
        "/api/direct-sharing/project/exchange-member/",
        Some(&alice),
    )
    .await;
    let url = member["data"][0]["download_url"].as_str().unwrap();
    let found = client().get(url).send().await.unwrap();
    let link = found.headers()["location"].to_str().unwrap();
    let got = client()
        .get(link)
        .header("user-agent", "a-test")
        .send()
        .await;
    assert_eq!(got.unwrap().text().await.unwrap(), "four");

    for log in LOGS {
        let (status, body) = get(&sandbox, log, Some(&alice)).await;
        assert_eq!((status, body["count"].as_u64()), (200, Some(1)), "{log}");
        assert_eq!(body["results"][0]["datafile"]["id"].as_u64(), id);
        let (_, other) = get(&sandbox, log, Some(&bob)).await;
        assert_eq!(other["count"], 0, "only the member's own");
        let date = if log.contains("aws") { "time" } else { "date" };
        let at = body["results"][0][date].as_str().unwrap();
        let time = OffsetDateTime::parse(at, &Rfc3339).unwrap() - Duration::from_secs(86_000);
        let day_before = time.format(&Rfc3339).unwrap();
        for (query, count) in [
            (format!("start_date={at}&end_date={at}"), 1),
            // Measured: equal limits select 24 hours, and `date` or `time` selects one entry.
            (format!("start_date={day_before}&end_date={day_before}"), 1),
            (format!("{date}={at}"), 1),
            (format!("{date}=2000-01-01T00:00:00Z"), 0),
            ("start_date=2100-01-01T00:00:00Z".into(), 0),
            ("end_date=2000-01-01T00:00:00Z".into(), 0),
            ("end_date=nonsense&datafile_id=nonsense".into(), 1),
            (format!("datafile_id={}", id.unwrap()), 1),
            ("datafile_id=999".into(), 0),
        ] {
            let (_, some) = get(&sandbox, &format!("{log}?{query}"), Some(&alice)).await;
            assert_eq!(some["count"], count, "{log}?{query}");
        }
        assert_eq!(
            get(&sandbox, log, Some(sandbox.master_token())).await.0,
            401
        );
        assert_eq!(get(&sandbox, log, None).await.0, 401);
    }
    let (_, store) = get(&sandbox, LOGS[1], Some(&alice)).await;
    let fetched = &store["results"][0];
    assert_eq!(
        (&fetched["bytes_sent"], &fetched["user_agent"]),
        (&json!(4), &json!("a-test"))
    );
    let (_, text) = page(&sandbox, "/member/alice/").await;
    assert!(text.contains("4 bytes, by a-test"), "{text}");

    let sandbox = start(Sandbox::builder()).await;
    let alice = sandbox.issue_tokens(ALICE).access_token;
    for log in LOGS {
        assert_eq!(get(&sandbox, log, Some(&alice)).await.0, 403, "{log}");
    }
}

#[tokio::test]
async fn member_page_shows_files_and_messages() {
    let sandbox = start(Sandbox::builder()).await;
    let (_, index) = page(&sandbox, "/").await;
    assert!(index.contains("href=\"/member/alice/\""), "{index}");
    let (_, text) = page(&sandbox, "/member/alice/").await;
    assert!(
        text.contains("Does not take part") && text.contains("id=\"no-files\""),
        "{text}"
    );

    let alice = sandbox.issue_tokens(ALICE).access_token;
    let about = json!({"description": "Steps & <b>more</b>", "tags": ["steps"], "round": 3});
    let id = sandbox
        .add_file(ALICE, "steps.csv", b"1,2,3", about)
        .unwrap();
    sandbox.add_shared_file(ALICE, "genome.vcf", b"ACGT", json!({}));
    let hello = json!({"subject": "Results", "message": "For {{ PROJECT_MEMBER_ID }}: {% now %}"});
    answer(post_json(api(&sandbox, "message/"), &alice, &hello)).await;
    let (status, text) = page(&sandbox, "/member/alice/").await;
    assert_eq!(status, 200);
    for shown in [
        "Takes part in the project. The project has a valid access token.",
        "Steps &amp; &lt;b&gt;more&lt;/b&gt; [steps]",
        "round: 3",
        "direct-sharing-1",
        "<h3>Results</h3>",
        &format!("For {ALICE}:"),
        "does not deliver",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let (_, row) = text.split_once(&format!("id=\"file-{id}\"")).unwrap();
    let (_, href) = row.split_once("href=\"").unwrap();
    let href = href.split('"').next().unwrap().replace("&amp;", "&");
    let found = client().get(href).send().await.unwrap();
    let link = found.headers()["location"].to_str().unwrap().to_owned();
    let content = client().get(link).send().await.unwrap().text().await;
    assert_eq!(content.unwrap(), "1,2,3");

    sandbox.leave(ALICE, true).await;
    let (_, text) = page(&sandbox, "/member/alice/").await;
    assert!(
        text.contains("Has left the project. The project has no valid access token"),
        "{text}"
    );
    // Members who do not share their username have a page as well.
    assert_eq!(page(&sandbox, "/member/member-15546131/").await.0, 200);
    assert_eq!(page(&sandbox, "/member/nobody/").await.0, 404);
}
