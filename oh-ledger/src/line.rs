//! The lines of an export: ledger lines, which `oh-core` writes, and checkpoints.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const MAX_LINE_BYTES: usize = 1 << 20;
const CHECKPOINT_PREFIX: &[u8] = b"{\"checkpoint\":";

/// Implements `Display` for an enum, with one text for each variant.
macro_rules! display {
    ($type:ident { $($variant:ident => $text:literal,)+ }) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $text,)+ })
            }
        }
    };
}
pub(crate) use display;

/// One line of the ledger: one step of one event.
///
/// In the export a line is a JSON object with the fields in this order and without blanks. A field
/// that has no value is left out. Unknown fields, which a later release may append, are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// The sequence number: increasing, with gaps.
    pub seq: i64,
    /// The id of the event.
    pub event: String,
    /// The pseudonym of the member.
    pub member: String,
    /// The time of the step, in microseconds since 1970 (UTC).
    #[serde(deserialize_with = "micros")]
    pub at: i64,
    /// The step: `received`, `tokens_destroyed`, `tried`, `failed`, `done`, `dead_lettered`,
    /// `requeued`, `stale`, `quarantined`, `released`, or one that a later release adds.
    pub step: String,
    /// The number of the handler's attempt, from 1, or 0 before the first attempt.
    pub attempt: u32,
    /// Whether the member requested erasure. On every `received` line.
    #[serde(default)]
    pub erasure: Option<ErasureRequest>,
    /// How the departure was discovered. On every `received` line.
    #[serde(default)]
    pub discovery: Option<Discovery>,
    /// The fate of the member's data. On every `done` line.
    #[serde(default)]
    pub data: Option<DataOutcome>,
    /// What the handler deleted: the number of items of each kind, without personal data. On `done`
    /// lines, if the handler reports it.
    #[serde(default)]
    pub result: Option<BTreeMap<String, u64>>,
    /// The reason for the step, if there is one.
    #[serde(default)]
    pub note: Option<String>,
}

impl Line {
    /// Returns the kind of event that a `received` line opens.
    pub(crate) fn kind(&self) -> EventKind {
        match (self.erasure, self.discovery) {
            (Some(ErasureRequest::Requested), _) => EventKind::ErasureRequest,
            (_, Some(Discovery::TokenLoss)) => EventKind::TokenLoss,
            (_, Some(Discovery::Disconnected)) => EventKind::Disconnection,
            (Some(ErasureRequest::NotRequested), _) => EventKind::Departure,
            (_, Some(Discovery::Reconciliation)) => EventKind::UnannouncedDeparture,
            _ => EventKind::Unrecorded,
        }
    }
}

/// Describes the step in words, such as `received: erasure request (webhook)` or `done: data deleted`.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.step)?;
        if let Some(discovery) = self.discovery {
            write!(f, ": {} ({discovery})", self.kind())?;
        }
        if let Some(data) = self.data {
            write!(f, ": data {data}")?;
        }
        Ok(())
    }
}

/// Whether a member requested the erasure of their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErasureRequest {
    /// The member requested erasure.
    Requested,
    /// The member left the project and did not request erasure.
    NotRequested,
    /// Not known, because Open Humans did not report it.
    #[serde(other)]
    Unknown,
}

/// How the application discovered that it lost a member's authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Discovery {
    /// A signed webhook from Open Humans.
    Webhook,
    /// A reconciliation pass, which compares the stored members with Open Humans.
    Reconciliation,
    /// Lost tokens. The member may still take part in the project.
    TokenLoss,
    /// A disconnection by the application itself.
    Disconnected,
    /// A source that a later release added.
    #[serde(other)]
    Other,
}

display!(Discovery {
    Webhook => "webhook",
    Reconciliation => "reconciliation",
    TokenLoss => "token loss",
    Disconnected => "disconnected",
    Other => "other",
});

/// The fate of a member's data when an event is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DataOutcome {
    /// The deletion policy required deletion, and the handler reported success.
    Deleted,
    /// The deletion policy does not require deletion for this event.
    Retained,
    /// The deletion policy required deletion, but the application has no handler that deletes data.
    NoHandler,
}

display!(DataOutcome {
    Deleted => "deleted",
    Retained => "retained",
    NoHandler => "not deleted: no handler",
});

/// The kinds of events, which differ in the obligations of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventKind {
    /// The member requested erasure.
    ErasureRequest,
    /// The member left and did not request erasure.
    Departure,
    /// The member left without a notification, so an erasure request is not known.
    UnannouncedDeparture,
    /// The application disconnected the member.
    Disconnection,
    /// The application lost the member's tokens. The member may still take part in the project.
    TokenLoss,
    /// The ledger does not record the kind. It is treated like an erasure request.
    Unrecorded,
}

impl EventKind {
    #[cfg(any(test, feature = "report"))]
    pub(crate) const ALL: [Self; 6] = [
        Self::ErasureRequest,
        Self::Departure,
        Self::UnannouncedDeparture,
        Self::Disconnection,
        Self::TokenLoss,
        Self::Unrecorded,
    ];

    /// Returns whether the deadline for erasure applies.
    pub(crate) const fn has_deadline(self) -> bool {
        matches!(self, Self::ErasureRequest | Self::Unrecorded)
    }
}

display!(EventKind {
    ErasureRequest => "erasure request",
    Departure => "departure without erasure request",
    UnannouncedDeparture => "unannounced departure",
    Disconnection => "disconnection by the application",
    TokenLoss => "token loss",
    Unrecorded => "not recorded",
});

#[derive(Deserialize, Serialize)]
struct CheckpointRecord<'a> {
    #[serde(borrow)]
    checkpoint: Cow<'a, str>,
}

/// The content of one line of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Line(Line),
    /// A signed note whose signatures have not been verified.
    Checkpoint(String),
}

impl Record {
    /// Parses a line. Rejects a checkpoint in any spelling other than that of `checkpoint_record`.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(CHECKPOINT_PREFIX) {
            return serde_json::from_slice(bytes).ok().map(Self::Line);
        }
        let record: CheckpointRecord<'_> = serde_json::from_slice(bytes).ok()?;
        let note = record.checkpoint.into_owned();
        (checkpoint_record(&note).as_bytes() == bytes).then_some(Self::Checkpoint(note))
    }
}

/// Formats a signed note as a line of an export, without the line break.
///
/// ```
/// let record = oh_ledger::checkpoint_record("example.org/erasure\n0\n");
/// assert_eq!(record, r#"{"checkpoint":"example.org/erasure\n0\n"}"#);
/// ```
pub fn checkpoint_record(note: &str) -> String {
    let checkpoint = note.into();
    serde_json::to_string(&CheckpointRecord { checkpoint }).unwrap_or_default()
}

/// Reads the next line into `line`, without its line break. Returns false at the end of the file.
pub(crate) fn next_line(export: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = MAX_LINE_BYTES as u64 + 1;
    let read = io::Read::take(&mut *export, limit).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read > MAX_LINE_BYTES {
        let error = "a line is longer than 1 MiB, so the file is not a ledger export";
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    Ok(read > 0)
}

fn micros<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    parse_time(&text).ok_or_else(|| serde::de::Error::custom("expected an RFC 3339 time"))
}

/// Parses RFC 3339, or `…us` (microseconds since 1970) for years that RFC 3339 cannot express.
fn parse_time(text: &str) -> Option<i64> {
    if let Some(micros) = text.strip_suffix("us") {
        return micros.parse().ok();
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000).ok()
}

/// Formats a time for a report, in whole seconds.
#[cfg(any(test, feature = "report"))]
pub(crate) fn format_time(micros: i64) -> String {
    OffsetDateTime::from_unix_timestamp(micros.div_euclid(1_000_000))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{micros}us"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_line_splits_lines_and_rejects_overlong_ones() {
        let mut text: &[u8] = b"one\n\nthree";
        let mut line = Vec::new();
        let mut lines = Vec::new();
        while next_line(&mut text, &mut line).unwrap() {
            lines.push(String::from_utf8(line.clone()).unwrap());
        }
        assert_eq!(lines, ["one", "", "three"]);
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        let error = next_line(&mut endless, &mut line).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let allowed = [vec![b'x'; MAX_LINE_BYTES], b"\n".to_vec()].concat();
        assert!(next_line(&mut allowed.as_slice(), &mut line).unwrap());
    }

    #[test]
    fn record_rejects_checkpoint_in_another_spelling() {
        let record = checkpoint_record("a\n1\n");
        assert_eq!(
            Record::parse(record.as_bytes()),
            Some(Record::Checkpoint("a\n1\n".into()))
        );
        for other in [
            r#"{"checkpoint":"a\n1\n" }"#,
            r#"{"checkpoint":"a\u000a1\n"}"#,
            r#"{"checkpoint":"a\n1\n","x":1}"#,
            r#"{"checkpoint":1}"#,
            r#"{"chekpoint":"a\n1\n"}"#,
        ] {
            assert_eq!(Record::parse(other.as_bytes()), None, "{other}");
        }
    }

    fn line(fields: &str) -> Option<Line> {
        let text = format!(
            r#"{{"seq":1,"event":"e","member":"m","at":"2026-11-01T12:00:00Z","step":"received","attempt":0{fields}}}"#
        );
        match Record::parse(text.as_bytes()) {
            Some(Record::Line(line)) => Some(line),
            _ => None,
        }
    }

    #[test]
    fn line_kind_follows_from_erasure_and_discovery() {
        for (erasure, discovery, kind) in [
            ("requested", "webhook", EventKind::ErasureRequest),
            ("requested", "disconnected", EventKind::ErasureRequest),
            ("not_requested", "webhook", EventKind::Departure),
            ("unknown", "reconciliation", EventKind::UnannouncedDeparture),
            ("unknown", "disconnected", EventKind::Disconnection),
            ("not_requested", "disconnected", EventKind::Disconnection),
            ("unknown", "token_loss", EventKind::TokenLoss),
            ("unknown", "a later source", EventKind::Unrecorded),
            ("a later value", "webhook", EventKind::Unrecorded),
        ] {
            let fields = format!(r#","erasure":"{erasure}","discovery":"{discovery}""#);
            let line = line(&fields).unwrap();
            assert_eq!(line.kind(), kind, "{fields}");
            assert!(line.to_string().starts_with(&format!("received: {kind} (")));
        }
        assert_eq!(line("").unwrap().kind(), EventKind::Unrecorded);
        assert_eq!(
            EventKind::ALL.map(EventKind::has_deadline),
            [true, false, false, false, false, true]
        );
    }

    #[test]
    fn line_reads_outcome_and_ignores_unknown_fields() {
        let done =
            line(r#","data":"no_handler","result":{"diaries":3,"files":0},"note":"n","later":[1]"#);
        let done = done.unwrap();
        assert_eq!(done.to_string(), "received: data not deleted: no handler");
        assert_eq!(done.data, Some(DataOutcome::NoHandler));
        assert_eq!(done.result.unwrap()["diaries"], 3);
        for malformed in [r#","data":"burnt""#, r#","result":{"name":"Ada"}"#] {
            assert_eq!(line(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn times_parse_and_format_in_rfc_3339_or_microseconds() {
        assert_eq!(
            parse_time("2020-06-30T20:00:00.000001Z"),
            Some(1_593_547_200_000_001)
        );
        assert_eq!(parse_time("-5us"), Some(-5));
        assert_eq!(parse_time("yesterday"), None);
        assert_eq!(format_time(1_593_547_200_999_999), "2020-06-30T20:00:00Z");
        assert_eq!(format_time(i64::MAX), "9223372036854775807us");
    }
}
