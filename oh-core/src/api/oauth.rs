//! OAuth2 by hand: for scripts and tools that hold a member's tokens themselves.
//!
//! A web app has no need of it: its login routes do all this, and keep the tokens alive.

use std::fmt;
use std::sync::Arc;

use url::Url;

use super::client::Client;
use crate::oauth::{OAuth, TokenError};
use crate::store::Tokens;
use crate::{AuthorizationCode, Error, RefreshToken, Settings, SettingsError};

/// The project's OAuth2 client: sends members to Open Humans and turns what they come back with
/// into tokens.
///
/// ```
/// use oh_core::api::Client;
///
/// let server = Client::new("https://www.openhumans.org")?;
/// let client = server.oauth("client-id", "client-secret", "http://localhost:8000/done")?;
/// let authorization = client.authorization();
/// println!("open {}", authorization.url());
/// // The browser comes back to the redirect URI with `code` and `state` in the query. Then:
/// // let tokens = client.exchange(&code, authorization.verifier()).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: "OAuth2 Project Setup" (`/direct-sharing/oauth2-setup/`), RFC 6749 and RFC 7636.
#[derive(Clone)]
pub struct OAuthClient {
    oauth: Arc<OAuth>,
}

/// One member on the way to authorize the project.
#[derive(Clone)]
pub struct Authorization {
    url: Url,
    state: String,
    verifier: String,
}

impl Authorization {
    /// Where to send the member.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What must come back as `state`, letter for letter.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// What proves, with the code, that whoever exchanges it asked for it (PKCE). Keep it secret.
    pub fn verifier(&self) -> &str {
        &self.verifier
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(..)")
    }
}

impl Client {
    /// The project's OAuth2 client at this server.
    ///
    /// # Errors
    ///
    /// When one of the values cannot be used, such as the hash that the project page shows in
    /// place of the client secret.
    pub fn oauth(
        &self,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
        redirect_uri: &str,
    ) -> Result<OAuthClient, SettingsError> {
        let settings = Settings::builder(client_id, client_secret, "http://localhost")
            .oh_base_url(self.base().as_str())
            .redirect_uri(redirect_uri)
            .timeout(self.idle_timeout())
            .build()?;
        let oauth = OAuth::new(&settings, Arc::clone(self.transport()), self.time().clone());
        Ok(OAuthClient {
            oauth: Arc::new(oauth),
        })
    }
}

impl OAuthClient {
    /// A new way to authorize, with a state and a PKCE verifier of its own.
    pub fn authorization(&self) -> Authorization {
        let state = crate::random::hex();
        let verifier = OAuth::verifier();
        Authorization {
            url: self.oauth.authorization_url(&state, &verifier),
            state,
            verifier,
        }
    }

    /// Exchanges a code for tokens. Codes live half an hour and work once. For a code that was
    /// asked for without PKCE any verifier does.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] with `invalid_grant` for a code that is wrong, used or expired, or
    /// another verifier; [`Error::Unauthorized`] for a wrong client id or secret.
    pub async fn exchange(
        &self,
        code: &AuthorizationCode,
        verifier: &str,
    ) -> Result<Tokens, Error> {
        let granted = self.oauth.exchange(code, verifier).await;
        granted.map(|granted| granted.tokens).map_err(into_error)
    }

    /// Exchanges a refresh token for a new pair. The old pair is dead at once: keep the new one
    /// before anything else.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] with `invalid_grant` for one that is used, or whose member has left;
    /// [`Error::Unauthorized`] for a wrong client id or secret.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        let granted = self.oauth.refresh(token).await;
        granted.map(|granted| granted.tokens).map_err(into_error)
    }

    /// Makes a pair unusable (RFC 7009). The member stays in the project.
    ///
    /// # Errors
    ///
    /// What the connection or the server ends in.
    pub async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        self.oauth.revoke(token).await.map_err(into_error)
    }
}

fn into_error(error: TokenError) -> Error {
    match error {
        TokenError::InvalidGrant => Error::BadRequest {
            problems: vec![(String::new(), "invalid_grant".into())],
        },
        TokenError::InvalidClient => Error::Unauthorized {
            detail: "invalid_client".into(),
        },
        TokenError::Other(error) => error,
    }
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OAuthClient(..)")
    }
}
