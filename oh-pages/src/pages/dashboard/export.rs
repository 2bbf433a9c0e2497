//! Downloads: the ledger with its checkpoints, and the latest checkpoint.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header;

use crate::app::App;
use crate::error::PageError;
use crate::response::set;

/// Lines in a chunk of the response.
const CHUNK_LINES: usize = 100;

/// Streams the ledger with its checkpoints, as JSON lines
#[utoipa::path(get, path = "/staff/ledger.jsonl", responses(
    (status = 200, description = "The ledger", body = String, content_type = "application/jsonl"),
))]
pub(crate) async fn export(State(app): State<App>) -> Response {
    let lines = app.openhumans().ledger().export_lines();
    let chunks = lines.try_chunks(CHUNK_LINES).map_err(|error| error.1);
    let chunks = chunks.map_ok(|lines| {
        let mut text = lines.join(&b'\n');
        text.push(b'\n');
        Bytes::from(text)
    });
    // An error aborts the connection, so that no client mistakes a part for the whole.
    let body = Body::from_stream(chunks);
    attachment(
        body,
        "application/jsonl",
        "attachment; filename=\"ledger.jsonl\"",
    )
}

/// Returns the latest checkpoint of the ledger, as a signed note
#[utoipa::path(get, path = "/staff/checkpoint", responses(
    (status = 200, description = "The checkpoint", body = String, content_type = "text/plain"),
))]
pub(crate) async fn checkpoint(State(app): State<App>) -> Result<Response, PageError> {
    let status = app.openhumans().checkpoint_status().await?;
    let note = status.checkpoint.ok_or_else(PageError::not_found)?;
    Ok(attachment(
        Body::from(note),
        "text/plain; charset=utf-8",
        "attachment; filename=\"checkpoint.txt\"",
    ))
}

fn attachment(body: Body, content_type: &'static str, disposition: &'static str) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    set(headers, header::CONTENT_TYPE, content_type);
    set(headers, header::CONTENT_DISPOSITION, disposition);
    response
}
