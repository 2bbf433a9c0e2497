//! Requests to the object store: signed URLs, no token, and the store's own errors.

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body as _;
use url::Url;

use crate::rest::client::{Client, read_all};
use crate::transport::Body;
use crate::{Error, SecretUrl};

/// The longest error response that is read.
const MAX_ERROR_BODY: usize = 64 << 10;

/// Parses a file's URL. Plain http is accepted only if Open Humans itself uses it.
pub(crate) fn checked(client: &Client, url: &SecretUrl) -> Result<Url, Error> {
    let base = client.base();
    let url = base
        .join(url.expose())
        .map_err(|_| Error::unexpected(StatusCode::OK, "the file's URL is invalid"))?;
    let is_secure = url.scheme() == "https" || url.scheme() == "http" && base.scheme() == "http";
    if !is_secure || url.host().is_none() {
        let excerpt = "the file's URL does not use https";
        return Err(Error::unexpected(StatusCode::OK, excerpt));
    }
    Ok(url)
}

/// Creates a request without a token or content type.
pub(crate) fn request(method: http::Method, url: &Url, body: Body) -> Result<Request<Body>, Error> {
    let mut request = Request::builder().method(method.clone()).uri(url.as_str());
    if method == http::Method::PUT {
        // Explicit even for an empty file: the store rejects a PUT of unknown length.
        let length = body.size_hint().exact().unwrap_or(0);
        request = request.header(header::CONTENT_LENGTH, length);
    }
    let invalid = |_| Error::unexpected(StatusCode::OK, "the file's URL is invalid");
    request.body(body).map_err(invalid)
}

/// Converts an error response of the object store, or of Open Humans' redirect to it.
pub(crate) async fn failed(client: &Client, response: Response<Body>) -> Error {
    if !is_xml(response.headers()) {
        return client.failed(response).await;
    }
    let status = response.status();
    let read = read_all(response.into_body(), MAX_ERROR_BODY);
    let body = tokio::time::timeout(client.idle_timeout(), read).await;
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    match status {
        StatusCode::NOT_FOUND => Error::NotFound,
        status => Error::ObjectStore {
            status,
            code: error_code(&String::from_utf8_lossy(&body)),
        },
    }
}

/// Resolves the target of a 307 or 308 response to a PUT.
pub(crate) fn redirect_target(
    client: &Client,
    url: &Url,
    response: &Response<Body>,
) -> Option<Result<Url, Error>> {
    let repeats_body = matches!(
        response.status(),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let next = url.join(location).ok().filter(|_| repeats_body)?;
    Some(checked(client, &SecretUrl::new(next.as_str())))
}

fn is_xml(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().ends_with(b"/xml"))
}

/// Extracts S3's error code, as in `<Error><Code>AccessDenied</Code>`.
fn error_code(body: &str) -> String {
    let code = body.split_once("<Code>").map(|(_, rest)| rest);
    let code = code.and_then(|rest| rest.split_once("</Code>"));
    let code = code.map_or("", |(code, _)| code);
    let is_plain = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_plain {
        code.to_owned()
    } else {
        String::new()
    }
}
