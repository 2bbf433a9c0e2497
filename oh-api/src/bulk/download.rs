//! Which files to download, how, and where each goes.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::{BulkEvent, CONCURRENCY, Events};
use crate::{DataFile, Download, ProjectMemberId, safe_file_name};

/// Which files to download, and how.
///
/// Files end in `<directory>/<member>/<source>/<name>`, without the member where there is only
/// one, and without the source where only one is wanted or the files are the project's own. Of
/// several files of one name the newest is taken. A file that is there and has the right size is
/// left alone, unless [`verify`](Self::verify) or [`force`](Self::force) are set.
///
/// A file whose MD5 is not the one its uploader gave is kept aside and counts as failed, see
/// [`Download::to_path`]; [`ignore_md5`](Self::ignore_md5) takes it.
#[derive(Clone, Debug)]
#[must_use]
pub struct BulkDownload {
    own: bool,
    pub(super) sources: Vec<String>,
    only: Option<HashSet<ProjectMemberId>>,
    except: HashSet<ProjectMemberId>,
    max_size: u64,
    pub(super) concurrency: usize,
    ids_in_names: bool,
    existing: Existing,
    ignore_md5: bool,
    pub(super) events: Events,
}

/// What happens to a file that is here already.
#[derive(Clone, Copy, Debug)]
enum Existing {
    KeepSameSize,
    KeepSame,
    Replace,
}

impl BulkDownload {
    /// What members share with the project.
    pub fn shared() -> Self {
        Self {
            own: false,
            sources: Vec::new(),
            only: None,
            except: HashSet::new(),
            max_size: u64::MAX,
            concurrency: CONCURRENCY,
            ids_in_names: false,
            existing: Existing::KeepSameSize,
            ignore_md5: false,
            events: Events::default(),
        }
    }

    /// What the project has uploaded itself.
    pub fn own() -> Self {
        Self {
            own: true,
            ..Self::shared()
        }
    }

    /// Only this source's files, such as `direct-sharing-1`. Can be given several times.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.sources.push(source.into());
        self
    }

    /// Only these members' files.
    pub fn only_members(mut self, members: impl IntoIterator<Item = ProjectMemberId>) -> Self {
        self.only.get_or_insert_default().extend(members);
        self
    }

    /// Not these members' files.
    pub fn except_members(mut self, members: impl IntoIterator<Item = ProjectMemberId>) -> Self {
        self.except.extend(members);
        self
    }

    /// No files of more bytes.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// How many files are fetched at a time; four unless set.
    pub fn concurrency(mut self, files: usize) -> Self {
        self.concurrency = files.max(1);
        self
    }

    /// All files, also those of one name, with their ids before their names.
    pub fn ids_in_names(mut self) -> Self {
        self.ids_in_names = true;
        self
    }

    /// Reads files that are here and have the right size, and fetches those again that have not
    /// the MD5 that is known.
    pub fn verify(mut self) -> Self {
        self.existing = Existing::KeepSame;
        self
    }

    /// Fetches all files, whatever is here.
    pub fn force(mut self) -> Self {
        self.existing = Existing::Replace;
        self
    }

    /// Takes files as they are, whatever MD5 their uploader gave.
    pub fn ignore_md5(mut self) -> Self {
        self.ignore_md5 = true;
        self
    }

    /// Calls back for each file, and as bytes arrive. The callback must be quick.
    pub fn on_event(mut self, callback: impl Fn(&BulkEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events = Events::new(callback);
        self
    }

    pub(super) fn wants(&self, member: &ProjectMemberId) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.contains(member)) && !self.except.contains(member)
    }

    /// The files that are wanted, each with where it goes below the member's directory, and how many
    /// others there are.
    pub(super) fn plan(&self, files: Vec<DataFile>, shared: &[String]) -> Plan {
        let all = files.len();
        let source_of = |file: &DataFile| file.source.clone().unwrap_or_default();
        let wanted = files.into_iter().filter(|file| {
            let source = source_of(file);
            shared.contains(&source) != self.own
                && (self.sources.is_empty() || self.sources.contains(&source))
        });
        let wanted: Vec<DataFile> = wanted.collect();
        let others = (all - wanted.len()) as u64;
        let by_source = !self.own && self.sources.len() != 1;
        let mut newest: HashMap<(String, String), DataFile> = HashMap::new();
        let mut chosen = Vec::new();
        for file in wanted {
            if self.ids_in_names {
                chosen.push(file);
                continue;
            }
            let key = (source_of(&file), file.basename.clone());
            let newer = newest.get(&key).is_none_or(|other| {
                (file.created, file.id.get()) > (other.created, other.id.get())
            });
            if newer {
                newest.insert(key, file);
            }
        }
        chosen.extend(newest.into_values());
        chosen.sort_by_key(|file| file.id);
        let mut taken = HashSet::new();
        let files = chosen
            .into_iter()
            .map(|file| {
                let directory = match by_source {
                    true => PathBuf::from(safe_file_name(&source_of(&file))),
                    false => PathBuf::new(),
                };
                let mut name = safe_file_name(&file.basename);
                // Names that differ can be one on disk; the id keeps them apart.
                let clash = !taken.insert((directory.clone(), name.to_lowercase()));
                if clash || self.ids_in_names {
                    name = safe_file_name(&format!("{}.{name}", file.id));
                    taken.insert((directory.clone(), name.to_lowercase()));
                }
                let path = directory.join(name);
                (file, path)
            })
            .collect();
        Plan { files, others }
    }

    /// How one file is fetched.
    pub(super) fn fetch(&self, download: Download) -> Download {
        let download = download
            .max_size(self.max_size)
            .on_progress(self.events.transferred());
        let download = match self.existing {
            Existing::KeepSameSize => download.skip_existing(),
            Existing::KeepSame => download.skip_verified(),
            Existing::Replace => download,
        };
        match self.ignore_md5 {
            true => download.ignore_md5(),
            false => download,
        }
    }
}

/// What is to be fetched of one member's files.
pub(super) struct Plan {
    pub(super) files: Vec<(DataFile, PathBuf)>,
    pub(super) others: u64,
}
