//! Everything a project can see, read once, for several downloads of it.

use std::collections::HashSet;
use std::path::Path;

use futures_util::{StreamExt, stream};

use super::download_all::all;
use super::{BulkDownload, BulkReport, CONCURRENCY};
use crate::{Error, ProjectClient, ProjectMember, Timestamp};

/// All active members of a project, each with all the files it can see, as they were when the list
/// was read.
///
/// Several downloads from one snapshot agree on who and what there is, and list nothing again. It
/// holds every file's record, metadata included, some kilobytes each. Files' addresses are good for an
/// hour; a download that finds one too old asks for that member's files again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The members, with all their files in [`ProjectMember::data`].
    pub members: Vec<ProjectMember>,
    /// When it was begun, by this side's clock.
    pub taken_at: Timestamp,
}

impl ProjectClient {
    /// Reads all members and all files that the project can see.
    ///
    /// ```no_run
    /// use oh_api::bulk::BulkDownload;
    ///
    /// # async fn example(project: oh_api::ProjectClient) -> Result<(), oh_api::Error> {
    /// let snapshot = project.snapshot().await?;
    /// println!("{} members", snapshot.members.len());
    /// for (directory, what) in [("shared", BulkDownload::shared()), ("own", BulkDownload::own())] {
    ///     project.download_snapshot(&snapshot, directory, &what).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When members or files cannot be listed to the end.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let taken_at = self.server.time().now();
        let members = self.members().map(|member| self.with_all_files(member));
        let mut read = std::pin::pin!(members.buffered(CONCURRENCY));
        let (mut members, mut met) = (Vec::new(), HashSet::new());
        while let Some(member) = read.next().await {
            let member = member?;
            // A list that shifts brings some twice.
            if met.insert(member.project_member_id.clone()) {
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
        member.data = all(self.files_of(&member)).await?;
        member.file_count = u64::try_from(member.data.len()).ok();
        Ok(member)
    }

    /// Downloads files of a snapshot's members into `directory`, which is made if need be, as
    /// [`download_all`](Self::download_all) does of all that there are now.
    ///
    /// # Errors
    ///
    /// None for now: what goes wrong with single files and members is in the report.
    pub async fn download_snapshot(
        &self,
        snapshot: &Snapshot,
        directory: impl AsRef<Path>,
        what: &BulkDownload,
    ) -> Result<BulkReport, Error> {
        let total = u64::try_from(snapshot.members.len()).ok();
        let members = snapshot.members.iter().cloned();
        let members = stream::iter(members.map(|member| (Ok(member), total)));
        self.download_members(members, directory.as_ref(), what)
            .await
    }
}
