//! What came of a job.

use crate::AppError;
use crate::ProjectMemberId;

/// What came of one member.
#[derive(Debug)]
#[non_exhaustive]
pub enum MemberOutcome {
    /// The visit succeeded.
    Done,
    /// An earlier run was done with the member.
    AlreadyDone,
    /// The member has left since the list was read.
    Left,
    /// The visit failed, as often as it was tried.
    Failed(AppError),
}

/// What came of a run.
#[derive(Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct JobReport {
    /// Members whose visit succeeded.
    pub done: u64,
    /// Members whom an earlier run was done with.
    pub already_done: u64,
    /// Members who left meanwhile.
    pub left: u64,
    /// Members whose visit failed.
    pub failed: Vec<JobFailure>,
}

/// A member whose visit failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobFailure {
    /// Who.
    pub member: ProjectMemberId,
    /// Why.
    pub error: AppError,
}

/// A member is done with, for whoever watches.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobProgress<'a> {
    /// Who.
    pub member: &'a ProjectMemberId,
    /// What came of it.
    pub outcome: &'a MemberOutcome,
    /// How many members are done with, this one included, whatever came of them.
    pub members: u64,
    /// How many there are, as the server last said.
    pub of_members: Option<u64>,
}

impl JobReport {
    /// Whether nobody failed.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// How many members were done with, whatever came of them.
    pub fn members(&self) -> u64 {
        self.done + self.already_done + self.left + self.failed.len() as u64
    }

    pub(super) fn add(
        &mut self,
        member: ProjectMemberId,
        outcome: MemberOutcome,
        of_members: Option<u64>,
        progress: Option<&(dyn Fn(&JobProgress<'_>) + Send + Sync)>,
    ) {
        if let MemberOutcome::Failed(error) = &outcome {
            tracing::warn!(%error, "a job failed for a member");
        }
        if let Some(progress) = progress {
            progress(&JobProgress {
                member: &member,
                outcome: &outcome,
                members: self.members() + 1,
                of_members,
            });
        }
        match outcome {
            MemberOutcome::Done => self.done += 1,
            MemberOutcome::AlreadyDone => self.already_done += 1,
            MemberOutcome::Left => self.left += 1,
            MemberOutcome::Failed(error) => self.failed.push(JobFailure { member, error }),
        }
    }
}
