//! Responses, with the headers and the JSON format of each part of the server.
//!
//! The OAuth2 views write JSON with Python's spacing. The API writes compact JSON and forbids
//! caching. Crashes produce HTML pages.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// The `Cache-Control` header of the API.
const NEVER_CACHE: &str = "max-age=0, no-cache, no-store, must-revalidate, private";

/// An error response.
pub(crate) type ErrorResponse = Box<Response>;
/// The result of an API endpoint.
pub(crate) type ApiResult = Result<Response, ErrorResponse>;

/// Creates a response.
pub(crate) fn response(status: StatusCode, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// Creates an HTML response.
pub(crate) fn html(status: StatusCode, body: impl Into<Body>) -> Response {
    response(status, "text/html; charset=utf-8", body)
}

/// Creates an HTML response that must not be cached.
pub(crate) fn private_html(status: StatusCode, body: impl Into<Body>) -> Response {
    never_cached(html(status, body))
}

/// Creates a redirect with an empty HTML body.
pub(crate) fn redirect(location: &str) -> Response {
    let mut response = private_html(StatusCode::FOUND, Body::empty());
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// Creates the redirect for a missing trailing slash.
pub(crate) fn add_slash(path: &str, query: Option<&str>) -> Response {
    let location = match query {
        Some(query) => format!("{path}/?{query}"),
        None => format!("{path}/"),
    };
    let mut response = html(StatusCode::MOVED_PERMANENTLY, Body::empty());
    if let Ok(value) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// Creates the response to an unknown path.
pub(crate) fn not_found() -> Response {
    html(
        StatusCode::NOT_FOUND,
        page(
            "Not Found",
            "The requested resource was not found on this server.",
        ),
    )
}

/// Creates the response of a crashed view.
pub(crate) fn crash() -> Response {
    html(
        StatusCode::INTERNAL_SERVER_ERROR,
        page("Server Error (500)", ""),
    )
}

/// Creates the response to a request that the server does not process.
pub(crate) fn bad_request_page() -> Response {
    response(
        StatusCode::BAD_REQUEST,
        "text/html",
        page("Bad Request (400)", ""),
    )
}

/// Creates an API response.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => never_cached(response(status, "application/json", body)),
        Err(_) => crash(),
    }
}

/// Creates an API response with status 200.
pub(crate) fn ok(value: &impl Serialize) -> Response {
    json(StatusCode::OK, value)
}

/// Creates the error `{"<key>": "<text>"}`.
pub(crate) fn json_error(status: StatusCode, key: &str, text: &str) -> Response {
    json(status, &serde_json::json!({ key: text }))
}

/// Creates the error `{"detail": "<text>"}`.
pub(crate) fn detail(status: StatusCode, text: &str) -> Response {
    json_error(status, "detail", text)
}

/// Creates the validation error `{"<field>": ["<text>"]}`.
pub(crate) fn field_error(field: &str, text: &str) -> Response {
    json(
        StatusCode::BAD_REQUEST,
        &serde_json::json!({ field: [text] }),
    )
}

/// Creates a response of the OAuth2 views.
pub(crate) fn oauth_json(status: StatusCode, fields: &[(&str, serde_json::Value)]) -> Response {
    let mut response = response(status, "application/json", python_json(fields));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Creates an OAuth2 error.
pub(crate) fn oauth_error(error: &str, description: Option<&str>) -> Response {
    let mut fields = vec![("error", error.into())];
    if let Some(description) = description {
        fields.push(("error_description", description.into()));
    }
    let status = if error == "invalid_client" {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::BAD_REQUEST
    };
    let mut response = oauth_json(status, &fields);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_client\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Formats an object like Python's `json.dumps`, in this order.
pub(crate) fn python_json(fields: &[(&str, serde_json::Value)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(key, value)| format!("{}: {value}", serde_json::Value::from(*key)))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

/// Creates an XML error of the object store.
pub(crate) fn xml_error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>SANDBOX</RequestId><HostId>SANDBOX</HostId></Error>"
    );
    response(status, "application/xml", body)
}

fn never_cached(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(NEVER_CACHE));
    response
}

fn page(title: &str, text: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>{title}</title>\n</head>\n<body>\n  \
         <h1>{title}</h1><p>{text}</p>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_json_has_spacing_of_python() {
        let text = python_json(&[
            ("error", "invalid_grant".into()),
            ("expires_in", 36000.into()),
        ]);
        assert_eq!(text, r#"{"error": "invalid_grant", "expires_in": 36000}"#);
    }

    #[test]
    fn add_slash_inserts_slash_before_query() {
        let response = add_slash("/api/direct-sharing/project", Some("access_token=t"));
        assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(
            response.headers()["location"],
            "/api/direct-sharing/project/?access_token=t"
        );
    }

    #[test]
    fn oauth_error_challenges_invalid_client() {
        let response = oauth_error("invalid_client", None);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            response.headers()["www-authenticate"],
            "Bearer error=\"invalid_client\""
        );
    }
}
