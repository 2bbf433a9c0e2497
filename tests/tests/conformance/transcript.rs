//! Records of exchanges, without values that differ at random.
//!
//! Two applications that behave identically have equal transcripts: statuses, all headers with all
//! attributes, and bodies. Dates, ports and random values are replaced by placeholders.

use std::fmt::Write;

use oh_tests::wire::RawResponse;

/// All exchanges of one scenario with one application.
#[derive(Debug)]
pub(crate) struct Transcript {
    app: String,
    open_humans: String,
    entries: Vec<String>,
}

impl Transcript {
    pub(crate) fn new(app: &str, open_humans: &str) -> Self {
        Self {
            app: app.trim_end_matches('/').to_owned(),
            open_humans: open_humans.trim_end_matches('/').to_owned(),
            entries: Vec::new(),
        }
    }

    /// Records a response.
    pub(crate) fn note(&mut self, label: &str, response: &RawResponse) {
        let mut headers: Vec<_> = response
            .headers
            .iter()
            .filter(|(name, value)| name != "date" && !is_session_removal(name, value))
            .map(|(name, value)| match name.as_str() {
                "set-cookie" => format!("{name}: {}", self.cookie(value)),
                "content-length" => format!("{name}: {}", self.length(response, value)),
                _ => format!("{name}: {}", self.mask(value)),
            })
            .collect();
        headers.sort();
        let mut entry = format!("{label}\n  {}\n", response.status);
        for header in headers {
            let _ = writeln!(entry, "  {header}");
        }
        let _ = writeln!(entry, "  | {}", self.mask(&response.text()));
        self.entries.push(entry);
    }

    /// Returns the differences between two transcripts.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for at in 0..self.entries.len().max(other.entries.len()) {
            let (a, b) = (self.entries.get(at), other.entries.get(at));
            if a != b {
                let absent = "(nothing)\n".to_owned();
                let (a, b) = (a.unwrap_or(&absent), b.unwrap_or(&absent));
                differences.push(format!("--- one\n{a}+++ other\n{b}"));
            }
        }
        differences
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn mask(&self, text: &str) -> String {
        let mut text = text
            .replace(&self.app, "{app}")
            .replace(&encoded(&self.app), "{app}")
            .replace(&self.open_humans, "{oh}")
            .replace(&encoded(&self.open_humans), "{oh}");
        for name in ["state=", "code=", "code_challenge=", "again="] {
            text = mask_after(&text, name);
        }
        mask_dates(&text)
    }

    /// Replaces a content length by a placeholder if masking changed the body.
    fn length(&self, response: &RawResponse, value: &str) -> String {
        let text = response.text();
        if self.mask(&text) == text {
            value.to_owned()
        } else {
            assert_eq!(value, response.body.len().to_string());
            "{length}".to_owned()
        }
    }

    /// Masks the value of a cookie, but not its name and attributes.
    fn cookie(&self, cookie: &str) -> String {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = match name.split_once("oh-login-") {
            Some((prefix, digest)) => format!("{prefix}oh-login-{{{} digits}}", digest.len()),
            None => name.to_owned(),
        };
        let value = if value.is_empty() { "" } else { "{value}" };
        let attributes = attributes
            .split(';')
            .map(|attribute| match attribute.trim().split_once('=') {
                // A second can pass after the start of the login.
                Some(("Max-Age", seconds)) => match seconds.parse() {
                    Ok(1_790..=1_800) => "Max-Age={half an hour}".to_owned(),
                    _ => attribute.trim().to_owned(),
                },
                Some(("Expires", _)) => "Expires={date}".to_owned(),
                _ => attribute.trim().to_owned(),
            })
            .collect::<Vec<_>>()
            .join("; ");
        format!("{name}={value}; {attributes}")
    }
}

/// Whether a header removes the session cookie. For an empty session tower-sessions does, and
/// actix-session does not.
fn is_session_removal(name: &str, value: &str) -> bool {
    name == "set-cookie" && value.starts_with("id=;")
}

/// Encodes a URL as a query value.
fn encoded(url: &str) -> String {
    url::form_urlencoded::byte_serialize(url.as_bytes()).collect()
}

/// Replaces dates with times, such as `2026-11-24T12:33:28.5Z` and `2026-11-24 12:33`.
fn mask_dates(text: &str) -> String {
    let is_date = |at: &[u8]| {
        let shape = b"0000-00-00 00:00";
        at.len() >= shape.len()
            && at.iter().zip(shape).all(|(byte, expected)| match expected {
                b'0' => byte.is_ascii_digit(),
                b' ' => matches!(byte, b' ' | b'T'),
                expected => byte == expected,
            })
    };
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if is_date(rest.as_bytes()) {
            masked.push_str("{date}");
            let more = |c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.'));
            let tail = &rest[16..];
            rest = &tail[tail.find(more).unwrap_or(tail.len())..];
        } else {
            masked.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    masked
}

/// Masks the random value after each `name`.
fn mask_after(text: &str, name: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = rest.split_at(at + name.len());
        let random = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let end = after.find(|c| !random(c)).unwrap_or(after.len());
        masked.push_str(before);
        // Short values are constants of a test.
        masked.push_str(if end < 20 { &after[..end] } else { "{random}" });
        rest = &after[end..];
    }
    masked + rest
}
