//! Asks Open Humans about one member and acts on the answer.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::deauth::deauthorizer::{Deauthorizer, ReportError};
use crate::deauth::inbox::InboxError;
use crate::deauth::metrics;
use crate::store::{MemberRecord, PutOutcome, StoreError, Version};
use crate::{Error, ProjectMemberId};

/// The membership of a member according to Open Humans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MembershipStatus {
    Authorized,
    Deauthorized,
    /// The response proves neither.
    Unknown,
}

impl MembershipStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Deauthorized => "deauthorized",
            Self::Unknown => "unknown",
        }
    }
}

/// Asks Open Humans about members.
#[async_trait]
pub(crate) trait Membership: Send + Sync + 'static {
    /// Asks about one member with the member's token. An error proves nothing about the member.
    async fn status(&self, member: &ProjectMemberId) -> Result<MembershipStatus, Error>;

    /// Asks with the access token in this record, without refreshing it. Never returns
    /// [`MembershipStatus::Deauthorized`]: a token that is not known may have been replaced.
    async fn status_unrefreshed(&self, record: &MemberRecord) -> Result<MembershipStatus, Error>;

    /// Reads all pages of the project's member list. Returns `None` without a master token.
    async fn list(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error>;
}

/// An error during a reconciliation pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// Open Humans did not respond.
    #[error("Open Humans did not respond")]
    OpenHumans(#[from] Error),
    /// The token store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The inbox failed.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// Another process has acquired the lock and continues.
    #[error("another process has acquired the reconciler's lock")]
    LockLost,
}

impl From<ReportError> for ReconcileError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Store(error) => Self::Store(error),
            ReportError::Inbox(error) => Self::Inbox(error),
        }
    }
}

/// Asks about single members and reports the result. Cheap to clone.
#[derive(Clone)]
pub(super) struct Inquirer {
    pub(super) deauthorizer: Deauthorizer,
    pub(super) membership: Arc<dyn Membership>,
}

impl Inquirer {
    pub(super) async fn ask(
        &self,
        record: &MemberRecord,
    ) -> Result<MembershipStatus, ReconcileError> {
        let status = self.membership.status(&record.member).await?;
        metrics::count_by(
            "openhumans_deauth_reconciled_total",
            "status",
            status.as_str(),
        );
        match status {
            MembershipStatus::Authorized => self.confirm(record).await?,
            // The unanswered refresh may have consumed the tokens, so the member may not have left.
            MembershipStatus::Deauthorized if record.refresh_unanswered => {
                self.deauthorizer.report_token_loss(record).await?;
            }
            MembershipStatus::Deauthorized => {
                self.deauthorizer.report_missing(record).await?;
            }
            MembershipStatus::Unknown => {}
        }
        Ok(status)
    }

    /// Stores the time of the confirmation in the member's record.
    pub(super) async fn confirm(&self, record: &MemberRecord) -> Result<(), StoreError> {
        let store = self.deauthorizer.token_store();
        let mut record = record.clone();
        for _ in 0..3 {
            let next = MemberRecord {
                confirmed_at: self.deauthorizer.clock().now(),
                version: Version::fresh(),
                ..record.clone()
            };
            if store.put(&next, Some(record.version)).await? == PutOutcome::Stored {
                return Ok(());
            }
            match store.load(&record.member).await? {
                Some(stored) if may_be_member(&stored) && stored.epoch == record.epoch => {
                    record = stored;
                }
                _ => return Ok(()),
            }
        }
        // Another process keeps changing this record, so the member is active.
        Ok(())
    }
}

/// Whether the member may still be authorized at Open Humans.
pub(super) fn may_be_member(record: &MemberRecord) -> bool {
    record.is_authorized() || record.has_lost_tokens()
}

#[cfg(test)]
mod tests;
