//! Asking Open Humans about one member, and acting on the answer.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::deauth::deauthorizer::{Deauthorizer, ReportError};
use crate::deauth::inbox::InboxError;
use crate::deauth::metrics;
use crate::store::{MemberRecord, PutOutcome, StoreError, Version};
use crate::{Error, ProjectMemberId};

/// What Open Humans says of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipStatus {
    /// The member's authorization is known there.
    Authorized,
    /// It is not: the member has left.
    Gone,
    /// The answer says neither.
    Unsure,
}

impl MembershipStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Gone => "gone",
            Self::Unsure => "unsure",
        }
    }
}

/// Asks Open Humans about members. [`OpenHumans`](crate::OpenHumans) is one; tests bring others.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// Asks about one member, with that member's own token.
    ///
    /// # Errors
    ///
    /// When there was no answer. Nothing follows from that about the member.
    async fn status(&self, member: &ProjectMemberId) -> Result<MembershipStatus, Error>;

    /// Asks with the access token in this record as it is, without refreshing it. Only
    /// [`MembershipStatus::Authorized`] means something: a token that is not known may have been
    /// replaced. The default does not ask, and is unsure.
    ///
    /// # Errors
    ///
    /// When there was no answer.
    async fn status_unrefreshed(&self, record: &MemberRecord) -> Result<MembershipStatus, Error> {
        let _ = record;
        Ok(MembershipStatus::Unsure)
    }

    /// Reads the whole list of the project's members, every page of it. `None` if the app has no
    /// master token to do so.
    ///
    /// # Errors
    ///
    /// When a page could not be read: an incomplete list is not given.
    async fn listed(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error>;
}

/// Why members could not be asked about, or what was found could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// Open Humans did not answer.
    #[error("Open Humans did not answer")]
    OpenHumans(#[from] Error),
    /// The token store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The inbox could not answer.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// Another process holds the lock by now, and goes on.
    #[error("another process has taken the reconciler's lock")]
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

/// Whom to ask, and where to report. Cheap to clone.
#[derive(Clone)]
pub(super) struct Inquiry {
    pub(super) deauthorizer: Deauthorizer,
    pub(super) membership: Arc<dyn Membership>,
}

impl Inquiry {
    /// Asks about a member and acts on the answer.
    pub(super) async fn about(
        &self,
        record: &MemberRecord,
    ) -> Result<MembershipStatus, ReconcileError> {
        let standing = self.membership.status(&record.member).await?;
        metrics::reconciled(standing.as_str());
        match standing {
            MembershipStatus::Authorized => self.heard(record).await?,
            MembershipStatus::Gone => self.gone(record).await?,
            MembershipStatus::Unsure => {}
        }
        Ok(standing)
    }

    async fn gone(&self, record: &MemberRecord) -> Result<(), ReconcileError> {
        // An earlier refresh got no answer: it may be our loss of the tokens that shows.
        if record.refresh_unanswered {
            self.deauthorizer.report_token_loss(record).await?;
            return Ok(());
        }
        tracing::info!("a member has left unannounced");
        self.deauthorizer.report_missing(record).await?;
        Ok(())
    }

    /// Writes down that Open Humans answered for this member.
    pub(super) async fn heard(&self, record: &MemberRecord) -> Result<(), StoreError> {
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
                Some(stored) if may_be_there(&stored) && stored.epoch == record.epoch => {
                    record = stored;
                }
                _ => return Ok(()),
            }
        }
        // Whoever keeps writing this record hears of the member too.
        Ok(())
    }
}

/// Whether the member has not left, as far as is known here.
pub(super) fn may_be_there(record: &MemberRecord) -> bool {
    record.is_authorized() || record.has_lost_tokens()
}

#[cfg(test)]
mod tests;
