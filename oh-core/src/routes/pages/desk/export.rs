//! The whole ledger, as JSON lines, read and sent a page at a time.

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::Response;
use http::header::{self, HeaderValue};

use crate::deauth::LedgerLine;
use crate::routes::pages::context::Context;
use crate::routes::{Answer, AnswerBody};
use crate::session::SessionChange;
use crate::transport::BoxError;

/// Lines that are sent together.
const TOGETHER: usize = 100;

pub(super) fn export(cx: &Context<'_>) -> Answer {
    let lines = cx.openhumans.ledger().lines().map_err(BoxError::from);
    let chunks = lines.try_chunks(TOGETHER).map_err(|error| error.1);
    let chunks = chunks.and_then(|lines| async move { written(&lines) });
    let mut response = Response::new(AnswerBody::stream(chunks));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/jsonl"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"ledger.jsonl\"",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Answer {
        response,
        session: SessionChange::Keep,
    }
}

fn written(lines: &[LedgerLine]) -> Result<Bytes, BoxError> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text.into())
}
