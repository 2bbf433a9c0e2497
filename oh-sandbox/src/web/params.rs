//! The parameters in a body: JSON, form or multipart.
//!
//! The API accepts all three formats. It responds to other bodies with an error, a page, or a
//! crash; see [`Params::accept`].

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart};
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::{Map, Value};

use crate::web::call::{Call, Fields, RequestBody};
use crate::web::respond::{ErrorResponse, bad_request_page, crash, detail};

/// The maximum size of a request body, including files.
pub(crate) const MAX_REQUEST_BODY: usize = 2_621_440;

/// The maximum number of form fields.
const MAX_FIELDS: usize = 1000;

/// The maximum size of a part's headers. The server ignores a part with larger headers.
const MAX_PART_HEADER: usize = 1024;

/// A file in a form.
#[derive(Debug, Clone)]
pub(crate) struct FilePart {
    pub(crate) name: String,
    pub(crate) file_name: String,
    pub(crate) content: Bytes,
}

/// The parameters in a body.
#[derive(Debug)]
pub(crate) enum Params {
    Form {
        fields: Fields,
        files: Vec<FilePart>,
    },
    Json(Map<String, Value>),
    /// JSON that is not an object, which crashes the server.
    NotAnObject,
    BrokenJson(String),
    /// Too many or too large form fields.
    Excessive,
    Unsupported(String),
}

/// The value of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Param<'a> {
    Text(&'a str),
    Json(&'a Value),
}

impl Param<'_> {
    /// Returns the trimmed text, or `None` if it is empty.
    pub(crate) fn text(&self) -> Option<String> {
        let text = match self {
            Self::Text(text) => text.trim().to_owned(),
            Self::Json(Value::String(text)) => text.trim().to_owned(),
            Self::Json(Value::Null) => return None,
            Self::Json(Value::Bool(true)) => "True".to_owned(),
            Self::Json(Value::Bool(false)) => "False".to_owned(),
            Self::Json(other) => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }

    /// Returns the value as a checkbox.
    pub(crate) fn flag(&self) -> bool {
        match self {
            Self::Json(Value::Bool(flag)) => *flag,
            other => other
                .text()
                .is_some_and(|text| !matches!(text.as_str(), "False" | "false" | "0" | "f" | "F")),
        }
    }
}

impl Params {
    pub(crate) async fn read(call: &Call) -> Self {
        let none = Self::Form {
            fields: Fields::default(),
            files: Vec::new(),
        };
        let body = match &call.body {
            RequestBody::Whole(body) if body.is_empty() => return none,
            RequestBody::Whole(body) => body.clone(),
            RequestBody::TooLarge => return none,
        };
        match call.content_type().as_deref() {
            Some("application/json") => json(&body),
            Some("application/x-www-form-urlencoded") => {
                let fields = Fields::parse(&body);
                if body.len() > MAX_REQUEST_BODY || fields.0.len() > MAX_FIELDS {
                    return Self::Excessive;
                }
                Self::Form {
                    fields,
                    files: Vec::new(),
                }
            }
            Some("multipart/form-data") => multipart(call, body).await.unwrap_or(none),
            other => Self::Unsupported(other.unwrap_or_default().to_owned()),
        }
    }

    /// Returns the error response for a body that the API does not accept.
    pub(crate) fn accept(&self) -> Result<(), ErrorResponse> {
        match self {
            Self::Form { .. } | Self::Json(_) => Ok(()),
            Self::NotAnObject => Err(crash().into()),
            Self::Excessive => Err(bad_request_page().into()),
            Self::BrokenJson(why) => {
                let text = format!("JSON parse error - {why}");
                Err(detail(StatusCode::BAD_REQUEST, &text).into())
            }
            Self::Unsupported(what) => {
                let text = format!("Unsupported media type \"{what}\" in request.");
                Err(detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text).into())
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Param<'_>> {
        match self {
            Self::Form { fields, .. } => fields.get(name).map(Param::Text),
            Self::Json(object) => object.get(name).map(Param::Json),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.text()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|param| param.flag())
    }

    pub(crate) fn file(&self, name: &str) -> Option<&FilePart> {
        match self {
            Self::Form { files, .. } => files.iter().rev().find(|file| file.name == name),
            _ => None,
        }
    }

    /// Returns the last value of each form field. The OAuth2 views use only these.
    pub(crate) fn form(&self) -> HashMap<String, String> {
        match self {
            Self::Form { fields, .. } => fields.0.iter().cloned().collect(),
            _ => HashMap::new(),
        }
    }
}

fn json(body: &[u8]) -> Params {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Params::Json(object),
        Ok(_) => Params::NotAnObject,
        Err(error) => Params::BrokenJson(in_pythons_words(body, &error)),
    }
}

/// Approximates the message of Python's JSON parser.
fn in_pythons_words(body: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(body);
    let start = text.len() - text.trim_start().len();
    if text.trim_start().starts_with('{') && !text.trim_start()[1..].trim_start().starts_with('"') {
        let at = start + 1;
        return format!(
            "Expecting property name enclosed in double quotes: line 1 column {} (char {at})",
            at + 1
        );
    }
    let (line, column) = (error.line(), error.column());
    format!(
        "Expecting value: line {line} column {column} (char {})",
        column.saturating_sub(1)
    )
}

async fn multipart(call: &Call, body: Bytes) -> Option<Params> {
    let content_type = call.headers.get(header::CONTENT_TYPE)?.clone();
    let mut request = http::Request::new(Body::from(body));
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    DefaultBodyLimit::disable().apply(&mut request);
    let mut parts = Multipart::from_request(request, &()).await.ok()?;
    let (mut fields, mut files) = (Vec::new(), Vec::new());
    let mut field_bytes = 0;
    while let Ok(Some(part)) = parts.next_field().await {
        let headers: usize = part
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        let name = part.name().unwrap_or_default().to_owned();
        let file_name = part.file_name().map(str::to_owned);
        let content = part.bytes().await.ok()?;
        if headers > MAX_PART_HEADER {
            continue;
        }
        match file_name {
            Some(file_name) => files.push(FilePart {
                name,
                file_name,
                content,
            }),
            None => {
                field_bytes += content.len();
                fields.push((name, String::from_utf8_lossy(&content).into_owned()));
            }
        }
    }
    if fields.len() + files.len() > MAX_FIELDS || field_bytes > MAX_REQUEST_BODY {
        return Some(Params::Excessive);
    }
    // An empty file input sends a part with an empty file name.
    files.retain(|file| !file.file_name.is_empty());
    Some(Params::Form {
        fields: Fields(fields),
        files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_json_error_has_message_of_python() {
        let Params::BrokenJson(why) = json(b"{bad") else {
            panic!("not broken")
        };
        assert_eq!(
            why,
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
        );
        let Params::BrokenJson(why) = json(b"x") else {
            panic!("not broken")
        };
        assert_eq!(why, "Expecting value: line 1 column 1 (char 0)");
    }

    #[test]
    fn flag_treats_false_as_unset() {
        assert!(!Param::Text("False").flag());
        assert!(!Param::Text("").flag());
        assert!(!Param::Json(&Value::Bool(false)).flag());
        assert!(Param::Text("True").flag());
        assert!(Param::Text("on").flag());
    }

    #[test]
    fn text_is_none_for_blank_and_null() {
        assert_eq!(Param::Text("  ").text(), None);
        assert_eq!(Param::Json(&Value::Null).text(), None);
        assert_eq!(Param::Json(&Value::from(5)).text().as_deref(), Some("5"));
    }
}
