//! The CSV that says what each file of a directory is.

use oh_core::api::bulk::{Manifest, csv_cell, plain_cell};

use crate::{assert_fit_to_show, told};

/// Any bytes as a metadata CSV: what was read and is written says the same when it is read again,
/// and no cell acts in a spreadsheet.
pub fn csv_metadata(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let cell = csv_cell(text);
        assert_eq!(plain_cell(&cell), text);
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
    }
    let manifest = match Manifest::read(data) {
        Ok(manifest) => manifest,
        Err(error) => return assert_fit_to_show(&told(&error), 4_000),
    };
    let mut written = Vec::new();
    manifest.write(&mut written).expect("memory can be written");
    let again = Manifest::read(written.as_slice()).expect("what was written can be read");
    let text = String::from_utf8_lossy(&written);
    assert_eq!(manifest, again, "{text}");
}
