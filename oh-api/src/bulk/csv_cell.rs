//! Text from outside in a CSV that people open in a spreadsheet.

use std::borrow::Cow;

/// The text as a cell that no spreadsheet takes for a formula: what begins with `=`, `+`, `-`, `@`, a
/// tab or a line break gets a `'` before it. So does what begins with `'` and goes on like that, so
/// that [`plain_cell`] gives every text back as it was.
///
/// ```
/// use oh_api::bulk::{csv_cell, plain_cell};
///
/// assert_eq!(csv_cell("=1+1"), "'=1+1");
/// assert_eq!(plain_cell("'=1+1"), "=1+1");
/// assert_eq!(csv_cell("steps.csv"), "steps.csv");
/// ```
///
/// Source: OWASP, "CSV Injection".
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    match acts(text) {
        true => format!("'{text}").into(),
        false => text.into(),
    }
}

/// What [`csv_cell`] made a cell of.
pub fn plain_cell(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if acts(text) => text,
        _ => cell,
    }
}

fn acts(text: &str) -> bool {
    // Full-width forms are read as the plain ones in some languages' spreadsheets.
    text.trim_start_matches('\'')
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_is_disarmed() {
        for text in ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "'=1", "＝1"] {
            assert_eq!(csv_cell(text), format!("'{text}"));
        }
        for text in ["", "a=1", "'", "'a", "1", " =1"] {
            assert_eq!(csv_cell(text), text);
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "['=+@a\t-]{0,6}|\\PC*") {
            let cell = csv_cell(&text);
            prop_assert_eq!(plain_cell(&cell), &text);
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t']));
        }
    }
}
