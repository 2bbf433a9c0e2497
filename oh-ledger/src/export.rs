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

/// The signed notes in a file of somebody who keeps checkpoints: one note as it is, or records of
/// an export, or what an app's log says of checkpoints, a line each. Lines of a ledger and of a log
/// among them are passed over.
///
/// What mail and editors do to the ends of lines and of the text is undone. It takes nothing from
/// the proof: what comes out is held to its signature all the same.
///
/// ```
/// let note = "example.org/erasure\n0\nroot\n\n\u{2014} example.org/erasure c2ln\n";
/// let mailed = note.trim_end().replace('\n', "\r\n") + "\r\n\r\n";
/// let logged = format!("INFO the ledger was sealed lines=0 checkpoint={note:?}");
/// let record = oh_ledger::checkpoint_record(note);
/// for text in [note, &mailed, &logged, &record] {
///     assert_eq!(oh_ledger::notes_in(text), [note]);
/// }
/// ```
pub fn notes_in(text: &str) -> Vec<String> {
    let text = tidied(text);
    let lines_of_json = text.starts_with('{');
    if !lines_of_json && text.contains(SIGNED) {
        return vec![text];
    }
    let notes: Vec<String> = text.lines().filter_map(note_in_line).collect();
    if notes.is_empty() && !lines_of_json {
        // Nothing like a note: whoever opens it says so.
        return vec![text];
    }
    notes
}

/// Where the text of a note ends and its signatures begin.
const SIGNED: &str = "\n\n\u{2014} ";
/// The same as it is written in a string.
const SIGNED_ESCAPED: &str = "\\n\\n\u{2014} ";

/// The text with the line breaks it was written with, and one at its end.
pub(crate) fn tidied(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let text = text.trim_start_matches('\u{feff}');
    format!("{}\n", text.trim_matches([' ', '\t', '\r', '\n']))
}

/// The note in one line: of an export, or of a log, as JSON or as text.
fn note_in_line(line: &str) -> Option<String> {
    if !line.starts_with('{') {
        return escaped_note(line);
    }
    match Record::parse(line.as_bytes()) {
        Some(Record::Checkpoint(note)) => Some(note),
        Some(Record::Line(_)) => None,
        None => {
            let object: serde_json::Value = serde_json::from_str(line).ok()?;
            let note = [&object["checkpoint"], &object["fields"]["checkpoint"]]
                .into_iter()
                .find_map(serde_json::Value::as_str)?;
            note.contains(SIGNED).then(|| tidied(note))
        }
    }
}

/// The note that stands in a line as a string does in source: between quotes if there are any.
fn escaped_note(line: &str) -> Option<String> {
    let at = line.find(SIGNED_ESCAPED)?;
    // One with a backslash before it belongs to the text.
    let is_end = |quote: &usize| !line[..*quote].ends_with('\\');
    let mut before = line[..at].rmatch_indices('"').map(|(quote, _)| quote);
    let mut after = line[at..].match_indices('"').map(|(more, _)| at + more);
    let begin = before.find(is_end).map_or(0, |quote| quote + 1);
    let end = after.find(is_end).unwrap_or(line.len());
    let quoted = &line[begin..end];
    unescaped(quoted).map(|note| tidied(&note))
}

fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next()? {
                'n' => '\n',
                c @ ('\\' | '"' | '\'') => c,
                'u' => {
                    let (code, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                    rest = after.chars();
                    char::from_u32(u32::from_str_radix(code, 16).ok()?)?
                }
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
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

    const NOTE: &str = "a.example/log\n1\nroot\n\n\u{2014} a.example/log c2ln\n";

    #[test]
    fn a_note_is_found_whatever_its_way_did_to_its_line_ends() {
        let cut = NOTE.trim_end();
        for text in [
            NOTE.to_owned(),
            cut.to_owned(),
            NOTE.replace('\n', "\r\n"),
            cut.replace('\n', "\r\n"),
            format!("\u{feff}\n\n{NOTE}\n \n\r\n"),
        ] {
            assert_eq!(notes_in(&text), [NOTE], "{text:?}");
        }
        let record = checkpoint_record(NOTE);
        for text in [
            format!("{record}\r\n{record}"),
            format!("\r\n{record}\n\n{record}\n\n"),
        ] {
            assert_eq!(notes_in(&text), [NOTE, NOTE], "{text:?}");
        }
    }

    #[test]
    fn a_note_is_found_as_a_log_shows_it() {
        let shown = format!("{NOTE:?}");
        let bare = shown.trim_matches('"').to_owned();
        let at = "2026-11-01T12:00:00.000000Z  INFO oh_core::deauth: the ledger was sealed";
        for text in [
            format!("{at} lines=1 checkpoint={shown}"),
            format!("{at} lines=1 checkpoint={shown} more=\"x\"\r\n"),
            format!("{at} \u{1b}[3mcheckpoint\u{1b}[0m\u{1b}[2m=\u{1b}[0m{shown}"),
            format!("checkpoint={shown}"),
            shown.clone(),
            bare.clone(),
            bare.trim_end_matches("\\n").to_owned(),
            format!(r#"{{"level":"INFO","fields":{{"lines":1,"checkpoint":{shown}}}}}"#),
            format!(r#"{{ "checkpoint": {shown} }}"#),
        ] {
            assert_eq!(notes_in(&text), [NOTE], "{text}");
        }
        let log = format!("{at} checkpoint={shown}\nother line\n{at} checkpoint={shown}\n");
        assert_eq!(notes_in(&log), [NOTE, NOTE]);
        let named = NOTE.replace("a.example/log", "a\"b\\n\u{301}c");
        assert_eq!(notes_in(&format!("checkpoint={named:?}")), [named]);
    }

    #[test]
    fn what_holds_no_note_yields_none_or_what_cannot_be_opened() {
        let line = r#"{"seq":1,"event":"e","member":"m","at":"2026-11-01T12:00:00Z","step":"failed","attempt":1}"#;
        let with = |note: &str| line.replace('}', &format!(",\"note\":{note:?}}}"));
        // A record that was cut in the middle is none, however much of it is there.
        let record = checkpoint_record(NOTE);
        for text in [line, &with(NOTE), &record[..record.len() - 6], "{", "{}"] {
            assert_eq!(notes_in(text), [""; 0], "{text}");
        }
        for text in [
            "",
            "nothing",
            r"x\n\n\u{2014} \q",
            r"x\n\n\u{2014} \u{110000}",
        ] {
            let text = text.replace(r"\u{2014}", "\u{2014}");
            assert_eq!(notes_in(&text), [format!("{text}\n")], "{text}");
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
