//! Text from elsewhere, as a terminal may see it.

/// The text without control characters: a terminal would act on them.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
