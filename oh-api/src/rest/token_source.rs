//! Where a call's token comes from: fixed, or kept alive by someone.

use async_trait::async_trait;

use crate::{AccessToken, Error};

/// Gives a member's access token, and another one once it is refused.
///
/// The library's own source refreshes tokens and keeps them in the token store. Implement it for
/// tokens that live elsewhere; see [`Client::member_with`](crate::Client::member_with).
///
/// ```
/// use oh_api::{AccessToken, Error};
/// use oh_api::TokenSource;
///
/// /// A token from the environment, read anew for each call.
/// struct FromEnv;
///
/// #[async_trait::async_trait]
/// impl TokenSource for FromEnv {
///     async fn access_token(&self) -> Result<AccessToken, Error> {
///         let token = std::env::var("OH_ACCESS_TOKEN");
///         token.map(AccessToken::new).map_err(|_| Error::NotConfigured { what: "OH_ACCESS_TOKEN" })
///     }
/// }
/// ```
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// A token that should be good.
    ///
    /// # Errors
    ///
    /// When there is none to be had, such as [`Error::Deauthorized`].
    async fn access_token(&self) -> Result<AccessToken, Error>;

    /// Another token, after Open Humans answered 401 to `stale`. `None` if there is no other: the
    /// call then fails with what Open Humans said.
    ///
    /// # Errors
    ///
    /// When getting one fails, or shows that the member has left.
    async fn refreshed(&self, stale: &AccessToken) -> Result<Option<AccessToken>, Error> {
        let _ = stale;
        Ok(None)
    }
}

/// One token, for as long as it works.
pub(crate) struct FixedToken(pub(crate) AccessToken);

#[async_trait]
impl TokenSource for FixedToken {
    async fn access_token(&self) -> Result<AccessToken, Error> {
        Ok(self.0.clone())
    }
}
