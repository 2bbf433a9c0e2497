//! The OAuth2 side of Open Humans: where a member authorizes, and the token endpoint.
//!
//! The `oauth2` crate speaks the protocol; this module gives it our transport, and says what went
//! wrong in our own words. Token requests follow no redirect and are never sent twice: a code and
//! a refresh token work once.

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

use crate::api::retry_after;
use crate::store::Tokens;
use crate::transport::{Body, BoxError, Transport, TransportError};
use crate::{AuthorizationCode, Clock, Error, RefreshToken, Settings, Timestamp};

/// The most an answer of the token endpoint may hold, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Open Humans' access tokens live 36,000 s; used when an answer does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(36_000);

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The code or the refresh token is not good, or no longer (RFC 6749 section 5.2).
    #[error("invalid_grant")]
    InvalidGrant,
    /// The client id or secret is not good.
    #[error("invalid_client")]
    InvalidClient,
    /// Anything else.
    #[error(transparent)]
    Other(Error),
}

impl TokenError {
    /// Whether the server may have acted all the same: then a refresh token may be used up.
    pub(crate) fn may_have_happened(&self) -> bool {
        match self {
            Self::InvalidGrant | Self::InvalidClient => false,
            Self::Other(Error::Network(TransportError::Connect(_))) => false,
            Self::Other(Error::BadRequest { .. } | Error::RateLimited { .. }) => false,
            Self::Other(Error::NotUnderstood { status, .. }) => !status.is_client_error(),
            Self::Other(_) => true,
        }
    }
}

/// New tokens.
pub(crate) struct Granted {
    pub(crate) tokens: Tokens,
    /// When, by Open Humans' clock, rounded down to the second; by ours if it did not say.
    pub(crate) at: Timestamp,
}

/// The project's OAuth2 client at Open Humans.
pub(crate) struct OAuth {
    client: Client,
    /// Client id and secret, as a header.
    credentials: HeaderValue,
    revocation_url: Url,
    transport: Arc<dyn Transport>,
    timeout: Duration,
    clock: Clock,
}

impl OAuth {
    pub(crate) fn new(settings: &Settings, transport: Arc<dyn Transport>, clock: Clock) -> Self {
        let at = |path: &str| {
            let base = settings.oh_base_url.as_str().trim_end_matches('/');
            Url::parse(&format!("{base}{path}")).expect("a base URL and a path make a URL")
        };
        let client = BasicClient::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(Secret::new(settings.client_secret.expose().to_owned()))
            .set_auth_uri(AuthUrl::from_url(at(
                "/direct-sharing/projects/oauth2/authorize/",
            )))
            .set_token_uri(TokenUrl::from_url(at("/oauth2/token/")))
            .set_redirect_uri(RedirectUrl::from_url(settings.redirect_uri.clone()));
        Self {
            client,
            credentials: basic(&settings.client_id, settings.client_secret.expose()),
            revocation_url: at("/oauth2/revoke_token/"),
            transport,
            timeout: settings.timeout,
            clock,
        }
    }

    /// A fresh PKCE verifier.
    pub(crate) fn verifier() -> String {
        PkceCodeChallenge::new_random_sha256().1.into_secret()
    }

    /// Where to send the member.
    pub(crate) fn authorization_url(&self, state: &str, verifier: &str) -> Url {
        let verifier = PkceCodeVerifier::new(verifier.to_owned());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let state = CsrfToken::new(state.to_owned());
        self.client
            .authorize_url(move || state)
            .set_pkce_challenge(challenge)
            .url()
            .0
    }

    /// Exchanges the code the member came back with.
    pub(crate) async fn exchange(
        &self,
        code: &AuthorizationCode,
        verifier: &str,
    ) -> Result<Granted, TokenError> {
        let caller = Caller::new(self);
        let answer = self
            .client
            .exchange_code(Code::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .request_async(&caller)
            .await;
        self.granted(answer, &caller, None)
    }

    /// Exchanges a refresh token. It then no longer works, and the access token neither.
    pub(crate) async fn refresh(&self, token: &RefreshToken) -> Result<Granted, TokenError> {
        let caller = Caller::new(self);
        let refresh = Refresh::new(token.expose().to_owned());
        let answer = self
            .client
            .exchange_refresh_token(&refresh)
            .request_async(&caller)
            .await;
        self.granted(answer, &caller, Some(token))
    }

    /// Tells Open Humans that a pair is not wanted any more (RFC 7009).
    pub(crate) async fn revoke(&self, token: &RefreshToken) -> Result<(), TokenError> {
        // The crate would refuse to send this to loopback, where there is only http.
        let form = [
            ("token", token.expose()),
            ("token_type_hint", "refresh_token"),
        ];
        let form = serde_urlencoded::to_string(form).expect("two texts make a form");
        let request = http::Request::post(self.revocation_url.as_str())
            .header(http::header::ACCEPT, "*/*")
            .header(http::header::AUTHORIZATION, self.credentials.clone())
            .header(
                http::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            )
            .body(form.into_bytes())
            .expect("an address, two headers and a form make a request");
        let caller = Caller::new(self);
        let answer = caller.call(request).await;
        match answer.map_err(|CallFailed(error)| TokenError::Other(error))? {
            answer if answer.status().is_success() => Ok(()),
            answer if answer.status() == http::StatusCode::UNAUTHORIZED => {
                Err(TokenError::InvalidClient)
            }
            _ => Err(TokenError::Other(caller.not_understood())),
        }
    }

    fn granted(
        &self,
        answer: Result<
            oauth2::basic::BasicTokenResponse,
            RequestTokenError<CallFailed, oauth2::basic::BasicErrorResponse>,
        >,
        caller: &Caller<'_>,
        before: Option<&RefreshToken>,
    ) -> Result<Granted, TokenError> {
        let answer = answer.map_err(|error| match error {
            RequestTokenError::ServerResponse(said) => match said.error() {
                BasicErrorResponseType::InvalidGrant => TokenError::InvalidGrant,
                BasicErrorResponseType::InvalidClient
                | BasicErrorResponseType::UnauthorizedClient => TokenError::InvalidClient,
                other => TokenError::Other(Error::BadRequest {
                    problems: vec![(String::new(), other.to_string())],
                }),
            },
            RequestTokenError::Request(CallFailed(error)) => TokenError::Other(error),
            // An answer that is not the protocol's, such as an HTML page.
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                TokenError::Other(caller.not_understood())
            }
        })?;
        let refresh_token = match (answer.refresh_token(), before) {
            (Some(new), _) => RefreshToken::new(new.secret().as_str()),
            // RFC 6749 section 6: none given means the old one goes on.
            (None, Some(old)) => old.clone(),
            (None, None) => return Err(TokenError::Other(caller.not_understood())),
        };
        let lifetime = answer.expires_in().unwrap_or(DEFAULT_LIFETIME);
        Ok(Granted {
            tokens: Tokens {
                access_token: answer.access_token().secret().as_str().into(),
                refresh_token,
                expires_at: caller.asked_at + lifetime,
            },
            at: caller.seen().date.unwrap_or(caller.asked_at),
        })
    }
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
    oauth: &'a OAuth,
    asked_at: Timestamp,
    seen: Mutex<Seen>,
}

/// The request got no answer that could be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct CallFailed(Error);

impl<'a> Caller<'a> {
    fn new(oauth: &'a OAuth) -> Self {
        Self {
            oauth,
            asked_at: oauth.clock.now(),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_understood(&self) -> Error {
        // The body may hold tokens, so none of it is shown.
        let excerpt = "not an answer of an OAuth2 token endpoint".to_owned();
        Error::NotUnderstood {
            status: self.seen().status,
            excerpt,
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, CallFailed> {
        let sent = self.oauth.transport.send(request.map(Body::full)).await;
        let (head, body) = sent.map_err(|e| CallFailed(e.into()))?.into_parts();
        let date = head
            .headers
            .get(http::header::DATE)
            .and_then(|v| v.to_str().ok());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
            status: head.status,
            date: date.and_then(Timestamp::from_http_date),
        };
        if head.status == http::StatusCode::TOO_MANY_REQUESTS {
            let retry_after = retry_after(&head.headers, &self.oauth.clock);
            return Err(CallFailed(Error::RateLimited { retry_after }));
        }
        if head.status.is_server_error() {
            return Err(CallFailed(Error::Server {
                status: head.status,
            }));
        }
        let body = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(|e: BoxError| CallFailed(Error::Network(TransportError::Other(e))))?;
        Ok(http::Response::from_parts(head, body.to_bytes().to_vec()))
    }
}

impl<'c> AsyncHttpClient<'c> for Caller<'_> {
    type Error = CallFailed;
    type Future = BoxFuture<'c, Result<HttpResponse, CallFailed>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let sent = tokio::time::timeout(self.oauth.timeout, self.send(request));
        async { sent.await.unwrap_or(Err(CallFailed(Error::Timeout))) }.boxed()
    }
}
