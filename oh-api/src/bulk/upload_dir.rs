//! Uploading a directory, with its metadata.

use std::path::Path;

use super::local;
use super::plan::{Here, UploadPlan, plan};
use super::{BulkReport, BulkUpload, Manifest};
use crate::files::hashing::blocking;
use crate::{Error, MemberClient, ProjectClient};

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
        let plan = self.plan_upload(directory, manifest, how).await?;
        Ok(plan.run().await)
    }

    /// What [`upload_dir`](Self::upload_dir) would do. Asks Open Humans for each member's files,
    /// and reads those here that may be the same.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn plan_upload(
        &self,
        directory: impl AsRef<Path>,
        manifest: &Manifest,
        how: &BulkUpload,
    ) -> Result<UploadPlan, Error> {
        if manifest.members().contains_key(&None) {
            return Err(local::invalid(
                "its metadata name no members: for one member's files say whose they are, for \
                 several members' there is a column project_member_id and a folder for each",
            ));
        }
        let mut files = fitting(directory.as_ref(), manifest).await?;
        let members = manifest.members().iter().filter_map(|(member, described)| {
            let id = member.as_ref()?;
            Some(Here {
                client: self.member(id),
                member: Some(id.clone()),
                described,
                files: files.remove(member).unwrap_or_default(),
            })
        });
        Ok(plan(members.collect(), how).await)
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
        let plan = self.plan_upload(directory, manifest, how).await?;
        Ok(plan.run().await)
    }

    /// What [`upload_dir`](Self::upload_dir) would do. Asks Open Humans for the member's files, and
    /// reads those here that may be the same.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn plan_upload(
        &self,
        directory: impl AsRef<Path>,
        manifest: &Manifest,
        how: &BulkUpload,
    ) -> Result<UploadPlan, Error> {
        let described = manifest.members().get(&None).ok_or_else(|| {
            local::invalid(
                "its metadata are of several members, in a column project_member_id, and this is \
                 for one: leave the member out, or take a CSV without that column",
            )
        })?;
        let mut files = fitting(directory.as_ref(), manifest).await?;
        let here = Here {
            client: self.clone(),
            member: None,
            described,
            files: files.remove(&None).unwrap_or_default(),
        };
        Ok(plan(vec![here], how).await)
    }
}

async fn fitting(directory: &Path, manifest: &Manifest) -> Result<local::Files, Error> {
    let directory = directory.to_owned();
    let files = blocking(move |_| local::look(&directory)).await?;
    let folders = files.keys().any(Option::is_some);
    match (
        folders,
        manifest.has_members(),
        files.values().all(|f| f.is_empty()),
    ) {
        (true, false, _) => {
            return Err(local::invalid(
                "it has folders for members, and its metadata have no column project_member_id",
            ));
        }
        (false, true, false) => {
            return Err(local::invalid(
                "its metadata are of several members, and it has no folders for them",
            ));
        }
        _ => {}
    }
    match manifest.compare(&files).as_slice() {
        [] => Ok(files),
        [problem] => Err(local::invalid(problem)),
        [first, others @ ..] => Err(local::invalid(format!(
            "{first}, and {} more",
            others.len()
        ))),
    }
}
