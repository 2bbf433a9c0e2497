//! Data files and their metadata.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::record::{Raw, bounded_list, deserialize_with_raw, field, lenient, text_or_number};
use super::secret::SecretUrl;
use super::timestamp::Timestamp;

/// The id of a data file: a whole number, unique on its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataFileId(u64);

impl DataFileId {
    /// Creates an id from its number.
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// Returns the number.
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

/// A data file of a member, or a public one.
///
/// Only the id, the name and the download URL are always present. Metadata are parsed on demand: see
/// [`metadata`](Self::metadata), and [`raw`](Self::raw) for everything else.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct DataFile {
    /// The file's id.
    pub id: DataFileId,
    /// The file's name, chosen by its uploader. Never use it as a path, see
    /// [`safe_file_name`](crate::safe_file_name).
    #[serde(default)]
    pub basename: String,
    /// When it was uploaded.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// The URLs of the file's data types.
    #[serde(default, deserialize_with = "datatypes")]
    pub datatypes: Option<Vec<String>>,
    /// The URL to download the file without a token. Expires after an hour.
    pub download_url: SecretUrl,
    /// The source of the file, such as `direct-sharing-2`. Public files of newer servers have none.
    pub source: Option<String>,
    /// The URL of the project that uploaded the file.
    pub source_project: Option<String>,
    /// The owner; public files only.
    #[serde(default, deserialize_with = "lenient")]
    pub user: Option<FileOwner>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(DataFile);

/// The metadata fields that Open Humans defines, as the uploader set them. Values of an unexpected
/// type are omitted.
///
/// Source: "Data File Management API" (`/direct-sharing/oauth2-data-upload/`), section on metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// The description of the file.
    #[serde(default, deserialize_with = "lenient")]
    pub description: Option<String>,
    /// The tags; values that are not text are omitted.
    #[serde(default, deserialize_with = "texts")]
    pub tags: Vec<String>,
    /// The MD5 as the uploader set it; [`DataFile::md5`] returns a normalized value.
    #[serde(default, deserialize_with = "lenient")]
    pub md5: Option<String>,
    /// When the file was created, in ISO 8601.
    #[serde(default, deserialize_with = "lenient")]
    pub creation_date: Option<String>,
    /// Start of the period that the data describe, in ISO 8601.
    #[serde(default, deserialize_with = "lenient")]
    pub start_date: Option<String>,
    /// End of the period that the data describe, in ISO 8601.
    #[serde(default, deserialize_with = "lenient")]
    pub end_date: Option<String>,
}

/// The owner of a public file. Fields that the member hides are `None`.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct FileOwner {
    /// The member's id at Open Humans: a number on newer servers, and 8 digits in
    /// [`public_data`](crate::PublicClient::public_data).
    #[serde(default, deserialize_with = "text_or_number")]
    pub id: Option<String>,
    /// The member's public name.
    pub name: Option<String>,
    /// The member's username.
    pub username: Option<String>,
}

impl DataFile {
    /// Returns the metadata fields that Open Humans defines.
    pub fn metadata(&self) -> Metadata {
        serde_json::from_str(self.metadata_json()).unwrap_or_default()
    }

    /// Returns all metadata as JSON text, usually an object.
    pub fn metadata_json(&self) -> &str {
        field(self.raw.as_str(), "metadata").map_or("null", |raw| raw.get())
    }

    /// Returns all metadata as a tree of values, which needs up to a hundred times the memory of the
    /// text.
    pub fn metadata_map(&self) -> Map<String, Value> {
        serde_json::from_str(self.metadata_json()).unwrap_or_default()
    }

    /// Returns the description; empty if there is none.
    pub fn description(&self) -> String {
        self.metadata().description.unwrap_or_default()
    }

    /// Returns the tags.
    pub fn tags(&self) -> Vec<String> {
        self.metadata().tags
    }

    /// Returns the MD5 in lower case, if the uploader set a valid one.
    pub fn md5(&self) -> Option<String> {
        let text = self.metadata().md5?;
        let is_md5 = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_md5.then(|| text.to_ascii_lowercase())
    }
}

/// The largest number of data types or tags of a file.
const MAX_LIST: usize = 1_000;

pub(crate) fn datatypes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    struct Types(#[serde(deserialize_with = "bounded_list::<_, _, MAX_LIST>")] Vec<String>);
    Ok(lenient::<_, Types>(deserializer)?.map(|types| types.0))
}

/// Deserializes the texts in a list and omits other values.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Items(
        #[serde(deserialize_with = "bounded_list::<_, _, MAX_LIST>")]
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
    fn data_file_keeps_unknown_fields_and_tolerates_missing_ones() {
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

        let incomplete: DataFile = serde_json::from_str(
            r#"{"id": 7, "download_url": "", "metadata": null, "created": "once", "user": 5}"#,
        )
        .unwrap();
        assert_eq!(incomplete.description(), "");
        assert!(incomplete.created.is_none() && incomplete.user.is_none());
    }

    #[test]
    fn file_owner_id_is_text_or_number() {
        for (json, id) in [
            (r#"{"id":"01026778"}"#, Some("01026778")),
            (r#"{"id":7}"#, Some("7")),
            (r#"{"id":null}"#, None),
            (r#"{"id":[7],"username":null}"#, None),
        ] {
            let owner: FileOwner = serde_json::from_str(json).unwrap();
            assert_eq!(owner.id.as_deref(), id, "{json}");
        }
    }
}
