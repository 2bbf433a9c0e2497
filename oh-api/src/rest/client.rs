//! Which Open Humans, and how to speak to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use url::Url;

use crate::rest::base_url::check_base_url;
use crate::rest::call::{Call, Repeat};
use crate::rest::response::ApiResponse;
use crate::rest::retry::RetryPolicy;
use crate::rest::token_source::TokenSource;
use crate::transport::{Body, BoxError, Transport, TransportError, read_to_bytes};
use crate::{Clock, Error, MasterToken};

/// So much of an answer that is an error is read.
const MAX_ERROR: usize = 64 << 10;

/// An Open Humans server, and how to speak to it. Clones share connections.
///
/// ```
/// use std::time::Duration;
/// use oh_api::{RetryPolicy, Client};
///
/// let server = Client::new("https://www.openhumans.org")?
///     .timeout(Duration::from_secs(10))
///     .retries(RetryPolicy::none());
/// # let _ = server;
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

/// Who a call is made as.
#[derive(Clone)]
pub(crate) enum Auth {
    Anonymous,
    Master(MasterToken),
    Member(Arc<dyn TokenSource>),
}

impl Client {
    /// The server at `base_url`, through the built-in HTTP client.
    ///
    /// # Errors
    ///
    /// When the address cannot be used (see [`with_transport`](Self::with_transport)) or TLS
    /// cannot be set up.
    #[cfg(feature = "http-client")]
    pub fn new(base_url: &str) -> Result<Self, Error> {
        let client = crate::transport::HttpClient::new()?;
        Self::with_transport(base_url, Arc::new(client))
    }

    /// The server at `base_url`, through the app's own transport.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when the address is not https (http is for loopback), or carries
    /// credentials, a query or a fragment.
    pub fn with_transport(base_url: &str, transport: Arc<dyn Transport>) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::InvalidInput {
            argument: "base URL",
            reason: reason.into(),
        };
        let base = check_base_url(base_url).map_err(|e| invalid(&e.to_string()))?;
        if base.query().is_some() {
            return Err(invalid("it has a query"));
        }
        Ok(Self {
            transport,
            base,
            timeout: Duration::from_secs(30),
            retries: RetryPolicy::default(),
            clock: Clock::system(),
        })
    }

    /// How long a call may take, answer included; for files, how long nothing may move.
    /// 30 s unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// When failed calls are tried again.
    pub fn retries(mut self, retries: RetryPolicy) -> Self {
        self.retries = retries;
        self
    }

    /// The clock that dates in `Retry-After` are measured against.
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

    pub(crate) fn time(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn retry_policy(&self) -> RetryPolicy {
        self.retries
    }

    pub(crate) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// The address of a path of the API, below the base URL's own path.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Makes a call, with retries and one new token, and checks the status.
    pub(crate) async fn ask(&self, auth: &Auth, call: &Call) -> Result<ApiResponse, Error> {
        let again = |error: &Error| match call.repeat {
            Repeat::Safe => error.is_retryable(),
            Repeat::IfUnprocessed => error.was_not_processed(),
        };
        self.retries.run(again, || self.ask_once(auth, call)).await
    }

    /// As [`ask`](Self::ask), without repeating it.
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
        let result =
            match tokio::time::timeout(self.timeout, self.exchange(request, call.max_response))
                .await
            {
                Ok(answer) => answer.and_then(|answer| answer.checked(&self.clock)),
                Err(_) => Err(Error::Timeout),
            };
        match &result {
            Ok(answer) => {
                tracing::debug!(
                    call = call.name,
                    status = answer.status.as_u16(),
                    "answered"
                );
            }
            Err(error) => tracing::debug!(call = call.name, %error, "failed"),
        }
        result
    }

    async fn exchange(
        &self,
        request: http::Request<Body>,
        max_response: usize,
    ) -> Result<ApiResponse, Error> {
        let (head, body) = self.transport.send(request).await?.into_parts();
        let body = match head.status.is_success() {
            true => read_all(body, max_response).await?,
            false => read_start(body, MAX_ERROR).await?,
        };
        Ok(ApiResponse {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Turns an answer that is not a success into its error, reading a little of its body.
    pub(crate) async fn failed(&self, response: http::Response<Body>) -> Error {
        let (head, body) = response.into_parts();
        let read = tokio::time::timeout(self.timeout, read_start(body, MAX_ERROR)).await;
        let answer = ApiResponse {
            status: head.status,
            headers: head.headers,
            body: read.ok().and_then(Result::ok).unwrap_or_default(),
        };
        match answer.checked(&self.clock) {
            Err(error) => error,
            Ok(answer) => Error::UnexpectedResponse {
                status: answer.status,
                excerpt: crate::rest::response::excerpt(&answer.body),
            },
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

/// Reads a body into memory, up to `limit` bytes.
pub(crate) async fn read_all(body: Body, limit: usize) -> Result<Bytes, Error> {
    match read_to_bytes(Limited::new(body, limit)).await {
        Ok(whole) => Ok(whole),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge {
            what: format!("the answer, which may have {limit} bytes"),
        }),
        Err(error) => Err(broken(error)),
    }
}

/// Reads the first `limit` bytes of a body into memory, and leaves the rest.
pub(crate) async fn read_start(mut body: Body, limit: usize) -> Result<Bytes, Error> {
    let mut start = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        let wanted = chunk.len().min(limit - start.len());
        start.extend_from_slice(&chunk[..wanted]);
        if start.len() == limit {
            break;
        }
    }
    Ok(start.freeze())
}

/// A body that broke off.
pub(crate) fn broken(error: BoxError) -> Error {
    match error.downcast::<TransportError>() {
        Ok(error) => Error::from(*error),
        Err(error) => Error::Network(TransportError::other(error)),
    }
}
