//! Named values from the environment, or from files that it names.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A setting that is missing or cannot be used. Names the setting, never its value.
///
/// `Debug` reads as `Display` does, with the cause behind it: an app whose `main` returns this, or
/// that unwraps it, says a sentence.
///
/// ```
/// use oh_core::Settings;
///
/// let error = Settings::from_lookup(|_| None).unwrap_err();
/// let said = "OPENHUMANS_CLIENT_ID is not set: expected the OAuth2 client id";
/// assert!(format!("{error:?}").starts_with(said));
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A required setting is absent or empty.
    #[error("{name} is not set: expected {expected}")]
    Missing {
        /// The environment variable's name.
        name: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// The value cannot be used.
    #[error("{name} cannot be used: {why}; expected {expected}")]
    Invalid {
        /// The environment variable's name.
        name: &'static str,
        /// What is wrong with it.
        why: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// Both `NAME` and `NAME_FILE` are set.
    #[error("{name} and {name}_FILE are both set: give one")]
    Both {
        /// The environment variable's name.
        name: &'static str,
    },
    /// The file that `NAME_FILE` names cannot be read.
    #[error("{name}_FILE names {}, which cannot be read", path.display())]
    File {
        /// The environment variable's name.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl fmt::Debug for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        match self {
            Self::File { source, .. } => write!(f, ": {source}"),
            _ => Ok(()),
        }
    }
}

/// Where named values come from.
pub(crate) struct Environment<F>(pub(crate) F);

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    /// The value of `NAME`, or the contents of the file `NAME_FILE` names. Empty counts as absent.
    pub(crate) fn get(&self, name: &'static str) -> Result<Option<String>, SettingsError> {
        let present = |name: &str| (self.0)(name).filter(|value| !value.trim().is_empty());
        match (present(name), present(&format!("{name}_FILE"))) {
            (Some(_), Some(_)) => Err(SettingsError::Both { name }),
            (Some(value), None) => Ok(Some(value.trim().to_owned())),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
                Err(source) => Err(SettingsError::File {
                    name,
                    path: path.into(),
                    source,
                }),
            },
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn required(
        &self,
        name: &'static str,
        expected: &'static str,
    ) -> Result<String, SettingsError> {
        self.get(name)?
            .ok_or(SettingsError::Missing { name, expected })
    }
}

pub(crate) fn parse_bool(name: &'static str, text: &str) -> Result<bool, SettingsError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(SettingsError::Invalid {
            name,
            why: "it is neither true nor false".into(),
            expected: "true or false",
        }),
    }
}

pub(crate) fn parse_seconds(name: &'static str, text: &str) -> Result<Duration, SettingsError> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| SettingsError::Invalid {
            name,
            why: "it is not a whole number".into(),
            expected: "a number of seconds",
        })
}
