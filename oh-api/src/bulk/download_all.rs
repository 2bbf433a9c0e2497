//! Downloading files into a directory, several at a time, while they are listed.

use std::path::Path;

use futures_util::{Stream, StreamExt, stream};

use super::download::Plan;
use super::{BulkDownload, BulkEvent, BulkReport, FileOutcome, FileResult, Listed};
use crate::files::hashing::blocking;
use crate::{
    DataFile, Download, List, MemberClient, ProjectClient, ProjectMember, PublicClient,
    safe_file_name,
};
use crate::{Error, ProjectMemberId};

/// One file to fetch.
struct Job {
    client: Whose,
    member: Option<ProjectMemberId>,
    /// What it is called in reports.
    name: String,
    file: DataFile,
    target: std::path::PathBuf,
}

/// Whom a file can be asked for once more.
#[derive(Clone)]
enum Whose {
    Member(MemberClient),
    Public(PublicClient),
}

/// What comes out of looking at members.
enum Found {
    Job(Box<Job>),
    /// A member was looked at: how many members there are in all, and how many files are to be
    /// fetched and how many not.
    Looked {
        of_members: Option<u64>,
        files: u64,
        others: u64,
    },
    /// A member could not be looked at.
    Member(ProjectMemberId, Error),
    /// The list cannot be read on; a page that failed was tried again before.
    Fatal(Error),
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
        let members = stream::unfold(self.members(), async |mut members| {
            let member = members.next().await?;
            let total = members.total();
            Some(((member, total), members))
        });
        self.download_members(members, directory.as_ref(), what)
            .await
    }

    /// Downloads files of these members, each with how many there are in all.
    pub(super) async fn download_members(
        &self,
        members: impl Stream<Item = (Result<ProjectMember, Error>, Option<u64>)>,
        directory: &Path,
        what: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let found = members
            .map(|(member, total)| self.found(member, total, directory, what))
            .buffered(2)
            .flat_map(stream::iter);
        run(found, what).await
    }

    async fn found(
        &self,
        member: Result<ProjectMember, Error>,
        of_members: Option<u64>,
        directory: &Path,
        what: &BulkDownload,
    ) -> Vec<Found> {
        let member = match member {
            Ok(member) => member,
            Err(error) => return vec![Found::Fatal(error)],
        };
        let id = member.project_member_id.clone();
        if !what.wants(&id) {
            return vec![Found::looked(of_members, 0, 0)];
        }
        match all(self.files_of(&member)).await {
            Ok(files) => {
                let directory = directory.join(safe_file_name(id.as_str()));
                let plan = what.plan(files, &member.sources_shared);
                let client = Whose::Member(self.member(&id));
                plan.found(&client, Some(&id), &directory, of_members)
            }
            Err(error) => vec![Found::looked(of_members, 0, 0), Found::Member(id, error)],
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
        let mut first = self.exchange_member().await?;
        let mut files = std::mem::take(&mut first.data);
        let read = files.len() as u64;
        if first.count.is_none_or(|count| count > read) {
            files.extend(all(self.files().offset(read)).await?);
        }
        let plan = what.plan(files, &first.sources_shared);
        let client = Whose::Member(self.clone());
        let found = plan.found(&client, None, directory.as_ref(), Some(1));
        run(stream::iter(found), what).await
    }
}

impl PublicClient {
    /// Downloads public files into `directory`, which is made if need be, as they are listed. Names
    /// of public files are not unique: each has its id and a `-` before it. Of `what`, the sources
    /// count where files name theirs, and size, concurrency and what is here already.
    ///
    /// # Errors
    ///
    /// When the list cannot be read to its end. What goes wrong with single files is in the report.
    pub async fn download_all(
        &self,
        files: List<DataFile>,
        directory: impl AsRef<Path>,
        what: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let directory = directory.as_ref();
        let found = files.flat_map(|file| {
            stream::iter(match file {
                Err(error) => vec![Found::Fatal(error)],
                Ok(file) => {
                    let source = file.source.as_ref();
                    let wanted = what.sources.is_empty()
                        || source.is_some_and(|source| what.sources.contains(source));
                    let plain = safe_file_name(&file.basename);
                    let name = safe_file_name(&format!("{}-{plain}", file.id));
                    let files = if wanted {
                        vec![(file, name.into())]
                    } else {
                        vec![]
                    };
                    let others = u64::from(!wanted);
                    let plan = Plan { files, others };
                    plan.found(&Whose::Public(self.clone()), None, directory, None)
                }
            })
        });
        run(found, what).await
    }
}

impl Found {
    fn looked(of_members: Option<u64>, files: u64, others: u64) -> Self {
        Self::Looked {
            of_members,
            files,
            others,
        }
    }
}

impl Plan {
    fn found(
        self,
        client: &Whose,
        member: Option<&ProjectMemberId>,
        directory: &Path,
        of_members: Option<u64>,
    ) -> Vec<Found> {
        let looked = Found::looked(of_members, self.files.len() as u64, self.others);
        let jobs = self.files.into_iter().map(|(file, path)| {
            let name = match client {
                Whose::Member(_) => file.basename.clone(),
                Whose::Public(_) => path.to_string_lossy().into_owned(),
            };
            Found::Job(Box::new(Job {
                client: client.clone(),
                member: member.cloned(),
                name,
                file,
                target: directory.join(path),
            }))
        });
        std::iter::once(looked).chain(jobs).collect()
    }
}

pub(super) async fn all(mut list: List<DataFile>) -> Result<Vec<DataFile>, Error> {
    let mut files = Vec::new();
    while let Some(file) = list.try_next().await? {
        files.push(file);
    }
    Ok(files)
}

async fn run(found: impl Stream<Item = Found>, what: &BulkDownload) -> Result<BulkReport, Error> {
    let mut report = BulkReport::default();
    let mut listed = Listed::default();
    let mut others = 0;
    let mut fatal = None;
    // What is no file to fetch is dealt with as it comes by, while files are on their way.
    let jobs = found.filter_map(|found| {
        std::future::ready(match found {
            Found::Job(job) => Some(Ok(job)),
            Found::Looked {
                of_members,
                files,
                others: more,
            } => {
                listed.members += 1;
                listed.of_members = of_members.or(listed.of_members);
                listed.files += files;
                others += more;
                what.events.emit(&BulkEvent::Listed(listed.clone()));
                None
            }
            Found::Member(member, error) => Some(Err(Ok((member, error)))),
            Found::Fatal(error) => Some(Err(Err(error))),
        })
    });
    let ended = jobs
        .map(async |job| match job {
            Ok(job) => Ok(fetch(*job, what).await),
            Err(Ok((member, error))) => Ok(FileResult {
                member: Some(member),
                name: String::new(),
                outcome: FileOutcome::Failed(error),
            }),
            Err(Err(error)) => Err(error),
        })
        .buffer_unordered(what.concurrency);
    {
        let mut ended = std::pin::pin!(ended);
        while let Some(next) = ended.next().await {
            match next {
                Ok(ended) => report.add(ended, &what.events),
                // The list ends with it; what is on its way still arrives.
                Err(error) => fatal = Some(error),
            }
        }
    }
    report.filtered_out = others;
    fatal.map_or(Ok(report), Err)
}

async fn fetch(job: Job, what: &BulkDownload) -> FileResult {
    let download = job.client.download(&job.file);
    let mut result = fetch_file(what.fetch(download), &job.target).await;
    if let Err(Error::Forbidden { .. }) = result {
        // The address was too old: an hour has gone by since the file was listed.
        if let Ok(Some(file)) = job.client.listed_again(&job.file).await {
            let download = job.client.download(&file);
            result = fetch_file(what.fetch(download), &job.target).await;
        }
    }
    FileResult {
        member: job.member,
        name: job.name,
        outcome: match result {
            Ok(end) => end,
            Err(Error::TooLarge { .. }) => FileOutcome::TooLarge,
            Err(error) => FileOutcome::Failed(error),
        },
    }
}

async fn fetch_file(download: Download, target: &Path) -> Result<FileOutcome, Error> {
    if let Some(directory) = target.parent() {
        let made = directory.to_owned();
        blocking(move |_| {
            super::local::create_dir_all(&made).map_err(|e| Error::from(e).at(&made))
        })
        .await?;
    }
    let downloaded = download.to_path(target).await?;
    Ok(match downloaded.already_present {
        true => FileOutcome::Unchanged,
        false => FileOutcome::Done(downloaded.size),
    })
}

impl Whose {
    fn download(&self, file: &DataFile) -> Download {
        match self {
            Self::Member(member) => member.download(file),
            Self::Public(public) => public.download(file),
        }
    }

    async fn listed_again(&self, wanted: &DataFile) -> Result<Option<DataFile>, Error> {
        match self {
            Self::Member(member) => {
                let mut files = member.files();
                while let Some(file) = files.try_next().await? {
                    if file.id == wanted.id {
                        return Ok(Some(file));
                    }
                }
                Ok(None)
            }
            Self::Public(public) => public.file(wanted.id).await.map(Some),
        }
    }
}
