//! A file name nobody can climb out of a directory with.

/// The longest name common file systems take, in bytes.
const MAX_LEN: usize = 255;

/// Turns any name into one that can be used for a file in a directory, on any system.
///
/// Only what follows the last `/` or `\` is taken. Control characters and `< > : " | ? *` become
/// `_`, names Windows keeps for devices get a `_` before them, and what is too long loses its
/// middle. There is always a name.
///
/// ```
/// use oh_api::safe_file_name;
///
/// assert_eq!(safe_file_name("survey results.csv"), "survey results.csv");
/// assert_eq!(safe_file_name("../../etc/passwd"), "passwd");
/// assert_eq!(safe_file_name(".."), "file");
/// ```
pub fn safe_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .map(|c| match c {
            '<' | '>' | ':' | '"' | '|' | '?' | '*' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    // Windows drops these, and would find another file than was meant.
    let plain = plain.trim_end_matches([' ', '.']).trim_start();
    if plain.is_empty() {
        return "file".into();
    }
    let stem = plain.split('.').next().unwrap_or_default().trim_end();
    if is_device(stem) {
        return shortened(&format!("_{plain}"));
    }
    shortened(plain)
}

fn is_device(stem: &str) -> bool {
    let stem = stem.to_ascii_uppercase();
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || ["COM", "LPT"].iter().any(|device| {
        stem.strip_prefix(device)
            .is_some_and(|n| matches!(n, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9"))
    })
}

/// Keeps the beginning, and the ending where it is a short one.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_LEN {
        return name.into();
    }
    let ending = name.rfind('.').map_or("", |at| &name[at..]);
    let ending = if ending.len() <= 20 { ending } else { "" };
    let mut end = MAX_LEN - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", &name[..end])
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn devices_and_endings() {
        assert_eq!(safe_file_name("con.txt"), "_con.txt");
        assert_eq!(safe_file_name("LPT1"), "_LPT1");
        assert_eq!(safe_file_name("console.txt"), "console.txt");
        assert_eq!(safe_file_name("a. . "), "a");
        assert_eq!(safe_file_name("C:\\windows\\system.ini"), "system.ini");
        assert_eq!(safe_file_name("a:b"), "a_b");
        assert_eq!(safe_file_name("nul\0l"), "nul_l");
        let long = safe_file_name(&format!("{}.csv", "é".repeat(300)));
        assert!(long.len() <= MAX_LEN && long.ends_with(".csv"));
    }

    proptest! {
        #[test]
        fn any_name_is_one_plain_component(name in "\\PC*|[./\\\\a:\0]{0,12}") {
            let safe = safe_file_name(&name);
            prop_assert!(safe.len() <= MAX_LEN);
            let mut components = Path::new(&safe).components();
            prop_assert!(matches!(components.next(), Some(Component::Normal(_))), "{safe:?}");
            prop_assert!(components.next().is_none(), "{safe:?}");
        }

        #[test]
        fn a_safe_name_stays_as_it_is(name in "\\PC*") {
            let safe = safe_file_name(&name);
            prop_assert_eq!(safe_file_name(&safe), safe);
        }
    }
}
