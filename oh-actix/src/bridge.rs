//! Runs a tower service, such as the router of `oh-pages`, inside actix-web.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::BodyStream;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::{Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use oh_core::SessionChange;
use oh_core::routes::SessionReader;
use oh_core::transport::BoxError;
use tokio::sync::mpsc;
use tower_service::Service;

use crate::rejection::Rejection;
use crate::{convert, session};

/// Chunks of a request body that may wait for the service.
const BUFFERED_CHUNKS: usize = 2;

/// The body of a request to a tower service.
///
/// Bodies of actix-web cannot leave their thread, and most services require it. The chunks pass
/// through a bounded channel, which the future of the request fills, so memory use is bounded.
#[derive(Debug)]
pub struct RequestBody(mpsc::Receiver<io::Result<Bytes>>);

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = self.0.poll_recv(cx);
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// Returns a body, and a future that fills it from `chunks` and never completes.
fn channel<E: std::error::Error + Send + Sync + 'static>(
    chunks: impl Stream<Item = Result<Bytes, E>>,
) -> (impl Future<Output = Infallible>, RequestBody) {
    let (sender, receiver) = mpsc::channel(BUFFERED_CHUNKS);
    let fill = async move {
        let mut chunks = pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let is_last = chunk.is_err();
            let sent = sender.send(chunk.map_err(io::Error::other)).await;
            if sent.is_err() || is_last {
                break;
            }
        }
        drop(sender);
        std::future::pending().await
    };
    (fill, RequestBody(receiver))
}

/// Passes a request under the mount path to `service`, and converts the response.
pub(crate) async fn call<S, B>(
    mut service: S,
    mount_path: &str,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Rejection>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    let mut head = convert::head(&request)?;
    let Some(uri) = below_mount_path(&request, &head.uri, mount_path) else {
        return Ok(HttpResponse::NotFound().finish());
    };
    head.uri = uri;
    let member = session::member(&request);
    let reader: SessionReader = Arc::new(move || {
        let member = member.clone();
        Box::pin(async move { Ok(member) })
    });
    head.extensions.insert(reader);
    let (fill, body) = channel(payload.into_inner());
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let responding = pin!(service.call(Request::from_parts(head, body)));
    let Either::Left((response, _)) = select(responding, pin!(fill)).await;
    let Ok(mut response) = response;
    if let Some(change) = response.extensions_mut().remove::<SessionChange>() {
        session::apply(&request, change)?;
    }
    let (head, body) = response.into_parts();
    let converted = convert::response(&Response::from_parts(head, Bytes::new()));
    if body.is_end_stream() {
        return Ok(converted);
    }
    let size = body.size_hint().exact();
    let chunks = body.into_data_stream();
    let chunks = chunks.map_err(|error| io::Error::other(error.into()));
    Ok(match size {
        Some(size) => converted
            .set_body(actix_web::body::SizedStream::new(size, chunks))
            .map_into_boxed_body(),
        None => converted
            .set_body(BodyStream::new(chunks))
            .map_into_boxed_body(),
    })
}

/// The URI without everything up to the mount path, as routers of axum expect it.
///
/// actix-web decodes a path before it matches, so this compares the undecoded path. A proxy and
/// the service must see the same route.
fn below_mount_path(request: &HttpRequest, uri: &Uri, mount_path: &str) -> Option<Uri> {
    let path = uri.path();
    let segments = request.match_info().unprocessed().matches('/').count();
    let start = match segments {
        0 => path.len(),
        count => path.rmatch_indices('/').nth(count - 1)?.0,
    };
    let (before, below) = path.split_at(start);
    if !before.ends_with(mount_path) {
        return None;
    }
    let below = if below.is_empty() { "/" } else { below };
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    format!("{below}{query}").parse().ok()
}
