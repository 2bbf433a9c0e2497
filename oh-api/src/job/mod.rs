//! Jobs over all members of a project: a monthly report for everyone, data fetched every night.
//!
//! [`ProjectClient::for_each_member`] visits the members, several at a time, with what the list of
//! members brings along of each; tries again what may pass; and remembers who is done, so that a job
//! that broke off goes on where it was.
//!
//! ```no_run
//! use oh_api::job::MemberJob;
//! use oh_api::{Client, MatchBy, Upload};
//!
//! # async fn example() -> Result<(), oh_api::Error> {
//! let project = Client::new("https://www.openhumans.org")?.project("the master token");
//! let job = MemberJob::new().resume("report-2026-11.done");
//! let report = project
//!     .for_each_member(&job, async |visit| {
//!         let text = format!("You share {:?} files.\n", visit.member().file_count);
//!         let upload = Upload::bytes("report-2026-11.txt", text);
//!         visit.upload_if_absent(upload, MatchBy::Name).await?;
//!         Ok(())
//!     })
//!     .await?;
//! println!("{} done, {} failed", report.done, report.failed.len());
//! # Ok(())
//! # }
//! ```
//!
//! A member can be visited more than once: when an attempt failed, or when a run ended after the
//! member was dealt with and before that was written down. So a visit does what may be done twice,
//! as [`JobMember::upload_if_absent`] does.

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

/// How many members are visited at a time unless set.
const CONCURRENCY: usize = 4;

/// So often the list of members is read, at most, until everyone it counts was met.
const MAX_PASSES: usize = 3;

/// How a job visits the members.
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
    /// Four members at a time, each tried as [`RetryPolicy`] has it unless set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many members are visited at a time.
    pub fn concurrency(mut self, members: usize) -> Self {
        self.concurrency = members.max(1);
        self
    }

    /// When a member whose visit failed is visited again, in the same run. This comes on top of what
    /// the [`Client`](crate::Client) repeats of single calls.
    pub fn retries(mut self, retries: RetryPolicy) -> Self {
        self.retries = retries;
        self
    }

    /// Keeps in this file who is done, and begins with those who are not. Only its owner may read
    /// it. When everyone is done it is removed, so that the next run begins anew; while someone
    /// failed it stays, and the next run is for them.
    pub fn resume(mut self, journal: impl Into<PathBuf>) -> Self {
        self.journal = Some(journal.into());
        self
    }

    /// Visits none of these.
    pub fn except(mut self, members: impl IntoIterator<Item = ProjectMemberId>) -> Self {
        self.except.extend(members);
        self
    }

    /// Calls back when a member is done with, whatever came of it. The callback must be quick.
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
    /// Visits all active members of the project, each with `visit`.
    ///
    /// A member who fails is in the report, and the others go on. One who leaves meanwhile
    /// ([`Error::Deauthorized`]) counts as left. When the master token is no longer good the run ends
    /// there. Members are visited as their pages come, so memory does not grow with their number; a
    /// list that shifted while it was read is read again, until everyone it counts was met.
    ///
    /// Dropping the future ends the run. Those who were being visited then are visited again by the
    /// next run with the same [`MemberJob::resume`].
    ///
    /// # Errors
    ///
    /// When the list of members cannot be read to its end, or the master token does not work:
    /// whoever is done by then stays done in the file. [`Error::InvalidInput`] when that file is of
    /// another kind, or another run has it; [`Error::Io`] when it cannot be written.
    pub async fn for_each_member<F, Fut>(
        &self,
        job: &MemberJob,
        visit: F,
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
        let mut met = HashSet::new();
        for _ in 0..MAX_PASSES {
            self.pass(&mut run, &done, &mut met, &visit).await?;
            if run.total.is_none_or(|total| met.len() as u64 >= total) {
                break;
            }
        }
        let report = run.report;
        if let Some(journal) = journal.filter(|_| report.is_complete()) {
            journal.remove().await?;
        }
        Ok(report)
    }

    /// Reads the list once, and visits those who were not met before.
    async fn pass<F, Fut>(
        &self,
        run: &mut Run<'_>,
        done: &HashSet<ProjectMemberId>,
        met: &mut HashSet<ProjectMemberId>,
        visit: &F,
    ) -> Result<(), Error>
    where
        F: Fn(JobMember) -> Fut,
        Fut: Future<Output = Result<(), AppError>>,
    {
        let job = run.job;
        let mut members = self.members();
        let mut visits = FuturesUnordered::new();
        let mut more = true;
        let mut fatal = None;
        while more || !visits.is_empty() {
            tokio::select! {
                Some((member, outcome)) = visits.next(), if !visits.is_empty() => match outcome {
                    Ok(outcome) => run.add(member, outcome).await?,
                    // Those who are being visited are seen to their end.
                    Err(error) => (more, fatal) = (false, Some(error)),
                },
                member = members.next(), if more && visits.len() < job.concurrency => {
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
                    if !met.insert(id.clone()) || job.except.contains(id) {
                        continue;
                    }
                    match done.contains(id) {
                        true => run.add(id.clone(), MemberOutcome::AlreadyDone).await?,
                        false => visits.push(self.visit(member, job, visit)),
                    }
                }
            }
        }
        fatal.map_or(Ok(()), Err)
    }

    /// Visits one member, as often as it takes. An error is one that ends the run.
    async fn visit<F, Fut>(
        &self,
        member: ProjectMember,
        job: &MemberJob,
        visit: &F,
    ) -> (ProjectMemberId, Result<MemberOutcome, Error>)
    where
        F: Fn(JobMember) -> Fut,
        Fut: Future<Output = Result<(), AppError>>,
    {
        let id = member.project_member_id.clone();
        let mut attempt = 0;
        let work = || {
            attempt += 1;
            visit(JobMember::new(self, member.clone(), attempt))
        };
        let again = |error: &AppError| error.is_retryable();
        let error = match job.retries.run(again, work).await {
            Ok(()) => return (id, Ok(MemberOutcome::Done)),
            Err(error) => error,
        };
        let outcome = match error.api() {
            Some(Error::Deauthorized) => Ok(MemberOutcome::Left),
            // Is it the token of this member, or the one all the others need, too?
            Some(Error::Expired | Error::Unauthorized { .. }) => match self.project().await {
                Err(refused @ (Error::Expired | Error::Unauthorized { .. })) => Err(refused),
                _ => Ok(MemberOutcome::Failed(error)),
            },
            _ => Ok(MemberOutcome::Failed(error)),
        };
        (id, outcome)
    }
}

/// A run so far.
struct Run<'j> {
    journal: Option<&'j Journal>,
    job: &'j MemberJob,
    report: JobReport,
    /// How many members the server counts.
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
