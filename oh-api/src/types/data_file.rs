//! A data file as Open Humans lists it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::secret::SecretUrl;
use super::timestamp::Timestamp;

/// A data file's id: a whole number, unique at its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataFileId(u64);

impl DataFileId {
    /// From its number.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for DataFileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DataFileId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A data file: one of a member's, shared with the project or its own, or a public one.
///
/// Only the id, the name and the download address are always there. Fields this library does not
/// know are kept in `extra`.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct DataFile {
    /// The file's id.
    pub id: DataFileId,
    /// Its name. Anything its uploader chose: never use it as a path, see
    /// [`safe_file_name`](crate::safe_file_name).
    #[serde(default)]
    pub basename: String,
    /// When it was uploaded.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// The data types it was registered with, as addresses.
    #[serde(default, deserialize_with = "lenient")]
    pub datatypes: Option<Vec<String>>,
    /// Where it can be fetched, without a token, for an hour from now.
    #[serde(deserialize_with = "secret_url")]
    pub download_url: SecretUrl,
    /// What its uploader said of it: `tags`, `description` and more.
    #[serde(default, deserialize_with = "object")]
    pub metadata: Map<String, Value>,
    /// The source it came from, such as `direct-sharing-2`. Public files of newer servers have none.
    #[serde(default)]
    pub source: Option<String>,
    /// The project it came from, as an address.
    #[serde(default)]
    pub source_project: Option<String>,
    /// Whose it is; public files only.
    #[serde(default, deserialize_with = "lenient")]
    pub user: Option<FileOwner>,
    /// Fields this library does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Whose public file it is.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct FileOwner {
    /// The member's number at Open Humans.
    #[serde(default)]
    pub id: Option<Value>,
    /// The member's public name.
    #[serde(default)]
    pub name: Option<String>,
    /// The member's username.
    #[serde(default)]
    pub username: Option<String>,
    /// Fields this library does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl DataFile {
    /// The description its uploader gave, or nothing.
    pub fn description(&self) -> &str {
        let text = self.metadata.get("description").and_then(Value::as_str);
        text.unwrap_or_default()
    }

    /// The tags its uploader gave. Those that are not text are left out.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.metadata.get("tags").and_then(Value::as_array);
        tags.into_iter().flatten().filter_map(Value::as_str)
    }

    /// The MD5 its uploader gave, in lower case, if it is one.
    pub fn md5(&self) -> Option<String> {
        let text = self.metadata.get("md5")?.as_str()?;
        let is_md5 = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_md5.then(|| text.to_ascii_lowercase())
    }
}

/// A value that is left out where its form is another.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

pub(crate) fn secret_url<'de, D: Deserializer<'de>>(d: D) -> Result<SecretUrl, D::Error> {
    String::deserialize(d).map(SecretUrl::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_it_does_not_know_and_misses_nothing_it_can_do_without() {
        let file: DataFile = serde_json::from_str(
            r#"{"id": 7, "basename": "a.txt", "download_url": "https://h/?key=k", "shape": "round",
                "metadata": {"tags": ["a", 1], "description": "d", "md5": "156DA7FC980988C51682374436849943"}}"#,
        )
        .unwrap();
        assert_eq!(file.extra["shape"], "round");
        assert_eq!(file.tags().collect::<Vec<_>>(), ["a"]);
        assert_eq!(file.md5().unwrap(), "156da7fc980988c51682374436849943");
        assert!(!format!("{file:?}").contains("key=k"));

        let strange: DataFile = serde_json::from_str(
            r#"{"id": 7, "download_url": "", "metadata": null, "created": "once", "user": 5}"#,
        )
        .unwrap();
        assert_eq!(strange.description(), "");
        assert!(strange.created.is_none() && strange.user.is_none());
    }
}
