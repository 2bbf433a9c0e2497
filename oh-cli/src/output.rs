//! Standard output for what was asked for, standard error for everything else.

use std::io::Write;

use serde_json::Value;

use crate::failure::Failure;

/// Writes a line of the answer.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.as_ref())?;
    Ok(())
}

/// Writes a JSON value, a line each.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    line(value.to_string())
}

/// Says something beside the answer.
pub(crate) fn note(text: impl AsRef<str>) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

pub(crate) fn complain(failure: &Failure) {
    note(format!("oh: {failure}"));
}

/// Text from elsewhere, for a terminal: control characters must not reach it.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
