//! Protection against formulas in CSV cells.

use std::borrow::Cow;

/// Escapes a text so that no spreadsheet interprets the cell as a formula.
///
/// A text that starts with `=`, `+`, `-`, `@`, a tab or a line break is prefixed with `'`. So is a
/// text that starts with quotes followed by one of these, so that [`plain_cell`] restores every text.
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
    match is_formula(text) {
        true => format!("'{text}").into(),
        false => text.into(),
    }
}

/// Restores the text that [`csv_cell`] escaped.
pub fn plain_cell(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text) => text,
        _ => cell,
    }
}

fn is_formula(text: &str) -> bool {
    // Spreadsheets in some languages also interpret the full-width forms.
    text.trim_start_matches('\'')
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn csv_cell_escapes_formulas() {
        for text in ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "'=1", "＝1"] {
            assert_eq!(csv_cell(text), format!("'{text}"));
        }
        for text in ["", "a=1", "'", "'a", "1", " =1"] {
            assert_eq!(csv_cell(text), text);
        }
    }

    proptest! {
        #[test]
        fn plain_cell_restores_every_text(text in "['=+@a\t-]{0,6}|\\PC*") {
            let cell = csv_cell(&text);
            prop_assert_eq!(plain_cell(&cell), &text);
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t']));
        }
    }
}
