//! Standard output for results, standard error for everything else.
//!
//! All text leaves the program here. File names, messages of servers and other text from outside
//! can contain characters that a terminal acts on; they are replaced, or escaped in JSON.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use oh_api::Error;
use serde_json::Value;

use crate::error::CliError;
use crate::text::{is_unsafe, one_line, printable};

/// The progress bar on the terminal, which is suspended while a line is written.
static PROGRESS_BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Whether `--quiet` suppresses status messages and progress.
static QUIET: AtomicBool = AtomicBool::new(false);

pub(crate) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

pub(crate) fn set_progress_bar(bar: Option<ProgressBar>) {
    *PROGRESS_BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

fn suspend_progress_bar<T>(write: impl FnOnce() -> T) -> T {
    let bar = PROGRESS_BAR
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Writes one line of the result.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), CliError> {
    let text = printable(text.as_ref());
    suspend_progress_bar(|| writeln!(io::stdout().lock(), "{text}"))?;
    Ok(())
}

/// Writes one line of the result, with the cells separated by tabs.
pub(crate) fn row<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> Result<(), CliError> {
    let cells: Vec<String> = cells
        .into_iter()
        .map(|cell| one_line(cell.as_ref()))
        .collect();
    line(cells.join("\t"))
}

/// Writes a JSON value in one line.
pub(crate) fn json(value: &Value) -> Result<(), CliError> {
    // Unsafe characters occur only within strings, where an escape means the same.
    let mut escaped = String::new();
    for c in value.to_string().chars() {
        match is_unsafe(c) {
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => escaped.push(c),
        }
    }
    line(escaped)
}

/// Writes a record as Open Humans sent it, in one line, without the tokens in its URLs.
pub(crate) fn record(record: &str) -> Result<(), CliError> {
    let mut value: Value = serde_json::from_str(record).unwrap_or(Value::Null);
    remove_tokens(&mut value);
    json(&value)
}

fn remove_tokens(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((before, rest)) = text.split_once("access_token=") {
                let after = rest.find('&').map_or("", |at| &rest[at..]);
                *text = format!("{before}access_token=...{after}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(remove_tokens),
        Value::Object(fields) => fields.values_mut().for_each(remove_tokens),
        _ => {}
    }
}

/// Writes a document to a file without changes, or to standard output as printable text.
pub(crate) fn document(path: Option<&Path>, bytes: &[u8]) -> Result<(), CliError> {
    match path {
        Some(path) => std::fs::write(path, bytes).map_err(|e| Error::from(e).at(path))?,
        None => {
            let mut stdout = PrintableStdout::default();
            stdout.write_all(bytes)?;
            stdout.flush()?;
        }
    }
    Ok(())
}

/// Standard output for text from outside, passed on line by line.
#[derive(Default)]
pub(crate) struct PrintableStdout(Vec<u8>);

impl Write for PrintableStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        if let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') {
            let lines: Vec<u8> = self.0.drain(..=end).collect();
            let text = printable(&String::from_utf8_lossy(&lines));
            suspend_progress_bar(|| io::stdout().lock().write_all(text.as_bytes()))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = printable(&String::from_utf8_lossy(&std::mem::take(&mut self.0)));
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

/// Writes a warning to standard error.
pub(crate) fn warning(text: impl AsRef<str>) {
    let text = printable(text.as_ref());
    // A closed standard error has no reader to inform.
    suspend_progress_bar(|| {
        let _ = writeln!(io::stderr().lock(), "{text}");
    });
}

/// Writes a status message to standard error, unless `--quiet` is set.
pub(crate) fn status(text: impl AsRef<str>) {
    if !is_quiet() {
        warning(text);
    }
}

pub(crate) fn error(error: &CliError) {
    warning(format!("oh: {error}"));
}

/// Whether standard output is closed or the null device. The standard library opens the null device
/// in place of a closed standard output.
#[cfg(unix)]
pub(crate) fn stdout_is_discarded() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() else {
        return true;
    };
    let stdout = std::fs::File::from(stdout).metadata();
    match (stdout, std::fs::metadata("/dev/null")) {
        (Ok(stdout), Ok(null)) => {
            stdout.file_type().is_char_device() && stdout.rdev() == null.rdev()
        }
        (stdout, _) => stdout.is_err(),
    }
}

#[cfg(not(unix))]
pub(crate) fn stdout_is_discarded() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn record_contains_no_token() {
        let mut record = json!({
            "exchange_member": "https://h/?access_token=secret&project_member_id=1",
            "data": [{ "next": "https://h/?a=1&access_token=secret" }],
            "download_url": "https://h/?key=k",
        });
        remove_tokens(&mut record);
        assert!(!record.to_string().contains("secret"), "{record}");
        let url = "https://h/?access_token=...&project_member_id=1";
        assert_eq!(record["exchange_member"], url);
        assert_eq!(record["download_url"], "https://h/?key=k");
    }
}
