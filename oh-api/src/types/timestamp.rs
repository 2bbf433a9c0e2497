//! A point in time with microsecond precision.
//!
//! It keeps time crates out of the public traits, and a store can save it as one integer.
//!
//! ```
//! use std::time::Duration;
//! use oh_api::Timestamp;
//!
//! let parsed: Timestamp = "2020-06-30T20:00:00.000000+00:00".parse()?;
//! assert_eq!(parsed.to_string(), "2020-06-30T20:00:00Z");
//! assert_eq!(parsed + Duration::from_secs(60), Timestamp::from_micros(1_593_547_260_000_000));
//! # Ok::<(), oh_api::InvalidTimestamp>(())
//! ```

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time in UTC, in microseconds since 1970.
///
/// Parses RFC 3339, and the formats of Python, Django and databases: a blank instead of the `T`, and
/// an offset of `+0200` or `+02`. Text without an offset is interpreted as UTC, as Open Humans' server
/// stores it; check that before you parse such text from another source.
///
/// ```
/// use oh_api::Timestamp;
///
/// let python: Timestamp = "2026-11-22 16:31:27.299665+00:00".parse()?;
/// let naive: Timestamp = "2026-11-22 16:31:27.299665".parse()?;
/// assert_eq!(python.to_string(), "2026-11-22T16:31:27.299665Z");
/// assert_eq!(naive, python);
/// # Ok::<(), oh_api::InvalidTimestamp>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The error for a text that is not a date and time in ISO 8601.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a date and time, such as 2026-11-22T16:31:27Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// Returns the current time of the system clock.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Creates a timestamp from microseconds since 1970 in UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns microseconds since 1970 in UTC.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    fn from_offset(at: OffsetDateTime) -> Self {
        Self(i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        let micros = match at.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
        };
        Self(micros)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::from_offset(at));
        }
        if let Some(micros) = text.strip_suffix("us") {
            return micros.parse().map(Self).map_err(|_| InvalidTimestamp);
        }
        let text = as_rfc3339(text).ok_or(InvalidTimestamp)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(Self::from_offset)
            .map_err(|_| InvalidTimestamp)
    }
}

/// Converts the formats of Python's `str(datetime)` and `isoformat()`, Django and databases: a blank
/// instead of the `T`, an offset without colon or minutes, or no offset, which means UTC.
fn as_rfc3339(text: &str) -> Option<String> {
    let (date, time) = text.split_at_checked(10)?;
    let time = time.strip_prefix(['T', 't', ' '])?;
    let sign = time.find(['+', '-']);
    let (clock, offset) = time.split_at(sign.unwrap_or(time.len()));
    let offset = match offset.len() {
        0 if clock.ends_with(['Z', 'z']) => "",
        0 => "Z",
        3 => return Some(format!("{date}T{clock}{offset}:00")),
        5 => {
            let (hours, minutes) = offset.split_at_checked(3)?;
            return Some(format!("{date}T{clock}{hours}:{minutes}"));
        }
        _ => offset,
    };
    Some(format!("{date}T{clock}{offset}"))
}

/// Formats as RFC 3339 in UTC; outside of its range of years as microseconds since 1970 followed by
/// `us`. Both can be parsed.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_parses_python_and_django_formats() {
        let expected: Timestamp = "2020-06-30T20:00:00.5Z".parse().unwrap();
        for text in [
            "2020-06-30 20:00:00.500000+00:00",
            "2020-06-30T22:00:00.500000+0200",
            "2020-06-30 20:00:00.5+00",
            "2020-06-30T20:00:00.500000",
            "2020-06-30 20:00:00.500",
            "2020-06-30t20:00:00.5z",
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "2020-06-30",
            "2020-06-30T",
            "2020-06-30x20:00:00",
            "20:00:00",
            "ä2020-06-30 1",
            "us",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn timestamp_round_trips_through_text() {
        for micros in [i64::MIN, -1, 0, 1, 1_600_000_000_123_456, i64::MAX] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(at.to_string().parse(), Ok(at));
        }
    }

    #[test]
    fn timestamp_parses_webhook_and_api_formats() {
        let webhook: Timestamp = "2026-11-22T16:31:27.299665+00:00".parse().unwrap();
        let api: Timestamp = "2026-11-22T16:31:27.299665Z".parse().unwrap();
        assert_eq!(webhook, api);
        assert_eq!(api.to_string(), "2026-11-22T16:31:27.299665Z");
    }

    #[test]
    fn timestamp_since_later_is_zero() {
        let early = Timestamp::from_micros(10);
        assert_eq!(early.since(Timestamp::from_micros(20)), Duration::ZERO);
        assert_eq!(
            Timestamp::from_micros(20).since(early),
            Duration::from_micros(10)
        );
    }

    #[test]
    fn timestamp_saturates_at_its_limits() {
        assert_eq!(
            Timestamp::from_micros(i64::MAX) + Duration::MAX,
            Timestamp::from_micros(i64::MAX)
        );
        assert!(!Timestamp::from_micros(i64::MIN).to_string().is_empty());
    }
}
