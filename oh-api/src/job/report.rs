//! Results of a job.

use crate::AppError;
use crate::ProjectMemberId;

/// The result of one member.
#[derive(Debug)]
#[non_exhaustive]
pub enum MemberOutcome {
    /// The function succeeded.
    Done,
    /// An earlier run finished the member.
    AlreadyDone,
    /// The member left during the run.
    Left,
    /// All attempts failed.
    Failed(AppError),
}

/// The result of a run.
#[derive(Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct JobReport {
    /// Members for whom the function succeeded.
    pub done: u64,
    /// Members that an earlier run finished.
    pub already_done: u64,
    /// Members who left during the run.
    pub left: u64,
    /// Members for whom the function failed.
    pub failed: Vec<JobFailure>,
}

/// A member for whom the function failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobFailure {
    /// The member's id.
    pub member: ProjectMemberId,
    /// The error of the last attempt.
    pub error: AppError,
}

/// The progress of a job after one member.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobProgress<'a> {
    /// The member's id.
    pub member: &'a ProjectMemberId,
    /// The member's result.
    pub outcome: &'a MemberOutcome,
    /// How many members were processed, including this one.
    pub members: u64,
    /// The total number of members, if the server states it.
    pub of_members: Option<u64>,
}

impl JobReport {
    /// Returns whether no member failed.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// Returns how many members were processed.
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
            tracing::warn!(%error, "job failed for a member");
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
