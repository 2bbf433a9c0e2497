//! Text files.

use std::path::Path;

use oh_api::Error;
use oh_api::bulk::decode_text;

use crate::error::CliError;

/// Reads a text file. Editors on Windows save UTF-8 with a byte order mark, or UTF-16.
pub(crate) fn read(path: &Path) -> Result<String, CliError> {
    let bytes = std::fs::read(path).map_err(|e| Error::from(e).at(path))?;
    decode_text(&bytes).ok_or_else(|| {
        CliError::Invalid(format!(
            "{} is not UTF-8 or UTF-16 text: save it as UTF-8",
            path.display()
        ))
    })
}
