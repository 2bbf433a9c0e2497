//! What the planted faults do to a request and its answer.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderValue, StatusCode, header};

use super::connection::Switch;
use crate::fault::{Fault, Hold};
use crate::web::respond::{answer, crash, json};

/// How much of an answer is held to cut it in half. Objects beyond it are cut there.
const HELD: usize = 64 << 20;

/// What happens before the request has any effect. An answer from here keeps it from having one.
pub(crate) async fn before(
    hold: &mut Hold,
    fault: Option<&Fault>,
    switch: &Switch,
) -> Option<Response> {
    match fault? {
        Fault::Status {
            status,
            content_type,
            body,
        } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(answer(status, content_type, body.clone()))
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
            switch.reset();
            Some(crash())
        }
        // When the client goes away this future is dropped, and nothing comes after it.
        Fault::Hang => {
            hold.until_released().await;
            None
        }
        Fault::Slow { delay_ms, .. } => {
            tokio::time::sleep(Duration::from_millis(*delay_ms)).await;
            None
        }
        _ => None,
    }
}

/// What happens to the answer once the request has taken effect.
pub(crate) async fn after(
    hold: &mut Hold,
    fault: Option<Fault>,
    switch: &Switch,
    answer: Response,
) -> Response {
    match fault {
        Some(Fault::Html500After) => crash(),
        Some(Fault::HangAfter) => {
            hold.until_released().await;
            answer
        }
        Some(Fault::ResetAfter) => {
            switch.reset();
            answer
        }
        Some(Fault::ResetMidBody) => reset_mid_body(answer, switch.clone()).await,
        Some(Fault::TruncatedJson) => truncated(answer).await,
        Some(Fault::WrongContentLength) => too_short(answer, switch.clone()).await,
        Some(Fault::Slow {
            bytes_per_second: Some(rate),
            ..
        }) => trickle(answer, rate),
        _ => answer,
    }
}

/// Reads a request's body to its end.
pub(crate) async fn read_all(request: Request) {
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
}

/// Reads half of what a request announces, or its first frame if it announces nothing.
pub(crate) async fn read_half(request: Request) {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let half = announced
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

/// An answer's first half and the length of the whole.
async fn halved(answer: Response) -> (http::response::Parts, Bytes, usize) {
    let (parts, body) = answer.into_parts();
    let announced = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<usize>().ok());
    if let Some(length) = announced.filter(|&length| length > HELD) {
        return (parts, first(body.into_data_stream(), HELD).await, length);
    }
    let whole = to_bytes(body, HELD).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    (parts, half, whole.len())
}

async fn first(mut body: BodyDataStream, size: usize) -> Bytes {
    let mut kept = bytes::BytesMut::new();
    while kept.len() < size
        && let Some(Ok(frame)) = body.next().await
    {
        kept.extend_from_slice(&frame);
    }
    kept.freeze()
}

async fn reset_mid_body(answer: Response, switch: Switch) -> Response {
    let (mut parts, half, length) = halved(answer).await;
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let error = || Err(io::ErrorKind::ConnectionReset.into());
    Response::from_parts(
        parts,
        ending(half, switch, move |switch| {
            switch.reset();
            Some(error())
        }),
    )
}

/// A body of one piece that ends as it is told to, once the piece has been handed to the network.
/// Without the wait, a server that finds its answer spoilt throws all of it away.
fn ending(
    piece: Bytes,
    switch: Switch,
    end: impl FnOnce(&Switch) -> Option<io::Result<Bytes>> + Send + 'static,
) -> Body {
    let enough = switch.written() + piece.len() as u64;
    let first = stream::once(async move { Ok(piece) });
    let last = stream::once(async move {
        switch.wait_until_written(enough).await;
        end(&switch)
    });
    Body::from_stream(first.chain(last.filter_map(std::future::ready)))
}

async fn truncated(answer: Response) -> Response {
    let (mut parts, half, _) = halved(answer).await;
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(half))
}

async fn too_short(answer: Response, switch: Switch) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, HELD).await.unwrap_or_default();
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len() + 10));
    Response::from_parts(parts, ending(whole, switch, |_| None))
}

/// Ten portions a second.
fn trickle(answer: Response, bytes_per_second: u64) -> Response {
    let portion = usize::try_from(bytes_per_second / 10)
        .unwrap_or(usize::MAX)
        .max(1);
    let pause = Duration::from_micros(1_000_000 * portion as u64 / bytes_per_second.max(1));
    let (parts, body) = answer.into_parts();
    let body = body.into_data_stream().flat_map(move |frame| {
        let portions: Vec<_> = match frame {
            Ok(frame) => split(frame, portion).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(portions)
    });
    let body = body.then(move |portion| async move {
        tokio::time::sleep(pause).await;
        portion
    });
    Response::from_parts(parts, Body::from_stream(body))
}

fn split(mut frame: Bytes, portion: usize) -> Vec<Bytes> {
    let mut portions = Vec::new();
    while frame.len() > portion {
        portions.push(frame.split_to(portion));
    }
    portions.push(frame);
    portions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_split_without_losing_anything() {
        let portions = split(Bytes::from_static(b"abcdefg"), 3);
        assert_eq!(portions, ["abc", "def", "g"]);
    }

    #[tokio::test]
    async fn truncated_json_is_complete_http() {
        let answer = truncated(answer(StatusCode::OK, "application/json", r#"{"id":187}"#)).await;
        assert_eq!(to_bytes(answer.into_body(), 100).await.unwrap(), r#"{"id""#);
    }
}
