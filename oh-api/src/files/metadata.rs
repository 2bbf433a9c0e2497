//! What is said of a file when it is uploaded, checked before it is sent.
//!
//! Open Humans requires `tags` and `description`, and knows `md5`, `creation_date`, `start_date`
//! and `end_date`. Some wrong values it refuses, others crash it: here all are an error that names
//! the field.

use serde_json::{Map, Value};
use time::{Date, Month, Time, UtcOffset};

use crate::Error;

/// Longer metadata than this is refused.
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
    /// With this description and no tags. Either may be empty.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..Self::default()
        }
    }

    /// With another description.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds tags.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// The file's MD5, 32 hexadecimal digits. An upload can also compute it on the way.
    pub fn md5(self, md5: impl Into<String>) -> Self {
        self.field("md5", md5.into())
    }

    /// When the file was made: an ISO 8601 date, or date and time.
    pub fn creation_date(self, date: impl Into<String>) -> Self {
        self.field("creation_date", date.into())
    }

    /// When what the file tells of began: an ISO 8601 date, or date and time.
    pub fn start_date(self, date: impl Into<String>) -> Self {
        self.field("start_date", date.into())
    }

    /// When what the file tells of ended: an ISO 8601 date, or date and time.
    pub fn end_date(self, date: impl Into<String>) -> Self {
        self.field("end_date", date.into())
    }

    /// A field of the project's own, any JSON. Fields Open Humans knows are checked whichever way
    /// they come.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// The description.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// A field other than the description and the tags.
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

    /// The tags.
    pub fn tag_list(&self) -> &[String] {
        &self.tags
    }

    /// The fields other than the description and the tags.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// Whether Open Humans can take it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] naming the field and what is wrong with it.
    pub fn check(&self) -> Result<(), Error> {
        self.to_json().map(|_| ())
    }

    /// As the API wants it: one string of JSON.
    pub(crate) fn to_json(&self) -> Result<String, Error> {
        for (name, value) in &self.fields {
            self.check_field(name, value)?;
        }
        let texts = self.tags.iter().chain([&self.description]);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Err(invalid("metadata", "a text in it holds a NUL character"));
        }
        let mut whole = self.fields.clone();
        whole.insert("description".into(), self.description.as_str().into());
        whole.insert("tags".into(), self.tags.clone().into());
        let json = Value::Object(whole).to_string();
        if json.len() > MAX_LEN {
            return Err(invalid("metadata", "it is longer than 1 MiB"));
        }
        Ok(json)
    }

    fn check_field(&self, name: &str, value: &Value) -> Result<(), Error> {
        if matches!(name, "tags" | "description") {
            let reason = "it has a place of its own, and is given twice";
            return Err(invalid("metadata", format!("{name}: {reason}")));
        }
        if name == "md5" {
            let good = value.as_str().is_some_and(|text| {
                text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
            });
            if !good {
                return Err(invalid("metadata", "md5: it is not 32 hexadecimal digits"));
            }
        }
        if DATES.contains(&name) && !value.as_str().is_some_and(is_iso_8601) {
            let reason = "it is not an ISO 8601 date, such as 2020-01-02 or 2020-01-02T03:04:05Z";
            return Err(invalid("metadata", format!("{name}: {reason}")));
        }
        if name.contains('\0') || holds_nul(value) {
            return Err(invalid("metadata", "a text in it holds a NUL character"));
        }
        Ok(())
    }
}

fn invalid(argument: &'static str, reason: impl Into<String>) -> Error {
    Error::InvalidInput {
        argument,
        reason: reason.into(),
    }
}

/// NUL cannot be stored in the server's database.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(k, v)| k.contains('\0') || holds_nul(v)),
        _ => false,
    }
}

/// `YYYY-MM-DD`, and after a `T` or a space `HH:MM`, `:SS`, a fraction, `Z` or an offset.
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
    let whole = match *parts.as_slice() {
        [Some(hour), Some(minute)] => fraction.is_none() && Time::from_hms(hour, minute, 0).is_ok(),
        [Some(hour), Some(minute), Some(second)] => Time::from_hms(hour, minute, second).is_ok(),
        _ => false,
    };
    let fraction_good = fraction
        .is_none_or(|f| (1..=6).contains(&f.len()) && f.bytes().all(|b| b.is_ascii_digit()));
    whole && fraction_good && is_offset(offset)
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

/// Exactly `count` ASCII digits, as a number.
fn digits<N: std::str::FromStr>(text: &str, count: usize) -> Option<N> {
    let good = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn is_the_json_the_api_wants() {
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
    fn refuses_what_open_humans_refuses_or_crashes_on() {
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
    fn takes_the_dates_open_humans_takes() {
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
        fn no_date_makes_it_panic(text in "\\PC*") {
            is_iso_8601(&text);
        }

        #[test]
        fn nothing_like_a_date_makes_it_panic(text in "[0-9TZ:.+ -]{0,30}") {
            is_iso_8601(&text);
        }
    }
}
