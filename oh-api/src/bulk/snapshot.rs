//! Snapshots of all members and files, for several consistent downloads.

use std::collections::HashSet;
use std::path::Path;

use futures_util::{StreamExt, stream};

use super::{BulkDownload, BulkReport, CONCURRENCY};
use crate::{Error, ProjectClient, ProjectMember, Timestamp};

/// All active members of a project with all their files at one point in time.
///
/// Several downloads from one snapshot use the same members and files, without listing them again. A
/// snapshot contains every file's record including metadata, some kilobytes each. The files' URLs
/// expire after an hour; a download then lists the member's files again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The members with all their files in [`ProjectMember::data`].
    pub members: Vec<ProjectMember>,
    /// When the snapshot was started, by the local clock.
    pub taken_at: Timestamp,
}

impl ProjectClient {
    /// Lists all members and all files that the project can see.
    ///
    /// ```no_run
    /// use oh_api::bulk::BulkDownload;
    ///
    /// # async fn example(project: oh_api::ProjectClient) -> Result<(), oh_api::Error> {
    /// let snapshot = project.snapshot().await?;
    /// println!("{} members", snapshot.members.len());
    /// for (directory, options) in [("shared", BulkDownload::shared()), ("own", BulkDownload::own())] {
    ///     project.download_snapshot(&snapshot, directory, &options).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If members or files cannot be listed.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let taken_at = self.server.now();
        let members = self.members().map(|member| self.with_all_files(member));
        let mut read = std::pin::pin!(members.buffered(CONCURRENCY));
        let (mut members, mut ids) = (Vec::new(), HashSet::new());
        while let Some(member) = read.next().await {
            let member = member?;
            // A list that changes while it is read can contain a member twice.
            if ids.insert(member.project_member_id.clone()) {
                members.push(member);
            }
        }
        Ok(Snapshot { members, taken_at })
    }

    async fn with_all_files(
        &self,
        member: Result<ProjectMember, Error>,
    ) -> Result<ProjectMember, Error> {
        let mut member = member?;
        member.data = self.files_of(&member).read_all().await?;
        member.file_count = u64::try_from(member.data.len()).ok();
        Ok(member)
    }

    /// Downloads files of a snapshot to `directory`, which is created if necessary. Like
    /// [`download_all`](Self::download_all), but does not list the members and files again.
    ///
    /// # Errors
    ///
    /// None at present: failures of single files and members are in the report.
    pub async fn download_snapshot(
        &self,
        snapshot: &Snapshot,
        directory: impl AsRef<Path>,
        options: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let total = u64::try_from(snapshot.members.len()).ok();
        let members = snapshot.members.iter().cloned();
        let members = stream::iter(members.map(|member| (Ok(member), total)));
        self.download_members(members, directory.as_ref(), options)
            .await
    }
}
