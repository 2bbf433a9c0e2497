//! The export: what `oh_core::deauth::Ledger::export` and the desk write.
//!
//! One JSON object in each line of text. Most are lines of the ledger, whose bytes, without the
//! line break, are the leaves of the tree: anyone with a SHA-256 can check them, and no parser
//! decides what was sealed. After the last line that a checkpoint covers comes the checkpoint, as
//! `{"checkpoint":"…"}` with the signed note as its text.

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longer lines are no export's.
const LONGEST: usize = 1 << 20;
const CHECKPOINT: &[u8] = b"{\"checkpoint\":";

/// A line of the ledger. Steps that a later release adds are read as they are named.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// Its number: upwards, with gaps.
    pub seq: i64,
    /// The event it belongs to.
    pub event: String,
    /// The member, by pseudonym.
    pub member: String,
    /// When, in microseconds since 1970 in UTC.
    #[serde(deserialize_with = "micros")]
    pub at: i64,
    /// What happened.
    pub step: String,
    /// Which attempt of the handler this is about, from 1; 0 before any.
    pub attempt: u32,
    /// Why, where there is a why.
    #[serde(default)]
    pub note: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct CheckpointRecord<'a> {
    #[serde(borrow)]
    checkpoint: std::borrow::Cow<'a, str>,
}

/// What stands in one line of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Line(Line),
    /// A signed note, yet to be checked.
    Checkpoint(String),
}

impl Record {
    /// `None` if it is neither, or a checkpoint in other words than ours.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(CHECKPOINT) {
            return serde_json::from_slice(bytes).ok().map(Self::Line);
        }
        let record: CheckpointRecord<'_> = serde_json::from_slice(bytes).ok()?;
        let note = record.checkpoint.into_owned();
        (checkpoint_record(&note).as_bytes() == bytes).then_some(Self::Checkpoint(note))
    }
}

/// A signed note as a line of an export, without its line break.
///
/// ```
/// let record = oh_ledger::checkpoint_record("example.org/erasure\n0\n");
/// assert_eq!(record, r#"{"checkpoint":"example.org/erasure\n0\n"}"#);
/// ```
pub fn checkpoint_record(note: &str) -> String {
    let checkpoint = note.into();
    serde_json::to_string(&CheckpointRecord { checkpoint }).unwrap_or_default()
}

/// The signed notes in a file of somebody who keeps checkpoints: either one note as it is, or
/// records of an export, a line each. Lines of a ledger among them are passed over.
pub fn notes_in(text: &str) -> Vec<String> {
    if !text.starts_with('{') {
        return vec![text.to_owned()];
    }
    text.lines()
        .filter_map(|line| match Record::parse(line.as_bytes()) {
            Some(Record::Checkpoint(note)) => Some(note),
            _ => None,
        })
        .collect()
}

/// Reads the next line of the text into `line`, without its break. False at the end.
pub(crate) fn next_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = LONGEST as u64 + 1;
    let read = io::Read::take(&mut *from, most).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read > LONGEST {
        let why = "a line of more than a megabyte: this is no export of a ledger";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(read > 0)
}

fn micros<'de, D: serde::Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(from)?;
    parse_time(&text).ok_or_else(|| serde::de::Error::custom("not a time"))
}

/// RFC 3339, or outside of its years microseconds with `us` behind them.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    if let Some(micros) = text.strip_suffix("us") {
        return micros.parse().ok();
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000).ok()
}

/// A time as [`parse_time`] reads it, to the second.
#[cfg_attr(
    not(feature = "report"),
    allow(dead_code, reason = "reports show times")
)]
pub(crate) fn show_time(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{micros}us"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_by_one_and_none_without_end() {
        let mut text: &[u8] = b"one\n\nthree";
        let mut line = Vec::new();
        let mut all = Vec::new();
        while next_line(&mut text, &mut line).unwrap() {
            all.push(String::from_utf8(line.clone()).unwrap());
        }
        assert_eq!(all, ["one", "", "three"]);
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        let error = next_line(&mut endless, &mut line).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let longest = [vec![b'x'; LONGEST], b"\n".to_vec()].concat();
        assert!(next_line(&mut longest.as_slice(), &mut line).unwrap());
    }

    #[test]
    fn a_checkpoint_in_other_words_is_none() {
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

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(
            parse_time("2020-06-30T20:00:00.000001Z"),
            Some(1_593_547_200_000_001)
        );
        assert_eq!(parse_time("-5us"), Some(-5));
        assert_eq!(parse_time("yesterday"), None);
        assert_eq!(show_time(1_593_547_200_999_999), "2020-06-30T20:00:00Z");
        assert_eq!(show_time(i64::MAX), "9223372036854775807us");
    }
}
