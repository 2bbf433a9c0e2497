//! Applies faults to requests and responses.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderValue, StatusCode, header};

use super::connection::ResetHandle;
use crate::fault::{Fault, ReleaseWaiter};
use crate::web::respond::{crash, json, response};

/// The limit of a response body in memory. Longer bodies are truncated here.
const MAX_BUFFERED_BODY: usize = 64 << 20;

/// Applies a fault before the request takes effect. A response from here prevents the effect.
pub(crate) async fn before_effect(
    waiter: &mut ReleaseWaiter,
    fault: Option<&Fault>,
    reset: &ResetHandle,
) -> Option<Response> {
    match fault? {
        Fault::Status {
            status,
            content_type,
            body,
        } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(response(status, content_type, body.clone()))
        }
        Fault::RateLimited { retry_after } => {
            let body = serde_json::json!({ "detail": "Request was throttled." });
            let mut response = json(StatusCode::TOO_MANY_REQUESTS, &body);
            if let Some(seconds) = retry_after {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Some(response)
        }
        Fault::Html500 => Some(crash()),
        Fault::Reset => {
            reset.reset();
            Some(crash())
        }
        // This future is dropped when the client disconnects.
        Fault::Hang => {
            waiter.wait().await;
            None
        }
        Fault::Slow { delay_ms, .. } => {
            tokio::time::sleep(Duration::from_millis(*delay_ms)).await;
            None
        }
        _ => None,
    }
}

/// Applies a fault after the request has taken effect.
pub(crate) async fn after_effect(
    waiter: &mut ReleaseWaiter,
    fault: Option<Fault>,
    reset: &ResetHandle,
    response: Response,
) -> Response {
    match fault {
        Some(Fault::Html500After) => crash(),
        Some(Fault::HangAfter) => {
            waiter.wait().await;
            response
        }
        Some(Fault::ResetAfter) => {
            reset.reset();
            response
        }
        Some(Fault::ResetMidBody) => reset_mid_body(response, reset.clone()).await,
        Some(Fault::TruncatedJson) => truncate(response).await,
        Some(Fault::WrongContentLength) => overstate_length(response, reset.clone()).await,
        Some(Fault::Slow {
            bytes_per_second: Some(rate),
            ..
        }) => trickle(response, rate),
        _ => response,
    }
}

/// Reads the body of a request to its end.
pub(crate) async fn read_all(request: Request) {
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
}

/// Reads half of the body, or one frame if the length is unknown.
pub(crate) async fn read_half(request: Request) {
    let content_length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let half = content_length
        .and_then(|text| text.parse::<usize>().ok())
        .map_or(1, |length| length / 2);
    let mut body = request.into_body().into_data_stream();
    let mut read = 0;
    while read < half {
        match body.next().await {
            Some(Ok(frame)) => read += frame.len(),
            _ => return,
        }
    }
}

/// An answer's first half and the length of the body_bytes.
async fn halved(response: Response) -> (http::response::Parts, Bytes, usize) {
    let (parts, body) = response.into_parts();
    let content_length = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let content_length = content_length.and_then(|text| text.parse::<usize>().ok());
    if let Some(length) = content_length.filter(|&length| length > MAX_BUFFERED_BODY) {
        return (
            parts,
            first(body.into_data_stream(), MAX_BUFFERED_BODY).await,
            length,
        );
    }
    let body_bytes = to_bytes(body, MAX_BUFFERED_BODY).await.unwrap_or_default();
    let half = body_bytes.slice(..body_bytes.len() / 2);
    (parts, half, body_bytes.len())
}

async fn first(mut body: BodyDataStream, size: usize) -> Bytes {
    let mut prefix = bytes::BytesMut::new();
    while prefix.len() < size
        && let Some(Ok(frame)) = body.next().await
    {
        prefix.extend_from_slice(&frame);
    }
    prefix.freeze()
}

async fn reset_mid_body(response: Response, reset: ResetHandle) -> Response {
    let (mut parts, half, length) = halved(response).await;
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let error = || Err(io::ErrorKind::ConnectionReset.into());
    Response::from_parts(
        parts,
        body_with_end(half, reset, move |reset| {
            reset.reset();
            Some(error())
        }),
    )
}

/// Returns a body that executes `end` after its only chunk was written. Without the wait, hyper
/// would discard the chunk on an error.
fn body_with_end(
    first: Bytes,
    reset: ResetHandle,
    end: impl FnOnce(&ResetHandle) -> Option<io::Result<Bytes>> + Send + 'static,
) -> Body {
    let target = reset.written() + first.len() as u64;
    let head = stream::once(async move { Ok(first) });
    let tail = stream::once(async move {
        reset.wait_until_written(target).await;
        end(&reset)
    });
    Body::from_stream(head.chain(tail.filter_map(std::future::ready)))
}

async fn truncate(response: Response) -> Response {
    let (mut parts, half, _) = halved(response).await;
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(half))
}

async fn overstate_length(response: Response, reset: ResetHandle) -> Response {
    let (mut parts, body) = response.into_parts();
    let body_bytes = to_bytes(body, MAX_BUFFERED_BODY).await.unwrap_or_default();
    parts.headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(body_bytes.len() + 10),
    );
    Response::from_parts(parts, body_with_end(body_bytes, reset, |_| None))
}

/// Sends the body in ten chunks per second.
fn trickle(response: Response, bytes_per_second: u64) -> Response {
    let chunk = usize::try_from(bytes_per_second / 10)
        .unwrap_or(usize::MAX)
        .max(1);
    let pause = Duration::from_micros(1_000_000 * chunk as u64 / bytes_per_second.max(1));
    let (parts, body) = response.into_parts();
    let body = body.into_data_stream().flat_map(move |frame| {
        let chunks: Vec<_> = match frame {
            Ok(frame) => split(frame, chunk).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(chunks)
    });
    let body = body.then(move |chunk| async move {
        tokio::time::sleep(pause).await;
        chunk
    });
    Response::from_parts(parts, Body::from_stream(body))
}

fn split(mut frame: Bytes, chunk: usize) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    while frame.len() > chunk {
        chunks.push(frame.split_to(chunk));
    }
    chunks.push(frame);
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_preserves_all_bytes() {
        let chunks = split(Bytes::from_static(b"abcdefg"), 3);
        assert_eq!(chunks, ["abc", "def", "g"]);
    }

    #[tokio::test]
    async fn truncated_response_is_complete_http() {
        let response = truncate(response(
            StatusCode::OK,
            "application/json",
            r#"{"id":187}"#,
        ))
        .await;
        assert_eq!(
            to_bytes(response.into_body(), 100).await.unwrap(),
            r#"{"id""#
        );
    }
}
