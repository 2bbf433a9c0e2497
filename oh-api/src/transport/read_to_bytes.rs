//! Reads a body into contiguous memory.

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

/// Reads a body into contiguous memory of about its size.
///
/// `BodyExt::collect` retains the buffer of every frame until the end. A frame of one byte can retain
/// the 8 KiB that it was read into, so a client that sends many small frames could exhaust the
/// memory. Limit the size with [`Limited`](http_body_util::Limited).
///
/// ```
/// use http_body_util::Limited;
/// use oh_api::transport::{Body, read_to_bytes};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let body = Limited::new(Body::full("short"), 1024);
/// assert_eq!(read_to_bytes(body).await.unwrap(), "short");
/// # }
/// ```
///
/// # Errors
///
/// The error of the body.
pub async fn read_to_bytes<B: Body>(body: B) -> Result<Bytes, B::Error> {
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame?.into_data() else {
            continue;
        };
        if first.is_empty() && all.is_empty() {
            // Most bodies have one frame, which is not copied.
            first = data.copy_to_bytes(data.remaining());
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        while data.has_remaining() {
            let part = data.chunk();
            all.extend_from_slice(part);
            let read = part.len();
            data.advance(read);
        }
    }
    match all.is_empty() {
        true => Ok(first),
        false => Ok(all.freeze()),
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

    /// A large buffer whose owners are counted.
    struct Buffer(
        Vec<u8>,
        #[expect(dead_code, reason = "counts the owners")] Arc<()>,
    );

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[test]
    fn read_to_bytes_releases_frame_buffers() {
        let buffers = Arc::new(());
        let counted = Arc::clone(&buffers);
        let parts = stream::iter(0..100).map(move |_| {
            let buffer = Buffer(vec![b'x'; 8192], Arc::clone(&counted));
            Ok::<_, Infallible>(Frame::data(Bytes::from_owner(buffer).slice(..1)))
        });
        let body = StreamBody::new(parts.chain(stream::pending()));
        let mut reading = Box::pin(read_to_bytes(body));
        assert!(reading.as_mut().now_or_never().is_none());
        assert_eq!(Arc::strong_count(&buffers), 1);
    }

    #[tokio::test]
    async fn read_to_bytes_concatenates_frames() {
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
    async fn read_to_bytes_returns_body_error() {
        let parts = [Ok(Frame::data(Bytes::from("a"))), Err("broken")];
        let body = StreamBody::new(stream::iter(parts));
        assert_eq!(read_to_bytes(body).await, Err("broken"));
    }
}
