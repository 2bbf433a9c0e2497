//! The transfer of one file: follows redirects without a token and resumes after an interruption.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use md5::{Digest, Md5};

use crate::files::object_store;
use crate::files::progress::ProgressCallback;
use crate::rest::client::{Client, broken};
use crate::transport::Body;
use crate::{Error, SecretUrl};

/// Open Humans uses one redirect.
const MAX_REDIRECTS: usize = 5;

/// How often a transfer is resumed at one position.
const MAX_RESUMES: u32 = 3;

pub(super) struct Transfer {
    client: Client,
    url: SecretUrl,
    body: Body,
    position: u64,
    total: Option<u64>,
    /// The store's identifier of the file's version, if it is a strong one.
    etag: Option<String>,
    /// The MD5 of the bytes up to `position`. Without an ETag it is the only evidence that a second
    /// response contains the same file.
    prefix: Option<Md5>,
    restart: Option<Restart>,
    max_size: u64,
    progress: ProgressCallback,
    finished: bool,
}

/// A second response that begins at the file's first byte. Its bytes up to `Transfer::position` are
/// discarded.
struct Restart {
    discarded: u64,
    md5: Option<Md5>,
}

impl Transfer {
    /// Requests the file from its beginning.
    pub(super) async fn open(
        client: &Client,
        url: &SecretUrl,
        max_size: u64,
        progress: ProgressCallback,
    ) -> Result<Self, Error> {
        let response = request_file(client, url, None).await?;
        let total = content_length(response.headers());
        let etag = strong_etag(response.headers());
        let transfer = Self {
            client: client.clone(),
            url: url.clone(),
            position: 0,
            total,
            prefix: etag.is_none().then(Md5::new),
            etag,
            body: response.into_body(),
            restart: None,
            max_size,
            progress,
            finished: false,
        };
        transfer.check_size(total.unwrap_or(0))?;
        transfer.progress.report(0, total);
        Ok(transfer)
    }

    /// The offset of the next chunk.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The file's size, if the store states it.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    pub(super) fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Continues at `position` in the same version of the file. Returns whether the store supports
    /// that; if not, the transfer is unchanged.
    pub(super) async fn skip_to(&mut self, position: u64) -> Result<bool, Error> {
        let Some(range) = self.range_from(position) else {
            return Ok(false);
        };
        let response = request_file(&self.client, &self.url, Some(&range)).await?;
        let continues = self.continues(&response, &range);
        if continues {
            self.body = response.into_body();
            self.position = position;
            self.progress.report(position, self.total);
        }
        Ok(continues)
    }

    /// Returns the next chunk, or `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.finished {
            return Ok(None);
        }
        let mut resumes = 0;
        loop {
            let error = match self.read().await {
                Ok(chunk) => {
                    self.finished = chunk.is_none();
                    return Ok(chunk);
                }
                Err(error) => error,
            };
            let interrupted =
                error.is_retryable() || matches!(error, Error::Mismatch { what: "size", .. });
            resumes += 1;
            if !interrupted || resumes > MAX_RESUMES {
                return Err(error);
            }
            tracing::debug!(%error, position = self.position, "resuming an interrupted download");
            match self.reopen().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(error),
            }
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        let idle = self.client.idle_timeout();
        loop {
            let frame = tokio::time::timeout(idle, self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| Error::Timeout)? else {
                return self.end();
            };
            let Ok(chunk) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            let chunk = self.without_discarded(chunk)?;
            if chunk.is_empty() {
                continue;
            }
            let position = self.position + chunk.len() as u64;
            self.check_size(position)?;
            self.position = position;
            if let Some(prefix) = &mut self.prefix {
                prefix.update(&chunk);
            }
            self.progress.report(position, self.total);
            return Ok(Some(chunk));
        }
    }

    fn end(&self) -> Result<Option<Bytes>, Error> {
        let (expected, actual) = match &self.restart {
            Some(restart) => (Some(self.position), restart.discarded),
            None => (self.total, self.position),
        };
        match expected {
            Some(expected) if expected != actual => Err(Error::Mismatch {
                what: "size",
                expected: expected.to_string(),
                actual: actual.to_string(),
                saved_as: None,
            }),
            _ => Ok(None),
        }
    }

    /// Removes the bytes of a chunk that were already received before a restart.
    fn without_discarded(&mut self, mut chunk: Bytes) -> Result<Bytes, Error> {
        let Some(restart) = &mut self.restart else {
            return Ok(chunk);
        };
        let missing = self.position - restart.discarded;
        let known = chunk.split_to(
            chunk
                .len()
                .min(usize::try_from(missing).unwrap_or(usize::MAX)),
        );
        restart.discarded += known.len() as u64;
        if let Some(md5) = &mut restart.md5 {
            md5.update(&known);
        }
        if restart.discarded < self.position {
            return Ok(chunk);
        }
        let repeated = self.restart.take().and_then(|restart| restart.md5);
        let (Some(before), Some(repeated)) = (&self.prefix, repeated) else {
            return Ok(chunk);
        };
        if before.clone().finalize() == repeated.finalize() {
            return Ok(chunk);
        }
        let reason = "the file changed during the download";
        Err(Error::unexpected(StatusCode::OK, reason))
    }

    /// Requests the file again and continues at the current position: with the rest of the file, or
    /// with the complete file, whose first bytes are then discarded. Returns whether the response
    /// is known to contain the same file.
    async fn reopen(&mut self) -> Result<bool, Error> {
        let range = self.range_from(self.position);
        let mut response = request_file(&self.client, &self.url, range.as_ref()).await?;
        if let Some(range) = &range {
            if self.continues(&response, range) {
                self.body = response.into_body();
                return Ok(true);
            }
            if response.status() != StatusCode::OK {
                response = request_file(&self.client, &self.url, None).await?;
            }
        }
        let etag = strong_etag(response.headers());
        let same_version = self.etag.is_none() || self.etag == etag;
        if !same_version || content_length(response.headers()) != self.total {
            return Ok(false);
        }
        self.restart = (self.position > 0).then(|| Restart {
            discarded: 0,
            md5: self.prefix.is_some().then(Md5::new),
        });
        self.body = response.into_body();
        Ok(true)
    }

    fn range_from(&self, position: u64) -> Option<Range> {
        let etag = self.etag.clone()?;
        Some(Range { position, etag })
    }

    /// Whether a response continues this version of the file at the requested position.
    fn continues(&self, response: &Response<Body>, range: &Range) -> bool {
        let etag = strong_etag(response.headers());
        response.status() == StatusCode::PARTIAL_CONTENT
            && etag.is_none_or(|etag| etag == range.etag)
            && content_range(response.headers()) == Some((range.position, self.total))
    }

    fn check_size(&self, size: u64) -> Result<(), Error> {
        if size <= self.max_size {
            return Ok(());
        }
        Err(Error::TooLarge {
            what: format!("the file, with a limit of {} bytes", self.max_size),
        })
    }
}

/// The rest of a file from `position` on, if its version is still `etag`.
struct Range {
    position: u64,
    etag: String,
}

async fn request_file(
    client: &Client,
    url: &SecretUrl,
    range: Option<&Range>,
) -> Result<Response<Body>, Error> {
    let work = || get(client, url, range);
    client.retry_policy().run(Error::is_retryable, work).await
}

/// Requests a file and follows redirects. No request carries a token. The status is 200, or with a
/// range also 206 or 416.
async fn get(
    client: &Client,
    url: &SecretUrl,
    range: Option<&Range>,
) -> Result<Response<Body>, Error> {
    let mut url = object_store::checked(client, url)?;
    for _ in 0..=MAX_REDIRECTS {
        let mut request = object_store::request(Method::GET, &url, Body::empty())?;
        let headers = request.headers_mut();
        // Size and MD5 describe the stored bytes, so no encoding is acceptable.
        let identity = header::HeaderValue::from_static("identity");
        headers.insert(header::ACCEPT_ENCODING, identity);
        if let Some(range) = range {
            insert(
                headers,
                header::RANGE,
                &format!("bytes={}-", range.position),
            );
            insert(headers, header::IF_RANGE, &range.etag);
        }
        let sent = client.transport().send(request);
        let response = tokio::time::timeout(client.idle_timeout(), sent).await;
        let response = response.map_err(|_| Error::Timeout)??;
        let status = response.status();
        match status {
            StatusCode::OK => return not_encoded(response),
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if range.is_some() => {
                return not_encoded(response);
            }
            status if status.is_success() => {
                return Err(Error::unexpected(status, "a complete file was expected"));
            }
            _ => {}
        }
        let location = response.headers().get(header::LOCATION);
        match location.and_then(|l| std::str::from_utf8(l.as_bytes()).ok()) {
            Some(location) if status.is_redirection() => {
                let next = url
                    .join(location)
                    .map_err(|_| Error::unexpected(status, "the redirect is not a valid URL"))?;
                url = object_store::checked(client, &SecretUrl::new(next.as_str()))?;
            }
            _ => return Err(object_store::failed(client, response).await),
        }
    }
    Err(Error::unexpected(StatusCode::FOUND, "too many redirects"))
}

/// Rejects a compressed response, which would be saved under the file's name.
fn not_encoded(response: Response<Body>) -> Result<Response<Body>, Error> {
    let encoding = response.headers().get(header::CONTENT_ENCODING);
    if encoding.is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(response);
    }
    let excerpt = "the file is compressed (Content-Encoding), although only identity was accepted";
    Err(Error::unexpected(response.status(), excerpt))
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        headers.insert(name, value);
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Returns an ETag that guarantees identical bytes (RFC 9110 section 8.8.3).
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(header::ETAG)?.to_str().ok()?;
    etag.starts_with('"').then(|| etag.to_owned())
}

/// Parses the first offset and the total size from `bytes 5-9/10` (RFC 9110 section 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}
