//! Downloads of many files to a directory while the list of files is read.

use std::path::{Path, PathBuf};

use futures_util::{Stream, StreamExt, stream};

use super::download::Selection;
use super::{BulkDownload, BulkEvent, BulkReport, FileOutcome, FileResult, Listed};
use crate::files::hashing::blocking;
use crate::{
    DataFile, Download, Error, List, MemberClient, ProjectClient, ProjectMember, ProjectMemberId,
    PublicClient, safe_file_name,
};

/// One file to download.
struct Job {
    owner: Owner,
    member: Option<ProjectMemberId>,
    /// The name in reports.
    name: String,
    file: DataFile,
    target: PathBuf,
}

/// The client that lists a file again if its URL has expired.
#[derive(Clone)]
enum Owner {
    Member(MemberClient),
    Public(PublicClient),
}

/// An item of the stream that lists members and files.
enum Item {
    Job(Box<Job>),
    /// A member was listed.
    Listed {
        of_members: Option<u64>,
        files: u64,
        filtered_out: u64,
    },
    /// A member's files could not be listed.
    MemberFailed(ProjectMemberId, Error),
    /// The list of members or files ended with an error.
    ListFailed(Error),
}

impl ProjectClient {
    /// Downloads files of all active members to `directory`, which is created if necessary.
    ///
    /// # Errors
    ///
    /// If the member list cannot be read to its end. Failures of single files and members are in the
    /// report.
    pub async fn download_all(
        &self,
        directory: impl AsRef<Path>,
        options: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let members = stream::unfold(self.members(), async |mut members| {
            let member = members.next().await?;
            let total = members.total();
            Some(((member, total), members))
        });
        self.download_members(members, directory.as_ref(), options)
            .await
    }

    /// Downloads files of these members, each with the total number of members.
    pub(super) async fn download_members(
        &self,
        members: impl Stream<Item = (Result<ProjectMember, Error>, Option<u64>)>,
        directory: &Path,
        options: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let items = members
            .map(|(member, total)| self.list_member(member, total, directory, options))
            .buffered(2)
            .flat_map(stream::iter);
        run(items, options).await
    }

    async fn list_member(
        &self,
        member: Result<ProjectMember, Error>,
        of_members: Option<u64>,
        directory: &Path,
        options: &BulkDownload,
    ) -> Vec<Item> {
        let member = match member {
            Ok(member) => member,
            Err(error) => return vec![Item::ListFailed(error)],
        };
        let id = member.project_member_id.clone();
        let nothing = Item::Listed {
            of_members,
            files: 0,
            filtered_out: 0,
        };
        if !options.includes(&id) {
            return vec![nothing];
        }
        match self.files_of(&member).read_all().await {
            Ok(files) => {
                let directory = directory.join(safe_file_name(id.as_str()));
                let selection = options.select(files, &member.sources_shared);
                let owner = Owner::Member(self.member(&id));
                selection.into_items(&owner, Some(&id), &directory, of_members)
            }
            Err(error) => vec![nothing, Item::MemberFailed(id, error)],
        }
    }
}

impl MemberClient {
    /// Downloads the member's files to `directory`, which is created if necessary.
    ///
    /// # Errors
    ///
    /// If the member's files cannot be listed. Failures of single files are in the report.
    pub async fn download_all(
        &self,
        directory: impl AsRef<Path>,
        options: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let member = self.with_all_files().await?;
        let selection = options.select(member.data, &member.sources_shared);
        let owner = Owner::Member(self.clone());
        let items = selection.into_items(&owner, None, directory.as_ref(), Some(1));
        run(stream::iter(items), options).await
    }
}

impl PublicClient {
    /// Downloads public files to `directory`, which is created if necessary.
    ///
    /// The names of public files are not unique, so each is preceded by the file's id and a `-`. Of
    /// the options, the sources apply if the list contains them, and the limits on size and
    /// concurrency and the treatment of existing files always do.
    ///
    /// # Errors
    ///
    /// If the list cannot be read to its end. Failures of single files are in the report.
    pub async fn download_all(
        &self,
        files: List<DataFile>,
        directory: impl AsRef<Path>,
        options: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let directory = directory.as_ref();
        let owner = Owner::Public(self.clone());
        let items = files.flat_map(|file| {
            stream::iter(match file {
                Err(error) => vec![Item::ListFailed(error)],
                Ok(file) => {
                    let name = safe_file_name(&file.basename);
                    let path = safe_file_name(&format!("{}-{name}", file.id)).into();
                    let mut selection = Selection::default();
                    match options.includes_source(file.source.as_deref()) {
                        true => selection.files.push((file, path)),
                        false => selection.filtered_out = 1,
                    }
                    selection.into_items(&owner, None, directory, None)
                }
            })
        });
        run(items, options).await
    }
}

impl Selection {
    fn into_items(
        self,
        owner: &Owner,
        member: Option<&ProjectMemberId>,
        directory: &Path,
        of_members: Option<u64>,
    ) -> Vec<Item> {
        let listed = Item::Listed {
            of_members,
            files: self.files.len() as u64,
            filtered_out: self.filtered_out,
        };
        let jobs = self.files.into_iter().map(|(file, path)| {
            let name = match owner {
                Owner::Member(_) => file.basename.clone(),
                Owner::Public(_) => path.to_string_lossy().into_owned(),
            };
            Item::Job(Box::new(Job {
                owner: owner.clone(),
                member: member.cloned(),
                name,
                file,
                target: directory.join(path),
            }))
        });
        std::iter::once(listed).chain(jobs).collect()
    }
}

async fn run(items: impl Stream<Item = Item>, options: &BulkDownload) -> Result<BulkReport, Error> {
    let mut report = BulkReport::default();
    let mut listed = Listed::default();
    let mut filtered_out = 0;
    let mut list_error = None;
    let downloads = items.filter_map(|item| {
        std::future::ready(match item {
            Item::Job(job) => Some(Ok(job)),
            Item::Listed {
                of_members,
                files,
                filtered_out: more,
            } => {
                listed.members += 1;
                listed.of_members = of_members.or(listed.of_members);
                listed.files += files;
                filtered_out += more;
                options.events.emit(&BulkEvent::Listed(listed.clone()));
                None
            }
            Item::MemberFailed(member, error) => Some(Err(FileResult {
                member: Some(member),
                name: String::new(),
                outcome: FileOutcome::Failed(error),
            })),
            Item::ListFailed(error) => {
                // Downloads that were started still complete.
                list_error = Some(error);
                None
            }
        })
    });
    let results = downloads.map(async |download| match download {
        Ok(job) => download_job(*job, options).await,
        Err(failed) => failed,
    });
    {
        let mut results = std::pin::pin!(results.buffer_unordered(options.concurrency));
        while let Some(result) = results.next().await {
            report.add(result, &options.events);
        }
    }
    report.filtered_out = filtered_out;
    list_error.map_or(Ok(report), Err)
}

async fn download_job(job: Job, options: &BulkDownload) -> FileResult {
    let download = options.configure(job.owner.download(&job.file));
    let mut downloaded = download_file(download, &job.target).await;
    if let Err(Error::Forbidden { .. }) = downloaded {
        // The URL has expired, because the file was listed more than an hour ago.
        if let Ok(Some(file)) = job.owner.list_again(&job.file).await {
            let download = options.configure(job.owner.download(&file));
            downloaded = download_file(download, &job.target).await;
        }
    }
    FileResult {
        member: job.member,
        name: job.name,
        outcome: match downloaded {
            Ok(outcome) => outcome,
            Err(Error::TooLarge { .. }) => FileOutcome::TooLarge,
            Err(error) => FileOutcome::Failed(error),
        },
    }
}

async fn download_file(download: Download, target: &Path) -> Result<FileOutcome, Error> {
    if let Some(directory) = target.parent() {
        let path = directory.to_owned();
        let created = blocking(move |_| super::local::create_dir_all(&path)).await;
        created.map_err(|error| error.at(directory))?;
    }
    let downloaded = download.to_path(target).await?;
    Ok(match downloaded.already_present {
        true => FileOutcome::Unchanged,
        false => FileOutcome::Done(downloaded.size),
    })
}

impl Owner {
    fn download(&self, file: &DataFile) -> Download {
        match self {
            Self::Member(member) => member.download(file),
            Self::Public(public) => public.download(file),
        }
    }

    async fn list_again(&self, file: &DataFile) -> Result<Option<DataFile>, Error> {
        match self {
            Self::Member(member) => {
                let id = file.id;
                member
                    .files()
                    .only(move |file| file.id == id)
                    .try_next()
                    .await
            }
            Self::Public(public) => public.file(file.id).await.map(Some),
        }
    }
}
