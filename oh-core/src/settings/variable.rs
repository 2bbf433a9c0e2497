//! The values of single environment variables.

use super::SettingsError;

/// Returns the value of `NAME`, or the content of the file in `NAME_FILE`. Empty values count as
/// missing.
pub(super) fn read_variable(
    lookup: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<String>, SettingsError> {
    let trimmed = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let value = |name: &str| lookup(name).and_then(trimmed);
    match (value(name), value(&format!("{name}_FILE"))) {
        (Some(_), Some(_)) => Err(SettingsError::Both { name }),
        (value, None) => Ok(value),
        (None, Some(path)) => match std::fs::read_to_string(&path) {
            Ok(text) => Ok(trimmed(text)),
            Err(source) => Err(SettingsError::File {
                name,
                path: path.into(),
                source,
            }),
        },
    }
}

/// Splits a list at its commas. `\,` stands for a comma within an entry.
pub(super) fn split_list(list: &str) -> impl Iterator<Item = String> {
    let mut entries = vec![String::new()];
    let mut rest = list.chars().peekable();
    while let Some(c) = rest.next() {
        let entry = entries.last_mut().expect("the vector is never empty");
        match c {
            '\\' if rest.peek() == Some(&',') => entry.extend(rest.next()),
            ',' => entries.push(String::new()),
            c => entry.push(c),
        }
    }
    entries.into_iter().map(|entry| entry.trim().to_owned())
}
