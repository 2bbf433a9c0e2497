//! Serves the content of an object, completely or in part.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::sync::mpsc;

use super::content::Content;
use crate::web::respond::{response, xml_error};

/// The size of one read.
const CHUNK_BYTES: usize = 256 << 10;

/// The number of chunks that are read ahead.
const READ_AHEAD_CHUNKS: usize = 4;

/// Handles a GET or HEAD request.
pub(crate) async fn serve(
    content: Arc<Content>,
    method: &Method,
    headers: &HeaderMap,
    path: &str,
) -> Response {
    let range = match range(headers, &content) {
        Ok(range) => range,
        Err(()) => {
            let text = "The requested range is not satisfiable";
            let mut response = xml_error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", text);
            set(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{}", content.size),
            );
            return response;
        }
    };
    let part = range.clone().unwrap_or(0..content.size);
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        stream(content.clone(), part.clone())
    };
    let status = if range.is_some() {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let mut response = response(status, content_type(path), body);
    if range.is_some() {
        let value = format!("bytes {}-{}/{}", part.start, part.end - 1, content.size);
        set(&mut response, header::CONTENT_RANGE, &value);
    }
    set(
        &mut response,
        header::CONTENT_LENGTH,
        &(part.end - part.start).to_string(),
    );
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::ETAG, &content.etag);
    set(
        &mut response,
        header::LAST_MODIFIED,
        &http_date(content.modified),
    );
    response
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// `Sun, 22 Nov 2026 16:08:31 GMT`
fn http_date(at: OffsetDateTime) -> String {
    at.format(&Rfc2822)
        .map(|text| text.replace("+0000", "GMT"))
        .unwrap_or_default()
}

/// Returns the requested range, `None` for the complete content, or an error for a range outside of
/// it. Ignores requests for several ranges and an `If-Range` of another version.
fn range(headers: &HeaderMap, content: &Content) -> Result<Option<Range<u64>>, ()> {
    let get = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if get(header::IF_RANGE)
        .is_some_and(|tag| tag != content.etag && tag != http_date(content.modified))
    {
        return Ok(None);
    }
    let Some(spec) = get(header::RANGE).and_then(|value| value.strip_prefix("bytes=")) else {
        return Ok(None);
    };
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else {
        return Ok(None);
    };
    let part = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) => first..last.saturating_add(1).min(content.size),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..content.size,
        (Err(_), Ok(suffix)) if first.trim().is_empty() => {
            content.size.saturating_sub(suffix)..content.size
        }
        _ => return Ok(None),
    };
    if part.is_empty() {
        Err(())
    } else {
        Ok(Some(part))
    }
}

fn stream(content: Arc<Content>, part: Range<u64>) -> Body {
    let (sender, mut receiver) = mpsc::channel(READ_AHEAD_CHUNKS);
    tokio::task::spawn_blocking(move || {
        let read = || -> io::Result<()> {
            let mut file = File::open(&content.path)?;
            file.seek(SeekFrom::Start(part.start))?;
            let mut left = part.end - part.start;
            while left > 0 {
                let size = usize::try_from(left)
                    .unwrap_or(CHUNK_BYTES)
                    .min(CHUNK_BYTES);
                let mut piece = vec![0; size];
                file.read_exact(&mut piece)?;
                left -= size as u64;
                if sender.blocking_send(Ok(Bytes::from(piece))).is_err() {
                    // The client disconnected.
                    return Ok(());
                }
            }
            Ok(())
        };
        if let Err(error) = read() {
            let _ = sender.blocking_send(Err(error));
        }
    });
    Body::from_stream(futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx)
    }))
}

fn content_type(path: &str) -> &'static str {
    let extension = path
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("csv") => "text/csv",
        Some("txt") => "text/plain",
        Some("json") => "application/json",
        Some("html") => "text/html",
        Some("zip") => "application/zip",
        Some("gz") => "application/gzip",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        _ => "binary/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let path = std::env::temp_dir().join("oh-sandbox-no-such-file");
        Content {
            path,
            size: 100,
            etag: "\"e\"".into(),
            modified: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn asked(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (header::RANGE, HeaderValue::from_static("bytes=90-")),
            (name, HeaderValue::from_static(value)),
        ])
    }

    #[test]
    fn range_parses_all_forms() {
        let of = |value| {
            range(
                &HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(value))]),
                &content(),
            )
        };
        assert_eq!(of("bytes=0-9"), Ok(Some(0..10)));
        assert_eq!(of("bytes=90-1000"), Ok(Some(90..100)));
        assert_eq!(of("bytes=90-"), Ok(Some(90..100)));
        assert_eq!(of("bytes=-5"), Ok(Some(95..100)));
        assert_eq!(of("bytes=100-"), Err(()));
        assert_eq!(of("bytes=0-1,5-6"), Ok(None));
        assert_eq!(of("lines=1-2"), Ok(None));
    }

    #[test]
    fn range_is_ignored_when_if_range_does_not_match() {
        assert_eq!(
            range(&asked(header::IF_RANGE, "\"other\""), &content()),
            Ok(None)
        );
        assert_eq!(
            range(&asked(header::IF_RANGE, "\"e\""), &content()),
            Ok(Some(90..100))
        );
    }

    #[test]
    fn http_date_has_format_of_rfc_9110() {
        assert_eq!(
            http_date(OffsetDateTime::UNIX_EPOCH),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
    }
}
