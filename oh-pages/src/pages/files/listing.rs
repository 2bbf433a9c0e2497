//! A member's files as Open Humans lists them.

use std::error::Error as StdError;

use oh_core::api::{DataFile, DataFileId, MemberClient};
use oh_core::{Error, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::PageError;

/// The number of files that are listed.
const MAX_FILES: usize = 10_000;

/// A file.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct FileEntry {
    /// The id at Open Humans.
    pub id: u64,
    /// The name, which may be any text.
    pub name: String,
    /// The extension of the name in upper case, such as `CSV`.
    pub kind: Option<String>,
    /// The description.
    pub description: String,
    /// The tags.
    pub tags: Vec<String>,
    /// When the file was uploaded.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created: Option<Timestamp>,
    /// Whether the application uploaded the file, so that it may edit and delete it.
    pub own: bool,
}

impl FileEntry {
    pub(super) fn new(file: &DataFile, source: Option<&str>) -> Self {
        let metadata = file.metadata();
        Self {
            id: file.id.get(),
            name: file.basename.clone(),
            kind: kind(&file.basename),
            description: metadata.description.unwrap_or_default(),
            tags: metadata.tags,
            created: file.created,
            own: is_own(file, source),
        }
    }
}

/// Loads the files of a member, newest first.
pub(super) async fn all(client: &MemberClient) -> Result<Vec<DataFile>, Error> {
    let mut list = client.files();
    let mut files = Vec::new();
    while let Some(file) = list.try_next().await? {
        files.push(file);
        if files.len() == MAX_FILES {
            break;
        }
    }
    files.sort_by_key(|file| std::cmp::Reverse((file.created, file.id)));
    Ok(files)
}

/// Loads one file. Its download URL is valid for an hour, so it is never cached.
pub(super) async fn find(client: &MemberClient, id: &str) -> Result<DataFile, PageError> {
    let id: DataFileId = id.parse().map_err(|_| PageError::no_such_file())?;
    let mut list = client.files();
    while let Some(file) = list.try_next().await? {
        if file.id == id {
            return Ok(file);
        }
    }
    Err(PageError::no_such_file())
}

/// Returns the name that the project's own files have as a source. While Open Humans does not
/// report it, no file counts as the project's own.
pub(crate) async fn own_source<'a>(app: &'a App, client: &MemberClient) -> Option<&'a str> {
    let source = app.source().get_or_try_init(|| async {
        let project = client.project().await?;
        Ok::<_, Error>(project.id_label)
    });
    match source.await {
        Ok(label) => label.as_deref(),
        Err(error) => {
            let error = &error as &dyn StdError;
            tracing::warn!(error, "failed to load the project");
            None
        }
    }
}

/// Whether the project uploaded the file.
pub(super) fn is_own(file: &DataFile, source: Option<&str>) -> bool {
    source.is_some() && file.source.as_deref() == source
}

/// The extension of a name, if it looks like one.
fn kind(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let is_plain = extension.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_plain = is_plain && (1..=8).contains(&extension.len());
    (is_plain && !stem.is_empty()).then(|| extension.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_is_the_extension_where_it_looks_like_one() {
        assert_eq!(kind("a.csv").as_deref(), Some("CSV"));
        assert_eq!(kind("a.tar.gz").as_deref(), Some("GZ"));
        for name in [
            "a",
            ".hidden",
            "a.",
            "a.b c",
            "a.<script>",
            "../../x",
            "a.123456789",
        ] {
            assert_eq!(kind(name), None, "{name}");
        }
    }
}
