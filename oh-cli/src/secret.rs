//! Tokens and secrets from options, files and the environment, in this order of precedence.
//!
//! A file contains the secret alone, or is the JSON that `--out` writes. Such a file, given as
//! `--token-file`, also supplies the refresh token unless `--refresh-token-file` is set.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::CliError;
use crate::text_file;

/// The kinds of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    AccessToken,
    RefreshToken,
    MasterToken,
    ClientSecret,
}

/// The place that a secret was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Option,
    Environment,
}

impl Credential {
    /// Its name in JSON.
    fn field(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::MasterToken => "master_token",
            Self::ClientSecret => "client_secret",
        }
    }

    fn name(self) -> String {
        self.field().replace('_', " ")
    }

    fn variable(self) -> String {
        format!("OPENHUMANS_{}", self.field().to_uppercase())
    }

    fn option(self) -> String {
        match self {
            Self::AccessToken => "--token-file".into(),
            other => format!("--{}-file", other.field().replace('_', "-")),
        }
    }

    /// Returns the secret, or an error that says how to set it.
    pub(crate) fn require(
        self,
        option: Option<&String>,
        file: Option<&Path>,
    ) -> Result<String, CliError> {
        let found = self.find(option, file)?;
        found
            .map(|(secret, _)| secret)
            .ok_or_else(|| self.missing())
    }

    /// Returns the error for a secret that is not set.
    pub(crate) fn missing(self) -> CliError {
        CliError::Usage(format!(
            "no {}: pass {} or set {}",
            self.name(),
            self.option(),
            self.variable()
        ))
    }

    /// Returns the secret from a file that `--out` wrote, which contains several; `None` from other
    /// files.
    pub(crate) fn in_token_file(self, path: &Path) -> Result<Option<String>, CliError> {
        let text = text_file::read(path)?;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let secret = json[self.field()].as_str();
        let origin = path.display().to_string();
        secret.map(|secret| self.clean(secret, &origin)).transpose()
    }

    /// Returns the secret and its source, if it is set anywhere.
    pub(crate) fn find(
        self,
        option: Option<&String>,
        file: Option<&Path>,
    ) -> Result<Option<(String, Source)>, CliError> {
        if let Some(text) = option {
            let text = self.clean(text, "the command line")?;
            return Ok(Some((text, Source::Option)));
        }
        if let Some(path) = file {
            return Ok(Some((self.read(path)?, Source::Option)));
        }
        let variable = self.variable();
        let get = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = get(&format!("{variable}_FILE")).map(PathBuf::from);
        match (get(&variable), path) {
            (Some(_), Some(_)) => Err(CliError::Usage(format!(
                "both {variable} and {variable}_FILE are set: unset one of them"
            ))),
            (Some(text), None) => {
                let text = self.clean(&text.to_string_lossy(), &variable)?;
                Ok(Some((text, Source::Environment)))
            }
            (None, Some(path)) => Ok(Some((self.read(&path)?, Source::Environment))),
            (None, None) => Ok(None),
        }
    }

    fn read(self, path: &Path) -> Result<String, CliError> {
        let text = text_file::read(path)?;
        let origin = path.display().to_string();
        let Ok(Value::Object(fields)) = serde_json::from_str(&text) else {
            return self.clean(&text, &origin);
        };
        match fields.get(self.field()).and_then(Value::as_str) {
            Some(secret) => self.clean(secret, &origin),
            None => Err(CliError::Usage(format!(
                "{origin} is JSON without a text field {}",
                self.field()
            ))),
        }
    }

    /// Trims and checks a secret. Error messages do not quote it.
    fn clean(self, text: &str, origin: &str) -> Result<String, CliError> {
        let text = text.trim();
        let is_valid = match self {
            Self::ClientSecret => !text.contains(char::is_control),
            _ => text.bytes().all(|byte| byte.is_ascii_graphic()),
        };
        match (text.is_empty(), is_valid) {
            (true, _) => Err(CliError::Usage(format!(
                "the {} is empty ({origin})",
                self.name()
            ))),
            (false, false) => Err(CliError::Usage(format!(
                "the {} contains spaces or other characters that are not valid in it ({origin}): \
                 the file must contain nothing else, or be one that --out wrote",
                self.name()
            ))),
            (false, true) => Ok(text.to_owned()),
        }
    }
}
