//! Safe names for downloaded files.

/// The longest file name of common file systems, in bytes.
const MAX_LEN: usize = 255;

/// The endings of files that a download creates beside its target.
const RESERVED_ENDINGS: [&str; 2] = [".oh-part", ".oh-mismatch"];

/// Converts any name to a safe and non-empty name for a file in a directory.
///
/// Uses only the text after the last `/` or `\`. Replaces control characters, and characters that
/// reverse or hide text in a terminal, by `_`. Prefixes names that start with `.`, `-` or `~` with `_`,
/// so that they are not hidden files, options or home directories, and names with the endings of this
/// library's temporary files. Shortens long names and keeps their extension.
///
/// On Windows also replaces `< > : " | ? *`, removes trailing blanks and dots, and prefixes the names
/// of devices with `_`.
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
        // Shortening can produce another unsafe name.
        let repeated = safe_once(windows, &safe);
        if repeated == safe {
            return safe;
        }
        safe = repeated;
    }
}

fn safe_once(windows: bool, name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .map(|c| match c {
            '<' | '>' | ':' | '"' | '|' | '?' | '*' if windows => '_',
            c if c.is_control() || is_deceptive(c) => '_',
            c => c,
        })
        .collect();
    // Windows ignores trailing blanks and dots.
    let plain = match windows {
        true => plain.trim_end_matches([' ', '.']).trim_start(),
        false => plain.trim(),
    };
    if plain.chars().all(|c| c == '.') {
        return "file".into();
    }
    let lower = plain.to_ascii_lowercase();
    let reserved = plain.starts_with(['.', '-', '~'])
        || RESERVED_ENDINGS
            .iter()
            .any(|ending| lower.ends_with(ending))
            && !plain.starts_with('_')
        || windows && is_device(plain.split('.').next().unwrap_or_default().trim_end());
    if reserved {
        return shortened(&format!("_{plain}"));
    }
    shortened(plain)
}

/// Whether a character is a line separator, changes the direction of text or is invisible, so that a
/// name can look like another.
fn is_deceptive(c: char) -> bool {
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
        // Windows also accepts superscript digits.
        matches!(number.next(), Some('1'..='9' | '¹' | '²' | '³')) && number.next().is_none()
    })
}

/// Shortens a name, and keeps a short extension.
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
    fn safe_name_changes_windows_names_only_on_windows() {
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
    fn safe_name_is_not_hidden_or_special() {
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
    fn safe_name_keeps_extension_of_long_name() {
        let long = safe_file_name(&format!("{}.csv", "é".repeat(300)));
        assert!(long.len() <= MAX_LEN && long.ends_with(".csv"));
    }

    #[test]
    fn safe_name_is_safe_after_shortening() {
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
        fn safe_name_is_one_path_component(name in "\\PC*|[./\\\\a:\0]{0,12}") {
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
        fn safe_name_is_idempotent(name in "\\PC*") {
            for windows in [false, true] {
                let safe = safe_on(windows, &name);
                prop_assert_eq!(safe_on(windows, &safe), safe);
            }
        }
    }
}
