//! A value as JSON, for programs.

use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderValue};

/// A value as JSON.
pub(super) fn answer(value: &impl serde::Serialize) -> Response<Bytes> {
    let text = serde_json::to_vec(value).expect("views of texts and numbers become JSON");
    let mut response = Response::new(Bytes::from(text));
    let kind = HeaderValue::from_static("application/json");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
