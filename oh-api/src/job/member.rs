//! One member, as a job meets them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    DataFile, Error, List, MatchBy, MemberClient, ProjectClient, ProjectMember, ProjectMemberId,
    Upload, UploadOutcome,
};

/// A member whom a job deals with, with what the list of members brought along.
pub struct JobMember {
    member: ProjectMember,
    project: ProjectClient,
    client: MemberClient,
    attempt: u32,
    /// Whether the files in the record are still all there are, as far as this visit knows.
    listed: AtomicBool,
}

impl JobMember {
    pub(super) fn new(project: &ProjectClient, member: ProjectMember, attempt: u32) -> Self {
        let whole = member.file_count == u64::try_from(member.data.len()).ok();
        Self {
            client: project.member(&member.project_member_id),
            project: project.clone(),
            // What an earlier attempt has changed is not in the record.
            listed: AtomicBool::new(whole && attempt == 1),
            attempt,
            member,
        }
    }

    /// The member's id.
    pub fn id(&self) -> &ProjectMemberId {
        &self.member.project_member_id
    }

    /// The member's record from the project's list.
    pub fn member(&self) -> &ProjectMember {
        &self.member
    }

    /// What acts for the member, with the master token.
    pub fn client(&self) -> &MemberClient {
        &self.client
    }

    /// Which attempt at this member it is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// All files of the member that the project can see. Where the list of members brought them all
    /// along, they cost no request.
    pub fn files(&self) -> List<DataFile> {
        match self.listed.load(Ordering::Relaxed) {
            true => self.project.files_of(&self.member),
            false => self.client.files(),
        }
    }

    /// Uploads a file unless it is there: see [`MemberClient::upload_if_absent`]. Where the list
    /// of members brought the files along, looking costs no request.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn upload_if_absent(
        &self,
        upload: Upload,
        same: MatchBy,
    ) -> Result<UploadOutcome, Error> {
        let listed = self.listed.load(Ordering::Relaxed);
        let known = listed.then_some((&*self.member.data, &*self.member.sources_shared));
        let outcome = self
            .client
            .upload_if_absent_among(known, upload, same)
            .await;
        if !matches!(outcome, Ok(UploadOutcome::AlreadyExists(_))) {
            self.listed.store(false, Ordering::Relaxed);
        }
        outcome
    }
}

impl fmt::Debug for JobMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobMember")
            .field("member", &self.member)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
