//! Text that is safe to show in a terminal.

/// Whether a terminal would act on the character, or show the text in another order because of it.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the text as one printable line: unsafe characters, line breaks and tabs are replaced.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(is_unsafe, "\u{fffd}")
}

/// Replaces unsafe characters other than line breaks and tabs.
pub(crate) fn printable(text: &str) -> String {
    text.replace(|c| is_unsafe(c) && !matches!(c, '\n' | '\t'), "\u{fffd}")
}

/// Counts things that take a plural s: `1 file`, `2 files`.
pub(crate) fn count(count: impl TryInto<u64>, noun: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_characters_are_replaced() {
        for c in [
            '\u{1b}', '\u{9b}', '\u{7f}', '\r', '\u{202e}', '\u{2066}', '\u{200f}',
        ] {
            let text = format!("a{c}b\tc\n");
            assert_eq!(one_line(&text), "a\u{fffd}b\u{fffd}c\u{fffd}", "{c:?}");
            assert_eq!(printable(&text), "a\u{fffd}b\tc\n", "{c:?}");
        }
        assert_eq!(one_line("Größe 👩‍🔬"), "Größe 👩‍🔬");
    }

    #[test]
    fn count_uses_singular_for_one() {
        assert_eq!(count(0_u64, "file"), "0 files");
        assert_eq!(count(1_u64, "file"), "1 file");
        assert_eq!(count(11_usize, "checkpoint"), "11 checkpoints");
    }
}
