//! Downloading members' files into a directory.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};

use super::{BulkEvent, BulkReport, CONCURRENCY, End, Ended, Events};
use crate::{
    DataFile, Download, ExchangeMember, MemberClient, ProjectClient, ProjectMember, safe_file_name,
};
use crate::{Error, ProjectMemberId};

/// Which files to download, and how.
///
/// Files end in `<directory>/<member>/<source>/<name>`, without the member where there is only
/// one, and without the source where only one is wanted or the files are the project's own. Of
/// several files of one name the newest is taken. A file that is there and has the right size is
/// left alone.
#[derive(Clone, Debug)]
#[must_use]
pub struct BulkDownload {
    own: bool,
    sources: Vec<String>,
    only: Option<HashSet<ProjectMemberId>>,
    except: HashSet<ProjectMemberId>,
    max_size: u64,
    concurrency: usize,
    ids_in_names: bool,
    events: Events,
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

    /// Calls back for each file, and as bytes arrive. The callback must be quick.
    pub fn on_event(mut self, callback: impl Fn(&BulkEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events = Events::new(callback);
        self
    }

    fn wants(&self, member: &ProjectMemberId) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.contains(member)) && !self.except.contains(member)
    }

    /// The files that are wanted, each with where it goes below the member's directory.
    fn plan(&self, files: Vec<DataFile>, shared: &[String]) -> Vec<(DataFile, PathBuf)> {
        let source_of = |file: &DataFile| file.source.clone().unwrap_or_default();
        let wanted = files.into_iter().filter(|file| {
            let source = source_of(file);
            shared.contains(&source) != self.own
                && (self.sources.is_empty() || self.sources.contains(&source))
        });
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
        chosen
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
            .collect()
    }
}

/// One file to fetch.
struct Job {
    client: MemberClient,
    member: Option<ProjectMemberId>,
    file: DataFile,
    target: PathBuf,
}

impl ProjectClient {
    /// Downloads files of all active members into `directory`, which is made if need be.
    ///
    /// # Errors
    ///
    /// When the list of members cannot be read to its end. What goes wrong with single files and
    /// members is in the report.
    pub async fn download_all(
        &self,
        directory: impl AsRef<Path>,
        what: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let directory = directory.as_ref();
        let mut fatal = None;
        let members = self
            .members()
            .map(|member| self.jobs_of(member, directory, what))
            .buffered(2);
        let jobs = members.flat_map(stream::iter);
        let report = run(jobs, what, &mut fatal).await;
        fatal.map_or(Ok(report), Err)
    }

    async fn jobs_of(
        &self,
        member: Result<ProjectMember, Error>,
        directory: &Path,
        what: &BulkDownload,
    ) -> Vec<Result<Job, Trouble>> {
        let member = match member {
            Ok(member) => member,
            Err(error) => return vec![Err(Trouble::Fatal(error))],
        };
        let id = member.project_member_id;
        if !what.wants(&id) {
            return Vec::new();
        }
        let client = self.member(&id);
        let whole = member.file_count == Some(member.data.len() as u64);
        let files = match whole {
            true => Ok(member.data),
            false => all_files(&client).await,
        };
        match files {
            Ok(files) => {
                let directory = directory.join(safe_file_name(id.as_str()));
                let plan = what.plan(files, &member.sources_shared);
                jobs(&client, Some(&id), &directory, plan).collect()
            }
            Err(error) => vec![Err(Trouble::Member(id, error))],
        }
    }
}

impl MemberClient {
    /// Downloads the member's files into `directory`, which is made if need be.
    ///
    /// # Errors
    ///
    /// When the member's files cannot be listed. What goes wrong with single files is in the
    /// report.
    pub async fn download_all(
        &self,
        directory: impl AsRef<Path>,
        what: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let ExchangeMember { sources_shared, .. } = self.exchange_member().await?;
        let plan = what.plan(all_files(self).await?, &sources_shared);
        let jobs = jobs(self, None, directory.as_ref(), plan);
        let mut fatal = None;
        let report = run(stream::iter(jobs), what, &mut fatal).await;
        fatal.map_or(Ok(report), Err)
    }
}

/// What keeps a file from becoming a job.
enum Trouble {
    Fatal(Error),
    Member(ProjectMemberId, Error),
}

fn jobs(
    client: &MemberClient,
    member: Option<&ProjectMemberId>,
    directory: &Path,
    plan: Vec<(DataFile, PathBuf)>,
) -> impl Iterator<Item = Result<Job, Trouble>> {
    plan.into_iter().map(move |(file, path)| {
        Ok(Job {
            client: client.clone(),
            member: member.cloned(),
            file,
            target: directory.join(path),
        })
    })
}

async fn all_files(client: &MemberClient) -> Result<Vec<DataFile>, Error> {
    let mut list = client.files();
    let mut files = Vec::new();
    while let Some(file) = list.try_next().await? {
        files.push(file);
    }
    Ok(files)
}

async fn run(
    jobs: impl futures_util::Stream<Item = Result<Job, Trouble>>,
    what: &BulkDownload,
    fatal: &mut Option<Error>,
) -> BulkReport {
    let mut report = BulkReport::default();
    let ended = jobs
        .map(async |job| match job {
            Ok(job) => Ok(fetch(job, what).await),
            Err(trouble) => Err(trouble),
        })
        .buffer_unordered(what.concurrency);
    let mut ended = std::pin::pin!(ended);
    while let Some(next) = ended.next().await {
        let ended = match next {
            Ok(ended) => ended,
            Err(Trouble::Member(member, error)) => Ended {
                member: Some(member),
                name: String::new(),
                end: End::Failed(error),
            },
            // The list cannot be read on; a page that failed was tried again before.
            Err(Trouble::Fatal(error)) => {
                *fatal = Some(error);
                break;
            }
        };
        report.add(ended, &what.events);
    }
    report
}

async fn fetch(job: Job, what: &BulkDownload) -> Ended {
    let mut result = fetch_file(&job.client.download(&job.file), &job.target, what).await;
    if let Err(Error::Forbidden { .. }) = result {
        // The address was too old: an hour has gone by since the file was listed.
        if let Ok(Some(file)) = listed_again(&job).await {
            result = fetch_file(&job.client.download(&file), &job.target, what).await;
        }
    }
    Ended {
        member: job.member,
        name: job.file.basename,
        end: match result {
            Ok(end) => end,
            Err(Error::TooLarge { .. }) => End::TooLarge,
            Err(error) => End::Failed(error),
        },
    }
}

async fn fetch_file(download: &Download, target: &Path, what: &BulkDownload) -> Result<End, Error> {
    if let Some(directory) = target.parent() {
        let made = directory.to_owned();
        super::local::blocking(move || {
            super::local::create_dir_all(&made).map_err(|e| Error::from(e).at(&made))
        })
        .await?;
    }
    let download = download
        .clone()
        .max_size(what.max_size)
        .keep_existing()
        .on_progress(what.events.moved());
    let downloaded = download.to_path(target).await?;
    Ok(match downloaded.kept {
        true => End::Kept,
        false => End::Done(downloaded.size),
    })
}

async fn listed_again(job: &Job) -> Result<Option<DataFile>, Error> {
    let mut files = job.client.files();
    while let Some(file) = files.try_next().await? {
        if file.id == job.file.id {
            return Ok(Some(file));
        }
    }
    Ok(None)
}
