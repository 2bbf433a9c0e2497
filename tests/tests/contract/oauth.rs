//! Codes and tokens.

use oh_core::api::TokenError;
use oh_core::{AuthorizationCode, Error};

use crate::world::promise;

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
