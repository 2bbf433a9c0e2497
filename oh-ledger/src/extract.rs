//! Finds checkpoints in files: in an export, in mail, or in the log of an application.

use crate::line::Record;

/// The end of a note's text and the beginning of its signatures.
const SIGNATURES: &str = "\n\n\u{2014} ";
/// The same characters in an escaped string.
const SIGNATURES_ESCAPED: &str = "\\n\\n\u{2014} ";

/// Returns the signed notes in a file: a single note, checkpoint records of an export, or lines of
/// an application's log that contain checkpoints. Other lines of an export or log are ignored.
///
/// Line ends and surrounding blanks are normalized, because mail programs and editors change them.
/// This does not weaken the verification: the signature covers the normalized text.
///
/// ```
/// let note = "example.org/erasure\n0\nroot\n\n\u{2014} example.org/erasure c2ln\n";
/// let mailed = note.trim_end().replace('\n', "\r\n") + "\r\n\r\n";
/// let logged = format!("INFO signed a checkpoint lines=0 checkpoint={note:?}");
/// let record = oh_ledger::checkpoint_record(note);
/// for text in [note, &mailed, &logged, &record] {
///     assert_eq!(oh_ledger::notes_in(text), [note]);
/// }
/// ```
pub fn notes_in(text: &str) -> Vec<String> {
    let text = normalize(text);
    let is_json = text.starts_with('{');
    if !is_json && text.contains(SIGNATURES) {
        return vec![text];
    }
    let notes: Vec<String> = text.lines().filter_map(note_in_line).collect();
    if notes.is_empty() && !is_json {
        // The caller verifies the text and reports the error.
        return vec![text];
    }
    notes
}

/// Converts line ends to `\n`, trims blanks, and ends the text with one line break.
pub(crate) fn normalize(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let text = text.trim_start_matches('\u{feff}');
    format!("{}\n", text.trim_matches([' ', '\t', '\r', '\n']))
}

/// Returns the note in one line of an export, of a JSON log, or of a text log.
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
            note.contains(SIGNATURES).then(|| normalize(note))
        }
    }
}

/// Returns a note that a text log contains as an escaped string, with or without quotes.
fn escaped_note(line: &str) -> Option<String> {
    let middle = line.find(SIGNATURES_ESCAPED)?;
    let is_delimiter = |quote: &usize| !line[..*quote].ends_with('\\');
    let mut before = line[..middle].rmatch_indices('"').map(|(index, _)| index);
    let mut after = line[middle..]
        .match_indices('"')
        .map(|(index, _)| middle + index);
    let start = before.find(is_delimiter).map_or(0, |quote| quote + 1);
    let end = after.find(is_delimiter).unwrap_or(line.len());
    unescape(&line[start..end]).map(|note| normalize(&note))
}

/// Reverses the escaping of Rust's `Debug` for strings.
fn unescape(text: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint_record;

    const NOTE: &str = "a.example/log\n1\nroot\n\n\u{2014} a.example/log c2ln\n";

    #[test]
    fn notes_in_normalizes_line_ends() {
        let trimmed = NOTE.trim_end();
        for text in [
            NOTE.to_owned(),
            trimmed.to_owned(),
            NOTE.replace('\n', "\r\n"),
            trimmed.replace('\n', "\r\n"),
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
    fn notes_in_reads_text_and_json_logs() {
        let escaped = format!("{NOTE:?}");
        let unquoted = escaped.trim_matches('"').to_owned();
        let time = "2026-11-27T12:00:00.000000Z  INFO signed a checkpoint";
        for text in [
            format!("{time} lines=1 checkpoint={escaped}"),
            format!("{time} lines=1 checkpoint={escaped} more=\"x\"\r\n"),
            format!("{time} \u{1b}[3mcheckpoint\u{1b}[0m\u{1b}[2m=\u{1b}[0m{escaped}"),
            format!("checkpoint={escaped}"),
            escaped.clone(),
            unquoted.clone(),
            unquoted.trim_end_matches("\\n").to_owned(),
            format!(r#"{{"level":"INFO","fields":{{"lines":1,"checkpoint":{escaped}}}}}"#),
            format!(r#"{{ "checkpoint": {escaped} }}"#),
        ] {
            assert_eq!(notes_in(&text), [NOTE], "{text}");
        }
        let log = format!("{time} checkpoint={escaped}\nother line\n{time} checkpoint={escaped}\n");
        assert_eq!(notes_in(&log), [NOTE, NOTE]);
        let quoted_name = NOTE.replace("a.example/log", "a\"b\\n\u{301}c");
        let log = format!("checkpoint={quoted_name:?}");
        assert_eq!(notes_in(&log), [quoted_name]);
    }

    #[test]
    fn notes_in_returns_nothing_for_ledger_lines_and_other_text_unchanged() {
        let line = r#"{"seq":1,"event":"e","member":"m","at":"2026-11-01T12:00:00Z","step":"failed","attempt":1}"#;
        let with_note = line.replace('}', &format!(",\"note\":{NOTE:?}}}"));
        let record = checkpoint_record(NOTE);
        let truncated = &record[..record.len() - 6];
        for text in [line, &with_note, truncated, "{", "{}"] {
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
}
