//! Matching of local files with files at Open Humans.
//!
//! Names are compared in Unicode normalization form C, without outer blanks. A file that a download renamed, because its name
//! would hide it or equals another file's name, still matches its original.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::local::comparable;
use crate::{DataFile, DataFileId, FileMetadata, safe_file_name};

/// The relevant fields of one of the project's own files at Open Humans.
#[derive(Debug)]
pub(super) struct RemoteFile {
    pub(super) id: DataFileId,
    pub(super) name: String,
    pub(super) md5: Option<String>,
    metadata: String,
    created: Option<crate::Timestamp>,
}

impl RemoteFile {
    pub(super) fn new(file: &DataFile) -> Self {
        Self {
            id: file.id,
            name: file.basename.clone(),
            md5: file.md5(),
            metadata: file.metadata_json().to_owned(),
            created: file.created,
        }
    }

    /// Whether the file has this metadata, apart from the MD5.
    pub(super) fn has_metadata(&self, local: &FileMetadata) -> bool {
        let remote: Map<String, Value> = serde_json::from_str(&self.metadata).unwrap_or_default();
        let text = |value: Option<&Value>| match value {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        let tags: Vec<String> = remote
            .get("tags")
            .and_then(|tags| serde_json::from_value(tags.clone()).ok())
            .unwrap_or_default();
        let names: BTreeSet<&String> = remote.keys().chain(local.fields().keys()).collect();
        let mut others = names
            .into_iter()
            .filter(|name| !matches!(name.as_str(), "md5" | "tags" | "description"));
        tags == local.tag_list()
            && text(remote.get("description")) == local.description()
            && others.all(|name| text(remote.get(name)) == text(local.get(name)))
    }
}

/// The project's own files of one member at Open Humans.
#[derive(Debug, Default)]
pub(super) struct RemoteFiles(Vec<RemoteFile>);

/// The files at Open Humans that a local file matches.
pub(super) struct Match<'a> {
    /// The name of the newest of the files, or the local name if there are none.
    pub(super) name: String,
    /// All files that an upload would replace, the newest last.
    pub(super) files: Vec<&'a RemoteFile>,
}

impl RemoteFiles {
    pub(super) fn new(mut files: Vec<RemoteFile>) -> Self {
        files.sort_by_key(|file| (file.created, file.id));
        Self(files)
    }

    /// Matches local names.
    pub(super) fn match_names<'a>(
        &'a self,
        names: impl IntoIterator<Item = &'a String>,
    ) -> BTreeMap<&'a str, Match<'a>> {
        let mut by_name: BTreeMap<String, Vec<&RemoteFile>> = BTreeMap::new();
        for file in &self.0 {
            by_name
                .entry(comparable(&file.name))
                .or_default()
                .push(file);
        }
        // A download gives the plain name to the file with the lowest id.
        let mut renamed: BTreeMap<String, &str> = BTreeMap::new();
        let mut newest: Vec<(&String, &RemoteFile)> = by_name
            .iter()
            .filter_map(|(name, files)| Some((name, *files.last()?)))
            .collect();
        newest.sort_by_key(|(_, file)| file.id);
        for (name, file) in newest {
            let safe = comparable(&safe_file_name(&file.name));
            if safe != *name {
                renamed.entry(safe).or_insert(name);
            }
        }
        let by_id: BTreeMap<u64, &RemoteFile> =
            self.0.iter().map(|file| (file.id.get(), file)).collect();
        let match_name = |name: &str| {
            let original = match by_name.contains_key(name) {
                true => Some(name),
                false => renamed.get(name).copied(),
            };
            if let Some(files) = original.and_then(|original| by_name.get(original)) {
                let newest = files.last().map_or(name, |file| &file.name);
                return (newest.to_owned(), files.clone());
            }
            let id = name.split_once('.').and_then(|(id, _)| id.parse().ok());
            let numbered = id.and_then(|id: u64| by_id.get(&id)).filter(|file| {
                let safe = safe_file_name(&file.name);
                comparable(&safe_file_name(&format!("{}.{safe}", file.id))) == name
            });
            (name.to_owned(), numbered.into_iter().copied().collect())
        };
        let names = names.into_iter().map(|local| {
            let (name, files) = match_name(local);
            (local.as_str(), Match { name, files })
        });
        names.collect()
    }

    /// Returns the files that match no local file, without hidden ones.
    pub(super) fn unmatched(&self, matches: &BTreeMap<&str, Match<'_>>) -> Vec<&RemoteFile> {
        let matched: BTreeSet<DataFileId> = matches
            .values()
            .flat_map(|matched| matched.files.iter().map(|file| file.id))
            .collect();
        let files = self.0.iter();
        files
            .filter(|file| !matched.contains(&file.id) && !super::local::is_hidden(&file.name))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(id: u64, name: &str) -> RemoteFile {
        RemoteFile {
            id: DataFileId::new(id),
            name: name.into(),
            md5: None,
            metadata: String::new(),
            created: None,
        }
    }

    fn matched(remotes: &RemoteFiles, name: &str) -> (String, Vec<u64>) {
        let names = [name.to_owned()];
        let mut matches = remotes.match_names(&names);
        let matched = matches.remove(name).unwrap();
        let ids = matched.files.iter().map(|file| file.id.get()).collect();
        (matched.name, ids)
    }

    #[test]
    fn match_names_finds_files_that_download_renamed() {
        let remotes = RemoteFiles::new(vec![
            remote(1, "a.txt"),
            remote(2, "A.txt"),
            remote(3, ".profile"),
            remote(4, "-x"),
            remote(5, "_-x"),
            remote(6, "a.txt"),
        ]);
        for (local, name, ids) in [
            ("a.txt", "a.txt", vec![1, 6]),
            ("2.A.txt", "2.A.txt", vec![2]),
            ("1.a.txt", "1.a.txt", vec![1]),
            ("_.profile", ".profile", vec![3]),
            // Another file has this name.
            ("_-x", "_-x", vec![5]),
            ("4._-x", "4._-x", vec![4]),
            ("2.a.txt", "2.a.txt", vec![]),
            ("new", "new", vec![]),
        ] {
            assert_eq!(matched(&remotes, local), (name.into(), ids), "{local}");
        }
    }

    #[test]
    fn unmatched_excludes_hidden_files() {
        let remotes = RemoteFiles::new(vec![
            remote(1, "a"),
            remote(2, ".b"),
            remote(3, "c"),
            remote(4, "-d"),
        ]);
        let names = ["a".to_owned(), "_-d".to_owned()];
        let matches = remotes.match_names(&names);
        let others = remotes.unmatched(&matches);
        assert_eq!(others.len(), 1);
        assert_eq!(others[0].name, "c");
    }

    #[test]
    fn has_metadata_compares_values_as_text() {
        let mut file = remote(1, "a");
        file.metadata = r#"{"tags":["x"],"description":"d","round":3,"md5":"m"}"#.into();
        let local = FileMetadata::new("d").tags(["x"]).field("round", "3");
        assert!(file.has_metadata(&local));
        assert!(file.has_metadata(&local.clone().field("empty", "")));
        assert!(!file.has_metadata(&local.clone().field("more", "m")));
        assert!(!file.has_metadata(&local.clone().tags(["y"])));
        assert!(!file.has_metadata(&local.with_description("e")));
        assert!(!file.has_metadata(&FileMetadata::new("d").tags(["x"])));
    }
}
