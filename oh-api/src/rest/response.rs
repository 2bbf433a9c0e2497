//! From an answer to a value or an [`Error`].
//!
//! Open Humans' errors take four shapes of JSON, and some are HTML pages: `{"detail": "…"}`,
//! `{"field": ["…"]}`, `{"field": "…"}` and `{"errors": {…}}`. All become one type here.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use crate::{Clock, Error, Problem, Timestamp};

/// How much of an answer is quoted in an error.
const MAX_EXCERPT: usize = 160;
/// A run of token characters this long could be a token: the shortest of Open Humans' has 30.
const MIN_SECRET_LEN: usize = 20;
/// So many of the problems an answer names are kept.
const MAX_PROBLEMS: usize = 20;

/// An answer, read into memory.
pub(crate) struct ApiResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ApiResponse {
    /// The answer itself if it is a success, the error it stands for if not.
    pub(crate) fn checked(self, clock: &Clock) -> Result<Self, Error> {
        if self.status.is_success() {
            Ok(self)
        } else {
            Err(self.failure(clock))
        }
    }

    /// The body as JSON of a known form.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|_| Error::UnexpectedResponse {
            status: self.status,
            excerpt: excerpt(&self.body),
        })
    }

    fn failure(&self, clock: &Clock) -> Error {
        let status = self.status;
        match status.as_u16() {
            403 => Error::Forbidden {
                detail: self.detail(),
            },
            401 => {
                let detail = self.detail();
                if detail.starts_with("Expired token") {
                    Error::Expired
                } else {
                    Error::Unauthorized { detail }
                }
            }
            404 => Error::NotFound,
            413 => Error::TooLarge {
                what: "more than Open Humans takes".into(),
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
            _ => Error::UnexpectedResponse {
                status,
                excerpt: excerpt(&self.body),
            },
        }
    }

    fn detail(&self) -> String {
        let value: Option<Value> = serde_json::from_slice(&self.body).ok();
        match value.as_ref().and_then(|v| v.get("detail")?.as_str()) {
            Some(text) => shorten(text),
            None => excerpt(&self.body),
        }
    }

    /// What is wrong, from any of the four shapes.
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

/// `Retry-After` in either of its forms (RFC 9110 section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, clock: &Clock) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => http_date(text).map(|at| at.since(clock.now())),
    }
}

/// Reads an HTTP date, in any of its three forms (RFC 9110 section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}

/// A short part of a body, on one line, with everything that could be a secret left out.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = match body.get(..4 * MAX_EXCERPT) {
        None => String::from_utf8_lossy(body),
        // What is cut in two at the end could be the beginning of a token.
        Some(start) => {
            let whole = start.iter().rposition(|b| !is_token_like(char::from(*b)));
            String::from_utf8_lossy(&start[..whole.unwrap_or(0)])
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
    on_one_line(&text, |run| is_secret_like(run) || is_member_like(run))
}

fn is_token_like(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_%+=~".contains(c)
}

fn is_secret_like(run: &str) -> bool {
    run.len() >= MIN_SECRET_LEN
}

/// A project member id has eight digits, sixteen at most. A body that was not understood is quoted in
/// logs, and who it is about is nobody's business who reads them. What Open Humans says of a member
/// in words, such as which id is wrong, the caller must learn.
fn is_member_like(run: &str) -> bool {
    (8..=16).contains(&run.len()) && run.bytes().all(|b| b.is_ascii_digit())
}

/// What Open Humans says in words: short, on one line, and without what could be a secret.
pub(crate) fn shorten(text: &str) -> String {
    on_one_line(text, is_secret_like)
}

/// The beginning of a text, on one line, without the words that are to be left out.
fn on_one_line(text: &str, left_out: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut run = String::new();
    let flush = |run: &mut String, out: &mut String| {
        if left_out(run) {
            out.push('…');
        } else {
            out.push_str(run);
        }
        run.clear();
    };
    for c in text.chars() {
        if is_token_like(c) {
            run.push(c);
            continue;
        }
        flush(&mut run, &mut out);
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
    flush(&mut run, &mut out);
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
        answer.checked(&Clock::system()).err().unwrap()
    }

    #[test]
    fn the_four_shapes_become_one() {
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
            let [found] = &problems[..] else {
                panic!("{problems:?}");
            };
            assert_eq!(found.field.as_deref(), field, "{body}");
            assert_eq!(found.message, problem, "{body}");
        }
    }

    #[test]
    fn a_401_says_whether_the_token_has_merely_expired() {
        assert!(matches!(
            failure(401, r#"{"detail":"Expired token."}"#),
            Error::Expired
        ));
        let invalid = failure(401, r#"{"detail":"Invalid token."}"#);
        assert!(matches!(invalid, Error::Unauthorized { detail } if detail == "Invalid token."));
    }

    #[test]
    fn statuses_have_their_variants() {
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
    fn retry_after_is_seconds_or_a_date() {
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
    fn an_excerpt_is_short_and_holds_no_token() {
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
        // Wherever the quote ends, it ends before the token.
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
