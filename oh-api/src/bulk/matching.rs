//! Which file at Open Humans a file here is.
//!
//! Names are compared as Open Humans stores them. A file that a download had to rename, because
//! its name would hide it or is another file's here, is still the same file.

use std::collections::{BTreeMap, BTreeSet};

use crate::{DataFile, DataFileId, FileMetadata, safe_file_name};

/// What is remembered of one of the project's own files at Open Humans.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) id: DataFileId,
    pub(super) name: String,
    pub(super) md5: Option<String>,
    metadata: String,
    created: Option<crate::Timestamp>,
}

impl Remote {
    pub(super) fn new(file: &DataFile) -> Self {
        Self {
            id: file.id,
            name: file.basename.clone(),
            md5: file.md5(),
            metadata: file.metadata_json().to_owned(),
            created: file.created,
        }
    }

    /// Whether Open Humans has what is to be said of the file, the MD5 aside.
    pub(super) fn is_described_as(&self, ours: &FileMetadata) -> bool {
        let theirs: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.metadata).unwrap_or_default();
        let text = |value: Option<&serde_json::Value>| match value {
            None => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        let tags: Vec<String> = theirs
            .get("tags")
            .and_then(|tags| serde_json::from_value(tags.clone()).ok())
            .unwrap_or_default();
        let names: BTreeSet<&String> = theirs.keys().chain(ours.fields().keys()).collect();
        let mut others = names
            .into_iter()
            .filter(|name| !matches!(name.as_str(), "md5" | "tags" | "description"));
        tags == ours.tag_list()
            && text(theirs.get("description")) == ours.description()
            && others.all(|name| text(theirs.get(name)) == text(ours.get(name)))
    }
}

/// The project's own files of one member at Open Humans.
#[derive(Debug, Default)]
pub(super) struct Remotes(Vec<Remote>);

/// What a file here is at Open Humans.
pub(super) struct Match<'a> {
    /// The name it has, or gets, there.
    pub(super) name: String,
    /// All files there that an upload would replace, the newest last.
    pub(super) files: Vec<&'a Remote>,
}

impl Remotes {
    pub(super) fn new(mut files: Vec<Remote>) -> Self {
        files.sort_by_key(|file| (file.created, file.id));
        Self(files)
    }

    /// For each name here, the file it is there.
    pub(super) fn matched<'a>(
        &'a self,
        here: impl IntoIterator<Item = &'a String>,
    ) -> BTreeMap<&'a str, Match<'a>> {
        let mut by_name: BTreeMap<&str, Vec<&Remote>> = BTreeMap::new();
        for file in &self.0 {
            by_name.entry(&file.name).or_default().push(file);
        }
        // A download gives the plain name to the file with the lowest id.
        let mut renamed: BTreeMap<String, &str> = BTreeMap::new();
        let mut newest: Vec<&Remote> = by_name.values().filter_map(|f| f.last().copied()).collect();
        newest.sort_by_key(|file| file.id);
        for file in newest {
            let safe = safe_file_name(&file.name);
            if safe != file.name {
                renamed.entry(safe).or_insert(&file.name);
            }
        }
        let by_id: BTreeMap<u64, &Remote> =
            self.0.iter().map(|file| (file.id.get(), file)).collect();
        let of = |name: &str| {
            let there = |name: &str| by_name.get(name).cloned();
            if let Some(files) = there(name) {
                return (name.to_owned(), files);
            }
            let original = renamed.get(name).copied();
            if let Some((original, files)) = original.and_then(|o| Some((o, there(o)?))) {
                return (original.to_owned(), files);
            }
            let number = name.split_once('.').and_then(|(id, _)| id.parse().ok());
            let numbered = number.and_then(|id: u64| by_id.get(&id)).filter(|file| {
                let safe = safe_file_name(&file.name);
                safe_file_name(&format!("{}.{safe}", file.id)) == name
            });
            (name.to_owned(), numbered.into_iter().copied().collect())
        };
        here.into_iter()
            .map(|here| {
                let (name, files) = of(here);
                (here.as_str(), Match { name, files })
            })
            .collect()
    }

    /// Those that are none of these, hidden ones aside.
    pub(super) fn others(&self, matched: &BTreeMap<&str, Match<'_>>) -> Vec<&Remote> {
        let here: BTreeSet<DataFileId> = matched
            .values()
            .flat_map(|found| found.files.iter().map(|file| file.id))
            .collect();
        let others = self.0.iter();
        others
            .filter(|file| !here.contains(&file.id) && !super::local::is_hidden(&file.name))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(id: u64, name: &str) -> Remote {
        Remote {
            id: DataFileId::new(id),
            name: name.into(),
            md5: None,
            metadata: String::new(),
            created: None,
        }
    }

    fn found(remotes: &Remotes, name: &str) -> (String, Vec<u64>) {
        let names = [name.to_owned()];
        let mut matched = remotes.matched(&names);
        let found = matched.remove(name).unwrap();
        let ids = found.files.iter().map(|file| file.id.get()).collect();
        (found.name, ids)
    }

    #[test]
    fn a_file_is_found_under_its_name_and_under_the_one_a_download_gave_it() {
        let remotes = Remotes::new(vec![
            remote(1, "a.txt"),
            remote(2, "A.txt"),
            remote(3, ".profile"),
            remote(4, "-x"),
            remote(5, "_-x"),
            remote(6, "a.txt"),
        ]);
        for (here, name, ids) in [
            ("a.txt", "a.txt", vec![1, 6]),
            ("2.A.txt", "2.A.txt", vec![2]),
            ("1.a.txt", "1.a.txt", vec![1]),
            ("_.profile", ".profile", vec![3]),
            // Under its own name there is another file.
            ("_-x", "_-x", vec![5]),
            ("4._-x", "4._-x", vec![4]),
            ("2.a.txt", "2.a.txt", vec![]),
            ("new", "new", vec![]),
        ] {
            assert_eq!(found(&remotes, here), (name.into(), ids), "{here}");
        }
    }

    #[test]
    fn what_is_not_here_is_the_rest_and_hidden_files_are_nobodys() {
        let remotes = Remotes::new(vec![
            remote(1, "a"),
            remote(2, ".b"),
            remote(3, "c"),
            remote(4, "-d"),
        ]);
        let names = ["a".to_owned(), "_-d".to_owned()];
        let matched = remotes.matched(&names);
        let others = remotes.others(&matched);
        assert_eq!(others.len(), 1);
        assert_eq!(others[0].name, "c");
    }

    #[test]
    fn metadata_are_the_same_whatever_form_their_values_have() {
        let mut file = remote(1, "a");
        file.metadata = r#"{"tags":["x"],"description":"d","round":3,"md5":"m"}"#.into();
        let ours = FileMetadata::new("d").tags(["x"]).field("round", "3");
        assert!(file.is_described_as(&ours));
        assert!(file.is_described_as(&ours.clone().field("empty", "")));
        assert!(!file.is_described_as(&ours.clone().field("more", "m")));
        assert!(!file.is_described_as(&ours.clone().tags(["y"])));
        assert!(!file.is_described_as(&ours.with_description("e")));
        assert!(!file.is_described_as(&FileMetadata::new("d").tags(["x"])));
    }
}
