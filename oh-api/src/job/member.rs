//! A member that a job processes.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    DataFile, Error, List, MatchBy, MemberClient, ProjectClient, ProjectMember, ProjectMemberId,
    Upload, UploadOutcome,
};

/// A member that a job processes, with its record from the member list.
pub struct JobMember {
    record: ProjectMember,
    project: ProjectClient,
    client: MemberClient,
    attempt: u32,
    /// Whether the record contains all files. False after an upload.
    has_all_files: AtomicBool,
}

impl JobMember {
    pub(super) fn new(project: &ProjectClient, record: ProjectMember, attempt: u32) -> Self {
        let complete = record.file_count == u64::try_from(record.data.len()).ok();
        Self {
            client: project.member(&record.project_member_id),
            project: project.clone(),
            // The record does not contain changes of earlier attempts.
            has_all_files: AtomicBool::new(complete && attempt == 1),
            attempt,
            record,
        }
    }

    /// Returns the member's id.
    pub fn id(&self) -> &ProjectMemberId {
        &self.record.project_member_id
    }

    /// Returns the member's record from the member list.
    pub fn record(&self) -> &ProjectMember {
        &self.record
    }

    /// Returns a client for the member that uses the master token.
    pub fn client(&self) -> &MemberClient {
        &self.client
    }

    /// Returns the number of the attempt, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Lists all files of the member that the project can see. Makes no request if the member's record
    /// contains all files.
    pub fn files(&self) -> List<DataFile> {
        match self.has_all_files.load(Ordering::Relaxed) {
            true => self.project.files_of(&self.record),
            false => self.client.files(),
        }
    }

    /// Uploads a file unless it exists, see [`MemberClient::upload_if_absent`]. Makes no request to
    /// list files if the member's record contains all of them.
    ///
    /// # Errors
    ///
    /// As for [`MemberClient::upload_if_absent`].
    pub async fn upload_if_absent(
        &self,
        upload: Upload,
        match_by: MatchBy,
    ) -> Result<UploadOutcome, Error> {
        let has_all_files = self.has_all_files.load(Ordering::Relaxed);
        let known = has_all_files.then_some((&*self.record.data, &*self.record.sources_shared));
        let outcome = self
            .client
            .upload_if_absent_among(known, upload, match_by)
            .await;
        if !matches!(outcome, Ok(UploadOutcome::AlreadyExists(_))) {
            self.has_all_files.store(false, Ordering::Relaxed);
        }
        outcome
    }
}

impl fmt::Debug for JobMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobMember")
            .field("member", &self.record)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
