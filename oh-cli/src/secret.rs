//! Tokens and secrets: from flags, from files, from the environment, in this order.
//!
//! What a flag says wins over the environment. A file holds the secret alone, or is one that
//! `--out` wrote: JSON, of which the right field is taken. Such a file of `--token-file` holds the
//! refresh token as well, and counts for that after `--refresh-token-file`.

use std::path::{Path, PathBuf};

use oh_api::Error;
use serde_json::Value;

use crate::failure::Failure;

/// Which secret, and how it is called in each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Access,
    Refresh,
    Master,
    Client,
}

/// Where a secret came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Flag,
    Environment,
}

impl Kind {
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Access => "OPENHUMANS_ACCESS_TOKEN",
            Self::Refresh => "OPENHUMANS_REFRESH_TOKEN",
            Self::Master => "OPENHUMANS_MASTER_TOKEN",
            Self::Client => "OPENHUMANS_CLIENT_SECRET",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
            Self::Master => "master_token",
            Self::Client => "client_secret",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Access => "--token-file",
            Self::Refresh => "--refresh-token-file",
            Self::Master => "--master-token-file",
            Self::Client => "--client-secret-file",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Access => "access token",
            Self::Refresh => "refresh token",
            Self::Master => "master token",
            Self::Client => "client secret",
        }
    }

    /// The secret that must be there.
    pub(crate) fn wanted(
        self,
        flag: Option<&String>,
        file: Option<&Path>,
    ) -> Result<String, Failure> {
        let found = self.given(flag, file)?;
        found
            .map(|(secret, _)| secret)
            .ok_or_else(|| self.missing())
    }

    /// That it is given nowhere.
    pub(crate) fn missing(self) -> Failure {
        Failure::Usage(format!(
            "there is no {}: give {} or set {}",
            self.name(),
            self.flag(),
            self.variable()
        ))
    }

    /// The secret, if a file that another was to come from is one that `--out` wrote, with both.
    pub(crate) fn beside(self, path: &Path) -> Result<Option<String>, Failure> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::from(e).at(path))?;
        let found: Option<Value> = serde_json::from_str(&text).ok();
        let secret = found
            .as_ref()
            .and_then(|found| found[self.field()].as_str());
        let shown = path.display().to_string();
        secret.map(|secret| self.clean(secret, &shown)).transpose()
    }

    /// The secret, if it is given anywhere, and where.
    pub(crate) fn given(
        self,
        flag: Option<&String>,
        file: Option<&Path>,
    ) -> Result<Option<(String, From)>, Failure> {
        if let Some(text) = flag {
            let text = self.clean(text, "the one on the command line")?;
            return Ok(Some((text, From::Flag)));
        }
        if let Some(path) = file {
            return Ok(Some((self.read(path)?, From::Flag)));
        }
        let variable = self.variable();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let in_file = set(&format!("{variable}_FILE")).map(PathBuf::from);
        match (set(variable), in_file) {
            (Some(_), Some(_)) => Err(Failure::Usage(format!(
                "both {variable} and {variable}_FILE are set: unset one"
            ))),
            (Some(text), None) => {
                let text = self.clean(&text.to_string_lossy(), variable)?;
                Ok(Some((text, From::Environment)))
            }
            (None, Some(path)) => Ok(Some((self.read(&path)?, From::Environment))),
            (None, None) => Ok(None),
        }
    }

    fn read(self, path: &Path) -> Result<String, Failure> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::from(e).at(path))?;
        let shown = path.display().to_string();
        let Ok(Value::Object(fields)) = serde_json::from_str(&text) else {
            return self.clean(&text, &shown);
        };
        match fields.get(self.field()).and_then(Value::as_str) {
            Some(secret) => self.clean(secret, &shown),
            None => Err(Failure::Usage(format!(
                "{shown} is JSON and has no text {}",
                self.field()
            ))),
        }
    }

    /// A secret without the blanks around it. Says nothing of what it is.
    fn clean(self, text: &str, place: &str) -> Result<String, Failure> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(Failure::Usage(format!(
                "the {} is empty ({place})",
                self.name()
            )));
        }
        let whole = text.chars().all(|c| !c.is_control());
        let plain = self == Self::Client || text.bytes().all(|b| b.is_ascii_graphic());
        match whole && plain {
            true => Ok(text.to_owned()),
            false => Err(Failure::Usage(format!(
                "the {} has blanks or other signs in it that none has ({place}): it must be there \
                 alone, or be what --out wrote",
                self.name()
            ))),
        }
    }
}
