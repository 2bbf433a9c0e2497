//! Authorization, codes and tokens.

mod support;

use std::time::Duration;

use oh_sandbox::{AuthorizeError, Endpoint, Sandbox, StartError};
use serde_json::json;
use support::{
    ALICE, BOB, answer, at, authorization_url, client, code, encode, exchange_member, parameter,
    token,
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: [(&str, &str); 2] = [
    (
        "code_challenge",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    ),
    ("code_challenge_method", "S256"),
];

#[tokio::test]
async fn login_issues_token_that_identifies_member() {
    let sandbox = support::sandbox().await;
    let back = sandbox
        .authorize(ALICE, authorization_url(&sandbox, &[("state", "a b/+=&é")]))
        .await
        .unwrap();
    assert_eq!(
        back.as_str().split('?').next(),
        Some("http://localhost:8000/openhumans/complete")
    );
    assert!(
        back.query()
            .unwrap()
            .ends_with("&state=a+b%2F%2B%3D%26%C3%A9&origin=external"),
        "{back}"
    );
    let code = parameter(&back, "code").unwrap();
    assert_eq!(code.len(), 30);

    let (status, tokens) = token(
        &sandbox,
        &[("grant_type", "authorization_code"), ("code", &code)],
    )
    .await;
    assert_eq!(status, 200);
    assert_eq!(
        (&tokens["expires_in"], &tokens["token_type"]),
        (&json!(36000), &json!("Bearer"))
    );
    let (status, member) =
        exchange_member(&sandbox, tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(member["project_member_id"], ALICE);
    assert_eq!(member["username"], "alice");

    let stats = sandbox.stats();
    assert_eq!((stats.tokens.total, stats.tokens.succeeded), (1, 1));
    assert_eq!(stats.tokens.by_grant["authorization_code"]["granted"], 1);
    assert_eq!(sandbox.count(Endpoint::Authorize), 1);
}

#[tokio::test]
async fn refusal_redirects_with_access_denied() {
    let sandbox = support::sandbox().await;
    let back = sandbox
        .refuse(authorization_url(&sandbox, &[("state", "s")]))
        .await
        .unwrap();
    assert_eq!(back.query(), Some("error=access_denied&state=s"));
}

#[tokio::test]
async fn authorize_does_not_redirect_for_invalid_client_or_uri() {
    let sandbox = support::sandbox().await;
    let strange = authorization_url(&sandbox, &[("redirect_uri", "http://evil.test/")]);
    assert_eq!(
        sandbox.authorize(ALICE, strange).await,
        Err(AuthorizeError::NotRedirected { status: 400 })
    );
    let unknown = at(
        &sandbox,
        "/direct-sharing/projects/oauth2/authorize/?client_id=nope&response_type=code",
    );
    assert_eq!(
        sandbox.authorize(ALICE, unknown).await,
        Err(AuthorizeError::NotRedirected { status: 404 })
    );
    let nobody = authorization_url(&sandbox, &[]);
    assert_eq!(
        sandbox.authorize("nobody", nobody).await,
        Err(AuthorizeError::NotRedirected { status: 400 })
    );
    assert_eq!(
        sandbox.authorize(ALICE, "http://127.0.0.1:1/").await,
        Err(AuthorizeError::ForeignUrl)
    );
    let long = authorization_url(&sandbox, &[("state", &"s".repeat(4100))]);
    assert_eq!(
        sandbox.authorize(ALICE, long).await,
        Err(AuthorizeError::NotRedirected { status: 400 })
    );
}

#[tokio::test]
async fn authorize_skips_form_while_member_has_live_token() {
    let sandbox = support::sandbox().await;
    let ask = |added: &[(&str, &str)]| {
        client()
            .get(authorization_url(&sandbox, added))
            .header("cookie", format!("oh_sandbox_member={ALICE}"))
            .send()
    };
    let page = ask(&[]).await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    for id in ["member-01026778", "member-00169953", "allow", "refuse"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    let _ = sandbox.issue_tokens(ALICE);
    assert_eq!(ask(&[]).await.unwrap().status(), 302);
    assert_eq!(
        ask(&[("approval_prompt", "force")]).await.unwrap().status(),
        200
    );
    assert_eq!(
        client()
            .get(authorization_url(&sandbox, &[]))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    sandbox.expire_tokens(ALICE);
    assert_eq!(ask(&[]).await.unwrap().status(), 200);
}

#[tokio::test]
async fn authorize_form_requires_csrf_token() {
    let sandbox = support::sandbox().await;
    let url = authorization_url(&sandbox, &[("state", "s")]);
    let page = client()
        .get(url.clone())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let csrf = page
        .split(r#"name="csrfmiddlewaretoken" value=""#)
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let submit = |form: &[(&str, &str)]| {
        client()
            .post(url.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encode(form))
            .send()
    };
    assert_eq!(
        submit(&[("sandbox_member", BOB), ("allow", "x")])
            .await
            .unwrap()
            .status(),
        403
    );
    let fields = [("csrfmiddlewaretoken", csrf), ("sandbox_member", BOB)];
    let refused = submit(&fields).await.unwrap();
    assert!(
        refused.headers()["location"]
            .to_str()
            .unwrap()
            .contains("error=access_denied")
    );
    assert!(!sandbox.is_joined(BOB));
    let allowed = submit(&[fields[0], fields[1], ("allow", "Authorize project")])
        .await
        .unwrap();
    assert!(
        allowed.headers()["location"]
            .to_str()
            .unwrap()
            .contains("?code=")
    );
    assert!(
        allowed.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .starts_with("oh_sandbox_member=00169953;")
    );
    assert!(sandbox.is_joined(BOB));
}

#[tokio::test]
async fn pkce_is_enforced_and_wrong_verifier_leaves_code_usable() {
    let sandbox = support::sandbox().await;
    let code = code(&sandbox, ALICE, &CHALLENGE).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
    ];
    let (status, body) = token(&sandbox, &form).await;
    assert_eq!(status, 400);
    assert_eq!(
        body,
        json!({ "error": "invalid_request", "error_description": "Code verifier required." })
    );
    let wrong = [form[0], form[1], ("code_verifier", "wrong")];
    assert_eq!(
        token(&sandbox, &wrong).await,
        (400, json!({ "error": "invalid_grant" }))
    );
    let right = [form[0], form[1], ("code_verifier", VERIFIER)];
    assert_eq!(token(&sandbox, &right).await.0, 200);
    assert_eq!(
        token(&sandbox, &right).await,
        (400, json!({ "error": "invalid_grant" }))
    );
}

#[tokio::test]
async fn advancing_clock_expires_codes_and_tokens() {
    let sandbox = support::sandbox().await;
    let code = code(&sandbox, ALICE, &[]).await;
    let tokens = sandbox.issue_tokens(BOB);
    sandbox.advance(Duration::from_secs(1801));
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
    ];
    assert_eq!(token(&sandbox, &form).await.0, 400);
    assert_eq!(exchange_member(&sandbox, &tokens.access_token).await.0, 200);
    sandbox.advance(Duration::from_secs(36_000));
    let (status, body) = exchange_member(&sandbox, &tokens.access_token).await;
    assert_eq!((status, body), (401, json!({ "detail": "Expired token." })));
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh_token.as_str()),
    ];
    assert_eq!(token(&sandbox, &refresh).await.0, 200);
    assert_eq!(
        sandbox.stats().tokens.by_grant["authorization_code"]["invalid_grant"],
        1
    );
}

#[tokio::test]
async fn concurrent_refreshes_succeed_once() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh_token.as_str()),
    ];
    let answers = futures_util::future::join_all((0..8).map(|_| token(&sandbox, &refresh))).await;
    assert_eq!(
        answers.iter().filter(|(status, _)| *status == 200).count(),
        1
    );
    assert_eq!(sandbox.token_requests(), 8);
}

#[tokio::test]
async fn authorize_rejects_inactive_project() {
    let sandbox = support::sandbox().await;
    sandbox.set_active(false);
    let response = client()
        .get(authorization_url(&sandbox, &[]))
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.headers()["location"],
        "/direct-sharing/authorize-inactive/"
    );
    let page = client()
        .get(at(&sandbox, "/direct-sharing/authorize-inactive/"))
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
}

#[tokio::test]
async fn builder_rejects_non_loopback_address_by_default() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = Sandbox::builder()
        .listen(everywhere)
        .start()
        .await
        .unwrap_err();
    assert!(
        matches!(refused, StartError::NotLoopback(address) if address == everywhere),
        "{refused}"
    );
    let sandbox = Sandbox::builder()
        .listen(everywhere)
        .allow_non_loopback(true)
        .start()
        .await
        .unwrap();
    assert_eq!(sandbox.url().host_str(), Some("0.0.0.0"));
}

#[tokio::test]
async fn builder_error_names_invalid_setting() {
    let refused = Sandbox::builder()
        .redirect_uri("nonsense")
        .start()
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("redirect_uri"), "{refused}");
    let refused = Sandbox::builder()
        .member("no/slash", None)
        .start()
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("no/slash"), "{refused}");
}

#[tokio::test]
async fn drop_frees_port() {
    let sandbox = support::sandbox().await;
    let port = sandbox.url().port().unwrap();
    drop(sandbox);
    let again = Sandbox::builder()
        .listen(([127, 0, 0, 1], port).into())
        .start()
        .await
        .unwrap();
    assert_eq!(again.url().port(), Some(port));
}

#[tokio::test]
async fn admin_paths_add_members_and_change_settings() {
    let sandbox = support::sandbox().await;
    let add = client().post(at(
        &sandbox,
        "/sandbox/members?id=00000007&username=zero&joined=true",
    ));
    assert_eq!(answer(add).await.0, 201);
    let (_, tokens) = answer(client().post(at(&sandbox, "/sandbox/members/00000007/tokens"))).await;
    let (_, member) = exchange_member(&sandbox, tokens["access_token"].as_str().unwrap()).await;
    assert_eq!(
        (&member["project_member_id"], &member["username"]),
        (&json!("00000007"), &json!("zero"))
    );
    let expire = client().post(at(&sandbox, "/sandbox/members/00000007/expire-tokens"));
    assert_eq!(answer(expire).await.0, 200);
    assert_eq!(
        exchange_member(&sandbox, tokens["access_token"].as_str().unwrap())
            .await
            .0,
        401
    );

    let settings =
        "/sandbox/settings?redirect_uri=http://app.test/back&redirect_uri=http://app.test/2";
    assert_eq!(answer(client().post(at(&sandbox, settings))).await.0, 200);
    let back = sandbox
        .authorize(ALICE, authorization_url(&sandbox, &[]))
        .await
        .unwrap();
    assert_eq!(back.host_str(), Some("app.test"));

    let (_, stats) = answer(client().get(at(&sandbox, "/sandbox/stats"))).await;
    assert_eq!(stats["requests"]["exchange_member"], 2);
    assert_eq!(stats["tokens"]["total"], 0);
    let (_, members) = answer(client().get(at(&sandbox, "/sandbox/members"))).await;
    assert_eq!(members.as_array().unwrap().len(), 4);
}

/// Protects against DNS rebinding.
#[tokio::test]
async fn loopback_listener_rejects_other_host_names() {
    let sandbox = support::sandbox().await;
    let port = sandbox.url().port().unwrap();
    for (host, status) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        (format!("evil.example:{port}"), 400),
        ("evil.example".to_owned(), 400),
        (format!("127.0.0.1.evil.example:{port}"), 400),
    ] {
        for path in ["sandbox/", "api/public/projects/"] {
            let request = client().get(sandbox.url().join(path).unwrap());
            let answer = request.header("host", &host).send().await.unwrap();
            assert_eq!(answer.status(), status, "{host} {path}");
        }
    }
}
