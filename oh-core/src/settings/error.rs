//! Errors of invalid settings.

use std::fmt;
use std::path::PathBuf;

/// A setting that is missing or invalid. The message names the setting and never its value.
///
/// `Debug` prints the message and its cause, so that a `main` that returns this error prints a
/// sentence:
///
/// ```
/// use oh_core::Settings;
///
/// let error = Settings::from_lookup(|_| None).unwrap_err();
/// let message = "OPENHUMANS_CLIENT_ID is not set: expected the OAuth2 client id";
/// assert!(format!("{error:?}").starts_with(message));
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A required setting is missing or empty.
    #[error("{name} is not set: expected {expected}")]
    Missing {
        /// The environment variable.
        name: &'static str,
        /// A description of valid values.
        expected: &'static str,
    },
    /// The value is invalid.
    #[error("{name} is invalid: {reason}; expected {expected}")]
    Invalid {
        /// The environment variable.
        name: &'static str,
        /// A description of the mistake.
        reason: String,
        /// A description of valid values.
        expected: &'static str,
    },
    /// Both `NAME` and `NAME_FILE` are set.
    #[error("{name} and {name}_FILE are both set: set only one of them")]
    Both {
        /// The environment variable.
        name: &'static str,
    },
    /// The file in `NAME_FILE` is not readable.
    #[error("failed to read {}, the file in {name}_FILE", path.display())]
    File {
        /// The environment variable.
        name: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
}

impl SettingsError {
    pub(crate) fn invalid(
        name: &'static str,
        reason: impl Into<String>,
        expected: &'static str,
    ) -> Self {
        Self::Invalid {
            name,
            reason: reason.into(),
            expected,
        }
    }
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
