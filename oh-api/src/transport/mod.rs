//! How requests leave: one trait, with a built-in client behind the `http-client` feature.
//!
//! The library builds `http` requests and hands them to a [`Transport`]. An app with its own
//! proxy, TLS roots or instrumentation implements the trait over the client it already has; tests
//! can answer without a network. A transport must not follow redirects: the library decides that
//! itself, because a redirect may carry a token to another host.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// Any error, boxed.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// Any error, shared.
pub type SharedError = Arc<dyn StdError + Send + Sync + 'static>;

/// The body of a request or an answer. A known length becomes `Content-Length`.
#[derive(Debug)]
pub struct Body(BoxBody<Bytes, BoxError>);

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self(Empty::new().map_err(|never| match never {}).boxed())
    }

    /// A body held in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(
            Full::new(bytes.into())
                .map_err(|never| match never {})
                .boxed(),
        )
    }

    /// Any other body, streamed.
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

/// Why a request got no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connection could not be made: nothing was sent.
    #[error("could not connect")]
    Connect(#[source] SharedError),
    /// No answer in time. Whether the request had an effect is unknown.
    #[error("no answer in time")]
    Timeout(#[source] SharedError),
    /// The server closed the connection or refused the stream before it processed the request.
    #[error("the server did not process the request")]
    Unprocessed(#[source] SharedError),
    /// The connection failed on the way. Whether the request had an effect is unknown.
    #[error("the connection failed")]
    Other(#[source] SharedError),
}

impl TransportError {
    /// The connection could not be made.
    pub fn connect(source: impl Into<BoxError>) -> Self {
        Self::Connect(source.into().into())
    }

    /// No answer in time.
    pub fn timeout(source: impl Into<BoxError>) -> Self {
        Self::Timeout(source.into().into())
    }

    /// The server closed the connection or refused the stream before it processed the request.
    pub fn unprocessed(source: impl Into<BoxError>) -> Self {
        Self::Unprocessed(source.into().into())
    }

    /// Returns whether the server certainly did not process the request.
    pub fn was_not_processed(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Unprocessed(_))
    }

    /// The connection failed on the way.
    pub fn other(source: impl Into<BoxError>) -> Self {
        Self::Other(source.into().into())
    }
}

/// Sends a request and gives the answer's head, with its body to stream.
///
/// Implementations must not follow redirects, must not change the request, and must leave the
/// body as it comes (no decompression). A timeout for the whole call is the caller's business; one
/// for connecting is the transport's.
///
/// ```
/// use oh_api::transport::{Body, Transport, TransportError};
///
/// /// Answers 204 to everything.
/// struct Nothing;
///
/// #[async_trait::async_trait]
/// impl Transport for Nothing {
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
mod read_to_bytes;

#[cfg(feature = "http-client")]
pub use http_client::HttpClient;
pub use read_to_bytes::read_to_bytes;
