//! Reads the body of an unauthenticated request, with limits of size and time.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, HeaderMap};
use http_body_util::{LengthLimitError, Limited};

use crate::transport::{BoxError, read_to_bytes};

/// The time limit for receiving a body. Open Humans disconnects after about 30 s.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The reason why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyProblem {
    TooLarge,
    TooSlow,
    Broken,
}

/// Whether the headers announce more than `limit` bytes.
pub(super) fn announces_more_than(headers: &HeaderMap, limit: usize) -> bool {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|length| length > limit as u64)
}

pub(super) async fn read<B>(body: B, limit: usize) -> Result<Bytes, BodyProblem>
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    match tokio::time::timeout(BODY_TIMEOUT, read_to_bytes(Limited::new(body, limit))).await {
        Err(_) => Err(BodyProblem::TooSlow),
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(error)) if is_length_limit(&*error) => Err(BodyProblem::TooLarge),
        Ok(Err(_)) => Err(BodyProblem::Broken),
    }
}

/// Whether a size limit, of this crate or of the host, is the cause of `error`.
fn is_length_limit(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        // The source of an io::Error is the source of the error that it wraps, so the wrapped error
        // comes first.
        next = match error
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref())
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, StreamExt, stream};
    use http_body::Frame;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn body_is_read_up_to_the_limit() {
        assert_eq!(
            read(Full::new(Bytes::from("1234")), 4).await,
            Ok(Bytes::from("1234"))
        );
        let more = read(Full::new(Bytes::from("12345")), 4).await;
        assert_eq!(more, Err(BodyProblem::TooLarge));
    }

    #[tokio::test]
    async fn body_limit_of_the_host_is_recognized() {
        let limited = Limited::new(Full::new(Bytes::from("12345")), 4);
        let wrapped = limited.map_err(|e| std::io::Error::other(std::io::Error::other(e)));
        assert_eq!(read(wrapped, 100).await, Err(BodyProblem::TooLarge));
    }

    /// A chunk may be one byte of a large buffer.
    #[tokio::test]
    async fn body_in_small_chunks_does_not_retain_their_buffers() {
        let part = Bytes::from(vec![b'x'; 8192]);
        let parts = stream::iter([part.slice(..1), part.slice(1..2)]);
        let parts = parts.chain(stream::pending());
        let body = StreamBody::new(parts.map(|part| Ok::<_, Infallible>(Frame::data(part))));
        let mut reading = Box::pin(read(body, 100));
        assert!(reading.as_mut().now_or_never().is_none());
        assert!(part.is_unique());
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_does_not_end_times_out() {
        let never = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        assert_eq!(
            read(StreamBody::new(never), 4).await,
            Err(BodyProblem::TooSlow)
        );
    }
}
