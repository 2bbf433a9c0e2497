//! Uploads of directories with metadata.

use std::path::Path;

use super::local;
use super::plan::{LocalMember, UploadPlan, plan};
use super::{BulkReport, BulkUpload, Manifest};
use crate::files::hashing::blocking;
use crate::{Error, MemberClient, ProjectClient};

impl ProjectClient {
    /// Uploads a directory that contains a folder for each member.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if the manifest does not describe exactly the files of the directory;
    /// then nothing is uploaded. Failures of single files and members are in the report.
    pub async fn upload_dir(
        &self,
        directory: impl AsRef<Path>,
        manifest: &Manifest,
        options: &BulkUpload,
    ) -> Result<BulkReport, Error> {
        let plan = self.plan_upload(directory, manifest, options).await?;
        Ok(plan.run().await)
    }

    /// Plans [`upload_dir`](Self::upload_dir). Lists each member's files at Open Humans and compares
    /// them with the local files.
    ///
    /// # Errors
    ///
    /// As for [`upload_dir`](Self::upload_dir).
    pub async fn plan_upload(
        &self,
        directory: impl AsRef<Path>,
        manifest: &Manifest,
        options: &BulkUpload,
    ) -> Result<UploadPlan, Error> {
        if manifest.members().contains_key(&None) {
            return Err(local::invalid(
                "the metadata CSV names no members: give the member whose files these are, or add a \
                 column project_member_id and use a folder for each member",
            ));
        }
        let mut files = matching_files(directory.as_ref(), manifest).await?;
        let members = manifest.members().iter().filter_map(|(member, metadata)| {
            let id = member.as_ref()?;
            Some(LocalMember {
                client: self.member(id),
                member: Some(id.clone()),
                metadata,
                files: files.remove(member).unwrap_or_default(),
            })
        });
        Ok(plan(members.collect(), options).await)
    }
}

impl MemberClient {
    /// Uploads a directory of this member's files.
    ///
    /// # Errors
    ///
    /// As for [`ProjectClient::upload_dir`].
    pub async fn upload_dir(
        &self,
        directory: impl AsRef<Path>,
        manifest: &Manifest,
        options: &BulkUpload,
    ) -> Result<BulkReport, Error> {
        let plan = self.plan_upload(directory, manifest, options).await?;
        Ok(plan.run().await)
    }

    /// Plans [`upload_dir`](Self::upload_dir). Lists the member's files at Open Humans and compares
    /// them with the local files.
    ///
    /// # Errors
    ///
    /// As for [`upload_dir`](Self::upload_dir).
    pub async fn plan_upload(
        &self,
        directory: impl AsRef<Path>,
        manifest: &Manifest,
        options: &BulkUpload,
    ) -> Result<UploadPlan, Error> {
        let metadata = manifest.members().get(&None).ok_or_else(|| {
            local::invalid(
                "the metadata CSV names several members in a column project_member_id: do not give a \
                 member, or use a CSV without that column",
            )
        })?;
        let mut files = matching_files(directory.as_ref(), manifest).await?;
        let member = LocalMember {
            client: self.clone(),
            member: None,
            metadata,
            files: files.remove(&None).unwrap_or_default(),
        };
        Ok(plan(vec![member], options).await)
    }
}

/// Lists the files of a directory that has the form of the manifest and contains exactly its files.
async fn matching_files(directory: &Path, manifest: &Manifest) -> Result<local::Files, Error> {
    let directory = directory.to_owned();
    let files = blocking(move |_| local::list(&directory)).await?;
    let folders = files.keys().any(Option::is_some);
    match (
        folders,
        manifest.has_members(),
        files.values().all(|f| f.is_empty()),
    ) {
        (true, false, _) => {
            return Err(local::invalid(
                "it has a folder for each member, and the metadata CSV has no column project_member_id",
            ));
        }
        (false, true, false) => {
            return Err(local::invalid(
                "the metadata CSV names several members, and it has no folders for them",
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
