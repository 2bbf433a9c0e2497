//! The whole ledger with its checkpoints, as JSON lines, read and sent a page at a time.

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::Response;
use http::header::{self, HeaderValue};

use crate::routes::pages::context::Context;
use crate::routes::pages::problem::Problem;
use crate::routes::pages::reply::Outcome;
use crate::routes::{ResponseBody, RouteOutcome};
use crate::session::SessionChange;
use crate::transport::BoxError;

/// Lines that are sent together.
const TOGETHER: usize = 100;

pub(super) fn export(cx: &Context<'_>) -> RouteOutcome {
    let lines = cx
        .openhumans
        .ledger()
        .export_lines()
        .map_err(BoxError::from);
    let chunks = lines.try_chunks(TOGETHER).map_err(|error| error.1);
    let chunks = chunks.map_ok(|lines| written(&lines));
    let chunks = ResponseBody::stream(chunks);
    attachment(
        chunks,
        "application/jsonl",
        "attachment; filename=\"ledger.jsonl\"",
    )
}

/// The last checkpoint, as it is passed on.
pub(super) async fn checkpoint(cx: &Context<'_>) -> Outcome {
    let state = cx.inner().deauthorizer.checkpoint_status().await?;
    let note = state.checkpoint.ok_or_else(Problem::not_found)?;
    let answer = attachment(
        ResponseBody::from(Bytes::from(note)),
        "text/plain; charset=utf-8",
        "attachment; filename=\"checkpoint.txt\"",
    );
    Ok(answer.into())
}

fn attachment(body: ResponseBody, kind: &'static str, disposition: &'static str) -> RouteOutcome {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, disposition),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    RouteOutcome {
        response,
        session: SessionChange::Keep,
    }
}

fn written(lines: &[Vec<u8>]) -> Bytes {
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    text.into()
}
