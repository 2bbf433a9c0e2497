//! Upload plans.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_util::{StreamExt, stream};

use super::matching::{Match, RemoteFile, RemoteFiles};
use super::upload::{BulkUpload, Mode};
use super::{BulkEvent, BulkReport, FileOutcome, FileResult, Listed, local};
use crate::files::hashing::blocking;
use crate::{DataFileId, Error, FileMetadata, MemberClient, ProjectMemberId, Upload};

/// The planned changes of a directory upload. Nothing changes at Open Humans before
/// [`run`](Self::run).
///
/// Created by [`ProjectClient::plan_upload`](crate::ProjectClient::plan_upload) and
/// [`MemberClient::plan_upload`].
///
/// ```no_run
/// use oh_api::bulk::{BulkUpload, Manifest, Mode};
///
/// # async fn example(
/// #     member: oh_api::MemberClient,
/// #     manifest: Manifest,
/// # ) -> Result<(), oh_api::Error> {
/// let sync = BulkUpload::new(Mode::Sync);
/// let plan = member.plan_upload("out", &manifest, &sync).await?;
/// for deletion in plan.deletions() {
///     println!("{} would be deleted", deletion.name);
/// }
/// if plan.deletions().count() < 10 {
///     let report = plan.run().await;
///     println!("{} files, {} failed", report.done, report.failed.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is uploaded before the plan is run"]
pub struct UploadPlan {
    members: Vec<MemberPlan>,
    options: BulkUpload,
    report: BulkReport,
}

/// A file that would be uploaded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedUpload<'a> {
    /// The member, if the plan covers several members.
    pub member: Option<&'a ProjectMemberId>,
    /// The file's name at Open Humans.
    pub name: &'a str,
    /// The path of the local file.
    pub path: &'a Path,
    /// The file's size in bytes.
    pub size: u64,
    /// The files at Open Humans that would be replaced.
    pub replaces: &'a [DataFileId],
}

/// A file at Open Humans that would be deleted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedDeletion<'a> {
    /// The member, if the plan covers several members.
    pub member: Option<&'a ProjectMemberId>,
    /// The file's id.
    pub id: DataFileId,
    /// The file's name.
    pub name: &'a str,
}

/// The planned changes for one member.
#[derive(Debug)]
struct MemberPlan {
    client: MemberClient,
    member: Option<ProjectMemberId>,
    uploads: Vec<FileUpload>,
    deletions: Vec<(DataFileId, String)>,
    /// The number of the project's own files at Open Humans before the upload.
    remote_files: usize,
    /// Whether the plan is incomplete because of an error, so that nothing may be deleted.
    incomplete: bool,
}

#[derive(Debug)]
struct FileUpload {
    name: String,
    path: PathBuf,
    size: u64,
    metadata: FileMetadata,
    replaces: Vec<DataFileId>,
}

impl UploadPlan {
    /// Returns the files that would be uploaded.
    pub fn uploads(&self) -> impl Iterator<Item = PlannedUpload<'_>> {
        self.members.iter().flat_map(|plan| {
            plan.uploads.iter().map(|file| PlannedUpload {
                member: plan.member.as_ref(),
                name: &file.name,
                path: &file.path,
                size: file.size,
                replaces: &file.replaces,
            })
        })
    }

    /// Returns the files that would be deleted because they are not in the directory. Files that an
    /// upload replaces are not included.
    pub fn deletions(&self) -> impl Iterator<Item = PlannedDeletion<'_>> {
        self.members.iter().flat_map(|plan| {
            plan.deletions.iter().map(|(id, name)| PlannedDeletion {
                member: plan.member.as_ref(),
                id: *id,
                name,
            })
        })
    }

    /// Returns how many of the project's own files these members have at Open Humans now.
    pub fn remote_file_count(&self) -> usize {
        self.members.iter().map(|plan| plan.remote_files).sum()
    }

    /// Returns the members whose files would all be deleted and who would receive none.
    pub fn emptied_members(&self) -> impl Iterator<Item = Option<&ProjectMemberId>> {
        let emptied = self.members.iter().filter(|plan| {
            let all_deleted = plan.deletions.len() == plan.remote_files;
            plan.remote_files > 0 && all_deleted && plan.uploads.is_empty()
        });
        emptied.map(|plan| plan.member.as_ref())
    }

    /// Returns the results that are already known: unchanged files, and failures while the plan was
    /// made.
    pub fn report_so_far(&self) -> &BulkReport {
        &self.report
    }

    /// Runs the plan. The report includes [`report_so_far`](Self::report_so_far) and the failures of
    /// single files.
    ///
    /// A member's files are deleted only after all uploads of that member succeeded; otherwise the
    /// deletions are [skipped](BulkReport::deletions_skipped).
    pub async fn run(self) -> BulkReport {
        let Self {
            members,
            options,
            mut report,
        } = self;
        let files = members.iter().flat_map(|plan| &plan.uploads);
        let (count, bytes) = files.fold((0, 0), |(n, b), file| (n + 1, b + file.size));
        options.events.emit(&BulkEvent::Listed(Listed {
            members: members.len() as u64,
            of_members: Some(members.len() as u64),
            files: count,
            bytes: Some(bytes),
        }));
        let mut failed: BTreeSet<usize> = BTreeSet::new();
        let plans = members.iter().enumerate();
        let uploads = plans.flat_map(|(i, plan)| plan.uploads.iter().map(move |f| (i, plan, f)));
        let uploads = stream::iter(uploads).map(async |(i, plan, file)| {
            let outcome = plan.upload(file, &options).await;
            let outcome = outcome.unwrap_or_else(FileOutcome::Failed);
            (i, plan.result(&file.name, outcome))
        });
        let mut uploads = pin!(uploads.buffer_unordered(options.concurrency));
        while let Some((i, result)) = uploads.next().await {
            if let FileOutcome::Failed(_) = result.outcome {
                failed.insert(i);
            }
            report.add(result, &options.events);
        }
        let mut deletions = Vec::new();
        for (i, plan) in members.iter().enumerate() {
            match plan.incomplete || failed.contains(&i) {
                true => report.deletions_skipped += plan.deletions.len() as u64,
                false => {
                    deletions.extend(plan.deletions.iter().map(|(id, name)| (plan, *id, name)))
                }
            }
        }
        let deletions = stream::iter(deletions).map(async |(plan, id, name)| {
            let deleted = plan.client.delete_file(id).await;
            let outcome = deleted.map_or_else(FileOutcome::Failed, |_| FileOutcome::Deleted);
            plan.result(name, outcome)
        });
        let mut deletions = pin!(deletions.buffer_unordered(options.concurrency));
        while let Some(result) = deletions.next().await {
            report.add(result, &options.events);
        }
        report
    }
}

impl MemberPlan {
    async fn upload(&self, file: &FileUpload, options: &BulkUpload) -> Result<FileOutcome, Error> {
        let upload = Upload::path(&file.path)
            .name(&file.name)
            .metadata(file.metadata.clone())
            .with_md5()
            .on_progress(options.events.transferred());
        let uploaded = self.client.upload(upload).await?;
        for id in &file.replaces {
            self.client.delete_file(*id).await?;
        }
        Ok(FileOutcome::Done(uploaded.size))
    }

    fn result(&self, name: &str, outcome: FileOutcome) -> FileResult {
        FileResult {
            member: self.member.clone(),
            name: name.to_owned(),
            outcome,
        }
    }
}

/// One member's local files and their metadata.
pub(super) struct LocalMember<'a> {
    pub(super) client: MemberClient,
    pub(super) member: Option<ProjectMemberId>,
    pub(super) metadata: &'a BTreeMap<String, FileMetadata>,
    pub(super) files: BTreeMap<String, PathBuf>,
}

/// Compares local files with Open Humans and creates the plan.
pub(super) async fn plan(members: Vec<LocalMember<'_>>, options: &BulkUpload) -> UploadPlan {
    let mut plan = UploadPlan {
        members: Vec::with_capacity(members.len()),
        options: options.clone(),
        report: BulkReport::default(),
    };
    let mut listed = Listed {
        members: 0,
        of_members: Some(members.len() as u64),
        files: 0,
        bytes: Some(0),
    };
    let plans = stream::iter(members).map(|member| member.plan(options));
    let mut plans = pin!(plans.buffered(options.concurrency));
    while let Some((mut member, results)) = plans.next().await {
        if member.incomplete {
            plan.report.deletions_skipped += member.deletions.len() as u64;
            member.deletions.clear();
        }
        for result in results {
            plan.report.add(result, &options.events);
        }
        listed.members += 1;
        listed.files += member.uploads.len() as u64;
        let bytes: u64 = member.uploads.iter().map(|file| file.size).sum();
        listed.bytes = listed.bytes.map(|before| before + bytes);
        options.events.emit(&BulkEvent::Listed(listed.clone()));
        plan.members.push(member);
    }
    plan
}

/// What the plan does with one local file.
enum Action {
    /// Uploads the file, which has this size.
    Upload(u64),
    Finish(FileOutcome),
}

impl LocalMember<'_> {
    async fn plan(self, options: &BulkUpload) -> (MemberPlan, Vec<FileResult>) {
        let mut plan = MemberPlan {
            client: self.client.clone(),
            member: self.member.clone(),
            uploads: Vec::new(),
            deletions: Vec::new(),
            remote_files: 0,
            incomplete: false,
        };
        let remote = self
            .client
            .own_files(|file| Some(RemoteFile::new(file)))
            .await;
        let remote = match remote {
            Ok(files) => RemoteFiles::new(files),
            Err(error) => {
                plan.incomplete = true;
                let result = plan.result("", FileOutcome::Failed(error));
                return (plan, vec![result]);
            }
        };
        plan.remote_files = remote.len();
        let matches = remote.match_names(self.files.keys());
        let mut results = Vec::new();
        for (name, path) in &self.files {
            let Some(matched) = matches.get(name.as_str()) else {
                continue;
            };
            let metadata = self.metadata.get(name).cloned().unwrap_or_default();
            let action = self.action(path, &metadata, matched, options).await;
            match action.unwrap_or_else(|error| Action::Finish(FileOutcome::Failed(error))) {
                Action::Finish(outcome) => {
                    plan.incomplete |= matches!(outcome, FileOutcome::Failed(_));
                    results.push(plan.result(&matched.name, outcome));
                }
                Action::Upload(size) => plan.uploads.push(FileUpload {
                    name: upload_name(path, matched),
                    path: path.clone(),
                    size,
                    metadata: match options.ignore_md5 {
                        true => metadata.without_md5(),
                        false => metadata,
                    },
                    replaces: matched.files.iter().map(|file| file.id).collect(),
                }),
            }
        }
        if options.mode == Mode::Sync {
            let unmatched = remote.unmatched(&matches).into_iter();
            plan.deletions = unmatched.map(|file| (file.id, file.name.clone())).collect();
        }
        (plan, results)
    }

    /// Decides as the upload would: the MD5 of the CSV is verified here as well.
    async fn action(
        &self,
        path: &Path,
        metadata: &FileMetadata,
        matched: &Match<'_>,
        options: &BulkUpload,
    ) -> Result<Action, Error> {
        let size = tokio::fs::metadata(path).await;
        let size = size.map_err(|e| Error::from(e).at(path))?.len();
        if options.mode == Mode::Safe && !matched.files.is_empty() {
            return Ok(Action::Finish(FileOutcome::Unchanged));
        }
        if size > options.max_size {
            return Ok(Action::Finish(FileOutcome::TooLarge));
        }
        // A download would return the newest file.
        let newest = matched.files.last();
        let remote_md5 = newest.and_then(|file| file.md5.as_ref());
        let declared_md5 = metadata.declared_md5().filter(|_| !options.ignore_md5);
        if remote_md5.is_none() && declared_md5.is_none() {
            return Ok(Action::Upload(size));
        }
        let file = path.to_owned();
        let md5 = blocking(move |cancellation| local::md5_of(&file, cancellation, &|_| {})).await?;
        options.events.emit(&BulkEvent::Compared(size));
        if let Some(newest) = newest
            && remote_md5 == Some(&md5)
        {
            if newest.has_metadata(metadata) {
                return Ok(Action::Finish(FileOutcome::Unchanged));
            }
            if !options.update_metadata {
                return Ok(Action::Finish(FileOutcome::MetadataDiffers));
            }
        }
        match declared_md5 {
            Some(expected) if expected != md5 => Err(Error::Mismatch {
                what: "md5",
                expected,
                actual: md5,
                saved_as: None,
            }),
            _ => Ok(Action::Upload(size)),
        }
    }
}

/// Returns the name to upload a file under: the name of the file that it replaces, or the local one.
fn upload_name(path: &Path, matched: &Match<'_>) -> String {
    let local = path.file_name().and_then(|name| name.to_str());
    match (matched.files.is_empty(), local) {
        (true, Some(local)) => local.trim().to_owned(),
        _ => matched.name.clone(),
    }
}
