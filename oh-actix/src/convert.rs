//! Conversion between actix-web's http 0.2 types and the core's http 1 types.

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::request::Parts;
use http::{Method, Uri};
use http_body::{Body, Frame};
use http_body_util::StreamBody;

/// Converts the request without its body.
///
/// Both versions accept the same bytes, so it does not fail for requests that a server parsed.
pub(crate) fn head(request: &HttpRequest) -> Result<Parts, http::Error> {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = Method::from_bytes(request.method().as_str().as_bytes())?;
    head.uri = match (request.uri().scheme(), request.uri().path_and_query()) {
        (None, Some(path)) => Uri::try_from(path.as_str())?,
        _ => Uri::try_from(request.uri().to_string())?,
    };
    head.headers.reserve(request.headers().len());
    for (name, value) in request.headers() {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes())?;
        let value = http::HeaderValue::from_bytes(value.as_bytes())?;
        head.headers.append(name, value);
    }
    Ok(head)
}

/// Converts the request, with its raw body.
pub(crate) fn request(
    request: &HttpRequest,
    payload: Payload,
) -> Result<http::Request<impl Body<Data = Bytes, Error = PayloadError> + Unpin>, http::Error> {
    let body = StreamBody::new(payload.map_ok(Frame::data));
    Ok(http::Request::from_parts(head(request)?, body))
}

/// Converts a response whose body is in memory.
pub(crate) fn response(response: &http::Response<Bytes>) -> HttpResponse {
    let internal = StatusCode::INTERNAL_SERVER_ERROR;
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(internal);
    let mut converted = HttpResponse::with_body(status, response.body().clone());
    for (name, value) in response.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            converted.headers_mut().append(name, value);
        }
    }
    converted.map_into_boxed_body()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn head_preserves_method_uri_and_repeated_headers() {
        let request = TestRequest::with_uri("/openhumans/complete?code=a%20b&state=c")
            .method(actix_web::http::Method::from_bytes(b"BREW").unwrap())
            .append_header(("x-twice", "one"))
            .append_header(("x-twice", "two"))
            .append_header(("x-bytes", HeaderValue::from_bytes(b"\xfe\xff").unwrap()))
            .to_http_request();
        let head = head(&request).unwrap();
        assert_eq!(head.method, "BREW");
        assert_eq!(head.uri, "/openhumans/complete?code=a%20b&state=c");
        let twice: Vec<_> = head.headers.get_all("x-twice").iter().collect();
        assert_eq!(twice, ["one", "two"]);
        assert_eq!(head.headers["x-bytes"].as_bytes(), b"\xfe\xff");
    }

    #[test]
    fn response_preserves_status_and_repeated_headers() {
        let original = http::Response::builder()
            .status(418)
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(Bytes::from_static(b"short and stout"))
            .unwrap();
        let converted = response(&original);
        assert_eq!(converted.status().as_u16(), 418);
        let cookies: Vec<_> = converted.headers().get_all("set-cookie").collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }
}
