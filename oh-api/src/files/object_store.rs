//! Speaking to the object store: signed addresses, no token, its own errors.

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body as _;
use url::Url;

use crate::rest::client::{Client, read_all};
use crate::transport::Body;
use crate::{Error, SecretUrl};

/// An address as a server gave it, checked: http only where Open Humans itself is on http.
pub(crate) fn checked(server: &Client, url: &SecretUrl) -> Result<Url, Error> {
    let unexpected = |excerpt: &str| Error::UnexpectedResponse {
        status: StatusCode::OK,
        excerpt: excerpt.into(),
    };
    let url = server
        .base()
        .join(url.expose())
        .map_err(|_| unexpected("the file's address is not one"))?;
    let good =
        url.scheme() == "https" || url.scheme() == "http" && server.base().scheme() == "http";
    if !good || url.host().is_none() {
        return Err(unexpected("the file's address is not https"));
    }
    Ok(url)
}

/// A request that carries no token and no content type.
pub(crate) fn request(method: http::Method, url: &Url, body: Body) -> Result<Request<Body>, Error> {
    let mut request = Request::builder().method(method.clone()).uri(url.as_str());
    if method == http::Method::PUT {
        // Said even of an empty file: the object store takes none of unknown length.
        let length = body.size_hint().exact().unwrap_or(0);
        request = request.header(header::CONTENT_LENGTH, length);
    }
    request.body(body).map_err(|_| Error::UnexpectedResponse {
        status: StatusCode::OK,
        excerpt: "the file's address is not one a request can be sent to".into(),
    })
}

/// The error an answer of the object store, or of Open Humans' redirect to it, stands for.
pub(crate) async fn failed(server: &Client, response: Response<Body>) -> Error {
    if !is_xml(response.headers()) {
        return server.failed(response).await;
    }
    let status = response.status();
    let read = read_all(response.into_body(), 64 << 10);
    let body = tokio::time::timeout(server.idle_timeout(), read).await;
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    match status {
        StatusCode::NOT_FOUND => Error::NotFound,
        status => Error::ObjectStore {
            status,
            code: code(&String::from_utf8_lossy(&body)),
        },
    }
}

fn is_xml(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().ends_with(b"/xml"))
}

/// The one word S3 answers with, as in `<Error><Code>AccessDenied</Code>`.
fn code(body: &str) -> String {
    let code = body.split_once("<Code>").map(|(_, rest)| rest);
    let code = code.and_then(|rest| rest.split_once("</Code>"));
    let code = code.map_or("", |(code, _)| code);
    let plain = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain {
        code.to_owned()
    } else {
        String::new()
    }
}
