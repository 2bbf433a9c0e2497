//! One reconciliation pass over all due members.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::membership::{Inquirer, MembershipStatus, ReconcileError, may_be_member};
use super::{JobLock, ReconcilerSettings};
use crate::store::MemberRecord;
use crate::{ProjectMemberId, Timestamp};

/// A pass ends after this many consecutive failures: Open Humans is down or unreachable.
pub(super) const MAX_FAILURES: u32 = 10;

const PAGE_SIZE: usize = 200;

/// Counts of a reconciliation pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassReport {
    /// Members whom Open Humans had not confirmed recently.
    pub due: u64,
    /// Due members who were on the project's member list.
    pub listed: u64,
    /// Due members about whom Open Humans was asked directly.
    pub asked: u64,
    /// Due members who have left.
    pub deauthorized: u64,
}

/// The member list in this pass.
enum List {
    /// Not needed so far.
    NotRead,
    /// There is none or it could not be read, so each member is asked about directly.
    Unavailable,
    Read(HashSet<ProjectMemberId>),
}

/// Members with an unanswered refresh who were absent from the list. A restart loses them, which
/// delays the decision by one pass.
#[derive(Default)]
pub(super) struct Absences(Mutex<HashMap<ProjectMemberId, Absence>>);

#[derive(Clone, Copy)]
struct Absence {
    /// When Open Humans had last confirmed the member.
    confirmed_at: Timestamp,
    first_seen: Timestamp,
}

impl Absences {
    /// Records an absence and returns when it began. An absence ends when the member is confirmed, as
    /// by a new login.
    fn first_seen(&self, record: &MemberRecord, now: Timestamp) -> Timestamp {
        let absence = Absence {
            confirmed_at: record.confirmed_at,
            first_seen: now,
        };
        let mut absences = self.lock();
        let known = absences.entry(record.member.clone()).or_insert(absence);
        if known.confirmed_at != record.confirmed_at {
            *known = absence;
        }
        known.first_seen
    }

    fn remove(&self, member: &ProjectMemberId) {
        self.lock().remove(member);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProjectMemberId, Absence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pass in progress.
pub(super) struct Pass<'a> {
    inquirer: &'a Inquirer,
    settings: ReconcilerSettings,
    // Held and renewed during the pass, unless the caller schedules passes itself.
    lock: Option<&'a JobLock>,
    lock_renewed: Instant,
    list: List,
    absent: Vec<ProjectMemberId>,
    absences: &'a Absences,
    failures: u32,
    report: PassReport,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        inquirer: &'a Inquirer,
        settings: ReconcilerSettings,
        absences: &'a Absences,
        lock: Option<&'a JobLock>,
    ) -> Self {
        Self {
            inquirer,
            settings,
            lock,
            lock_renewed: Instant::now(),
            list: List::NotRead,
            absent: Vec::new(),
            absences,
            failures: 0,
            report: PassReport::default(),
        }
    }

    pub(super) async fn run(mut self) -> Result<PassReport, ReconcileError> {
        self.check_all().await?;
        self.check_absent().await?;
        Ok(self.report)
    }

    async fn check_all(&mut self) -> Result<(), ReconcileError> {
        let deauthorizer = &self.inquirer.deauthorizer;
        let mut after: Option<ProjectMemberId> = None;
        loop {
            let store = deauthorizer.token_store();
            let page = store.page(after.as_ref(), PAGE_SIZE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.member.clone());
            for record in &page {
                let now = deauthorizer.clock().now();
                if may_be_member(record) && self.settings.is_due(record.confirmed_at, now) {
                    self.report.due += 1;
                    self.check(record).await?;
                }
            }
            self.renew_lock().await?;
        }
    }

    async fn check(&mut self, record: &MemberRecord) -> Result<(), ReconcileError> {
        if let List::NotRead = self.list {
            self.list = self.read_list().await?;
        }
        match &self.list {
            List::Read(members) if members.contains(&record.member) => {
                self.on_listed(record).await?;
            }
            List::Read(_) => self.absent.push(record.member.clone()),
            List::NotRead | List::Unavailable => self.ask(&record.member).await?,
        }
        Ok(())
    }

    async fn on_listed(&mut self, record: &MemberRecord) -> Result<(), ReconcileError> {
        self.absences.remove(&record.member);
        self.report.listed += 1;
        Ok(self.inquirer.confirm(record).await?)
    }

    /// Reads the list and renews the lock meanwhile.
    async fn read_list(&mut self) -> Result<List, ReconcileError> {
        let membership = self.inquirer.membership.clone();
        let mut reading = std::pin::pin!(membership.list());
        let mut interval = tokio::time::interval(self.settings.lock_ttl / 3);
        let list = loop {
            tokio::select! {
                list = &mut reading => break list,
                _ = interval.tick() => self.renew_lock().await?,
            }
        };
        Ok(match list {
            // Members are stored, so an empty list is wrong.
            Ok(Some(members)) if members.is_empty() => {
                tracing::warn!("the member list is empty; asking about each member instead");
                List::Unavailable
            }
            Ok(Some(members)) => List::Read(members),
            Ok(None) => List::Unavailable,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "failed to load the member list; asking about each member instead"
                );
                List::Unavailable
            }
        })
    }

    /// Reads the list again for the absent members, and asks directly about members that are absent
    /// again.
    async fn check_absent(&mut self) -> Result<(), ReconcileError> {
        if self.absent.is_empty() {
            return Ok(());
        }
        self.list = self.read_list().await?;
        self.renew_lock().await?;
        for member in std::mem::take(&mut self.absent) {
            let listed = match &self.list {
                List::Read(members) => members.contains(&member),
                _ => false,
            };
            if !listed {
                self.ask(&member).await?;
            } else if let Some(record) = self.load(&member).await? {
                self.on_listed(&record).await?;
            }
        }
        Ok(())
    }

    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, ReconcileError> {
        Ok(self
            .inquirer
            .deauthorizer
            .token_store()
            .load(member)
            .await?)
    }

    async fn ask(&mut self, member: &ProjectMemberId) -> Result<(), ReconcileError> {
        if self.report.asked > 0 {
            tokio::time::sleep(self.settings.min_delay).await;
        }
        self.renew_lock().await?;
        // The page may have been read minutes ago.
        let Some(record) = self.load(member).await?.filter(may_be_member) else {
            return Ok(());
        };
        if record.refresh_unanswered
            && let List::Read(_) = self.list
        {
            return self.decide_by_absence(&record).await;
        }
        if record.has_lost_tokens() {
            return Ok(());
        }
        self.report.asked += 1;
        match self.inquirer.ask(&record).await {
            Ok(status) => {
                self.failures = 0;
                self.report.deauthorized += u64::from(status == MembershipStatus::Deauthorized);
                Ok(())
            }
            Err(error) => {
                self.failures += 1;
                if self.failures >= MAX_FAILURES {
                    return Err(error);
                }
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "failed to ask about a due member");
                Ok(())
            }
        }
    }

    /// Decides about a member whose tokens an unanswered refresh may have consumed. A working access
    /// token proves that the member is authorized, but a dead one proves nothing. So the member has
    /// left if absent from the list in a later pass, too.
    async fn decide_by_absence(&mut self, record: &MemberRecord) -> Result<(), ReconcileError> {
        let membership = &self.inquirer.membership;
        if membership.status_unrefreshed(record).await? == MembershipStatus::Authorized {
            self.inquirer.confirm(record).await?;
            return Ok(());
        }
        let now = self.inquirer.deauthorizer.clock().now();
        let first_seen = self.absences.first_seen(record, now);
        if now.since(first_seen) < self.settings.pass_interval() {
            return Ok(());
        }
        self.report.deauthorized += 1;
        self.inquirer.deauthorizer.report_missing(record).await?;
        self.absences.remove(&record.member);
        Ok(())
    }

    async fn renew_lock(&mut self) -> Result<(), ReconcileError> {
        let Some(lock) = self.lock else {
            return Ok(());
        };
        if self.lock_renewed.elapsed() < self.settings.lock_ttl / 4 {
            return Ok(());
        }
        if lock.acquire().await?.is_none() {
            return Err(ReconcileError::LockLost);
        }
        self.lock_renewed = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
