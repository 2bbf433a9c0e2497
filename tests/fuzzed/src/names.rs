//! File names from outside.

use std::path::{Component, Path};

use oh_core::api::safe_file_name;

/// Any name becomes the name of one visible file in its folder, without special meaning.
pub fn file_names(data: &[u8]) {
    let name = String::from_utf8_lossy(data);
    let safe = safe_file_name(&name);
    assert!((1..=255).contains(&safe.len()), "{safe:?}");
    let components: Vec<_> = Path::new(&safe).components().collect();
    assert!(matches!(components[..], [Component::Normal(_)]), "{safe:?}");
    assert!(!safe.starts_with(['.', '-', '~']), "{safe:?}");
    assert!(!safe.contains(char::is_control), "{safe:?}");
    assert!(!safe.contains(['\u{202e}', '\u{200b}', '\u{2028}', '\u{feff}']));
    assert_eq!(safe.trim(), safe, "{safe:?}");
    assert_eq!(safe_file_name(&safe), safe, "a safe name is unchanged");
    let folder = Path::new("/a/folder");
    assert_eq!(folder.join(&safe).parent(), Some(folder));
}
