//! Jobs over all members of a project, such as a monthly report.
//!
//! [`ProjectClient::for_each_member`] calls an async function for each member, several at a time. It
//! retries temporary failures, and can record finished members in a journal, so that an interrupted
//! job resumes. A run in which no member fails removes the journal.
//!
//! ```no_run
//! use oh_api::job::MemberJob;
//! use oh_api::{Client, MatchBy, Upload};
//!
//! # async fn example() -> Result<(), oh_api::Error> {
//! let project = Client::new("https://www.openhumans.org")?.project("the master token");
//! let job = MemberJob::new().resume("report-2026-11.done");
//! let report = project
//!     .for_each_member(&job, async |member| {
//!         let text = format!("You share {:?} files.\n", member.record().file_count);
//!         let upload = Upload::bytes("report-2026-11.txt", text);
//!         member.upload_if_absent(upload, MatchBy::Name).await?;
//!         Ok(())
//!     })
//!     .await?;
//! println!("{} done, {} failed", report.done, report.failed.len());
//! # Ok(())
//! # }
//! ```
//!
//! The function can be called more than once for a member: after a failed attempt, or if a run ended
//! before the journal was written. It must therefore be idempotent, as
//! [`JobMember::upload_if_absent`] is.

mod journal;
mod member;
mod report;

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::{AppError, Error, ProjectClient, ProjectMember, ProjectMemberId, RetryPolicy};
use journal::Journal;

pub use member::JobMember;
pub use report::{JobFailure, JobProgress, JobReport, MemberOutcome};

/// The default number of members that are processed at a time.
const CONCURRENCY: usize = 4;

/// How often the member list is read until all members that it counts were processed.
const MAX_PASSES: usize = 3;

/// Options of a job.
#[derive(Clone)]
#[must_use]
pub struct MemberJob {
    concurrency: usize,
    retries: RetryPolicy,
    journal: Option<PathBuf>,
    except: HashSet<ProjectMemberId>,
    progress: Option<Callback>,
}

type Callback = Arc<dyn Fn(&JobProgress<'_>) + Send + Sync>;

impl Default for MemberJob {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY,
            retries: RetryPolicy::default(),
            journal: None,
            except: HashSet::new(),
            progress: None,
        }
    }
}

impl MemberJob {
    /// Creates options with four members at a time and the default [`RetryPolicy`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many members are processed at a time.
    pub fn concurrency(mut self, members: usize) -> Self {
        self.concurrency = members.max(1);
        self
    }

    /// Sets when the function is called again for a member in the same run. This is in addition to the
    /// retries of single calls by the [`Client`](crate::Client).
    pub fn retries(mut self, retries: RetryPolicy) -> Self {
        self.retries = retries;
        self
    }

    /// Records finished members in this journal and skips those that it contains. On Unix only its
    /// owner can read the file. A run in which no member fails removes it, so that the next run starts
    /// over; otherwise the next run processes the failed members.
    pub fn resume(mut self, journal: impl Into<PathBuf>) -> Self {
        self.journal = Some(journal.into());
        self
    }

    /// Excludes these members.
    pub fn except(mut self, members: impl IntoIterator<Item = ProjectMemberId>) -> Self {
        self.except.extend(members);
        self
    }

    /// Calls `callback` after each member. The callback must return quickly.
    pub fn on_progress(
        mut self,
        callback: impl Fn(&JobProgress<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }
}

impl fmt::Debug for MemberJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberJob")
            .field("concurrency", &self.concurrency)
            .field("retries", &self.retries)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

impl ProjectClient {
    /// Calls `process` for all active members of the project.
    ///
    /// If it fails for a member, the error is in the report and the job continues. A member who leaves
    /// during the run ([`Error::Deauthorized`]) counts as left. The run ends if the master token is
    /// rejected. Memory use does not grow with the number of members. If the member list changes while
    /// it is read, it is read again until all members that it counts were processed.
    ///
    /// Dropping the future ends the run. The next run with the same [`MemberJob::resume`] processes the
    /// interrupted members again.
    ///
    /// # Errors
    ///
    /// If the member list cannot be read to its end or the master token is rejected; finished members
    /// remain in the journal. [`Error::InvalidInput`] if the file is not a journal or another run uses
    /// it; [`Error::Io`] if it cannot be written.
    pub async fn for_each_member<F, Fut>(
        &self,
        job: &MemberJob,
        process: F,
    ) -> Result<JobReport, Error>
    where
        F: Fn(JobMember) -> Fut,
        Fut: Future<Output = Result<(), AppError>>,
    {
        let (journal, done) = match &job.journal {
            Some(path) => {
                let (journal, done) = Journal::open(path).await?;
                (Some(journal), done)
            }
            None => (None, HashSet::new()),
        };
        let mut run = Run {
            journal: journal.as_ref(),
            job,
            report: JobReport::default(),
            total: None,
        };
        let mut seen = HashSet::new();
        for _ in 0..MAX_PASSES {
            self.pass(&mut run, &done, &mut seen, &process).await?;
            if run.total.is_none_or(|total| seen.len() as u64 >= total) {
                break;
            }
        }
        let report = run.report;
        if let Some(journal) = journal.filter(|_| report.is_complete()) {
            journal.remove().await?;
        }
        Ok(report)
    }

    /// Reads the member list once, and processes the members that are not in `seen`.
    async fn pass<F, Fut>(
        &self,
        run: &mut Run<'_>,
        done: &HashSet<ProjectMemberId>,
        seen: &mut HashSet<ProjectMemberId>,
        process: &F,
    ) -> Result<(), Error>
    where
        F: Fn(JobMember) -> Fut,
        Fut: Future<Output = Result<(), AppError>>,
    {
        let job = run.job;
        let mut members = self.members();
        let mut running = FuturesUnordered::new();
        let mut more = true;
        let mut fatal = None;
        while more || !running.is_empty() {
            tokio::select! {
                Some((member, outcome)) = running.next(), if !running.is_empty() => match outcome {
                    Ok(outcome) => run.add(member, outcome).await?,
                    // Members that are being processed are finished.
                    Err(error) => (more, fatal) = (false, Some(error)),
                },
                member = members.next(), if more && running.len() < job.concurrency => {
                    let member = match member {
                        Some(Ok(member)) => member,
                        Some(Err(error)) => {
                            (more, fatal) = (false, Some(error));
                            continue;
                        }
                        None => {
                            more = false;
                            continue;
                        }
                    };
                    run.total = members.total().or(run.total);
                    let id = &member.project_member_id;
                    if !seen.insert(id.clone()) || job.except.contains(id) {
                        continue;
                    }
                    match done.contains(id) {
                        true => run.add(id.clone(), MemberOutcome::AlreadyDone).await?,
                        false => running.push(self.process(member, job, process)),
                    }
                }
            }
        }
        fatal.map_or(Ok(()), Err)
    }

    /// Processes one member with retries. Returns an error if the run must end.
    async fn process<F, Fut>(
        &self,
        member: ProjectMember,
        job: &MemberJob,
        process: &F,
    ) -> (ProjectMemberId, Result<MemberOutcome, Error>)
    where
        F: Fn(JobMember) -> Fut,
        Fut: Future<Output = Result<(), AppError>>,
    {
        let id = member.project_member_id.clone();
        let mut attempt = 0;
        let work = || {
            attempt += 1;
            process(JobMember::new(self, member.clone(), attempt))
        };
        let again = |error: &AppError| error.is_retryable();
        let error = match job.retries.run(again, work).await {
            Ok(()) => return (id, Ok(MemberOutcome::Done)),
            Err(error) => error,
        };
        let outcome = match error.api() {
            Some(Error::Deauthorized) => Ok(MemberOutcome::Left),
            // Distinguishes a token of this member from the master token.
            Some(Error::Expired | Error::Unauthorized { .. }) => match self.project().await {
                Err(refused @ (Error::Expired | Error::Unauthorized { .. })) => Err(refused),
                _ => Ok(MemberOutcome::Failed(error)),
            },
            _ => Ok(MemberOutcome::Failed(error)),
        };
        (id, outcome)
    }
}

/// The state of a run.
struct Run<'j> {
    journal: Option<&'j Journal>,
    job: &'j MemberJob,
    report: JobReport,
    /// The number of members according to the server.
    total: Option<u64>,
}

impl Run<'_> {
    async fn add(&mut self, member: ProjectMemberId, outcome: MemberOutcome) -> Result<(), Error> {
        if let (Some(journal), MemberOutcome::Done | MemberOutcome::Left) = (self.journal, &outcome)
        {
            journal.add(&member).await?;
        }
        let progress = self.job.progress.as_deref();
        self.report.add(member, outcome, self.total, progress);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
