//! Options of a bulk download, and the selection of files.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::{BulkEvent, CONCURRENCY, Events, local};
use crate::{DataFile, Download, ProjectMemberId, safe_file_name};

/// Options of a bulk download.
///
/// Files are saved as `<directory>/<member>/<source>/<name>`, without the member for a single
/// member, and without the source for a single source or the project's own files. Of several files
/// with one name, only the newest is downloaded. An existing file of the same size is kept, unless
/// [`verify`](Self::verify) or [`force`](Self::force) is set.
///
/// A file with another MD5 than its uploader declared counts as failed and is saved beside its
/// target, see [`Download::to_path`]; [`ignore_md5`](Self::ignore_md5) accepts it.
#[derive(Clone, Debug)]
#[must_use]
pub struct BulkDownload {
    own: bool,
    sources: Vec<String>,
    only: Option<HashSet<ProjectMemberId>>,
    except: HashSet<ProjectMemberId>,
    max_size: u64,
    pub(super) concurrency: usize,
    ids_in_names: bool,
    existing: Existing,
    ignore_md5: bool,
    pub(super) events: Events,
}

/// What happens to an existing file.
#[derive(Clone, Copy, Debug)]
enum Existing {
    SkipSameSize,
    SkipSameMd5,
    Replace,
}

impl BulkDownload {
    /// Downloads the files that members share with the project.
    pub fn shared() -> Self {
        Self {
            own: false,
            sources: Vec::new(),
            only: None,
            except: HashSet::new(),
            max_size: u64::MAX,
            concurrency: CONCURRENCY,
            ids_in_names: false,
            existing: Existing::SkipSameSize,
            ignore_md5: false,
            events: Events::default(),
        }
    }

    /// Downloads the files that the project uploaded.
    pub fn own() -> Self {
        Self {
            own: true,
            ..Self::shared()
        }
    }

    /// Only downloads files of this source, such as `direct-sharing-1`. Can be called several times.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.sources.push(source.into());
        self
    }

    /// Only downloads files of these members.
    pub fn only_members(mut self, members: impl IntoIterator<Item = ProjectMemberId>) -> Self {
        self.only.get_or_insert_default().extend(members);
        self
    }

    /// Excludes these members.
    pub fn except_members(mut self, members: impl IntoIterator<Item = ProjectMemberId>) -> Self {
        self.except.extend(members);
        self
    }

    /// Excludes files of more bytes.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Sets how many files are downloaded at a time. The default is four.
    pub fn concurrency(mut self, files: usize) -> Self {
        self.concurrency = files.max(1);
        self
    }

    /// Downloads all files of the same name, each with its id before the name.
    pub fn ids_in_names(mut self) -> Self {
        self.ids_in_names = true;
        self
    }

    /// Compares the MD5 of existing files of the same size, and downloads them again if it differs.
    pub fn verify(mut self) -> Self {
        self.existing = Existing::SkipSameMd5;
        self
    }

    /// Downloads all files again.
    pub fn force(mut self) -> Self {
        self.existing = Existing::Replace;
        self
    }

    /// Accepts files with another MD5 than their uploader declared.
    pub fn ignore_md5(mut self) -> Self {
        self.ignore_md5 = true;
        self
    }

    /// Calls `callback` for each event. The callback must return quickly.
    pub fn on_event(mut self, callback: impl Fn(&BulkEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events = Events::new(callback);
        self
    }

    pub(super) fn includes(&self, member: &ProjectMemberId) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.contains(member)) && !self.except.contains(member)
    }

    pub(super) fn includes_source(&self, source: Option<&str>) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|s| Some(s.as_str()) == source)
    }

    /// Selects files and their paths below the member's directory.
    pub(super) fn select(&self, files: Vec<DataFile>, shared: &[String]) -> Selection {
        let count = files.len();
        let selected = files.into_iter().filter(|file| {
            let is_shared = file
                .source
                .as_ref()
                .is_some_and(|source| shared.contains(source));
            is_shared != self.own && self.includes_source(file.source.as_deref())
        });
        let selected: Vec<DataFile> = selected.collect();
        let filtered_out = (count - selected.len()) as u64;
        let mut selected = match self.ids_in_names {
            true => selected,
            false => newest(selected),
        };
        selected.sort_by_key(|file| file.id);
        let by_source = !self.own && self.sources.len() != 1;
        let mut taken = HashSet::new();
        let files = selected.into_iter().map(|file| {
            let directory = match by_source {
                true => safe_file_name(file.source.as_deref().unwrap_or_default()).into(),
                false => PathBuf::new(),
            };
            let mut name = safe_file_name(&file.basename);
            // Different names can be equal on disk; the id makes them unique.
            let is_taken =
                !taken.insert((directory.clone(), local::comparable(&name).to_lowercase()));
            if is_taken || self.ids_in_names {
                name = safe_file_name(&format!("{}.{name}", file.id));
                taken.insert((directory.clone(), local::comparable(&name).to_lowercase()));
            }
            let path = directory.join(name);
            (file, path)
        });
        Selection {
            files: files.collect(),
            filtered_out,
        }
    }

    /// Applies the options to the download of one file.
    pub(super) fn configure(&self, download: Download) -> Download {
        let download = download
            .max_size(self.max_size)
            .on_progress(self.events.transferred());
        let download = match self.existing {
            Existing::SkipSameSize => download.skip_existing(),
            Existing::SkipSameMd5 => download.skip_verified(),
            Existing::Replace => download,
        };
        match self.ignore_md5 {
            true => download.ignore_md5(),
            false => download,
        }
    }
}

/// The newest file of each source and name.
fn newest(files: Vec<DataFile>) -> Vec<DataFile> {
    let mut newest: HashMap<(Option<String>, String), DataFile> = HashMap::new();
    for file in files {
        let key = (file.source.clone(), file.basename.clone());
        let is_newer = newest
            .get(&key)
            .is_none_or(|other| (file.created, file.id) > (other.created, other.id));
        if is_newer {
            newest.insert(key, file);
        }
    }
    newest.into_values().collect()
}

/// The files of one member that are downloaded, with their paths below the member's directory.
#[derive(Default)]
pub(super) struct Selection {
    pub(super) files: Vec<(DataFile, PathBuf)>,
    /// The number of files that were not selected.
    pub(super) filtered_out: u64,
}
