//! The CSV file with the metadata of a directory.

use oh_core::api::bulk::{Manifest, csv_cell, plain_cell};

use crate::{assert_printable, message};

/// Any bytes as a metadata CSV: a manifest is unchanged after it is written and read again, and no
/// cell is a formula in a spreadsheet.
pub fn csv_metadata(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let cell = csv_cell(text);
        assert_eq!(plain_cell(&cell), text);
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
    }
    let manifest = match Manifest::read(data) {
        Ok(manifest) => manifest,
        Err(error) => return assert_printable(&message(&error), 4_000),
    };
    let mut written = Vec::new();
    manifest
        .write(&mut written)
        .expect("a write to memory succeeds");
    let again = Manifest::read(written.as_slice()).expect("a written manifest is valid");
    let text = String::from_utf8_lossy(&written);
    assert_eq!(manifest, again, "{text}");
}
