//! Authorization codes and tokens.

use std::time::Duration;

use oh_core::api::TokenError;
use oh_core::transport::{Body, HttpClient, Transport};
use oh_core::{AuthorizationCode, Error, Timestamp};

use crate::server::{ALICE, in_sandbox, on_server};

#[tokio::test]
async fn refresh_invalidates_old_pair_immediately() {
    on_server(async |server| {
        let tokens = server.authorize().await;
        let new = server.oauth.refresh(&tokens.refresh_token).await.unwrap();
        let old = server.client.member(tokens.access_token);
        let error = old.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        let repeated = server.oauth.refresh(&tokens.refresh_token).await;
        assert!(matches!(repeated, Err(TokenError::InvalidGrant)));
        let who = server
            .client
            .member(new.tokens.access_token)
            .exchange_member()
            .await;
        assert_eq!(who.unwrap().project_member_id, server.id);
        server
            .oauth
            .revoke(&new.tokens.refresh_token)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn unknown_code_is_invalid_grant() {
    on_server(async |server| {
        let code = AuthorizationCode::new("none");
        let verifier = server.oauth.authorization().verifier().to_owned();
        let error = server.oauth.exchange(&code, &verifier).await.unwrap_err();
        assert!(matches!(error, TokenError::InvalidGrant));
    })
    .await;
}

#[tokio::test]
async fn revoked_token_is_invalid_grant() {
    on_server(async |server| {
        let tokens = server.authorize().await;
        server.oauth.revoke(&tokens.refresh_token).await.unwrap();
        let error = server
            .oauth
            .refresh(&tokens.refresh_token)
            .await
            .unwrap_err();
        assert!(matches!(error, TokenError::InvalidGrant));
    })
    .await;
}

#[tokio::test]
async fn introspection_returns_state_and_owner() {
    in_sandbox(async |server, sandbox| {
        let tokens = server.authorize().await;
        let known = server.oauth.introspect(&tokens.access_token).await.unwrap();
        assert!(known.active);
        assert_eq!(known.client_id.as_deref(), Some(sandbox.client_id()));
        assert_eq!(known.username.as_deref(), Some("alice"));
        let expires = Timestamp::from_micros(known.exp.unwrap() * 1_000_000);
        assert!(expires.since(Timestamp::now()) > Duration::from_secs(35_000));

        server.oauth.revoke(&tokens.refresh_token).await.unwrap();
        let revoked = server.oauth.introspect(&tokens.access_token).await.unwrap();
        assert!(!revoked.active && revoked.username.is_none());
        let wrong = server
            .client
            .oauth("another", "secret", "http://localhost:8000/")
            .unwrap();
        let error = wrong.introspect(&tokens.access_token).await.unwrap_err();
        assert!(matches!(error, TokenError::Other(Error::Forbidden { .. })));
        let error = wrong.revoke(&tokens.refresh_token).await.unwrap_err();
        assert!(matches!(error, TokenError::InvalidClient), "{error}");
    })
    .await;
}

#[tokio::test]
async fn approval_is_skipped_unless_forced() {
    in_sandbox(async |server, _| {
        let browser = HttpClient::new().unwrap();
        let status_of = async |url: &url::Url| {
            let request = http::Request::get(url.as_str())
                .header("cookie", format!("oh_sandbox_member={ALICE}"))
                .body(Body::empty())
                .unwrap();
            browser.send(request).await.unwrap().status().as_u16()
        };
        assert_eq!(status_of(server.oauth.authorization().url()).await, 302);
        let forced = server.oauth.authorization().force_approval();
        assert_eq!(status_of(forced.url()).await, 200);
    })
    .await;
}

#[tokio::test]
async fn token_has_requested_scope() {
    in_sandbox(async |server, sandbox| {
        let authorization = server.oauth.authorization().scope("read");
        let back = sandbox.authorize(ALICE, authorization.url()).await.unwrap();
        let mut pairs = back.query_pairs();
        let code = pairs.find(|(key, _)| key == "code").unwrap().1.into_owned();
        let code = AuthorizationCode::new(code);
        let granted = server.oauth.exchange(&code, authorization.verifier()).await;
        let token = granted.unwrap().tokens.access_token;
        let known = server.oauth.introspect(&token).await.unwrap();
        assert_eq!(known.scope.as_deref(), Some("read"));
    })
    .await;
}
