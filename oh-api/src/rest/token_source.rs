//! Sources of a member's access token.

use async_trait::async_trait;

use crate::{AccessToken, Error};

/// Provides a member's access token, and a new one after the server rejected it.
///
/// `oh-core` refreshes the tokens of its token store. Implement this trait for tokens that are stored
/// elsewhere; see [`Client::member_with`](crate::Client::member_with).
///
/// ```
/// use oh_api::{AccessToken, Error};
/// use oh_api::TokenSource;
///
/// /// Reads the token from the environment before each call.
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
    /// Returns a token that is probably valid.
    ///
    /// # Errors
    ///
    /// If no token is available, for example [`Error::Deauthorized`].
    async fn access_token(&self) -> Result<AccessToken, Error>;

    /// Returns a new token after Open Humans responded 401 to `stale`. `None` if there is no other
    /// token; the call then fails with the server's error.
    ///
    /// # Errors
    ///
    /// If the refresh fails, or shows that the member has left.
    async fn refreshed(&self, stale: &AccessToken) -> Result<Option<AccessToken>, Error> {
        let _ = stale;
        Ok(None)
    }
}

/// A single token that cannot be refreshed.
pub(crate) struct FixedToken(pub(crate) AccessToken);

#[async_trait]
impl TokenSource for FixedToken {
    async fn access_token(&self) -> Result<AccessToken, Error> {
        Ok(self.0.clone())
    }
}
