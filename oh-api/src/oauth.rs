//! OAuth2: the authorization URL and the token endpoint.
//!
//! A web application does not need this module: the login routes of `oh-core` use it, store the
//! tokens and refresh them. Scripts and tools that store a member's tokens themselves use an
//! [`OAuthClient`].
//!
//! The crate `oauth2` implements the protocol. This module sends its requests with the client's
//! transport, and corrects responses that deviate from RFC 6749: a token response is the only copy of
//! a pair of tokens, so every successful response that contains both is accepted. Token requests
//! follow no redirect and are not repeated if the server may have processed them, because a code and
//! a refresh token work once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use oauth2::basic::{
    BasicClient, BasicErrorResponseType, BasicRequestTokenError, BasicTokenResponse,
};
use oauth2::{
    AsyncHttpClient, AuthUrl, ClientId, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    TokenResponse, TokenUrl,
};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::rest::base_url::check_base_url;
use crate::rest::client::{Client, read_all};
use crate::rest::response::{http_date, retry_after};
use crate::transport::{Body, TransportError};
use crate::types::record::lenient;
use crate::{
    AccessToken, AuthorizationCode, ClientSecret, Error, Problem, RefreshToken, Timestamp,
};

type Protocol =
    BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// The longest response of the token endpoint, in bytes.
const MAX_TOKEN_RESPONSE: usize = 64 * 1024;

/// The lifetime of Open Humans' access tokens, used if a response does not state it.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(36_000);

/// The longest lifetime that is accepted from a response.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3_600);

/// The longest token that is accepted from a response, in bytes.
const MAX_TOKEN_LEN: usize = 4_096;

/// A member's OAuth2 tokens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tokens {
    /// The token for API calls.
    pub access_token: AccessToken,
    /// The token to request a new pair.
    pub refresh_token: RefreshToken,
    /// When the access token expires, according to the local clock.
    pub expires_at: Timestamp,
}

impl Tokens {
    /// Creates a pair with the time when its access token expires.
    pub fn new(
        access_token: impl Into<AccessToken>,
        refresh_token: impl Into<RefreshToken>,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            access_token: access_token.into(),
            refresh_token: refresh_token.into(),
            expires_at,
        }
    }
}

/// A successful response of the token endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenGrant {
    /// The new pair.
    pub tokens: Tokens,
    /// When the tokens were issued: by Open Humans' clock, to the second, or by the local clock if
    /// the response has no date.
    pub granted_at: Timestamp,
    /// The scopes of the access token, such as `read` and `write`; empty if not stated.
    pub scope: Vec<String>,
    /// The type of the access token in lower case; `bearer` if not stated.
    pub token_type: String,
}

/// The state of a token at the token endpoint (RFC 7662 section 2.2).
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Introspection {
    /// Whether the token is valid. If not, all other fields are `None`.
    pub active: bool,
    /// The scopes of the token, separated by blanks.
    pub scope: Option<String>,
    /// The client id that the token was issued to.
    pub client_id: Option<String>,
    /// The member's username.
    pub username: Option<String>,
    /// When the token expires, in seconds since 1970.
    pub exp: Option<i64>,
}

/// An error of the token endpoint.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The code or the refresh token is invalid, used or expired, or its member has left (RFC 6749
    /// section 5.2).
    #[error("Open Humans rejected the code or refresh token (invalid_grant)")]
    InvalidGrant,
    /// The client id or secret is wrong.
    #[error("Open Humans rejected the client id and secret (invalid_client)")]
    InvalidClient,
    /// Any other error.
    #[error(transparent)]
    Other(#[from] Error),
}

impl TokenError {
    /// Returns whether the server may have processed the request. Then the code or refresh token may
    /// be used up, and the new pair is lost.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::InvalidGrant | Self::InvalidClient => false,
            Self::Other(Error::Network(error)) => !error.was_not_processed(),
            Self::Other(Error::BadRequest { .. } | Error::RateLimited { .. }) => false,
            Self::Other(Error::InvalidInput { .. }) => false,
            Self::Other(Error::UnexpectedResponse { status, .. }) => !status.is_client_error(),
            // Not Implemented and HTTP Version Not Supported reject the request itself.
            Self::Other(Error::Server { status }) => !matches!(status.as_u16(), 501 | 505),
            Self::Other(_) => true,
        }
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::InvalidGrant => Self::BadRequest {
                problems: vec![Problem::new("invalid_grant")],
            },
            TokenError::InvalidClient => Self::Unauthorized {
                detail: "invalid_client".into(),
            },
            TokenError::Other(error) => error,
        }
    }
}

/// The authorization request of one member.
#[derive(Clone)]
pub struct Authorization {
    url: Url,
    state: String,
    verifier: String,
}

impl Authorization {
    /// Returns the URL to redirect the member to.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Makes Open Humans ask for approval even if the member has a valid token. Use it to offer
    /// another account, or after you added permissions to the project.
    #[must_use]
    pub fn force_approval(self) -> Self {
        self.with("approval_prompt", "force")
    }

    /// Requests these scopes, such as `read write`, instead of the project's default (RFC 6749
    /// section 3.3).
    #[must_use]
    pub fn scope(self, scope: &str) -> Self {
        self.with("scope", scope)
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Returns the `state` that the redirect must contain.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Returns the PKCE verifier, which is required to exchange the code. Keep it secret.
    pub fn verifier(&self) -> &str {
        &self.verifier
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(..)")
    }
}

/// A client for the project's OAuth2 endpoints. Clones are cheap.
///
/// ```
/// use oh_api::Client;
///
/// let client = Client::new("https://www.openhumans.org")?;
/// let oauth = client.oauth("client-id", "client-secret", "http://localhost:8000/done")?;
/// let authorization = oauth.authorization();
/// println!("open {}", authorization.url());
/// // The browser returns to the redirect URI with `code` and `state` in the query. Then:
/// // let grant = oauth.exchange(&code, authorization.verifier()).await?;
/// # Ok::<(), oh_api::Error>(())
/// ```
///
/// Source: "OAuth2 Project Setup" (`/direct-sharing/oauth2-setup/`), RFC 6749 and RFC 7636.
#[derive(Clone)]
pub struct OAuthClient(Arc<Inner>);

struct Inner {
    client: Client,
    protocol: Protocol,
    /// The `Authorization` header with client id and secret.
    credentials: HeaderValue,
}

impl Client {
    /// Creates a client for the OAuth2 endpoints of this server.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if a value is invalid, for example the hash that the project page
    /// shows instead of the client secret.
    pub fn oauth(
        &self,
        client_id: impl Into<String>,
        client_secret: impl Into<ClientSecret>,
        redirect_uri: &str,
    ) -> Result<OAuthClient, Error> {
        let (client_id, client_secret) = (client_id.into(), client_secret.into());
        if client_id.trim().is_empty() {
            return Err(Error::invalid_input("client id", "it is empty"));
        }
        if client_secret.expose().trim().is_empty() {
            return Err(Error::invalid_input("client secret", "it is empty"));
        }
        if client_secret.is_stored_hash() {
            let reason = "it is the hash that the project page shows, not the secret itself";
            return Err(Error::invalid_input("client secret", reason));
        }
        let redirect_uri = check_base_url(redirect_uri)
            .map_err(|error| Error::invalid_input("redirect URI", error.to_string()))?;
        let authorize_url = self.url("/direct-sharing/projects/oauth2/authorize/");
        let credentials = basic(&client_id, client_secret.expose());
        let protocol = BasicClient::new(ClientId::new(client_id))
            .set_client_secret(oauth2::ClientSecret::new(client_secret.expose().to_owned()))
            .set_auth_uri(AuthUrl::from_url(authorize_url))
            .set_token_uri(TokenUrl::from_url(self.url("/oauth2/token/")))
            .set_redirect_uri(RedirectUrl::from_url(redirect_uri));
        Ok(OAuthClient(Arc::new(Inner {
            client: self.clone(),
            protocol,
            credentials,
        })))
    }
}

impl OAuthClient {
    /// Creates an authorization request with a random state and PKCE verifier.
    pub fn authorization(&self) -> Authorization {
        self.authorization_with(crate::random::hex(), Self::verifier())
    }

    /// Creates an authorization request with the caller's state and PKCE verifier.
    pub fn authorization_with(
        &self,
        state: impl Into<String>,
        verifier: impl Into<String>,
    ) -> Authorization {
        let (state, verifier) = (state.into(), verifier.into());
        let challenge =
            PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.clone()));
        let csrf_token = CsrfToken::new(state.clone());
        let request = self.0.protocol.authorize_url(move || csrf_token);
        let (url, _) = request.set_pkce_challenge(challenge).url();
        Authorization {
            url,
            state,
            verifier,
        }
    }

    /// Creates a random PKCE verifier (RFC 7636).
    pub fn verifier() -> String {
        PkceCodeChallenge::new_random_sha256().1.into_secret()
    }

    /// Exchanges the code of a redirect for tokens. A code expires after half an hour and works once.
    /// For a code that was requested without PKCE, any verifier is accepted.
    ///
    /// # Errors
    ///
    /// [`TokenError::InvalidGrant`] for a code that is invalid, used or expired, or a wrong
    /// verifier; [`TokenError::InvalidClient`] for a wrong client id or secret.
    pub async fn exchange(
        &self,
        code: &AuthorizationCode,
        verifier: &str,
    ) -> Result<TokenGrant, TokenError> {
        let endpoint = TokenEndpoint::new(self);
        let request = self
            .0
            .protocol
            .exchange_code(oauth2::AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()));
        let response = request.request_async(&endpoint).await;
        endpoint.grant(response, None)
    }

    /// Exchanges a refresh token for a new pair. The old pair is invalid immediately: store the new
    /// one before anything else.
    ///
    /// # Errors
    ///
    /// [`TokenError::InvalidGrant`] for a refresh token that was used, or whose member has left;
    /// [`TokenError::InvalidClient`] for a wrong client id or secret.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<TokenGrant, TokenError> {
        let endpoint = TokenEndpoint::new(self);
        let current = oauth2::RefreshToken::new(token.expose().to_owned());
        let request = self.0.protocol.exchange_refresh_token(&current);
        let response = request.request_async(&endpoint).await;
        endpoint.grant(response, Some(token))
    }

    /// Revokes a pair of tokens (RFC 7009). The member remains in the project.
    ///
    /// # Errors
    ///
    /// [`TokenError::InvalidClient`], or an error of the connection or the server.
    pub async fn revoke(&self, token: &RefreshToken) -> Result<(), TokenError> {
        self.revoke_token(token.expose(), "refresh_token").await
    }

    /// Revokes only an access token (RFC 7009). The refresh token of the pair remains valid.
    ///
    /// # Errors
    ///
    /// As for [`revoke`](Self::revoke).
    pub async fn revoke_access_token(&self, token: &AccessToken) -> Result<(), TokenError> {
        self.revoke_token(token.expose(), "access_token").await
    }

    async fn revoke_token(&self, token: &str, hint: &str) -> Result<(), TokenError> {
        let form = [("token", token), ("token_type_hint", hint)];
        self.manage("/oauth2/revoke_token/", &form).await?;
        Ok(())
    }

    /// Returns the state of an access token at the token endpoint (RFC 7662). An unknown token, or
    /// one of another client, is not active.
    ///
    /// Open Humans does not document this endpoint, so a deployment may respond with
    /// [`Error::Forbidden`] or [`Error::NotFound`]. The newest server also responds with
    /// [`Error::Forbidden`] to a wrong client secret.
    ///
    /// # Errors
    ///
    /// [`TokenError::InvalidClient`], or an error of the connection or the server.
    pub async fn introspect(&self, token: &AccessToken) -> Result<Introspection, TokenError> {
        let form = [("token", token.expose())];
        let response = self.manage("/oauth2/introspect/", &form).await?;
        // The body contains the member's username and is not quoted.
        serde_json::from_slice(response.body())
            .map_err(|_| unexpected(&response, "not an introspection response"))
    }

    /// Calls an endpoint that manages tokens and maps its errors.
    async fn manage(
        &self,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<http::Response<Bytes>, TokenError> {
        let response = self.post(path, form).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED => Err(TokenError::InvalidClient),
            StatusCode::FORBIDDEN => Err(TokenError::Other(Error::Forbidden {
                detail: "the client is not allowed to make this request".into(),
            })),
            StatusCode::NOT_FOUND => Err(TokenError::Other(Error::NotFound)),
            _ => Err(unexpected(&response, "not a response of a token endpoint")),
        }
    }

    /// Sends a form with the client's credentials. The crate `oauth2` refuses to send these forms over
    /// plain HTTP, which the sandbox uses.
    async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<http::Response<Bytes>, Error> {
        let form = serde_urlencoded::to_string(form)
            .map_err(|error| Error::invalid_input("form", error.to_string()))?;
        let form_type = "application/x-www-form-urlencoded";
        let request = http::Request::post(self.0.client.url(path).as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, self.0.credentials.clone())
            .header(header::CONTENT_TYPE, form_type)
            .body(form.into_bytes())
            .map_err(|error| Error::Network(TransportError::connect(error)))?;
        self.send(request).await
    }

    /// Sends a request. Repeats it only if it was not processed.
    async fn send(&self, request: HttpRequest) -> Result<http::Response<Bytes>, Error> {
        let (head, form) = request.into_parts();
        let form = Bytes::from(form);
        let client = &self.0.client;
        let send = || async {
            let body = Body::full(form.clone());
            let sent = self.send_once(http::Request::from_parts(head.clone(), body));
            let sent = tokio::time::timeout(client.idle_timeout(), sent).await;
            sent.unwrap_or(Err(Error::Timeout))
        };
        let policy = client.retry_policy();
        policy.run(Error::was_refused_by_connection, send).await
    }

    async fn send_once(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Bytes>, Error> {
        let client = &self.0.client;
        let (head, body) = client.transport().send(request).await?.into_parts();
        let status = head.status;
        // A 503 with Retry-After was not processed. Without it, a gateway may have stopped waiting
        // for the server's response.
        let retry_after = retry_after(&head.headers, client.time());
        if status == StatusCode::TOO_MANY_REQUESTS
            || (status == StatusCode::SERVICE_UNAVAILABLE && retry_after.is_some())
        {
            return Err(Error::RateLimited { retry_after });
        }
        if status.is_server_error() {
            return Err(Error::Server { status });
        }
        let body = read_all(body, MAX_TOKEN_RESPONSE).await?;
        Ok(http::Response::from_parts(head, body))
    }
}

/// The token endpoint during one request of the crate `oauth2`.
struct TokenEndpoint<'c> {
    oauth: &'c OAuthClient,
    requested_at: Timestamp,
    /// The status of the response, and its date.
    received: Mutex<(StatusCode, Option<Timestamp>)>,
}

impl<'c> TokenEndpoint<'c> {
    fn new(oauth: &'c OAuthClient) -> Self {
        Self {
            oauth,
            requested_at: oauth.0.client.now(),
            received: Mutex::new((StatusCode::OK, None)),
        }
    }

    /// Sends a request, and returns a response that `oauth2` can parse.
    async fn request(&self, mut request: HttpRequest) -> Result<HttpResponse, Error> {
        if let Some(credentials) = request.headers_mut().get_mut(header::AUTHORIZATION) {
            credentials.set_sensitive(true);
        }
        let response = self.oauth.send(request).await?;
        let date = response.headers().get(header::DATE);
        let date = date.and_then(|date| http_date(date.to_str().ok()?));
        *self.received.lock().unwrap_or_else(PoisonError::into_inner) = (response.status(), date);
        let body = json_text(response.body());
        let (status, body) = match response.status() {
            status if status.is_success() => (StatusCode::OK, standard_token_response(body)),
            status => (status, standard_error_response(body)),
        };
        let mut standard = HttpResponse::new(body.unwrap_or_default());
        *standard.status_mut() = status;
        Ok(standard)
    }

    /// Converts the result of a request. `current` is the refresh token that was sent.
    fn grant(
        self,
        response: Result<BasicTokenResponse, BasicRequestTokenError<Error>>,
        current: Option<&RefreshToken>,
    ) -> Result<TokenGrant, TokenError> {
        let received = self.received.into_inner();
        let (status, date) = received.unwrap_or_else(PoisonError::into_inner);
        let invalid = || TokenError::Other(Error::unexpected(status, "not a token response"));
        let response = response.map_err(|error| match error {
            RequestTokenError::ServerResponse(response) => token_error(response.error()),
            RequestTokenError::Request(error) => TokenError::Other(error),
            // The body can contain tokens and is not quoted.
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => invalid(),
        })?;
        // Without a new refresh token the current one remains valid (RFC 6749 section 6).
        let refresh_token = match (response.refresh_token(), current) {
            (Some(new), _) => RefreshToken::new(new.secret().as_str()),
            (None, Some(current)) => current.clone(),
            (None, None) => return Err(invalid()),
        };
        let access_token = AccessToken::new(response.access_token().secret().as_str());
        if !is_token(access_token.expose()) || !is_token(refresh_token.expose()) {
            return Err(invalid());
        }
        let lifetime = response.expires_in().unwrap_or(DEFAULT_LIFETIME);
        let scopes = response.scopes().into_iter().flatten();
        Ok(TokenGrant {
            tokens: Tokens::new(
                access_token,
                refresh_token,
                self.requested_at + lifetime.min(MAX_LIFETIME),
            ),
            granted_at: date.unwrap_or(self.requested_at),
            scope: scopes.map(|scope| scope.to_string()).collect(),
            token_type: response.token_type().as_ref().to_owned(),
        })
    }
}

impl<'c> AsyncHttpClient<'c> for TokenEndpoint<'_> {
    type Error = Error;
    type Future = BoxFuture<'c, Result<HttpResponse, Error>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.request(request).boxed()
    }
}

/// Rewrites a token response as RFC 6749 section 5.1 requires it, if it contains an access token.
fn standard_token_response(body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Received {
        access_token: String,
        #[serde(default, deserialize_with = "lenient")]
        refresh_token: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        expires_in: Option<Seconds>,
        #[serde(default, deserialize_with = "lenient")]
        scope: Option<Scope>,
        #[serde(default, deserialize_with = "lenient")]
        token_type: Option<String>,
    }
    let received: Received = serde_json::from_slice(body).ok()?;
    let lifetime = received
        .expires_in
        .map(|seconds| seconds.lifetime().as_secs());
    let standard = json!({
        "access_token": received.access_token,
        "refresh_token": received.refresh_token,
        "expires_in": lifetime,
        "scope": received.scope.map(Scope::into_text),
        "token_type": received.token_type.as_deref().unwrap_or("bearer"),
    });
    Some(standard.to_string().into_bytes())
}

/// Reduces an error response (RFC 6749 section 5.2) to its code.
fn standard_error_response(body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Received {
        error: String,
    }
    let Received { error } = serde_json::from_slice(body).ok()?;
    Some(json!({ "error": error }).to_string().into_bytes())
}

/// A number of seconds, which some servers send as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    fn lifetime(self) -> Duration {
        let seconds = match self {
            Self::Number(seconds) => Some(seconds),
            Self::Text(text) => text.trim().parse().ok(),
        };
        seconds.map_or(DEFAULT_LIFETIME, |seconds| {
            Duration::try_from_secs_f64(seconds.max(0.0))
                .map_or(MAX_LIFETIME, |lifetime| lifetime.min(MAX_LIFETIME))
        })
    }
}

/// Scopes, which the protocol separates by blanks and some servers send as a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scope {
    Text(String),
    List(Vec<String>),
}

impl Scope {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Self::List(scopes) => scopes.join(" "),
        }
    }
}

/// Converts the code of an error response.
fn token_error(code: &BasicErrorResponseType) -> TokenError {
    match code {
        BasicErrorResponseType::InvalidGrant => TokenError::InvalidGrant,
        BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => {
            TokenError::InvalidClient
        }
        other => {
            let code = other.as_ref().chars();
            let code: String = code.filter(char::is_ascii_graphic).take(40).collect();
            let problems = vec![Problem::new(code)];
            TokenError::Other(Error::BadRequest { problems })
        }
    }
}

/// Creates an error that does not quote the body, which can contain tokens.
fn unexpected(response: &http::Response<Bytes>, excerpt: &str) -> TokenError {
    TokenError::Other(Error::unexpected(response.status(), excerpt))
}

/// Removes a byte order mark, which JSON parsers reject.
fn json_text(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

/// Whether a token can be sent in a header and a form: visible ASCII. RFC 6749 appendix A.12 also
/// allows blanks, which an `Authorization` header cannot transmit.
fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Formats client credentials for HTTP Basic authentication (RFC 6749 section 2.3.1).
fn basic(id: &str, secret: &str) -> HeaderValue {
    let encoded = |text: &str| {
        let text = text.as_bytes();
        url::form_urlencoded::byte_serialize(text).collect::<String>()
    };
    let both = format!("{}:{}", encoded(id), encoded(secret));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both)))
        .expect("base64 is valid in a header value");
    value.set_sensitive(true);
    value
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OAuthClient(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;
    use std::sync::Arc;

    fn oauth(mock: &Arc<MockTransport>) -> OAuthClient {
        let clock = crate::Clock::manual("2026-11-22T16:31:27Z".parse().unwrap());
        let client = mock.client().clock(clock);
        client
            .oauth("id", "secret", "https://app.example/done")
            .unwrap()
    }

    async fn refreshed(status: u16, body: String) -> Result<TokenGrant, TokenError> {
        let mock = MockTransport::new();
        mock.respond_with(move || {
            let response = http::Response::builder()
                .status(status)
                .header("content-type", "application/json");
            Ok(response.body(Body::full(body)).unwrap())
        });
        oauth(&mock).refresh(&RefreshToken::new("old")).await
    }

    #[tokio::test]
    async fn token_error_message_is_short_without_control_characters() {
        let text = format!("bad\n\u{1b}[31m\u{9b}2J {}", "x".repeat(60_000));
        let body = serde_json::json!({"error": text, "error_description": text, "error_uri": text});
        let error = refreshed(400, body.to_string()).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.len() < 400, "{} bytes", shown.len());
        assert!(!shown.contains(char::is_control), "{shown}");
        assert!(
            !shown.contains("\\u{1b}") && !shown.contains("\\n"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn token_response_with_invalid_token_is_rejected() {
        let long = "x".repeat(MAX_TOKEN_LEN + 1);
        for bad in ["", "a b", "a\nb", "a\u{7f}", "é", long.as_str()] {
            for (access, refresh) in [(bad, "good"), ("good", bad)] {
                let body = serde_json::json!({
                    "access_token": access, "refresh_token": refresh, "token_type": "Bearer",
                });
                let error = refreshed(200, body.to_string()).await.unwrap_err();
                let shown = format!("{error:?}");
                assert!(
                    matches!(error, TokenError::Other(Error::UnexpectedResponse { .. })),
                    "{shown}"
                );
                assert!(!shown.contains("good"), "{shown}");
            }
        }
    }

    #[tokio::test]
    async fn token_response_is_parsed_leniently_if_both_tokens_are_present() {
        let now: Timestamp = "2026-11-22T16:31:27Z".parse().unwrap();
        let year = MAX_LIFETIME.as_secs();
        for (fields, lifetime, scope) in [
            (
                r#","token_type":"Bearer","expires_in":3600,"scope":"read write""#,
                3_600,
                2,
            ),
            (r#","expires_in":"3600","scope":["read","write"]"#, 3_600, 2),
            (r#","expires_in":3600.9"#, 3_600, 0),
            (
                r#","expires_in":18446744073709551615,"scope":null"#,
                year,
                0,
            ),
            (r#","expires_in":-1"#, 0, 0),
            (r#","expires_in":{},"scope":5,"token_type":[]"#, 36_000, 0),
        ] {
            for (status, content_type) in [
                (200, "application/json"),
                (201, "text/html"),
                (200, "application/problem+json; charset=utf-8"),
            ] {
                let mock = MockTransport::new();
                let body =
                    format!("\u{feff}{{\"access_token\":\"a\",\"refresh_token\":\"r\"{fields}}}");
                mock.respond_with(move || {
                    let response = http::Response::builder()
                        .status(status)
                        .header("content-type", content_type);
                    Ok(response.body(Body::full(body)).unwrap())
                });
                let refreshed = oauth(&mock).refresh(&RefreshToken::new("old")).await;
                let grant = refreshed.unwrap();
                assert_eq!(grant.tokens.refresh_token.expose(), "r", "{fields}");
                let actual = grant.tokens.expires_at.since(now).as_secs();
                assert_eq!((actual, grant.scope.len()), (lifetime, scope), "{fields}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn token_request_is_repeated_only_if_connection_refused_it() {
        let mock = MockTransport::new();
        let pair = r#"{"access_token":"a","refresh_token":"r"}"#;
        mock.respond_with(|| Err(TransportError::unprocessed("GOAWAY")))
            .respond(200, pair);
        let old = RefreshToken::new("old");
        oauth(&mock).refresh(&old).await.unwrap();
        mock.requests();
        for error in [
            TransportError::other("reset"),
            TransportError::connect("no"),
        ] {
            mock.respond_with(move || Err(error));
            oauth(&mock).refresh(&old).await.unwrap_err();
            assert_eq!(mock.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn revocation_names_the_kind_of_token() {
        let mock = MockTransport::new();
        mock.respond(200, "").respond(200, "");
        let oauth = oauth(&mock);
        oauth.revoke(&RefreshToken::new("r")).await.unwrap();
        let access = AccessToken::new("a");
        oauth.revoke_access_token(&access).await.unwrap();
        let bodies = mock
            .requests()
            .into_iter()
            .map(|request| request.into_body());
        let expected = [
            "token=r&token_type_hint=refresh_token",
            "token=a&token_type_hint=access_token",
        ];
        assert!(bodies.eq(expected));
    }

    #[tokio::test]
    async fn introspection_sends_client_credentials() {
        let mock = MockTransport::new();
        mock.respond(
            200,
            r#"{"active":true,"scope":"read write","exp":1795363887}"#,
        )
        .respond(200, r#"{"active":false}"#)
        .respond(403, "<html>")
        .respond(200, r#"{"username":"alice"}"#);
        let oauth = oauth(&mock);
        let token = AccessToken::new("a token");
        let known = oauth.introspect(&token).await.unwrap();
        assert!(known.active && known.scope.as_deref() == Some("read write"));
        assert_eq!(known.exp, Some(1_795_363_887));
        assert!(!oauth.introspect(&token).await.unwrap().active);
        let refused = oauth.introspect(&token).await.unwrap_err();
        assert!(matches!(
            refused,
            TokenError::Other(Error::Forbidden { .. })
        ));
        let invalid = oauth.introspect(&token).await.unwrap_err();
        assert!(!format!("{invalid:?}").contains("alice"));
        let request = mock.requests().remove(0);
        assert_eq!(request.uri().path(), "/oauth2/introspect/");
        assert_eq!(
            request.headers()[http::header::AUTHORIZATION],
            "Basic aWQ6c2VjcmV0"
        );
        assert_eq!(request.body(), "token=a+token");
    }

    #[test]
    fn authorization_url_adds_approval_prompt_and_scope() {
        let authorization = oauth(&MockTransport::new()).authorization();
        let plain = authorization.url().query().unwrap().to_owned();
        assert!(!plain.contains("approval_prompt") && !plain.contains("scope"));
        let requests = authorization.force_approval().scope("read write");
        let added = requests
            .url()
            .query()
            .unwrap()
            .strip_prefix(&plain)
            .unwrap();
        assert_eq!(added, "&approval_prompt=force&scope=read+write");
    }
}
