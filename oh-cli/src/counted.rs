//! Numbers of things, as people say them.

use std::fmt::Display;

/// `1 file`, `2 files`: whatever it is that takes an s.
pub(crate) fn counted(count: impl Display, one: &str) -> String {
    let count = count.to_string();
    let more = if count == "1" { "" } else { "s" };
    format!("{count} {one}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!(counted(0, "file"), "0 files");
        assert_eq!(counted(1_u64, "file"), "1 file");
        assert_eq!(counted(11, "checkpoint"), "11 checkpoints");
    }
}
