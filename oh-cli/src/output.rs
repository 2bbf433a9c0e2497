//! Standard output for what was asked for, standard error for everything else.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use oh_api::Error;
use serde_json::Value;

use crate::failure::Failure;
pub(crate) use crate::plain::plain;

/// What is drawn on the terminal now, and must make room for lines.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Whether only results and errors are wanted.
static QUIET: AtomicBool = AtomicBool::new(false);

pub(crate) fn be_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Lets lines be written where a bar is drawn.
pub(crate) fn draw(bar: Option<ProgressBar>) {
    *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

fn beside_the_bar<T>(write: impl FnOnce() -> T) -> T {
    let bar = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Writes a line of the answer.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    beside_the_bar(|| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", text.as_ref())
    })?;
    Ok(())
}

/// Writes a JSON value, a line each.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    line(value.to_string())
}

/// Writes a record as Open Humans sent it, in a line. Tokens in its addresses are taken out.
pub(crate) fn raw(record: &str) -> Result<(), Failure> {
    let mut value: Value = serde_json::from_str(record).unwrap_or(Value::Null);
    without_tokens(&mut value);
    json(&value)
}

fn without_tokens(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("access_token=") => {
            let (before, rest) = text.split_once("access_token=").unwrap_or((text, ""));
            let after = rest.find('&').map_or("", |at| &rest[at..]);
            *text = format!("{before}access_token=...{after}");
        }
        Value::Array(items) => items.iter_mut().for_each(without_tokens),
        Value::Object(fields) => fields.values_mut().for_each(without_tokens),
        _ => {}
    }
}

/// Writes to a file, or to standard output without a path.
pub(crate) fn write(path: Option<&Path>, bytes: &[u8]) -> Result<(), Failure> {
    match path {
        Some(path) => std::fs::write(path, bytes).map_err(|e| Error::from(e).at(path))?,
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())?;
        }
    }
    Ok(())
}

/// Says something beside the answer.
pub(crate) fn note(text: impl AsRef<str>) {
    // Where standard error is closed there is nobody to tell.
    beside_the_bar(|| {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
    });
}

/// Says what was done, unless that is not wanted.
pub(crate) fn say(text: impl AsRef<str>) {
    if !is_quiet() {
        note(text);
    }
}

pub(crate) fn complain(failure: &Failure) {
    note(format!("oh: {failure}"));
}

/// Whether what is written to standard output is lost. A program that is started with it closed
/// finds the null device there.
#[cfg(unix)]
pub(crate) fn goes_nowhere() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let Ok(out) = std::io::stdout().as_fd().try_clone_to_owned() else {
        return true;
    };
    let out = std::fs::File::from(out).metadata();
    let null = std::fs::metadata("/dev/null");
    match (out, null) {
        (Ok(out), Ok(null)) => out.file_type().is_char_device() && out.rdev() == null.rdev(),
        (out, _) => out.is_err(),
    }
}

/// Whether what is written to standard output is lost.
#[cfg(not(unix))]
pub(crate) fn goes_nowhere() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_token_is_left_in_a_record() {
        let mut record = json!({
            "exchange_member": "https://h/?access_token=secret&project_member_id=1",
            "data": [{ "next": "https://h/?a=1&access_token=secret" }],
            "download_url": "https://h/?key=k",
        });
        without_tokens(&mut record);
        assert!(!record.to_string().contains("secret"), "{record}");
        let whole = "https://h/?access_token=...&project_member_id=1";
        assert_eq!(record["exchange_member"], whole);
        assert_eq!(record["download_url"], "https://h/?key=k");
    }
}
