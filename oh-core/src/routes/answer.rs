//! What a route answers: a response, and what becomes of the session.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use crate::session::SessionChange;
use crate::transport::BoxError;

/// What a route answers.
#[derive(Debug)]
pub struct RouteOutcome {
    /// To the browser, or to Open Humans.
    pub response: Response<ResponseBody>,
    /// To the host's session.
    pub session: SessionChange,
}

impl RouteOutcome {
    pub(super) fn keep(response: Response<Bytes>) -> Self {
        Self::new(response, SessionChange::Keep)
    }

    pub(super) fn new(response: Response<Bytes>, session: SessionChange) -> Self {
        Self {
            response: response.map(ResponseBody::from),
            session,
        }
    }
}

/// The body of an answer: in memory, or a stream for what may be long.
///
/// It is an [`http_body::Body`]; what is in memory knows its length.
pub struct ResponseBody(Kind);

enum Kind {
    Whole(Bytes),
    Stream(Chunks),
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

impl ResponseBody {
    /// A body that is sent as it is made. An error in the stream breaks the connection off, so
    /// that nobody takes a part for the whole.
    pub fn stream(chunks: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static) -> Self {
        Self(Kind::Stream(Box::pin(chunks)))
    }

    /// The bytes, if they are in memory.
    ///
    /// # Errors
    ///
    /// The body itself, if it is a stream.
    pub fn into_bytes(self) -> Result<Bytes, Self> {
        match self.0 {
            Kind::Whole(bytes) => Ok(bytes),
            Kind::Stream(_) => Err(self),
        }
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Stream(chunks) => chunks
                .as_mut()
                .poll_next(cx)
                .map(|next| next.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.len()).finish(),
            Kind::Stream(_) => f.write_str("Stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_is_in_memory_knows_its_length_and_a_stream_does_not() {
        let whole = ResponseBody::from(Bytes::from_static(b"whole"));
        assert_eq!(whole.size_hint().exact(), Some(5));
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "whole");

        let chunks = ["in ", "parts"].map(|part| Ok(Bytes::from_static(part.as_bytes())));
        let streamed = ResponseBody::stream(stream::iter(chunks));
        assert_eq!(streamed.size_hint().exact(), None);
        let streamed = streamed.into_bytes().unwrap_err();
        assert_eq!(streamed.collect().await.unwrap().to_bytes(), "in parts");
        assert!(ResponseBody::from(Bytes::new()).is_end_stream());
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_an_error_and_no_end() {
        let chunks = [Ok(Bytes::from_static(b"half")), Err("gone".into())];
        let broken = ResponseBody::stream(stream::iter(chunks));
        assert!(broken.collect().await.is_err());
    }
}
