//! Reading a body into memory, in one piece.

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

/// Reads a whole body into one piece of memory of about its size.
///
/// `BodyExt::collect` keeps every part as it came until the end, and a part of one byte may hold on
/// to the 8 KiB that it was read into: whoever sends many small ones would fill the memory. Limit
/// what is read by [`Limited`](http_body_util::Limited).
///
/// ```
/// use http_body_util::Limited;
/// use oh_api::transport::{Body, read_to_bytes};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let body = Limited::new(Body::full("a short one"), 1024);
/// assert_eq!(read_to_bytes(body).await.unwrap(), "a short one");
/// # }
/// ```
///
/// # Errors
///
/// What the body fails with.
pub async fn read_to_bytes<B: Body>(body: B) -> Result<Bytes, B::Error> {
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame?.into_data() else {
            continue;
        };
        if first.is_empty() && whole.is_empty() {
            // Most bodies come in one part, which need not be copied.
            first = data.copy_to_bytes(data.remaining());
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        while data.has_remaining() {
            let part = data.chunk();
            whole.extend_from_slice(part);
            let read = part.len();
            data.advance(read);
        }
    }
    match whole.is_empty() {
        true => Ok(first),
        false => Ok(whole.freeze()),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use futures_util::{FutureExt, StreamExt, stream};
    use http::HeaderMap;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    /// A buffer that is much larger than what of it is handed on.
    struct Buffer(Vec<u8>, #[expect(dead_code, reason = "is counted")] Arc<()>);

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[test]
    fn parts_hold_no_buffers_until_the_end() {
        let buffers = Arc::new(());
        let counted = Arc::clone(&buffers);
        let parts = stream::iter(0..100).map(move |_| {
            let buffer = Buffer(vec![b'x'; 8192], Arc::clone(&counted));
            Ok::<_, Infallible>(Frame::data(Bytes::from_owner(buffer).slice(..1)))
        });
        // As if it never ended.
        let body = StreamBody::new(parts.chain(stream::pending()));
        let mut reading = Box::pin(read_to_bytes(body));
        assert!(reading.as_mut().now_or_never().is_none());
        // All are gone but the count itself.
        assert_eq!(Arc::strong_count(&buffers), 1);
    }

    #[tokio::test]
    async fn is_all_that_came_in_its_order() {
        let parts = ["", "a", "", "bc", "def"].map(|part| Frame::data(Bytes::from(part)));
        let trailers = Frame::trailers(HeaderMap::new());
        let frames = parts.into_iter().chain([trailers]);
        let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
        assert_eq!(read_to_bytes(body).await.unwrap(), "abcdef");
        let body = Full::new(Bytes::from("one part"));
        assert_eq!(read_to_bytes(body).await.unwrap(), "one part");
        assert_eq!(read_to_bytes(Full::new(Bytes::new())).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let parts = [Ok(Frame::data(Bytes::from("a"))), Err("broken")];
        let body = StreamBody::new(stream::iter(parts));
        assert_eq!(read_to_bytes(body).await, Err("broken"));
    }
}
