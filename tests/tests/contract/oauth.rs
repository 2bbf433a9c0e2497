//! Codes and tokens.

use std::time::Duration;

use oh_core::api::TokenError;
use oh_core::transport::{Body, HttpClient, Transport};
use oh_core::{AuthorizationCode, Error, Timestamp};

use crate::world::{ALICE, in_sandbox, promise};

#[tokio::test]
async fn a_refresh_kills_the_old_pair_at_once() {
    promise(async |world| {
        let tokens = world.authorize().await;
        let new = world.oauth.refresh(&tokens.refresh_token).await.unwrap();
        let old = world.server.member(tokens.access_token);
        let error = old.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        let again = world.oauth.refresh(&tokens.refresh_token).await;
        assert!(matches!(again, Err(TokenError::InvalidGrant)));
        let who = world
            .server
            .member(new.tokens.access_token)
            .exchange_member()
            .await;
        assert_eq!(who.unwrap().project_member_id, world.id);
        world.oauth.revoke(&new.tokens.refresh_token).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_wrong_code_is_refused() {
    promise(async |world| {
        let code = AuthorizationCode::new("none");
        let verifier = world.oauth.authorization().verifier().to_owned();
        let error = world.oauth.exchange(&code, &verifier).await.unwrap_err();
        assert!(matches!(error, TokenError::InvalidGrant));
    })
    .await;
}

#[tokio::test]
async fn a_revoked_token_is_refused() {
    promise(async |world| {
        let tokens = world.authorize().await;
        world.oauth.revoke(&tokens.refresh_token).await.unwrap();
        let error = world
            .oauth
            .refresh(&tokens.refresh_token)
            .await
            .unwrap_err();
        assert!(matches!(error, TokenError::InvalidGrant));
    })
    .await;
}

#[tokio::test]
async fn the_token_endpoint_says_of_a_token_whether_it_works_and_for_whom() {
    in_sandbox(async |world, sandbox| {
        let tokens = world.authorize().await;
        let known = world.oauth.introspect(&tokens.access_token).await.unwrap();
        assert!(known.active);
        assert_eq!(known.client_id.as_deref(), Some(sandbox.client_id()));
        assert_eq!(known.username.as_deref(), Some("alice"));
        let expires = Timestamp::from_micros(known.exp.unwrap() * 1_000_000);
        assert!(expires.since(Timestamp::now()) > Duration::from_secs(35_000));

        world.oauth.revoke(&tokens.refresh_token).await.unwrap();
        let revoked = world.oauth.introspect(&tokens.access_token).await.unwrap();
        assert!(!revoked.active && revoked.username.is_none());
        let wrong = world
            .server
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
async fn a_live_member_is_asked_again_only_where_that_is_forced() {
    in_sandbox(async |world, _| {
        let browser = HttpClient::new().unwrap();
        let ask = async |url: &url::Url| {
            let request = http::Request::get(url.as_str())
                .header("cookie", format!("oh_sandbox_member={ALICE}"))
                .body(Body::empty())
                .unwrap();
            browser.send(request).await.unwrap().status().as_u16()
        };
        assert_eq!(ask(world.oauth.authorization().url()).await, 302);
        let forced = world.oauth.authorization().force_approval();
        assert_eq!(ask(forced.url()).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_token_has_the_scope_that_was_asked_for() {
    in_sandbox(async |world, sandbox| {
        let authorization = world.oauth.authorization().scope("read");
        let back = sandbox.authorize(ALICE, authorization.url()).await.unwrap();
        let mut pairs = back.query_pairs();
        let code = pairs.find(|(key, _)| key == "code").unwrap().1.into_owned();
        let code = AuthorizationCode::new(code);
        let granted = world.oauth.exchange(&code, authorization.verifier()).await;
        let token = granted.unwrap().tokens.access_token;
        let known = world.oauth.introspect(&token).await.unwrap();
        assert_eq!(known.scope.as_deref(), Some("read"));
    })
    .await;
}
