//! The metadata of uploaded files.
//!
//! Open Humans requires `tags` and `description`, and defines `md5`, `creation_date`, `start_date` and
//! `end_date`. It rejects some invalid values and fails on others; here all are errors that name the
//! field.

use serde_json::{Map, Value};
use time::{Date, Month, Time, UtcOffset};

use crate::Error;

/// The longest metadata as JSON, in bytes.
const MAX_LEN: usize = 1 << 20;

/// The metadata of a file.
///
/// ```
/// use oh_api::FileMetadata;
///
/// let metadata = FileMetadata::new("Diet survey")
///     .tags(["survey", "csv"])
///     .creation_date("2020-01-02")
///     .field("round", 3);
/// metadata.check()?;
/// # Ok::<(), oh_api::Error>(())
/// ```
///
/// Source: "Data File Management API" (`/direct-sharing/oauth2-data-upload/`), section on metadata.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct FileMetadata {
    fields: Map<String, Value>,
    description: String,
    tags: Vec<String>,
}

const DATES: [&str; 3] = ["creation_date", "start_date", "end_date"];

impl FileMetadata {
    /// Creates metadata with this description and no tags. Both may be empty.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..Self::default()
        }
    }

    /// Sets the description.
    #[cfg(feature = "bulk")]
    pub(crate) fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds tags.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Sets the file's MD5, 32 hexadecimal digits. An upload can also compute it.
    pub fn md5(self, md5: impl Into<String>) -> Self {
        self.field("md5", md5.into())
    }

    /// Sets when the file was created: an ISO 8601 date, or date and time.
    pub fn creation_date(self, date: impl Into<String>) -> Self {
        self.field("creation_date", date.into())
    }

    /// Sets the start of the period that the data describe: an ISO 8601 date, or date and time.
    pub fn start_date(self, date: impl Into<String>) -> Self {
        self.field("start_date", date.into())
    }

    /// Sets the end of the period that the data describe: an ISO 8601 date, or date and time.
    pub fn end_date(self, date: impl Into<String>) -> Self {
        self.field("end_date", date.into())
    }

    /// Sets any other field to a JSON value. The fields that Open Humans defines are also validated if
    /// they are set with this method.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Returns the description.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns a field other than the description and the tags.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    #[cfg(feature = "bulk")]
    pub(crate) fn without_md5(mut self) -> Self {
        self.fields.remove("md5");
        self
    }

    pub(crate) fn declared_md5(&self) -> Option<String> {
        let md5 = self.fields.get("md5")?.as_str()?;
        Some(md5.to_ascii_lowercase())
    }

    /// Returns the tags.
    pub fn tag_list(&self) -> &[String] {
        &self.tags
    }

    /// Returns the fields other than the description and the tags.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Validates the metadata. Uploads also do.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field and the problem.
    pub fn check(&self) -> Result<(), Error> {
        self.to_json().map(|_| ())
    }

    /// Formats the metadata as the API expects it: one string of JSON.
    pub(crate) fn to_json(&self) -> Result<String, Error> {
        for (name, value) in &self.fields {
            self.check_field(name, value)?;
        }
        let texts = self.tags.iter().chain([&self.description]);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Err(Error::invalid_input(
                "metadata",
                "a text contains a NUL character",
            ));
        }
        let mut all = self.fields.clone();
        all.insert("description".into(), self.description.as_str().into());
        all.insert("tags".into(), self.tags.clone().into());
        let json = Value::Object(all).to_string();
        if json.len() > MAX_LEN {
            return Err(Error::invalid_input("metadata", "it is longer than 1 MiB"));
        }
        Ok(json)
    }

    fn check_field(&self, name: &str, value: &Value) -> Result<(), Error> {
        if matches!(name, "tags" | "description") {
            let reason = "it must be set with its own method";
            return Err(Error::invalid_input(
                "metadata",
                format!("{name}: {reason}"),
            ));
        }
        if name == "md5" {
            let is_md5 = value.as_str().is_some_and(|text| {
                text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
            });
            if !is_md5 {
                return Err(Error::invalid_input(
                    "metadata",
                    "md5: it is not 32 hexadecimal digits",
                ));
            }
        }
        if DATES.contains(&name) && !value.as_str().is_some_and(is_iso_8601) {
            let reason = "it is not an ISO 8601 date, such as 2020-01-02 or 2020-01-02T03:04:05Z";
            return Err(Error::invalid_input(
                "metadata",
                format!("{name}: {reason}"),
            ));
        }
        if name.contains('\0') || contains_nul(value) {
            return Err(Error::invalid_input(
                "metadata",
                "a text contains a NUL character",
            ));
        }
        Ok(())
    }
}

/// Whether a value contains NUL, which the server's database cannot store.
fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(contains_nul),
        Value::Object(map) => map.iter().any(|(k, v)| k.contains('\0') || contains_nul(v)),
        _ => false,
    }
}

/// Whether a text is `YYYY-MM-DD`, optionally followed by `T` or a space, `HH:MM`, `:SS`, a fraction,
/// and `Z` or an offset.
fn is_iso_8601(text: &str) -> bool {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    is_date(date) && time.is_none_or(is_time)
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = *parts.as_slice() else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) = (
        digits::<i32>(year, 4),
        digits::<u8>(month, 2),
        digits(day, 2),
    ) else {
        return false;
    };
    // Python's calendar begins with the year 1.
    year > 0 && Month::try_from(month).is_ok_and(|m| Date::from_calendar_date(year, m, day).is_ok())
}

fn is_time(text: &str) -> bool {
    let (clock, offset) = match text.find(['Z', '+', '-']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let parts: Vec<Option<u8>> = clock.split(':').map(|part| digits(part, 2)).collect();
    let is_clock = match *parts.as_slice() {
        [Some(hour), Some(minute)] => fraction.is_none() && Time::from_hms(hour, minute, 0).is_ok(),
        [Some(hour), Some(minute), Some(second)] => Time::from_hms(hour, minute, second).is_ok(),
        _ => false,
    };
    let is_fraction = fraction
        .is_none_or(|f| (1..=6).contains(&f.len()) && f.bytes().all(|b| b.is_ascii_digit()));
    is_clock && is_fraction && is_offset(offset)
}

fn is_offset(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['+', '-']) else {
        return matches!(text, "" | "Z");
    };
    let rest = rest.replacen(':', "", 1);
    let (Some(hours), Some(minutes)) = (
        rest.get(..2).and_then(|h| digits::<i8>(h, 2)),
        rest.get(2..).and_then(|m| digits::<i8>(m, 2)),
    ) else {
        return false;
    };
    hours < 24 && UtcOffset::from_hms(hours, minutes, 0).is_ok()
}

/// Parses exactly `count` ASCII digits.
fn digits<N: std::str::FromStr>(text: &str, count: usize) -> Option<N> {
    let valid = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn metadata_is_one_json_string() {
        let metadata = FileMetadata::new("Diet survey").tags(["survey", "csv"]);
        assert_eq!(
            metadata.to_json().unwrap(),
            r#"{"description":"Diet survey","tags":["survey","csv"]}"#
        );
        assert_eq!(
            FileMetadata::default().to_json().unwrap(),
            r#"{"description":"","tags":[]}"#
        );
    }

    #[test]
    fn metadata_rejects_values_that_open_humans_cannot_store() {
        for bad in [
            FileMetadata::new("").md5("abc"),
            FileMetadata::new("").field("md5", 5),
            FileMetadata::new("").field("creation_date", Value::Null),
            FileMetadata::new("").field("end_date", 1_577_934_245),
            FileMetadata::new("").creation_date("2020-13-01"),
            FileMetadata::new("").creation_date("2021-02-29"),
            FileMetadata::new("").creation_date("yesterday"),
            FileMetadata::new("").start_date("2020-01-02T25:00:00Z"),
            FileMetadata::new("").start_date("2020-01-02T03:04:05+02"),
            FileMetadata::new("").start_date("0000-01-02"),
            FileMetadata::new("").start_date(""),
            FileMetadata::new("a\0b"),
            FileMetadata::new("").tags(["\0"]),
            FileMetadata::new("").field("x", json!({"a": ["\0"]})),
            FileMetadata::new("").field("tags", json!("a")),
            FileMetadata::new("x".repeat(2 << 20)),
        ] {
            let error = bad.check().unwrap_err();
            assert!(matches!(error, Error::InvalidInput { .. }));
        }
    }

    #[test]
    fn is_iso_8601_accepts_dates_and_times() {
        for good in [
            "2020-01-02",
            "2020-02-29",
            "2020-01-02T03:04",
            "2020-01-02T03:04:05Z",
            "2020-01-02 03:04:05",
            "2020-01-02T03:04:05.123+02:00",
            "2020-01-02T03:04:05.123456-0330",
        ] {
            assert!(is_iso_8601(good), "{good}");
        }
    }

    proptest! {
        #[test]
        fn is_iso_8601_never_panics_on_any_text(text in "\\PC*") {
            is_iso_8601(&text);
        }

        #[test]
        fn is_iso_8601_never_panics_on_similar_text(text in "[0-9TZ:.+ -]{0,30}") {
            is_iso_8601(&text);
        }
    }
}
