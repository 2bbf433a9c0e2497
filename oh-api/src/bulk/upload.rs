//! Uploading a directory, with its metadata.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};

use super::local::{self, blocking};
use super::{BulkEvent, BulkReport, CONCURRENCY, End, Ended, Events, Manifest};
use crate::{DataFile, FileMetadata, MemberClient, ProjectClient, Upload};
use crate::{Error, ProjectMemberId};

/// What happens to files that are at Open Humans already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Those of the same name are replaced, unless their MD5 is the same. Others stay.
    #[default]
    Default,
    /// All stay: a file of the same name is not uploaded.
    Safe,
    /// As the default, and those that are not in the directory are deleted.
    Sync,
}

/// How to upload a directory.
#[derive(Clone, Debug)]
#[must_use]
pub struct BulkUpload {
    mode: Mode,
    max_size: u64,
    concurrency: usize,
    events: Events,
}

impl Default for BulkUpload {
    fn default() -> Self {
        Self::new(Mode::Default)
    }
}

impl BulkUpload {
    /// In this mode.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            max_size: u64::MAX,
            concurrency: CONCURRENCY,
            events: Events::default(),
        }
    }

    /// No files of more bytes.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// How many files are sent at a time; four unless set.
    pub fn concurrency(mut self, files: usize) -> Self {
        self.concurrency = files.max(1);
        self
    }

    /// Calls back for each file, and as bytes leave. The callback must be quick.
    pub fn on_event(mut self, callback: impl Fn(&BulkEvent<'_>) + Send + Sync + 'static) -> Self {
        self.events = Events::new(callback);
        self
    }
}

impl ProjectClient {
    /// Uploads a directory that has a folder for each member, with the metadata of each file.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when metadata and directory do not fit; nothing is sent then. What
    /// goes wrong with single files and members is in the report.
    pub async fn upload_dir(
        &self,
        directory: impl AsRef<Path>,
        manifest: &Manifest,
        how: &BulkUpload,
    ) -> Result<BulkReport, Error> {
        let files = fitting(directory.as_ref(), manifest).await?;
        let mut report = BulkReport::default();
        for (member, described) in manifest.members() {
            let Some(id) = member else {
                return Err(local::invalid("it has no folders for members"));
            };
            let here = files.get(member).cloned().unwrap_or_default();
            let jobs = Jobs {
                client: self.member(id),
                member: Some(id.clone()),
                described,
                here,
            };
            jobs.run(how, &mut report).await;
        }
        Ok(report)
    }
}

impl MemberClient {
    /// Uploads a directory of this member's files, with the metadata of each.
    ///
    /// # Errors
    ///
    /// As [`ProjectClient::upload_dir`].
    pub async fn upload_dir(
        &self,
        directory: impl AsRef<Path>,
        manifest: &Manifest,
        how: &BulkUpload,
    ) -> Result<BulkReport, Error> {
        let mut files = fitting(directory.as_ref(), manifest).await?;
        let described = manifest.members().get(&None);
        let described =
            described.ok_or_else(|| local::invalid("its metadata are of several members"))?;
        let jobs = Jobs {
            client: self.clone(),
            member: None,
            described,
            here: files.remove(&None).unwrap_or_default(),
        };
        let mut report = BulkReport::default();
        jobs.run(how, &mut report).await;
        Ok(report)
    }
}

async fn fitting(directory: &Path, manifest: &Manifest) -> Result<local::Files, Error> {
    let directory = directory.to_owned();
    let files = blocking(move || local::look(&directory)).await?;
    match manifest.compare(&files).as_slice() {
        [] => Ok(files),
        [problem] => Err(local::invalid(problem)),
        [first, others @ ..] => Err(local::invalid(format!(
            "{first}, and {} more",
            others.len()
        ))),
    }
}

/// One member's files.
struct Jobs<'a> {
    client: MemberClient,
    member: Option<ProjectMemberId>,
    described: &'a BTreeMap<String, FileMetadata>,
    here: BTreeMap<String, PathBuf>,
}

/// The project's own files at Open Humans, by name.
type Remote = HashMap<String, Vec<DataFile>>;

impl Jobs<'_> {
    async fn run(self, how: &BulkUpload, report: &mut BulkReport) {
        let remote = match self.remote().await {
            Ok(remote) => remote,
            Err(error) => return report.add(self.ended("", End::Failed(error)), &how.events),
        };
        let uploads = stream::iter(&self.here).map(async |(name, path)| {
            let older = remote.get(name).map_or(&[][..], Vec::as_slice);
            let end = self.upload(name, path, older, how).await;
            self.ended(name, end.unwrap_or_else(End::Failed))
        });
        let mut uploads = std::pin::pin!(uploads.buffer_unordered(how.concurrency));
        while let Some(ended) = uploads.next().await {
            report.add(ended, &how.events);
        }
        if how.mode == Mode::Sync {
            let gone = remote
                .iter()
                .filter(|(name, _)| !self.here.contains_key(*name));
            for (name, files) in gone {
                for file in files {
                    let end = self.client.delete_file(file.id).await;
                    let end = end.map_or_else(End::Failed, |_| End::Deleted);
                    report.add(self.ended(name, end), &how.events);
                }
            }
        }
    }

    async fn upload(
        &self,
        name: &str,
        path: &Path,
        older: &[DataFile],
        how: &BulkUpload,
    ) -> Result<End, Error> {
        if how.mode == Mode::Safe && !older.is_empty() {
            return Ok(End::Kept);
        }
        if tokio::fs::metadata(path).await?.len() > how.max_size {
            return Ok(End::TooLarge);
        }
        if older.iter().any(|file| file.md5().is_some()) {
            let path = path.to_owned();
            let md5 = blocking(move || Ok(local::md5_of(&path)?)).await?;
            if older.iter().any(|file| file.md5().as_ref() == Some(&md5)) {
                return Ok(End::Kept);
            }
        }
        let metadata = self.described.get(name).cloned().unwrap_or_default();
        let upload = Upload::path(path)
            .metadata(metadata)
            .with_md5()
            .on_progress(how.events.moved());
        let uploaded = self.client.upload(upload).await?;
        // The new one is there: those it replaces can go.
        for file in older {
            self.client.delete_file(file.id).await?;
        }
        Ok(End::Done(uploaded.size))
    }

    async fn remote(&self) -> Result<Remote, Error> {
        let shared = self.client.exchange_member().await?.sources_shared;
        let mut files = self.client.files();
        let mut remote = Remote::new();
        while let Some(file) = files.try_next().await? {
            let source = file.source.as_ref();
            // What is not from a source the member shares is the project's own.
            if !source.is_some_and(|source| shared.contains(source)) {
                remote.entry(file.basename.clone()).or_default().push(file);
            }
        }
        Ok(remote)
    }

    fn ended(&self, name: &str, end: End) -> Ended {
        Ended {
            member: self.member.clone(),
            name: name.to_owned(),
            end,
        }
    }
}
