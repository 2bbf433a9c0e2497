//! A file on its way: redirects followed without a token, broken transfers taken up again.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::BodyExt;

use crate::files::object_store;
use crate::files::progress::ProgressCallback;
use crate::rest::client::{Client, broken};
use crate::transport::Body;
use crate::{Error, SecretUrl};

/// How many redirects lead to a file at most. Open Humans uses one.
const MAX_REDIRECTS: usize = 5;

pub(super) struct Transfer {
    server: Client,
    url: SecretUrl,
    body: Body,
    position: u64,
    total: Option<u64>,
    /// The store's name for the file's state, if it has one that can be relied on.
    etag: Option<String>,
    max_size: u64,
    progress: ProgressCallback,
    finished: bool,
}

impl Transfer {
    /// Asks for the file from its beginning.
    pub(super) async fn open(
        server: &Client,
        url: &SecretUrl,
        max_size: u64,
        progress: ProgressCallback,
    ) -> Result<Self, Error> {
        let work = || get(server, url, None);
        let response = server.retry_policy().run(Error::is_retryable, work).await?;
        let total = content_length(response.headers());
        let fetching = Self {
            server: server.clone(),
            url: url.clone(),
            position: 0,
            total,
            etag: strong_etag(response.headers()),
            body: response.into_body(),
            max_size,
            progress,
            finished: false,
        };
        fetching.check_size(total.unwrap_or(0))?;
        fetching.progress.report(0, total);
        Ok(fetching)
    }

    /// Where the next chunk begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// How long the file is, where the store says it.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    pub(super) fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Goes on from `position` in the same state of the file. Whether the store lets it.
    pub(super) async fn skip_to(&mut self, position: u64) -> Result<bool, Error> {
        let Some(etag) = self.etag.clone() else {
            return Ok(false);
        };
        let from = From { position, etag };
        let work = || get(&self.server, &self.url, Some(&from));
        let policy = self.server.retry_policy();
        let response = policy.run(Error::is_retryable, work).await?;
        let etag = strong_etag(response.headers());
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT
            && etag.is_none_or(|etag| etag == from.etag)
            && content_range(response.headers()) == Some((position, self.total));
        if goes_on {
            self.body = response.into_body();
            self.position = position;
            self.progress.report(position, self.total);
        }
        Ok(goes_on)
    }

    /// The next chunk, `None` after the last.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.finished {
            return Ok(None);
        }
        let mut tries = Tries::default();
        loop {
            match self.read().await {
                Ok(chunk) => {
                    self.finished = chunk.is_none();
                    return Ok(chunk);
                }
                Err(error) => self.resume(error, &mut tries).await?,
            }
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        let idle = self.server.idle_timeout();
        loop {
            let frame = tokio::time::timeout(idle, self.body.frame()).await;
            let frame = frame.map_err(|_| Error::Timeout)?;
            let Some(frame) = frame else {
                return match self.total {
                    Some(total) if total != self.position => Err(Error::Mismatch {
                        what: "size",
                        expected: total.to_string(),
                        actual: self.position.to_string(),
                        saved_as: None,
                    }),
                    _ => Ok(None),
                };
            };
            let Ok(chunk) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            let position = self.position + chunk.len() as u64;
            self.check_size(position)?;
            self.position = position;
            self.progress.report(position, self.total);
            return Ok(Some(chunk));
        }
    }

    /// Takes up a transfer that broke off, if that is possible, or gives the error back.
    async fn resume(&mut self, error: Error, tries: &mut Tries) -> Result<(), Error> {
        let broken_off =
            error.is_retryable() || matches!(error, Error::Mismatch { what: "size", .. });
        if !broken_off || !tries.another() {
            return Err(error);
        }
        tracing::debug!(%error, "a download broke off and is taken up again");
        match self.skip_to(self.position).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(error),
        }
    }

    fn check_size(&self, size: u64) -> Result<(), Error> {
        if size <= self.max_size {
            return Ok(());
        }
        Err(Error::TooLarge {
            what: format!("the file, of which {} bytes were wanted", self.max_size),
        })
    }
}

/// How often one spot of a file is tried.
#[derive(Default)]
struct Tries(u8);

impl Tries {
    fn another(&mut self) -> bool {
        self.0 += 1;
        self.0 <= 3
    }
}

struct From {
    position: u64,
    etag: String,
}

/// Gets the file's bytes, wherever its address leads. No request carries a token.
async fn get(
    server: &Client,
    url: &SecretUrl,
    from: Option<&From>,
) -> Result<Response<Body>, Error> {
    let mut url = object_store::checked(server, url)?;
    for _ in 0..=MAX_REDIRECTS {
        let mut request = object_store::request(Method::GET, &url, Body::empty())?;
        let headers = request.headers_mut();
        // The bytes as they are stored, so that size and MD5 mean something.
        let identity = header::HeaderValue::from_static("identity");
        headers.insert(header::ACCEPT_ENCODING, identity);
        if let Some(from) = from {
            let range = format!("bytes={}-", from.position);
            insert(headers, header::RANGE, &range);
            insert(headers, header::IF_RANGE, &from.etag);
        }
        let response = send(server, request, server.idle_timeout()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let location = response.headers().get(header::LOCATION);
        match location.and_then(|l| std::str::from_utf8(l.as_bytes()).ok()) {
            Some(location) if status.is_redirection() => {
                let next = url.join(location).map_err(|_| Error::UnexpectedResponse {
                    status,
                    excerpt: "the file's address leads to none".into(),
                })?;
                url = object_store::checked(server, &SecretUrl::new(next.as_str()))?;
            }
            _ => return Err(object_store::failed(server, response).await),
        }
    }
    Err(Error::UnexpectedResponse {
        status: StatusCode::FOUND,
        excerpt: "the file's address leads from one to the next without end".into(),
    })
}

async fn send(
    server: &Client,
    request: http::Request<Body>,
    timeout: Duration,
) -> Result<Response<Body>, Error> {
    let response = tokio::time::timeout(timeout, server.transport().send(request)).await;
    Ok(response.map_err(|_| Error::Timeout)??)
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        headers.insert(name, value);
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    // With an encoding the length is another than the file's.
    if headers.contains_key(header::CONTENT_ENCODING) {
        return None;
    }
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// An ETag that means the same bytes (RFC 9110 section 8.8.3).
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(header::ETAG)?.to_str().ok()?;
    etag.starts_with('"').then(|| etag.to_owned())
}

/// Start and whole length from `bytes 5-9/10` (RFC 9110 section 14.4).
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}
