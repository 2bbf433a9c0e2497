//! One round of questions: every member not heard of for a while, by the list or by name.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::inquiry::{Inquiry, MembershipStatus, ReconcileError, may_be_there};
use crate::store::MemberRecord;
use crate::{ProjectMemberId, Timestamp};

/// The lock that one process of many holds while it asks.
pub(in crate::deauth) const JOB: &str = "reconciler";

/// As many failures in a row end a round: Open Humans is down, or we are cut off.
pub(super) const PATIENCE: u32 = 10;

const PAGE: usize = 200;

/// What a round of questions came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcileReport {
    /// Members not heard of for a while.
    pub due: u64,
    /// Of those, members found on the project's list.
    pub listed: u64,
    /// Of those, members asked about.
    pub asked: u64,
    /// Of those, members who have left.
    pub gone: u64,
}

/// What is known of the project's list in this round.
enum Listing {
    /// Nobody was due so far.
    NotRead,
    /// There is no list, or it could not be read: members are asked about one by one.
    None,
    /// These were on it.
    Read(HashSet<ProjectMemberId>),
}

/// When to ask, and how fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long a member may go unheard of.
    pub(super) interval: Duration,
    /// Between two questions.
    pub(super) min_delay: Duration,
    /// How long the lock lasts.
    pub(super) lock_ttl: Duration,
}

impl Pace {
    /// Whether someone heard of last at that time is asked about. A time far ahead was told by a
    /// clock that was wrong: it says nothing.
    fn is_due(self, confirmed_at: Timestamp, now: Timestamp) -> bool {
        confirmed_at + self.interval <= now || confirmed_at > now + self.interval
    }

    /// Between two rounds.
    pub(super) fn rest(self) -> Duration {
        (self.interval / 24).max(Duration::from_millis(10))
    }
}

/// When members whose tokens cannot tell were first found absent. Lost with the process, which only
/// makes for another wait.
#[derive(Default)]
pub(super) struct Absences(Mutex<HashMap<ProjectMemberId, Absence>>);

#[derive(Clone, Copy)]
struct Absence {
    /// When the member had been heard of last.
    confirmed_at: Timestamp,
    first_seen: Timestamp,
}

impl Absences {
    /// When this absence was first seen. Whoever was heard of since an earlier one, as by a new
    /// login, was there in between: that one does not count.
    fn first_seen(&self, record: &MemberRecord, now: Timestamp) -> Timestamp {
        let absence = Absence {
            confirmed_at: record.confirmed_at,
            first_seen: now,
        };
        let mut seen = self.seen();
        let known = seen.entry(record.member.clone()).or_insert(absence);
        if known.confirmed_at != record.confirmed_at {
            *known = absence;
        }
        known.first_seen
    }

    fn forget(&self, member: &ProjectMemberId) {
        self.seen().remove(member);
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<ProjectMemberId, Absence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A round under way.
pub(super) struct Walk<'a> {
    inquiry: &'a Inquiry,
    pace: Pace,
    // Who holds the lock, to be renewed meanwhile.
    holder: Option<&'a str>,
    lock_renewed: Instant,
    listed: Listing,
    absent: Vec<ProjectMemberId>,
    absences: &'a Absences,
    failures: u32,
    round: ReconcileReport,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        inquiry: &'a Inquiry,
        pace: Pace,
        absences: &'a Absences,
        holder: Option<&'a str>,
    ) -> Self {
        Self {
            inquiry,
            pace,
            holder,
            lock_renewed: Instant::now(),
            listed: Listing::NotRead,
            absent: Vec::new(),
            absences,
            failures: 0,
            round: ReconcileReport::default(),
        }
    }

    pub(super) async fn make(mut self) -> Result<ReconcileReport, ReconcileError> {
        self.all().await?;
        self.absentees().await?;
        Ok(self.round)
    }

    async fn all(&mut self) -> Result<(), ReconcileError> {
        let (inquiry, pace) = (self.inquiry, self.pace);
        let store = inquiry.deauthorizer.token_store();
        let mut after: Option<ProjectMemberId> = None;
        loop {
            let page = store.page(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.member.clone());
            for record in &page {
                let now = inquiry.deauthorizer.clock().now();
                if !may_be_there(record) || !pace.is_due(record.confirmed_at, now) {
                    continue;
                }
                self.round.due += 1;
                self.due(record).await?;
            }
            self.renew_lock().await?;
        }
    }

    async fn due(&mut self, record: &MemberRecord) -> Result<(), ReconcileError> {
        if let Listing::NotRead = self.listed {
            self.listed = self.read_list().await?;
        }
        match &self.listed {
            Listing::Read(members) if members.contains(&record.member) => {
                self.absences.forget(&record.member);
                self.round.listed += 1;
                self.inquiry.heard(record).await?;
                Ok(())
            }
            Listing::Read(_) => {
                self.absent.push(record.member.clone());
                Ok(())
            }
            Listing::NotRead | Listing::None => self.ask(&record.member).await,
        }
    }

    /// Reads the list, which can take longer than the lock is held.
    async fn read_list(&mut self) -> Result<Listing, ReconcileError> {
        let membership = self.inquiry.membership.clone();
        let mut listed = std::pin::pin!(membership.listed());
        let mut beat = tokio::time::interval(self.pace.lock_ttl / 3);
        let listed = loop {
            tokio::select! {
                listed = &mut listed => break listed,
                _ = beat.tick() => self.renew_lock().await?,
            }
        };
        Ok(match listed {
            // Someone is stored as a member: a list of nobody is no list.
            Ok(Some(members)) if members.is_empty() => {
                tracing::warn!("the list of members is empty: asking about each instead");
                Listing::None
            }
            Ok(Some(members)) => Listing::Read(members),
            Ok(None) => Listing::None,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the list of members could not be read: asking about each instead"
                );
                Listing::None
            }
        })
    }

    /// Those who were not on the list: on a second one, or asked about.
    async fn absentees(&mut self) -> Result<(), ReconcileError> {
        if self.absent.is_empty() {
            return Ok(());
        }
        self.listed = self.read_list().await?;
        self.renew_lock().await?;
        for member in std::mem::take(&mut self.absent) {
            if let Listing::Read(members) = &self.listed
                && members.contains(&member)
            {
                self.absences.forget(&member);
                self.round.listed += 1;
                if let Some(record) = self
                    .inquiry
                    .deauthorizer
                    .token_store()
                    .load(&member)
                    .await?
                {
                    self.inquiry.heard(&record).await?;
                }
            } else {
                self.ask(&member).await?;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, member: &ProjectMemberId) -> Result<(), ReconcileError> {
        if self.round.asked > 0 {
            tokio::time::sleep(self.pace.min_delay).await;
        }
        self.renew_lock().await?;
        // As it is now: the page may be minutes old.
        let stored = self.inquiry.deauthorizer.token_store().load(member).await?;
        let Some(record) = stored.filter(may_be_there) else {
            return Ok(());
        };
        if record.refresh_unanswered
            && let Listing::Read(_) = self.listed
        {
            return self.in_doubt(&record).await;
        }
        if record.has_lost_tokens() {
            return Ok(());
        }
        self.round.asked += 1;
        match self.inquiry.about(&record).await {
            Ok(standing) => {
                self.failures = 0;
                if standing == MembershipStatus::Gone {
                    self.round.gone += 1;
                }
                Ok(())
            }
            Err(error) => {
                self.failures += 1;
                if self.failures >= PATIENCE {
                    return Err(error);
                }
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a member could not be asked about"
                );
                Ok(())
            }
        }
    }

    /// A member who was absent twice, and whose own tokens may be dead by our fault: asking can show
    /// that the member is there, and not that the member is gone. For that the list decides, if the
    /// member is absent in a later round as well.
    async fn in_doubt(&mut self, record: &MemberRecord) -> Result<(), ReconcileError> {
        let membership = &self.inquiry.membership;
        if membership.status_unrefreshed(record).await? == MembershipStatus::Authorized {
            self.inquiry.heard(record).await?;
            return Ok(());
        }
        let now = self.inquiry.deauthorizer.clock().now();
        let first = self.absences.first_seen(record, now);
        if now.since(first) < self.pace.rest() {
            return Ok(());
        }
        self.round.gone += 1;
        tracing::info!("a member has left unannounced");
        self.inquiry.deauthorizer.report_missing(record).await?;
        self.absences.forget(&record.member);
        Ok(())
    }

    async fn renew_lock(&mut self) -> Result<(), ReconcileError> {
        let Some(holder) = self.holder else {
            return Ok(());
        };
        let lock = self.pace.lock_ttl;
        if self.lock_renewed.elapsed() < lock / 4 {
            return Ok(());
        }
        let deauthorizer = &self.inquiry.deauthorizer;
        let now = deauthorizer.clock().now();
        let kept = deauthorizer
            .inbox()
            .acquire_lock(JOB, holder, now, now + lock)
            .await?;
        if kept.is_none() {
            return Err(ReconcileError::LockLost);
        }
        self.lock_renewed = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
