//! The answers' outer form: which headers and which JSON dialect each part of the server uses.
//!
//! Three dialects meet on one host. The OAuth2 views write JSON with Python's spacing, the
//! API writes it compact with caching forbidden, and whatever crashes answers with a page.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// What the API sends so that nothing is ever cached.
const NEVER_CACHE: &str = "max-age=0, no-cache, no-store, must-revalidate, private";

/// The answer to whoever is sent away, on its way out as an error.
pub(crate) type ErrorResponse = Box<Response>;

/// Builds an answer whose headers are all known to be valid.
pub(crate) fn response(status: StatusCode, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// A page.
pub(crate) fn html(status: StatusCode, body: impl Into<Body>) -> Response {
    response(status, "text/html; charset=utf-8", body)
}

/// A page that must not be cached, as the account pages are.
pub(crate) fn private_html(status: StatusCode, body: impl Into<Body>) -> Response {
    never_cached(html(status, body))
}

/// A redirect. The server sends an empty page with it.
pub(crate) fn redirect(location: &str) -> Response {
    let mut response = private_html(StatusCode::FOUND, Body::empty());
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// The redirect for a path that lacks its trailing slash.
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

/// What whoever asks for a page that is not there gets.
pub(crate) fn not_found() -> Response {
    html(
        StatusCode::NOT_FOUND,
        page(
            "Not Found",
            "The requested resource was not found on this server.",
        ),
    )
}

/// What a crash looks like from outside.
pub(crate) fn crash() -> Response {
    html(
        StatusCode::INTERNAL_SERVER_ERROR,
        page("Server Error (500)", ""),
    )
}

/// What the server makes of a request that it will not even look at.
pub(crate) fn bad_request_page() -> Response {
    response(
        StatusCode::BAD_REQUEST,
        "text/html",
        page("Bad Request (400)", ""),
    )
}

/// An API answer: compact JSON, never cached.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => never_cached(response(status, "application/json", body)),
        Err(_) => crash(),
    }
}

/// `{"<key>": "<text>"}`, one of the shapes an API error takes.
pub(crate) fn json_error(status: StatusCode, key: &str, text: &str) -> Response {
    json(status, &serde_json::json!({ key: text }))
}

/// `{"detail": "<text>"}`.
pub(crate) fn detail(status: StatusCode, text: &str) -> Response {
    json_error(status, "detail", text)
}

/// `{"<field>": ["<text>"]}`, a form's complaint about one field.
pub(crate) fn field_error(field: &str, text: &str) -> Response {
    json(
        StatusCode::BAD_REQUEST,
        &serde_json::json!({ field: [text] }),
    )
}

/// JSON in the words of the OAuth2 views: Python's spacing and no storing.
pub(crate) fn oauth_json(status: StatusCode, fields: &[(&str, serde_json::Value)]) -> Response {
    let mut response = response(status, "application/json", python_json(fields));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// An OAuth2 error, with its description where the server gives one.
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

/// An object written as Python's `json.dumps` writes it, in the order given.
pub(crate) fn python_json(fields: &[(&str, serde_json::Value)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(key, value)| format!("{}: {value}", serde_json::Value::from(*key)))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

/// An XML error in the object store's words.
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
    fn oauth_json_has_pythons_spacing() {
        let text = python_json(&[
            ("error", "invalid_grant".into()),
            ("expires_in", 36000.into()),
        ]);
        assert_eq!(text, r#"{"error": "invalid_grant", "expires_in": 36000}"#);
    }

    #[test]
    fn a_missing_slash_is_added_before_the_query() {
        let response = add_slash("/api/direct-sharing/project", Some("access_token=t"));
        assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(
            response.headers()["location"],
            "/api/direct-sharing/project/?access_token=t"
        );
    }

    #[test]
    fn wrong_client_credentials_are_challenged() {
        let response = oauth_error("invalid_client", None);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            response.headers()["www-authenticate"],
            "Bearer error=\"invalid_client\""
        );
    }
}
