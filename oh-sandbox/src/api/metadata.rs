//! The metadata of an upload, and the values that crash the server.

use serde_json::Value;

/// The error for an invalid field of an upload.
#[derive(Debug)]
pub(crate) enum Invalid {
    /// An error for the field.
    Field(String),
    /// The server crashes.
    Crash,
}

/// The error for metadata that is not a string with JSON.
pub(crate) fn unreadable() -> Invalid {
    Invalid::Field("could not parse the uploaded metadata".into())
}

/// Parses the metadata of an upload, which is a string with JSON.
pub(crate) fn parse(text: &str) -> Result<Value, Invalid> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        // Python accepts these numbers, but the database does not.
        Err(_) if holds_python_numbers(text) => return Err(Invalid::Crash),
        Err(_) => return Err(unreadable()),
    };
    check(&value)?;
    Ok(value)
}

fn check(value: &Value) -> Result<(), Invalid> {
    for field in ["description", "tags"] {
        let present = match value {
            Value::Object(object) => object.contains_key(field),
            Value::Array(items) => items.iter().any(|item| item == field),
            Value::String(text) => text.contains(field),
            _ => return Err(Invalid::Crash),
        };
        if !present {
            let text = format!("\"{field}\" is a required field of the metadata");
            return Err(Invalid::Field(text));
        }
    }
    let Value::Object(object) = value else {
        return Err(Invalid::Crash);
    };
    if !object["description"].is_string() {
        return Err(Invalid::Field("\"description\" must be a string".into()));
    }
    if !object["tags"].is_array() {
        return Err(Invalid::Field(
            "\"tags\" must be an array of strings".into(),
        ));
    }
    for field in ["creation_date", "start_date", "end_date"] {
        if let Some(date) = object.get(field) {
            check_date(date)?;
        }
    }
    if let Some(md5) = object.get("md5") {
        let Some(md5) = md5.as_str() else {
            return Err(Invalid::Crash);
        };
        if md5.len() != 32 || !md5.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Invalid::Field("Invalid MD5 specified".into()));
        }
    }
    if holds_nul(value) {
        Err(Invalid::Crash)
    } else {
        Ok(())
    }
}

/// Checks a date. Numbers are accepted as timestamps. A malformed date crashes the server.
fn check_date(date: &Value) -> Result<(), Invalid> {
    let text = match date {
        Value::Number(_) => return Ok(()),
        Value::String(text) => text,
        _ => return Err(Invalid::Crash),
    };
    let allowed = |byte: u8| byte.is_ascii_digit() || b"-:.+TZW ".contains(&byte);
    let year = text.len() >= 4 && text.bytes().take(4).all(|byte| byte.is_ascii_digit());
    if !year || !text.bytes().all(allowed) {
        return Err(Invalid::Field("Dates must be in ISO 8601 format".into()));
    }
    let number = |range| {
        text.get(range)
            .and_then(|part: &str| part.parse::<u8>().ok())
    };
    let year = text[..4].parse().unwrap_or(1);
    let month = number(5..7).unwrap_or(1);
    let day = number(8..10).unwrap_or(1);
    let month = time::Month::try_from(month);
    let date = month.map(|month| time::Date::from_calendar_date(year, month, day));
    let hour_and_minute = number(11..13).unwrap_or(0) < 24 && number(14..16).unwrap_or(0) < 60;
    if matches!(date, Ok(Ok(_))) && hour_and_minute {
        Ok(())
    } else {
        Err(Invalid::Crash)
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(object) => object
            .iter()
            .any(|(key, value)| key.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

/// Returns whether a text is JSON except for the numbers `NaN` and `Infinity`, which only Python
/// accepts.
fn holds_python_numbers(text: &str) -> bool {
    let mut plain = String::with_capacity(text.len());
    let (mut quoted, mut escaped, mut rest) = (false, false, text);
    let mut found = false;
    while let Some(letter) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = word {
            found = true;
            plain.push('0');
            rest = &rest[word.len()..];
            continue;
        }
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = quoted;
        } else if letter == '"' {
            quoted = !quoted;
        }
        plain.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    found && serde_json::from_str::<Value>(&plain).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_error(text: &str) -> String {
        match parse(text) {
            Err(Invalid::Field(error)) => error,
            other => panic!("expected a field error for {text}: {other:?}"),
        }
    }

    #[test]
    fn parse_requires_description_and_tags() {
        assert!(parse(r#"{"tags": [1, null], "description": ""}"#).is_ok());
        assert_eq!(
            field_error("[]"),
            "\"description\" is a required field of the metadata"
        );
        assert_eq!(
            field_error(r#"{"description": "x"}"#),
            "\"tags\" is a required field of the metadata"
        );
        assert_eq!(
            field_error(r#"{"tags": [], "description": 3}"#),
            "\"description\" must be a string"
        );
        assert_eq!(
            field_error(r#"{"tags": "a", "description": ""}"#),
            "\"tags\" must be an array of strings"
        );
        assert_eq!(
            field_error("{nope"),
            "could not parse the uploaded metadata"
        );
    }

    #[test]
    fn parse_crashes_on_unexpected_types() {
        for text in [
            "null",
            "5",
            r#""description tags""#,
            r#"{"tags": [], "description": "d", "x": NaN}"#,
            r#"{"tags": [], "description": "a\u0000b"}"#,
            r#"{"tags": [], "description": "d", "creation_date": "2020-13-01"}"#,
            r#"{"tags": [], "description": "d", "creation_date": null}"#,
            r#"{"tags": [], "description": "d", "md5": 5}"#,
        ] {
            assert!(matches!(parse(text), Err(Invalid::Crash)), "{text}");
        }
    }

    #[test]
    fn parse_checks_dates_and_md5() {
        let with = |field: &str| format!(r#"{{"tags": [], "description": "d", {field}}}"#);
        for good in [
            r#""creation_date": "2020-01-02""#,
            r#""end_date": "2020-01-02T03:04:05.123+02:00""#,
            r#""start_date": 1577934245"#,
            r#""md5": "156da7fc980988e51ebd7b7d4d38e6d8""#,
        ] {
            assert!(parse(&with(good)).is_ok(), "{good}");
        }
        assert_eq!(
            field_error(&with(r#""creation_date": "yesterday""#)),
            "Dates must be in ISO 8601 format"
        );
        assert_eq!(
            field_error(&with(r#""md5": "abc""#)),
            "Invalid MD5 specified"
        );
    }
}
