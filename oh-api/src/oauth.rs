//! The OAuth2 side of Open Humans: where a member authorizes, and the token endpoint.
//!
//! A web app has no need to call this by hand: its login routes do all of it, and keep the tokens
//! alive. Scripts and tools that hold a member's tokens themselves use an [`OAuthClient`].
//!
//! The `oauth2` crate speaks the protocol; this module gives it the client's transport, and says
//! what went wrong in this library's own words. Token requests follow no redirect and are never
//! sent twice: a code and a refresh token work once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use http_body_util::{BodyExt, Limited};
use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    AsyncHttpClient, AuthUrl, AuthorizationCode as Code, ClientId, ClientSecret as Secret,
    CsrfToken, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken as Refresh, RequestTokenError, TokenResponse,
    TokenUrl,
};
use url::Url;

use crate::rest::base_url::check_base_url;
use crate::rest::client::Client;
use crate::rest::response::{http_date, retry_after};
use crate::transport::{Body, BoxError, TransportError};
use crate::{
    AccessToken, AuthorizationCode, ClientSecret, Error, Problem, RefreshToken, Timestamp,
};

/// The most an answer of the token endpoint may hold, in bytes.
const MAX_TOKEN_RESPONSE: usize = 64 * 1024;

/// Open Humans' access tokens live 36,000 s; used when an answer does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(36_000);

/// No answer is believed that a token lives longer than this.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Longer tokens are not Open Humans'.
const MAX_TOKEN: usize = 4_096;

type Protocol =
    BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// A member's OAuth2 tokens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tokens {
    /// Sent as `Authorization: Bearer`.
    pub access_token: AccessToken,
    /// Exchanged for the next pair.
    pub refresh_token: RefreshToken,
    /// When the access token stops working, by our clock.
    pub expires_at: Timestamp,
}

impl Tokens {
    /// A pair and when its access token expires.
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

/// What the token endpoint gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenGrant {
    /// The new pair.
    pub tokens: Tokens,
    /// When it was given: by Open Humans' clock, to the second; by ours if it did not say.
    pub granted_at: Timestamp,
}

/// What the token endpoint knows of a token (RFC 7662 section 2.2).
#[derive(Clone, Debug, serde::Deserialize)]
#[non_exhaustive]
pub struct Introspection {
    /// Whether it works. Where it does not, nothing else is said.
    pub active: bool,
    /// What it may be used for, separated by blanks.
    #[serde(default)]
    pub scope: Option<String>,
    /// The client it was given to.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Whose it is.
    #[serde(default)]
    pub username: Option<String>,
    /// When it stops working, in seconds since 1970.
    #[serde(default)]
    pub exp: Option<i64>,
}

/// Why there are no tokens.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The code or the refresh token is not good, or no longer: wrong, used or expired, or its
    /// member has left (RFC 6749 section 5.2).
    #[error("Open Humans does not know the code or refresh token, or no longer (invalid_grant)")]
    InvalidGrant,
    /// The client id or secret is not good.
    #[error("Open Humans does not accept the client id and secret (invalid_client)")]
    InvalidClient,
    /// Anything else.
    #[error(transparent)]
    Other(#[from] Error),
}

impl TokenError {
    /// Whether the server may have acted all the same. Then a code or a refresh token may be used
    /// up, and what it was exchanged for is lost.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::InvalidGrant | Self::InvalidClient => false,
            Self::Other(Error::Network(TransportError::Connect(_))) => false,
            Self::Other(Error::BadRequest { .. } | Error::RateLimited { .. }) => false,
            Self::Other(Error::InvalidInput { .. }) => false,
            Self::Other(Error::UnexpectedResponse { status, .. }) => !status.is_client_error(),
            // Not implemented, HTTP version not supported: whoever says so did not understand.
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

    /// Asks the member in any case. Otherwise Open Humans does not ask a member who has a live token,
    /// and so an app could neither offer another account nor ask for permissions it has added.
    #[must_use]
    pub fn force_approval(mut self) -> Self {
        let mut query = self.url.query_pairs_mut();
        query.append_pair("approval_prompt", "force");
        drop(query);
        self
    }

    /// Asks for these scopes, such as `read write`, and not for those the project has by default
    /// (RFC 6749 section 3.3).
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        let mut query = self.url.query_pairs_mut();
        query.append_pair("scope", scope);
        drop(query);
        self
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

/// The project's OAuth2 client: sends members to Open Humans and turns what they come back with
/// into tokens. Cheap to clone.
///
/// ```
/// use oh_api::Client;
///
/// let client = Client::new("https://www.openhumans.org")?;
/// let oauth = client.oauth("client-id", "client-secret", "http://localhost:8000/done")?;
/// let authorization = oauth.authorization();
/// println!("open {}", authorization.url());
/// // The browser comes back to the redirect URI with `code` and `state` in the query. Then:
/// // let granted = oauth.exchange(&code, authorization.verifier()).await?;
/// # Ok::<(), oh_api::Error>(())
/// ```
///
/// Source: "OAuth2 Project Setup" (`/direct-sharing/oauth2-setup/`), RFC 6749 and RFC 7636.
#[derive(Clone)]
pub struct OAuthClient(Arc<Inner>);

struct Inner {
    protocol: Protocol,
    /// Client id and secret, as a header.
    credentials: HeaderValue,
    revocation_url: Url,
    introspection_url: Url,
    client: Client,
}

impl Client {
    /// The project's OAuth2 client at this server.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when one of the values cannot be used, such as the hash that the
    /// project page shows in place of the client secret.
    pub fn oauth(
        &self,
        client_id: impl Into<String>,
        client_secret: impl Into<ClientSecret>,
        redirect_uri: &str,
    ) -> Result<OAuthClient, Error> {
        let (client_id, client_secret) = (client_id.into(), client_secret.into());
        let invalid = |argument, reason: &str| Error::InvalidInput {
            argument,
            reason: reason.into(),
        };
        if client_id.trim().is_empty() {
            return Err(invalid("client id", "it is empty"));
        }
        if client_secret.expose().trim().is_empty() {
            return Err(invalid("client secret", "it is empty"));
        }
        if client_secret.is_stored_hash() {
            let reason = "it is the hash that the project page shows, not the secret itself";
            return Err(invalid("client secret", reason));
        }
        let redirect_uri =
            check_base_url(redirect_uri).map_err(|e| invalid("redirect URI", &e.to_string()))?;
        let credentials = basic(&client_id, client_secret.expose());
        let protocol = BasicClient::new(ClientId::new(client_id))
            .set_client_secret(Secret::new(client_secret.expose().to_owned()))
            .set_auth_uri(AuthUrl::from_url(
                self.url("/direct-sharing/projects/oauth2/authorize/"),
            ))
            .set_token_uri(TokenUrl::from_url(self.url("/oauth2/token/")))
            .set_redirect_uri(RedirectUrl::from_url(redirect_uri));
        Ok(OAuthClient(Arc::new(Inner {
            protocol,
            credentials,
            revocation_url: self.url("/oauth2/revoke_token/"),
            introspection_url: self.url("/oauth2/introspect/"),
            client: self.clone(),
        })))
    }
}

impl OAuthClient {
    /// A new way to authorize, with a state and a PKCE verifier of its own.
    pub fn authorization(&self) -> Authorization {
        self.authorization_with(crate::random::hex(), Self::verifier())
    }

    /// A way to authorize with a state and a verifier of the caller's own.
    pub fn authorization_with(
        &self,
        state: impl Into<String>,
        verifier: impl Into<String>,
    ) -> Authorization {
        let (state, verifier) = (state.into(), verifier.into());
        Authorization {
            url: self.authorization_url(&state, &verifier),
            state,
            verifier,
        }
    }

    /// A fresh PKCE verifier (RFC 7636).
    pub fn verifier() -> String {
        PkceCodeChallenge::new_random_sha256().1.into_secret()
    }

    /// Where to send the member, for a state and a verifier of the caller's own.
    pub fn authorization_url(&self, state: &str, verifier: &str) -> Url {
        let verifier = PkceCodeVerifier::new(verifier.to_owned());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let state = CsrfToken::new(state.to_owned());
        self.0
            .protocol
            .authorize_url(move || state)
            .set_pkce_challenge(challenge)
            .url()
            .0
    }

    /// Exchanges the code the member came back with. Codes live half an hour and work once. For a
    /// code that was asked for without PKCE any verifier does.
    ///
    /// # Errors
    ///
    /// [`TokenError::InvalidGrant`] for a code that is wrong, used or expired, or another
    /// verifier; [`TokenError::InvalidClient`] for a wrong client id or secret.
    pub async fn exchange(
        &self,
        code: &AuthorizationCode,
        verifier: &str,
    ) -> Result<TokenGrant, TokenError> {
        let caller = Caller::new(&self.0.client);
        let answer = self
            .0
            .protocol
            .exchange_code(Code::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .request_async(&caller)
            .await;
        granted(answer, &caller, None)
    }

    /// Exchanges a refresh token for a new pair. The old pair is dead at once: keep the new one
    /// before anything else.
    ///
    /// # Errors
    ///
    /// [`TokenError::InvalidGrant`] for one that is used, or whose member has left;
    /// [`TokenError::InvalidClient`] for a wrong client id or secret.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<TokenGrant, TokenError> {
        let caller = Caller::new(&self.0.client);
        let refresh = Refresh::new(token.expose().to_owned());
        let answer = self
            .0
            .protocol
            .exchange_refresh_token(&refresh)
            .request_async(&caller)
            .await;
        granted(answer, &caller, Some(token))
    }

    /// Makes a pair unusable (RFC 7009). The member stays in the project.
    ///
    /// # Errors
    ///
    /// [`TokenError::InvalidClient`], or what the connection or the server ends in.
    pub async fn revoke(&self, token: &RefreshToken) -> Result<(), TokenError> {
        let form = [
            ("token", token.expose()),
            ("token_type_hint", "refresh_token"),
        ];
        self.post(&self.0.revocation_url, &form).await.map(|_| ())
    }

    /// What the token endpoint knows of an access token (RFC 7662). A token of another client, or
    /// one that is not known, is not active; neither is an error.
    ///
    /// Open Humans' server has this endpoint and documents no use of it: a deployment may refuse
    /// it, as [`Error::Forbidden`] or [`Error::NotFound`].
    ///
    /// # Errors
    ///
    /// [`TokenError::InvalidClient`], or what the connection or the server ends in.
    pub async fn introspect(&self, token: &AccessToken) -> Result<Introspection, TokenError> {
        let form = [("token", token.expose())];
        let answer = self.post(&self.0.introspection_url, &form).await?;
        // The body names the member's account, so none of it is shown.
        serde_json::from_slice(answer.body()).map_err(|_| {
            TokenError::Other(Error::UnexpectedResponse {
                status: answer.status(),
                excerpt: "not an answer to an introspection".into(),
            })
        })
    }

    /// Sends a form as the client. The oauth2 crate would refuse to send this to loopback, where
    /// there is only http.
    async fn post(&self, url: &Url, form: &[(&str, &str)]) -> Result<HttpResponse, TokenError> {
        let form = serde_urlencoded::to_string(form).expect("two texts make a form");
        let request = http::Request::post(url.as_str())
            .header(http::header::ACCEPT, "*/*")
            .header(http::header::AUTHORIZATION, self.0.credentials.clone())
            .header(
                http::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            )
            .body(form.into_bytes())
            .expect("an address, two headers and a form make a request");
        let caller = Caller::new(&self.0.client);
        let answer = caller.call(request).await;
        match answer.map_err(|CallFailed(error)| TokenError::Other(error))? {
            answer if answer.status().is_success() => Ok(answer),
            answer if answer.status() == http::StatusCode::UNAUTHORIZED => {
                Err(TokenError::InvalidClient)
            }
            answer if answer.status() == http::StatusCode::FORBIDDEN => {
                let detail = "the client may not ask this".into();
                Err(TokenError::Other(Error::Forbidden { detail }))
            }
            answer if answer.status() == http::StatusCode::NOT_FOUND => {
                Err(TokenError::Other(Error::NotFound))
            }
            _ => Err(TokenError::Other(caller.unexpected())),
        }
    }
}

fn granted(
    answer: Result<
        oauth2::basic::BasicTokenResponse,
        RequestTokenError<CallFailed, oauth2::basic::BasicErrorResponse>,
    >,
    caller: &Caller<'_>,
    before: Option<&RefreshToken>,
) -> Result<TokenGrant, TokenError> {
    let answer = answer.map_err(|error| match error {
        RequestTokenError::ServerResponse(said) => match said.error() {
            BasicErrorResponseType::InvalidGrant => TokenError::InvalidGrant,
            BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => {
                TokenError::InvalidClient
            }
            other => {
                let code = other.to_string();
                let code: String = code
                    .chars()
                    .filter(char::is_ascii_graphic)
                    .take(40)
                    .collect();
                let problems = vec![Problem::new(code)];
                TokenError::Other(Error::BadRequest { problems })
            }
        },
        RequestTokenError::Request(CallFailed(error)) => TokenError::Other(error),
        // An answer that is not the protocol's, such as an HTML page.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            TokenError::Other(caller.unexpected())
        }
    })?;
    let refresh_token = match (answer.refresh_token(), before) {
        (Some(new), _) => RefreshToken::new(new.secret().as_str()),
        // RFC 6749 section 6: none given means the old one goes on.
        (None, Some(old)) => old.clone(),
        (None, None) => return Err(TokenError::Other(caller.unexpected())),
    };
    let access_token = AccessToken::from(answer.access_token().secret().as_str());
    if !is_token(access_token.expose()) || !is_token(refresh_token.expose()) {
        return Err(TokenError::Other(caller.unexpected()));
    }
    let lifetime = answer.expires_in().unwrap_or(DEFAULT_LIFETIME);
    let expires_at = caller.asked_at + lifetime.min(MAX_LIFETIME);
    Ok(TokenGrant {
        tokens: Tokens::new(access_token, refresh_token, expires_at),
        granted_at: caller.seen().date.unwrap_or(caller.asked_at),
    })
}

/// Whether a header and a form can carry it: visible ASCII (RFC 6749 appendix A.12 allows blanks,
/// too, which no `Authorization` header keeps).
fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Client credentials as HTTP Basic wants them (RFC 6749 section 2.3.1).
fn basic(id: &str, secret: &str) -> HeaderValue {
    let encoded = |text: &str| {
        let text = text.as_bytes();
        url::form_urlencoded::byte_serialize(text).collect::<String>()
    };
    let both = format!("{}:{}", encoded(id), encoded(secret));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both)))
        .expect("base64 makes a header value");
    value.set_sensitive(true);
    value
}

/// What one call saw of the answer, besides what the `oauth2` crate reads.
#[derive(Default, Clone, Copy)]
struct Seen {
    status: http::StatusCode,
    date: Option<Timestamp>,
}

/// Sends one request for the `oauth2` crate.
struct Caller<'a> {
    client: &'a Client,
    asked_at: Timestamp,
    seen: Mutex<Seen>,
}

/// The request got no answer that could be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct CallFailed(Error);

impl<'a> Caller<'a> {
    fn new(client: &'a Client) -> Self {
        Self {
            client,
            asked_at: client.time().now(),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unexpected(&self) -> Error {
        // The body may hold tokens, so none of it is shown.
        let excerpt = "not an answer of an OAuth2 token endpoint".to_owned();
        Error::UnexpectedResponse {
            status: self.seen().status,
            excerpt,
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, CallFailed> {
        let sent = self.client.transport().send(request.map(Body::full)).await;
        let (head, body) = sent.map_err(|e| CallFailed(e.into()))?.into_parts();
        let date = head
            .headers
            .get(http::header::DATE)
            .and_then(|v| v.to_str().ok());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
            status: head.status,
            date: date.and_then(http_date),
        };
        // A 503 that says when to come back has turned the request away. One that does not may be
        // a gateway that did not wait for the answer.
        let wait = retry_after(&head.headers, self.client.time());
        if head.status == http::StatusCode::TOO_MANY_REQUESTS
            || (head.status == http::StatusCode::SERVICE_UNAVAILABLE && wait.is_some())
        {
            return Err(CallFailed(Error::RateLimited { retry_after: wait }));
        }
        if head.status.is_server_error() {
            return Err(CallFailed(Error::Server {
                status: head.status,
            }));
        }
        let body = Limited::new(body, MAX_TOKEN_RESPONSE)
            .collect()
            .await
            .map_err(|e: BoxError| CallFailed(Error::Network(TransportError::other(e))))?;
        Ok(http::Response::from_parts(head, body.to_bytes().to_vec()))
    }
}

impl<'c> AsyncHttpClient<'c> for Caller<'_> {
    type Error = CallFailed;
    type Future = BoxFuture<'c, Result<HttpResponse, CallFailed>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let sent = tokio::time::timeout(self.client.idle_timeout(), self.send(request));
        async { sent.await.unwrap_or(Err(CallFailed(Error::Timeout))) }.boxed()
    }
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
    async fn an_error_text_is_short_and_on_one_line() {
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
    async fn a_token_no_header_can_carry_is_refused() {
        let long = "x".repeat(MAX_TOKEN + 1);
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
    async fn no_lifetime_is_without_bound() {
        for (given, seconds) in [
            ("36000", 36_000),
            ("18446744073709551615", 366 * 24 * 3_600),
        ] {
            let body = format!(
                r#"{{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":{given}}}"#
            );
            let granted = refreshed(200, body).await.unwrap();
            let now: Timestamp = "2026-11-22T16:31:27Z".parse().unwrap();
            let lifetime = granted.tokens.expires_at.since(now);
            assert_eq!(lifetime, Duration::from_secs(seconds));
        }
    }

    #[tokio::test]
    async fn introspection_asks_as_the_client() {
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
        let strange = oauth.introspect(&token).await.unwrap_err();
        assert!(!format!("{strange:?}").contains("alice"));
        let requests = mock.requests().remove(0);
        assert_eq!(requests.uri().path(), "/oauth2/introspect/");
        assert_eq!(
            requests.headers()[http::header::AUTHORIZATION],
            "Basic aWQ6c2VjcmV0"
        );
        assert_eq!(requests.body(), "token=a+token");
    }

    #[test]
    fn an_app_can_have_the_member_asked_again() {
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
