//! A data file as Open Humans lists it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::record::{Raw, at_most, deserialize_with_raw, field, lenient};
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
/// Only the id, the name and the download address are always there. Its metadata stay text until
/// they are asked for: see [`metadata`](Self::metadata), and [`raw`](Self::raw) for everything else.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
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
    #[serde(default, deserialize_with = "datatypes")]
    pub datatypes: Option<Vec<String>>,
    /// Where it can be fetched, without a token, for an hour from now.
    pub download_url: SecretUrl,
    /// The source it came from, such as `direct-sharing-2`. Public files of newer servers have none.
    #[serde(default)]
    pub source: Option<String>,
    /// The project it came from, as an address.
    #[serde(default)]
    pub source_project: Option<String>,
    /// Whose it is; public files only.
    #[serde(default, deserialize_with = "lenient")]
    pub user: Option<FileOwner>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(DataFile);

/// What the uploader of a file said of it, as far as Open Humans knows the fields. What has another
/// form than it should is left out.
///
/// Source: "Data File Management API" (`/direct-sharing/oauth2-data-upload/`), section on metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// What the file is.
    #[serde(default, deserialize_with = "lenient")]
    pub description: Option<String>,
    /// Its tags; those that are not text are left out.
    #[serde(default, deserialize_with = "texts")]
    pub tags: Vec<String>,
    /// Its MD5 as it was given; see [`DataFile::md5`] for one that can be compared.
    #[serde(default, deserialize_with = "lenient")]
    pub md5: Option<String>,
    /// When it was made, in ISO 8601, as it was given.
    #[serde(default, deserialize_with = "lenient")]
    pub creation_date: Option<String>,
    /// When what it tells of began, in ISO 8601, as it was given.
    #[serde(default, deserialize_with = "lenient")]
    pub start_date: Option<String>,
    /// When what it tells of ended, in ISO 8601, as it was given.
    #[serde(default, deserialize_with = "lenient")]
    pub end_date: Option<String>,
}

/// Whose public file it is.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct FileOwner {
    /// The member's number at Open Humans.
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<u64>,
    /// The member's public name.
    #[serde(default)]
    pub name: Option<String>,
    /// The member's username.
    #[serde(default)]
    pub username: Option<String>,
}

impl DataFile {
    /// What its uploader said of it, in fields.
    pub fn metadata(&self) -> Metadata {
        serde_json::from_str(self.metadata_json()).unwrap_or_default()
    }

    /// All that its uploader said of it, as JSON text: an object, unless it was given otherwise.
    pub fn metadata_json(&self) -> &str {
        field(self.raw.as_str(), "metadata").map_or("null", |raw| raw.get())
    }

    /// All that its uploader said of it, as a tree of values. That takes up to a hundred times the
    /// memory of the text.
    pub fn metadata_map(&self) -> Map<String, Value> {
        serde_json::from_str(self.metadata_json()).unwrap_or_default()
    }

    /// The description its uploader gave, or nothing.
    pub fn description(&self) -> String {
        self.metadata().description.unwrap_or_default()
    }

    /// The tags its uploader gave. Those that are not text are left out.
    pub fn tags(&self) -> Vec<String> {
        self.metadata().tags
    }

    /// The MD5 its uploader gave, in lower case, if it is one.
    pub fn md5(&self) -> Option<String> {
        let text = self.metadata().md5?;
        let is_md5 = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_md5.then(|| text.to_ascii_lowercase())
    }
}

/// So many data types or tags of a file are read.
const MAX_LIST: usize = 1_000;

fn datatypes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    struct Types(#[serde(deserialize_with = "at_most::<_, _, MAX_LIST>")] Vec<String>);
    Ok(lenient::<_, Types>(deserializer)?.map(|types| types.0))
}

/// The texts in a list of anything.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Items(
        #[serde(deserialize_with = "at_most::<_, _, MAX_LIST>")]
        Vec<Box<serde_json::value::RawValue>>,
    );
    let items = lenient::<_, Items>(deserializer)?.map_or_else(Vec::new, |items| items.0);
    let texts = items.iter().map(|item| serde_json::from_str(item.get()));
    Ok(texts.filter_map(Result::ok).collect())
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
        assert_eq!(file.field::<String>("shape").unwrap(), "round");
        assert!(file.raw().contains("round"));
        assert_eq!(file.metadata_map()["tags"][1], 1);
        assert_eq!(file.tags(), ["a"]);
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
