//! A file name nobody can climb out of a directory with.

/// The longest name common file systems take, in bytes.
const MAX_LEN: usize = 255;

/// Endings of the files that a download leaves beside its target until it is whole.
const OURS: [&str; 2] = [".oh-part", ".oh-mismatch"];

/// Turns any name into one that can be used for a file in a directory.
///
/// Only what follows the last `/` or `\` is taken. Control characters and characters that turn or
/// hide text in a terminal become `_`. What begins with `.`, `-` or `~` gets a `_` before it, so
/// that it is neither hidden, nor read as an option, nor somebody's settings; so do names that end
/// as this library's unfinished files do. What is too long loses its middle. There is always a name.
///
/// On Windows `< > : " | ? *` become `_` as well, blanks and dots at the end are dropped, and the
/// names it keeps for devices get a `_` before them. Elsewhere such names are fine, and stay.
///
/// ```
/// use oh_api::safe_file_name;
///
/// assert_eq!(safe_file_name("survey results.csv"), "survey results.csv");
/// assert_eq!(safe_file_name("../../etc/passwd"), "passwd");
/// assert_eq!(safe_file_name(".bashrc"), "_.bashrc");
/// assert_eq!(safe_file_name("-rf"), "_-rf");
/// assert_eq!(safe_file_name(".."), "file");
/// ```
pub fn safe_file_name(name: &str) -> String {
    safe_on(cfg!(windows), name)
}

fn safe_on(windows: bool, name: &str) -> String {
    let mut safe = safe_once(windows, name);
    loop {
        // What is cut off can leave an ending that acts.
        let again = safe_once(windows, &safe);
        if again == safe {
            return safe;
        }
        safe = again;
    }
}

fn safe_once(windows: bool, name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .map(|c| match c {
            '<' | '>' | ':' | '"' | '|' | '?' | '*' if windows => '_',
            c if c.is_control() || deceives(c) => '_',
            c => c,
        })
        .collect();
    // Windows drops these at the end, and would find another file than was meant.
    let plain = match windows {
        true => plain.trim_end_matches([' ', '.']).trim_start(),
        false => plain.trim(),
    };
    if plain.chars().all(|c| c == '.') {
        return "file".into();
    }
    let lower = plain.to_ascii_lowercase();
    let reserved = plain.starts_with(['.', '-', '~'])
        || OURS.iter().any(|ending| lower.ends_with(ending)) && !plain.starts_with('_')
        || windows && is_device(plain.split('.').next().unwrap_or_default().trim_end());
    if reserved {
        return shortened(&format!("_{plain}"));
    }
    shortened(plain)
}

/// Line and paragraph separators, marks that change the direction of text, and invisible ones:
/// with them a name looks like another.
fn deceives(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn is_device(stem: &str) -> bool {
    let stem = stem.to_ascii_uppercase();
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || ["COM", "LPT"].iter().any(|device| {
        let number = stem.strip_prefix(device).unwrap_or_default();
        let mut number = number.chars();
        // Windows takes the raised digits for digits.
        matches!(number.next(), Some('1'..='9' | '¹' | '²' | '³')) && number.next().is_none()
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
    fn on_windows_its_own_names_change_and_elsewhere_they_stay() {
        for (name, windows) in [
            ("con.txt", "_con.txt"),
            ("LPT1", "_LPT1"),
            ("com².log", "_com².log"),
            ("console.txt", "console.txt"),
            ("a.", "a"),
            ("a:b?.txt", "a_b_.txt"),
        ] {
            assert_eq!(safe_on(true, name), windows);
            assert_eq!(safe_on(false, name), name);
        }
    }

    #[test]
    fn no_name_hides_or_acts() {
        for (name, safe) in [
            ("C:\\windows\\system.ini", "system.ini"),
            ("nul\0l", "nul_l"),
            (".bashrc", "_.bashrc"),
            (".", "file"),
            ("...", "file"),
            ("-rf", "_-rf"),
            ("~", "_~"),
            (".0a1b.oh-part", "_.0a1b.oh-part"),
            ("a.OH-PART", "_a.OH-PART"),
            ("a\u{1b}]0;title\u{7}b", "a_]0;title_b"),
            ("a\u{9b}2Jb", "a_2Jb"),
            ("gpj.\u{202e}exe", "gpj._exe"),
            (" outer blanks.txt ", "outer blanks.txt"),
        ] {
            for windows in [false, true] {
                assert_eq!(safe_on(windows, name), safe, "{name:?}");
            }
        }
    }

    #[test]
    fn what_is_too_long_keeps_its_ending() {
        let long = safe_file_name(&format!("{}.csv", "é".repeat(300)));
        assert!(long.len() <= MAX_LEN && long.ends_with(".csv"));
    }

    #[test]
    fn what_is_cut_off_leaves_no_ending_that_acts() {
        for (cut, ending) in [("", ".oh-part"), (" b", "x "), (".", "x.")] {
            let name = format!(
                "{}{ending}{cut}{}",
                "a".repeat(255 - ending.len()),
                "é".repeat(40)
            );
            for windows in [false, true] {
                let safe = safe_on(windows, &name);
                assert_eq!(safe_on(windows, &safe), safe);
                assert!(!safe.ends_with(' ') && safe.len() <= MAX_LEN, "{safe}");
                assert!(
                    safe.starts_with('_') || !safe.ends_with(".oh-part"),
                    "{safe}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_name_is_one_plain_component(name in "\\PC*|[./\\\\a:\0]{0,12}") {
          for windows in [false, true] {
            let safe = safe_on(windows, &name);
            prop_assert!(safe.len() <= MAX_LEN);
            let mut components = Path::new(&safe).components();
            prop_assert!(matches!(components.next(), Some(Component::Normal(_))), "{safe:?}");
            prop_assert!(components.next().is_none(), "{safe:?}");
            prop_assert!(!safe.starts_with(['.', '-', '~']), "{safe:?}");
          }
        }

        #[test]
        fn a_safe_name_stays_as_it_is(name in "\\PC*") {
            for windows in [false, true] {
                let safe = safe_on(windows, &name);
                prop_assert_eq!(safe_on(windows, &safe), safe);
            }
        }
    }
}
