//! What an upload would do, before it does anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_util::{StreamExt, stream};

use super::matching::{Match, Remote, Remotes};
use super::upload::{BulkUpload, Mode};
use super::{BulkEvent, BulkReport, FileOutcome, FileResult, Listed, local};
use crate::files::hashing::blocking;
use crate::{DataFileId, Error, FileMetadata, MemberClient, ProjectMemberId, Upload};

/// What an upload of a directory would do. Nothing is changed at Open Humans before
/// [`run`](Self::run).
///
/// From [`ProjectClient::plan_upload`](crate::ProjectClient::plan_upload) or
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
#[must_use = "nothing is uploaded before it is run"]
pub struct UploadPlan {
    members: Vec<OfMember>,
    how: BulkUpload,
    report: BulkReport,
}

/// A file that would be uploaded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedUpload<'a> {
    /// The member, where there are several.
    pub member: Option<&'a ProjectMemberId>,
    /// The name it would have at Open Humans.
    pub name: &'a str,
    /// Where it is.
    pub path: &'a Path,
    /// Its size in bytes.
    pub size: u64,
    /// The files at Open Humans that it would replace.
    pub replaces: &'a [DataFileId],
}

/// A file at Open Humans that would be deleted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedDeletion<'a> {
    /// The member, where there are several.
    pub member: Option<&'a ProjectMemberId>,
    /// Its id.
    pub id: DataFileId,
    /// Its name.
    pub name: &'a str,
}

/// What would be done for one member.
#[derive(Debug)]
struct OfMember {
    client: MemberClient,
    member: Option<ProjectMemberId>,
    uploads: Vec<Planned>,
    deletions: Vec<(DataFileId, String)>,
    /// The project's own files at Open Humans, before.
    there: usize,
    /// Whether something could not be looked at.
    failed_to_list: bool,
}

#[derive(Debug)]
struct Planned {
    name: String,
    path: PathBuf,
    size: u64,
    metadata: FileMetadata,
    replaces: Vec<DataFileId>,
}

impl UploadPlan {
    /// The files that would be uploaded.
    pub fn uploads(&self) -> impl Iterator<Item = PlannedUpload<'_>> {
        self.members.iter().flat_map(|of| {
            of.uploads.iter().map(|planned| PlannedUpload {
                member: of.member.as_ref(),
                name: &planned.name,
                path: &planned.path,
                size: planned.size,
                replaces: &planned.replaces,
            })
        })
    }

    /// The files that would be deleted because they are not in the directory. Those that an upload
    /// replaces are not among them.
    pub fn deletions(&self) -> impl Iterator<Item = PlannedDeletion<'_>> {
        self.members.iter().flat_map(|of| {
            of.deletions.iter().map(|(id, name)| PlannedDeletion {
                member: of.member.as_ref(),
                id: *id,
                name,
            })
        })
    }

    /// How many files of the project's own these members have at Open Humans, before anything is
    /// done.
    pub fn remote_file_count(&self) -> usize {
        self.members.iter().map(|of| of.there).sum()
    }

    /// Members of whom all files would be deleted and none would be left or come.
    pub fn emptied_members(&self) -> impl Iterator<Item = Option<&ProjectMemberId>> {
        let emptied = self
            .members
            .iter()
            .filter(|of| of.there > 0 && of.deletions.len() == of.there && of.uploads.is_empty());
        emptied.map(|of| of.member.as_ref())
    }

    /// What was found out already: files that are there and stay, and what could not be looked at.
    pub fn report_so_far(&self) -> &BulkReport {
        &self.report
    }

    /// Does it. What goes wrong with single files is in the report, together with
    /// [`what was found out before`](Self::report_so_far).
    ///
    /// A member's files are deleted only once all of that member's uploads have succeeded; otherwise
    /// they are [spared](BulkReport::deletions_skipped).
    pub async fn run(self) -> BulkReport {
        let Self {
            members,
            how,
            mut report,
        } = self;
        let files = members.iter().flat_map(|of| &of.uploads);
        let (count, bytes) = files.fold((0, 0), |(n, b), file| (n + 1, b + file.size));
        how.events.emit(&BulkEvent::Listed(Listed {
            members: members.len() as u64,
            of_members: Some(members.len() as u64),
            files: count,
            bytes: Some(bytes),
        }));
        let mut failed: BTreeSet<usize> = BTreeSet::new();
        let all = members.iter().enumerate();
        let uploads = all.flat_map(|(i, of)| of.uploads.iter().map(move |file| (i, of, file)));
        let uploads = stream::iter(uploads).map(async |(i, of, file)| {
            let end = of
                .upload(file, &how)
                .await
                .unwrap_or_else(FileOutcome::Failed);
            (i, of.ended(&file.name, end))
        });
        let mut uploads = pin!(uploads.buffer_unordered(how.concurrency));
        while let Some((i, ended)) = uploads.next().await {
            if let FileOutcome::Failed(_) = ended.outcome {
                failed.insert(i);
            }
            report.add(ended, &how.events);
        }
        let mut doomed = Vec::new();
        for (i, of) in members.iter().enumerate() {
            match of.failed_to_list || failed.contains(&i) {
                true => report.deletions_skipped += of.deletions.len() as u64,
                false => doomed.extend(of.deletions.iter().map(|(id, name)| (of, *id, name))),
            }
        }
        let deletions = stream::iter(doomed).map(async |(of, id, name)| {
            let deleted = of.client.delete_file(id).await;
            of.ended(
                name,
                deleted.map_or_else(FileOutcome::Failed, |_| FileOutcome::Deleted),
            )
        });
        let mut deletions = pin!(deletions.buffer_unordered(how.concurrency));
        while let Some(ended) = deletions.next().await {
            report.add(ended, &how.events);
        }
        report
    }
}

impl OfMember {
    async fn upload(&self, planned: &Planned, how: &BulkUpload) -> Result<FileOutcome, Error> {
        let upload = Upload::path(&planned.path)
            .name(&planned.name)
            .metadata(planned.metadata.clone())
            .with_md5()
            .on_progress(how.events.transferred());
        let uploaded = self.client.upload(upload).await?;
        // The new one is there: those it replaces can go.
        for id in &planned.replaces {
            self.client.delete_file(*id).await?;
        }
        Ok(FileOutcome::Done(uploaded.size))
    }

    fn ended(&self, name: &str, outcome: FileOutcome) -> FileResult {
        FileResult {
            member: self.member.clone(),
            name: name.to_owned(),
            outcome,
        }
    }
}

/// One member's files here, and what is said of them.
pub(super) struct Here<'a> {
    pub(super) client: MemberClient,
    pub(super) member: Option<ProjectMemberId>,
    pub(super) described: &'a BTreeMap<String, FileMetadata>,
    pub(super) files: BTreeMap<String, PathBuf>,
}

/// Looks at what is at Open Humans, and decides for each file.
pub(super) async fn plan(members: Vec<Here<'_>>, how: &BulkUpload) -> UploadPlan {
    let mut plan = UploadPlan {
        members: Vec::with_capacity(members.len()),
        how: how.clone(),
        report: BulkReport::default(),
    };
    let total = members.len() as u64;
    let looked = stream::iter(members).map(|here| here.plan(how));
    let mut looked = pin!(looked.buffered(how.concurrency));
    let mut listed = Listed {
        members: 0,
        of_members: Some(total),
        files: 0,
        bytes: Some(0),
    };
    while let Some((of, ended)) = looked.next().await {
        for ended in ended {
            plan.report.add(ended, &how.events);
        }
        listed.members += 1;
        listed.files += of.uploads.len() as u64;
        let bytes: u64 = of.uploads.iter().map(|file| file.size).sum();
        listed.bytes = listed.bytes.map(|before| before + bytes);
        how.events.emit(&BulkEvent::Listed(listed.clone()));
        plan.members.push(of);
    }
    plan
}

/// What is to become of one file here.
enum Fate {
    Upload(u64),
    FileOutcome(FileOutcome),
}

impl Here<'_> {
    async fn plan(self, how: &BulkUpload) -> (OfMember, Vec<FileResult>) {
        let mut of = OfMember {
            client: self.client.clone(),
            member: self.member.clone(),
            uploads: Vec::new(),
            deletions: Vec::new(),
            there: 0,
            failed_to_list: false,
        };
        let remotes = match self.remotes().await {
            Ok(remotes) => remotes,
            Err(error) => {
                of.failed_to_list = true;
                let ended = of.ended("", FileOutcome::Failed(error));
                return (of, vec![ended]);
            }
        };
        of.there = remotes.len();
        let matched = remotes.matched(self.files.keys());
        let mut all_ended = Vec::new();
        for (here, path) in &self.files {
            let Some(there) = matched.get(here.as_str()) else {
                continue;
            };
            let metadata = self.described.get(here).cloned().unwrap_or_default();
            let fate = self.fate(path, &metadata, there, how).await;
            match fate.unwrap_or_else(|error| Fate::FileOutcome(FileOutcome::Failed(error))) {
                Fate::FileOutcome(end) => {
                    of.failed_to_list |= matches!(end, FileOutcome::Failed(_));
                    all_ended.push(of.ended(&there.name, end));
                }
                Fate::Upload(size) => of.uploads.push(Planned {
                    name: there.name.clone(),
                    path: path.clone(),
                    size,
                    metadata: match how.ignore_md5 {
                        true => metadata.without_md5(),
                        false => metadata,
                    },
                    replaces: there.files.iter().map(|file| file.id).collect(),
                }),
            }
        }
        if how.mode == Mode::Sync {
            let others = remotes.others(&matched).into_iter();
            of.deletions = others.map(|file| (file.id, file.name.clone())).collect();
        }
        (of, all_ended)
    }

    async fn fate(
        &self,
        path: &Path,
        metadata: &FileMetadata,
        there: &Match<'_>,
        how: &BulkUpload,
    ) -> Result<Fate, Error> {
        let found = tokio::fs::metadata(path).await;
        let size = found.map_err(|e| Error::from(e).at(path))?.len();
        if how.mode == Mode::Safe && !there.files.is_empty() {
            return Ok(Fate::FileOutcome(FileOutcome::Unchanged));
        }
        if size > how.max_size {
            return Ok(Fate::FileOutcome(FileOutcome::TooLarge));
        }
        // What a download would give: the newest.
        let Some((newest, expected)) = there.files.last().and_then(|f| Some((f, f.md5.as_ref()?)))
        else {
            return Ok(Fate::Upload(size));
        };
        let file = path.to_owned();
        let md5 = blocking(move |cancellation| local::md5_of(&file, cancellation)).await?;
        how.events.emit(&BulkEvent::Compared(size));
        Ok(match (md5 == *expected, newest.is_described_as(metadata)) {
            (true, true) => Fate::FileOutcome(FileOutcome::Unchanged),
            (true, false) if !how.update_metadata => {
                Fate::FileOutcome(FileOutcome::MetadataDiffers)
            }
            _ => Fate::Upload(size),
        })
    }

    /// The project's own files at Open Humans.
    async fn remotes(&self) -> Result<Remotes, Error> {
        let first = self.client.exchange_member().await?;
        // What is not from a source the member shares is the project's own.
        let shared =
            |source: Option<&String>| source.is_some_and(|s| first.sources_shared.contains(s));
        let mut remotes: Vec<Remote> = Vec::new();
        let mut take = |file: &crate::DataFile| {
            if !shared(file.source.as_ref()) {
                remotes.push(Remote::new(file));
            }
        };
        let read = first.data.len() as u64;
        first.data.iter().for_each(&mut take);
        if first.count.is_none_or(|count| count > read) {
            let mut files = self.client.files().offset(read);
            while let Some(file) = files.try_next().await? {
                take(&file);
            }
        }
        Ok(Remotes::new(remotes))
    }
}
