//! One round of questions: every member not heard of for a while, by the list or by name.

use std::collections::HashSet;

use tokio::time::Instant;

use super::reconciler::{JOB, MembershipStatus, Reconciler};
use crate::ProjectMemberId;
use crate::store::MemberRecord;
use crate::transport::BoxError;

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

/// A round under way.
pub(super) struct Walk<'a> {
    reconciler: &'a Reconciler,
    // Who holds the lock, to be renewed meanwhile.
    holder: Option<&'a str>,
    lock_renewed: Instant,
    listed: Listing,
    absent: Vec<ProjectMemberId>,
    // Read when there is need of it.
    third: Option<HashSet<ProjectMemberId>>,
    failures: u32,
    round: ReconcileReport,
}

impl<'a> Walk<'a> {
    pub(super) fn new(reconciler: &'a Reconciler, holder: Option<&'a str>) -> Self {
        Self {
            reconciler,
            holder,
            lock_renewed: Instant::now(),
            listed: Listing::NotRead,
            absent: Vec::new(),
            third: None,
            failures: 0,
            round: ReconcileReport::default(),
        }
    }

    pub(super) async fn make(mut self) -> Result<ReconcileReport, BoxError> {
        self.all().await?;
        self.absentees().await?;
        Ok(self.round)
    }

    async fn all(&mut self) -> Result<(), BoxError> {
        let reconciler = self.reconciler;
        let store = reconciler.deauthorizer.token_store();
        let mut after: Option<ProjectMemberId> = None;
        loop {
            let page = store.page(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.member.clone());
            for record in &page {
                let now = reconciler.deauthorizer.clock().now();
                if !record.is_authorized() || record.heard_at + reconciler.interval > now {
                    continue;
                }
                self.round.due += 1;
                self.due(record).await?;
            }
            self.renew_lock().await?;
        }
    }

    async fn due(&mut self, record: &MemberRecord) -> Result<(), BoxError> {
        if let Listing::NotRead = self.listed {
            self.listed = self.read_list().await?;
        }
        match &self.listed {
            Listing::Read(members) if members.contains(&record.member) => {
                self.round.listed += 1;
                self.reconciler.heard(record).await?;
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
    async fn read_list(&mut self) -> Result<Listing, BoxError> {
        let membership = self.reconciler.membership.clone();
        let mut listed = std::pin::pin!(membership.listed());
        let mut beat = tokio::time::interval(self.reconciler.lock_ttl / 3);
        let listed = loop {
            tokio::select! {
                listed = &mut listed => break listed,
                _ = beat.tick() => self.renew_lock().await?,
            }
        };
        Ok(match listed {
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
    async fn absentees(&mut self) -> Result<(), BoxError> {
        if self.absent.is_empty() {
            return Ok(());
        }
        self.listed = self.read_list().await?;
        self.renew_lock().await?;
        for member in std::mem::take(&mut self.absent) {
            if let Listing::Read(members) = &self.listed
                && members.contains(&member)
            {
                self.round.listed += 1;
                if let Some(record) = self
                    .reconciler
                    .deauthorizer
                    .token_store()
                    .load(&member)
                    .await?
                {
                    self.reconciler.heard(&record).await?;
                }
            } else {
                self.ask(&member).await?;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, member: &ProjectMemberId) -> Result<(), BoxError> {
        if self.round.asked > 0 {
            tokio::time::sleep(self.reconciler.min_delay).await;
        }
        self.renew_lock().await?;
        // As it is now: the page may be minutes old.
        let stored = self
            .reconciler
            .deauthorizer
            .token_store()
            .load(member)
            .await?;
        let Some(record) = stored.filter(MemberRecord::is_authorized) else {
            return Ok(());
        };
        if record.refresh_unanswered
            && let Listing::Read(_) = self.listed
        {
            return self.in_doubt(&record).await;
        }
        self.round.asked += 1;
        match self.reconciler.question(&record, None).await {
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
                tracing::debug!(error = &*error, "a member could not be asked about");
                Ok(())
            }
        }
    }

    /// A member who was absent twice, and whose own tokens may be dead by our fault: asking cannot
    /// tell, so a third reading of the list decides.
    async fn in_doubt(&mut self, record: &MemberRecord) -> Result<(), BoxError> {
        if self.third.is_none()
            && let Listing::Read(members) = self.read_list().await?
        {
            self.third = Some(members);
        }
        match &self.third {
            None => Ok(()),
            Some(members) if members.contains(&record.member) => {
                self.round.listed += 1;
                Ok(self.reconciler.heard(record).await?)
            }
            Some(_) => {
                self.round.gone += 1;
                tracing::info!("a member has left unannounced");
                self.reconciler.deauthorizer.report_found(record).await?;
                Ok(())
            }
        }
    }

    async fn renew_lock(&mut self) -> Result<(), BoxError> {
        let Some(holder) = self.holder else {
            return Ok(());
        };
        let lock = self.reconciler.lock_ttl;
        if self.lock_renewed.elapsed() < lock / 4 {
            return Ok(());
        }
        let deauthorizer = &self.reconciler.deauthorizer;
        let now = deauthorizer.clock().now();
        let kept = deauthorizer
            .inbox()
            .acquire_lock(JOB, holder, now, now + lock)
            .await?;
        if kept.is_none() {
            return Err("another process has taken the lock".into());
        }
        self.lock_renewed = Instant::now();
        Ok(())
    }
}
