//! The HTTP transport: a trait, and a built-in client behind the `http-client` feature.
//!
//! The library builds `http` requests and sends them with a [`Transport`]. An application with its own
//! proxy, TLS roots or instrumentation implements the trait for its HTTP client; tests can respond
//! without a network.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// A boxed error.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// A shared error.
pub type SharedError = Arc<dyn StdError + Send + Sync + 'static>;

/// The body of a request or response. A known length is sent as `Content-Length`.
#[derive(Debug)]
pub struct Body(BoxBody<Bytes, BoxError>);

impl Body {
    /// Creates an empty body.
    pub fn empty() -> Self {
        Self(Empty::new().map_err(|never| match never {}).boxed())
    }

    /// Creates a body from bytes in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(
            Full::new(bytes.into())
                .map_err(|never| match never {})
                .boxed(),
        )
    }

    /// Wraps any other body, which is streamed.
    pub fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        Self(body.map_err(Into::into).boxed())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The reason why a request has no response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connection could not be established: nothing was sent.
    #[error("could not connect")]
    Connect(#[source] SharedError),
    /// The server did not respond in time. It may have processed the request.
    #[error("no response in time")]
    Timeout(#[source] SharedError),
    /// The server closed the connection or refused the stream before it processed the request.
    #[error("the server did not process the request")]
    Unprocessed(#[source] SharedError),
    /// The connection was interrupted. The server may have processed the request.
    #[error("the connection failed")]
    Other(#[source] SharedError),
}

impl TransportError {
    /// Creates a [`Connect`](Self::Connect) error.
    pub fn connect(source: impl Into<BoxError>) -> Self {
        Self::Connect(source.into().into())
    }

    /// Creates a [`Timeout`](Self::Timeout) error.
    pub fn timeout(source: impl Into<BoxError>) -> Self {
        Self::Timeout(source.into().into())
    }

    /// Creates an [`Unprocessed`](Self::Unprocessed) error.
    pub fn unprocessed(source: impl Into<BoxError>) -> Self {
        Self::Unprocessed(source.into().into())
    }

    /// Returns whether the server certainly did not process the request.
    pub fn was_not_processed(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Unprocessed(_))
    }

    /// Creates an [`Other`](Self::Other) error.
    pub fn other(source: impl Into<BoxError>) -> Self {
        Self::Other(source.into().into())
    }
}

/// Sends a request and returns the response with a streamed body.
///
/// Implementations must not follow redirects, which could send a token to another host, must not
/// change the request and must not decompress the response. The transport has a timeout to connect;
/// the library has one for the whole call.
///
/// ```
/// use oh_api::transport::{Body, Transport, TransportError};
///
/// /// Responds 204 to every request.
/// struct NoContent;
///
/// #[async_trait::async_trait]
/// impl Transport for NoContent {
///     async fn send(
///         &self,
///         _request: http::Request<Body>,
///     ) -> Result<http::Response<Body>, TransportError> {
///         let mut response = http::Response::new(Body::empty());
///         *response.status_mut() = http::StatusCode::NO_CONTENT;
///         Ok(response)
///     }
/// }
/// ```
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends one request.
    async fn send(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, TransportError>;
}

#[cfg(feature = "http-client")]
mod http_client;
#[cfg(feature = "http-client")]
mod proxy;
mod read_to_bytes;

#[cfg(feature = "http-client")]
pub use http_client::HttpClient;
pub use read_to_bytes::read_to_bytes;
