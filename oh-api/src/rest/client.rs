//! The API client: which server to call, and how.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use url::Url;

use crate::rest::base_url::check_base_url;
use crate::rest::call::{Call, Repeat};
use crate::rest::response::{ApiResponse, excerpt};
use crate::rest::retry::RetryPolicy;
use crate::rest::token_source::TokenSource;
use crate::transport::{Body, BoxError, Transport, TransportError, read_to_bytes};
use crate::{Clock, Error, MasterToken};

/// How many bytes of an error response are read.
const MAX_ERROR_BODY: usize = 64 << 10;

/// A client for one Open Humans server. Clones share connections.
///
/// ```
/// use std::time::Duration;
/// use oh_api::{RetryPolicy, Client};
///
/// let client = Client::new("https://www.openhumans.org")?
///     .timeout(Duration::from_secs(10))
///     .retries(RetryPolicy::none());
/// # let _ = client;
/// # Ok::<(), oh_api::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Client {
    transport: Arc<dyn Transport>,
    base: Url,
    timeout: Duration,
    retries: RetryPolicy,
    clock: Clock,
}

/// The credentials of a call.
#[derive(Clone)]
pub(crate) enum Auth {
    Anonymous,
    Master(MasterToken),
    Member(Arc<dyn TokenSource>),
}

impl Client {
    /// Creates a client for the server at `base_url` with the built-in HTTP client.
    ///
    /// # Errors
    ///
    /// If the URL is invalid (see [`with_transport`](Self::with_transport)), TLS cannot be set up or
    /// a proxy variable of the environment is invalid.
    #[cfg(feature = "http-client")]
    pub fn new(base_url: &str) -> Result<Self, Error> {
        let client = crate::transport::HttpClient::new()?;
        Self::with_transport(base_url, Arc::new(client))
    }

    /// Creates a client for the server at `base_url` with the application's own transport.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if the URL does not use https (http is accepted for loopback), or
    /// contains credentials, a query or a fragment.
    pub fn with_transport(base_url: &str, transport: Arc<dyn Transport>) -> Result<Self, Error> {
        let base = check_base_url(base_url)
            .map_err(|error| Error::invalid_input("base URL", error.to_string()))?;
        if base.query().is_some() {
            return Err(Error::invalid_input("base URL", "it has a query"));
        }
        Ok(Self {
            transport,
            base,
            timeout: Duration::from_secs(30),
            retries: RetryPolicy::default(),
            clock: Clock::system(),
        })
    }

    /// Sets the timeout of a call including its response; for file transfers, the longest time
    /// without progress. The default is 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets when failed calls are repeated.
    pub fn retries(mut self, retries: RetryPolicy) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the clock for token lifetimes and dates in `Retry-After`.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn now(&self) -> crate::Timestamp {
        self.clock.now()
    }

    pub(crate) fn time(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn retry_policy(&self) -> RetryPolicy {
        self.retries
    }

    pub(crate) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// The URL of an API path below the base URL.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Makes a call with retries and one token refresh, and converts error responses.
    pub(crate) async fn ask(&self, auth: &Auth, call: &Call) -> Result<ApiResponse, Error> {
        if let Some(parent) = &call.parent {
            let error = match self.ask_once(auth, call).await {
                Err(error) if error.is_retryable() => error,
                done => return done,
            };
            let is_500 = matches!(error, Error::Server { status } if status == StatusCode::INTERNAL_SERVER_ERROR);
            let parent = Call::get("list parent", parent.as_str());
            if is_500 && let Err(Error::NotFound) = self.ask_once(auth, &parent).await {
                return Err(Error::NotFound);
            }
        }
        let again = |error: &Error| match call.repeat {
            Repeat::Safe => error.is_retryable(),
            Repeat::IfUnprocessed => error.was_not_processed(),
        };
        self.retries.run(again, || self.ask_once(auth, call)).await
    }

    /// As [`ask`](Self::ask), without retries.
    pub(crate) async fn ask_once(&self, auth: &Auth, call: &Call) -> Result<ApiResponse, Error> {
        let source = match auth {
            Auth::Anonymous => return self.attempt(None, call).await,
            Auth::Master(token) => return self.attempt(Some(token.expose()), call).await,
            Auth::Member(source) => source,
        };
        let token = source.access_token().await?;
        match self.attempt(Some(token.expose()), call).await {
            Err(refused @ (Error::Expired | Error::Unauthorized { .. })) => {
                match source.refreshed(&token).await? {
                    Some(token) => self.attempt(Some(token.expose()), call).await,
                    None => Err(refused),
                }
            }
            done => done,
        }
    }

    async fn attempt(&self, token: Option<&str>, call: &Call) -> Result<ApiResponse, Error> {
        let request = call.request(self.url(&call.path), token)?;
        let exchange = self.exchange(request, call.max_response);
        let response = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(response) => response.and_then(|response| response.error_for_status(&self.clock)),
            Err(_) => Err(Error::Timeout),
        };
        match &response {
            Ok(response) => {
                let status = response.status.as_u16();
                tracing::debug!(call = call.name, status, "API call succeeded");
            }
            Err(error) => tracing::debug!(call = call.name, %error, "API call failed"),
        }
        response
    }

    async fn exchange(
        &self,
        request: http::Request<Body>,
        max_response: usize,
    ) -> Result<ApiResponse, Error> {
        let (head, body) = self.transport.send(request).await?.into_parts();
        let body = match head.status.is_success() {
            true => read_all(body, max_response).await?,
            false => read_start(body, MAX_ERROR_BODY).await?,
        };
        Ok(ApiResponse {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Converts an error response whose body was not read yet.
    pub(crate) async fn failed(&self, response: http::Response<Body>) -> Error {
        let (head, body) = response.into_parts();
        let read = tokio::time::timeout(self.timeout, read_start(body, MAX_ERROR_BODY)).await;
        let response = ApiResponse {
            status: head.status,
            headers: head.headers,
            body: read.ok().and_then(Result::ok).unwrap_or_default(),
        };
        match response.error_for_status(&self.clock) {
            Err(error) => error,
            Ok(response) => Error::unexpected(response.status, excerpt(&response.body)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

/// Reads a body of at most `limit` bytes into memory.
pub(crate) async fn read_all(body: Body, limit: usize) -> Result<Bytes, Error> {
    match read_to_bytes(Limited::new(body, limit)).await {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge {
            what: format!("the response, with a limit of {limit} bytes"),
        }),
        Err(error) => Err(broken(error)),
    }
}

/// Reads the first `limit` bytes of a body into memory and discards the rest.
pub(crate) async fn read_start(mut body: Body, limit: usize) -> Result<Bytes, Error> {
    let mut start = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        let length = chunk.len().min(limit - start.len());
        start.extend_from_slice(&chunk[..length]);
        if start.len() == limit {
            break;
        }
    }
    Ok(start.freeze())
}

/// Converts the error of an interrupted body.
pub(crate) fn broken(error: BoxError) -> Error {
    match error.downcast::<TransportError>() {
        Ok(error) => Error::from(*error),
        Err(error) => Error::Network(TransportError::other(error)),
    }
}
