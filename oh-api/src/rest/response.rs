//! Conversion of responses to values and errors.
//!
//! Error responses of Open Humans have four JSON forms: `{"detail": "…"}`, `{"field": ["…"]}`,
//! `{"field": "…"}` and `{"errors": {…}}`. Some are HTML pages.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use crate::{Clock, Error, Problem, Timestamp};

/// The longest quotation of a response in an error, in characters.
const MAX_EXCERPT: usize = 160;
/// Shorter words are not considered secrets. The shortest token of Open Humans has 30 characters.
const MIN_SECRET_LEN: usize = 20;
/// How many problems of one response are returned.
const MAX_PROBLEMS: usize = 20;

/// A response in memory.
pub(crate) struct ApiResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ApiResponse {
    /// Converts an error response to an error.
    pub(crate) fn error_for_status(self, clock: &Clock) -> Result<Self, Error> {
        if self.status.is_success() {
            Ok(self)
        } else {
            Err(self.error(clock))
        }
    }

    /// Parses the body as JSON.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|_| Error::unexpected(self.status, excerpt(&self.body)))
    }

    fn error(&self, clock: &Clock) -> Error {
        let status = self.status;
        match status.as_u16() {
            403 => Error::Forbidden {
                detail: self.detail(),
            },
            401 => match self.detail() {
                detail if detail.starts_with("Expired token") => Error::Expired,
                detail => Error::Unauthorized { detail },
            },
            404 => Error::NotFound,
            413 => Error::TooLarge {
                what: "the request exceeds a limit of Open Humans".into(),
            },
            429 => Error::RateLimited {
                retry_after: retry_after(&self.headers, clock),
            },
            503 if self.headers.contains_key(header::RETRY_AFTER) => Error::RateLimited {
                retry_after: retry_after(&self.headers, clock),
            },
            400..=499 => Error::BadRequest {
                problems: self.problems(),
            },
            500..=599 => Error::Server { status },
            _ => Error::unexpected(status, excerpt(&self.body)),
        }
    }

    fn detail(&self) -> String {
        let value: Option<Value> = serde_json::from_slice(&self.body).ok();
        match value.as_ref().and_then(|v| v.get("detail")?.as_str()) {
            Some(text) => shorten(text),
            None => excerpt(&self.body),
        }
    }

    /// Extracts the problems from any of the four forms.
    fn problems(&self) -> Vec<Problem> {
        let Ok(Value::Object(map)) = serde_json::from_slice::<Value>(&self.body) else {
            return vec![Problem::new(excerpt(&self.body))];
        };
        let fields = match map.get("errors") {
            Some(Value::Object(errors)) => errors,
            _ => &map,
        };
        let mut problems = Vec::new();
        for (field, value) in fields {
            let field = match field.as_str() {
                "detail" | "__all__" | "non_field_errors" => None,
                name => Some(shorten(name)),
            };
            match value {
                Value::Array(all) => {
                    problems.extend(all.iter().map(|one| problem(field.clone(), one)));
                }
                one => problems.push(problem(field, one)),
            }
        }
        problems.truncate(MAX_PROBLEMS);
        problems
    }
}

fn problem(field: Option<String>, value: &Value) -> Problem {
    let message = match value {
        Value::String(text) => shorten(text),
        other => shorten(&other.to_string()),
    };
    Problem { field, message }
}

/// Parses `Retry-After` in either of its forms (RFC 9110 section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, clock: &Clock) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => http_date(text).map(|at| at.since(clock.now())),
    }
}

/// Parses an HTTP date in any of its three forms (RFC 9110 section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}

/// Quotes the start of a body on one line, without possible secrets and member ids.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = match body.get(..4 * MAX_EXCERPT) {
        None => String::from_utf8_lossy(body),
        // A word that is cut off could be the start of a token, so it is removed.
        Some(start) => {
            let end = start.iter().rposition(|b| !is_token_char(char::from(*b)));
            String::from_utf8_lossy(&start[..end.unwrap_or(0)])
        }
    };
    let lower = text.to_ascii_lowercase();
    if lower.trim_start().starts_with("<!doctype html") || lower.trim_start().starts_with("<html") {
        let title = lower.find("<title>").map(|at| at + "<title>".len());
        let title = title.and_then(|at| {
            let end = lower[at..].find("</title>")?;
            text.get(at..at + end)
        });
        return match title {
            Some(title) => format!("an HTML page, \"{}\"", shorten(title.trim())),
            None => "an HTML page".into(),
        };
    }
    on_one_line(&text, |word| {
        is_secret_like(word) || is_member_id_like(word)
    })
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_%+=~".contains(c)
}

fn is_secret_like(word: &str) -> bool {
    word.len() >= MIN_SECRET_LEN
}

/// Project member ids must not appear in logs. Messages that the server writes for the caller keep
/// them, because they say which id is wrong.
fn is_member_id_like(word: &str) -> bool {
    (8..=16).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit())
}

/// Shortens a message of the server to one line without possible secrets.
pub(crate) fn shorten(text: &str) -> String {
    on_one_line(text, is_secret_like)
}

/// Returns the start of a text on one line, with some words replaced by an ellipsis.
fn on_one_line(text: &str, is_omitted: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, out: &mut String| {
        match is_omitted(word) {
            true => out.push('…'),
            false => out.push_str(word),
        }
        word.clear();
    };
    for c in text.chars() {
        if is_token_char(c) {
            word.push(c);
            continue;
        }
        flush(&mut word, &mut out);
        if out.len() >= MAX_EXCERPT {
            break;
        }
        match c {
            c if c.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    flush(&mut word, &mut out);
    if out.chars().count() > MAX_EXCERPT {
        out = out.chars().take(MAX_EXCERPT).collect();
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str) -> Error {
        let answer = ApiResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        answer.error_for_status(&Clock::system()).err().unwrap()
    }

    #[test]
    fn bad_request_parses_all_error_forms() {
        for (body, field, problem) in [
            (r#"{"detail":"file not present"}"#, None, "file not present"),
            (
                r#"{"metadata":["This field is required."]}"#,
                Some("metadata"),
                "This field is required.",
            ),
            (
                r#"{"project_member_id":"project_member_id is invalid"}"#,
                Some("project_member_id"),
                "project_member_id is invalid",
            ),
            (
                r#"{"errors":{"message":["This field is required."]}}"#,
                Some("message"),
                "This field is required.",
            ),
            (
                r#"{"errors":{"__all__":["You must provide a list."]}}"#,
                None,
                "You must provide a list.",
            ),
            (
                "<html><head><title>Bad Request</title>",
                None,
                "an HTML page, \"Bad Request\"",
            ),
        ] {
            let Error::BadRequest { problems } = failure(400, body) else {
                panic!("{body}");
            };
            let [actual] = &problems[..] else {
                panic!("{problems:?}");
            };
            assert_eq!(actual.field.as_deref(), field, "{body}");
            assert_eq!(actual.message, problem, "{body}");
        }
    }

    #[test]
    fn unauthorized_response_distinguishes_expired_token() {
        assert!(matches!(
            failure(401, r#"{"detail":"Expired token."}"#),
            Error::Expired
        ));
        let invalid = failure(401, r#"{"detail":"Invalid token."}"#);
        assert!(matches!(invalid, Error::Unauthorized { detail } if detail == "Invalid token."));
    }

    #[test]
    fn error_status_maps_to_variant() {
        assert!(matches!(failure(404, ""), Error::NotFound));
        assert!(matches!(failure(413, ""), Error::TooLarge { .. }));
        assert!(matches!(
            failure(429, ""),
            Error::RateLimited { retry_after: None }
        ));
        assert!(matches!(failure(500, "<html>"), Error::Server { .. }));
        assert!(matches!(failure(503, ""), Error::Server { .. }));
        assert!(matches!(failure(301, ""), Error::UnexpectedResponse { .. }));
    }

    #[test]
    fn retry_after_parses_seconds_and_dates() {
        let clock = Clock::manual("2026-11-22T16:31:27Z".parse().unwrap());
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers, &clock), None);
        headers.insert(header::RETRY_AFTER, "7".parse().unwrap());
        assert_eq!(retry_after(&headers, &clock), Some(Duration::from_secs(7)));
        headers.insert(
            header::RETRY_AFTER,
            "Sun, 22 Nov 2026 16:32:27 GMT".parse().unwrap(),
        );
        assert_eq!(retry_after(&headers, &clock), Some(Duration::from_secs(60)));
    }

    #[test]
    fn excerpt_is_short_without_token_or_member_id() {
        let token = "aXBfKym8W1M4fjUMXoy38iHzMEZdWS";
        for body in [
            format!("{{\"next\":\"https://h/?access_token={token}&limit=1\"}}"),
            token.to_owned(),
            format!("x {token}"),
            format!("{}{token}", "a ".repeat(300)),
        ] {
            let excerpt = excerpt(body.as_bytes());
            assert!(!excerpt.contains(token), "{excerpt}");
            assert!(excerpt.chars().count() <= MAX_EXCERPT + 1, "{excerpt}");
        }
        // The token starts at every possible distance from the cut.
        for before in 0..(5 * MAX_EXCERPT) {
            let body = format!("{}{token}", " ".repeat(before));
            let excerpt = excerpt(body.as_bytes());
            assert!(!excerpt.contains("aXB"), "{before}: {excerpt}");
        }
        assert_eq!(excerpt(b"{\"cou"), "{\"cou");
        assert_eq!(
            excerpt(br#"{"at":"2026-11-27T09","project_member_id":"01026778"#),
            r#"{"at":"2026-11-27T09","project_member_id":"…"#
        );
        assert_eq!(excerpt(b"\x1b[31m \n\t red"), "\u{fffd}[31m red");
    }
}
