//! Destroys a member's tokens once the event is in the inbox.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Context, OnDeauthorized, ReportError};
use crate::deauth::event::{DeauthEvent, Discovery};
use crate::deauth::inbox::TokenProgress;
use crate::store::{MemberRecord, PutOutcome, StoreError, Version};
use crate::{ProjectMemberId, Timestamp};

/// Destroys tokens in the token store and ends sessions.
pub(super) struct TokenDestroyer {
    context: Context,
    on_deauthorized: OnDeauthorized,
    // Set once the inbox has destroyed tokens in the token store.
    shares_database: AtomicBool,
}

/// The result of destroying tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deauth) enum TokenDestruction {
    /// The tokens are destroyed and the ledger records it.
    Complete,
    /// The member has authorized again after the event, so the tokens were kept.
    Stale,
}

impl TokenDestroyer {
    pub(super) fn new(context: Context, on_deauthorized: OnDeauthorized) -> Self {
        Self {
            context,
            on_deauthorized,
            shares_database: AtomicBool::new(false),
        }
    }

    pub(super) fn end_sessions(&self, member: &ProjectMemberId) {
        (self.on_deauthorized)(member);
    }

    /// Whether the token store still has tokens although the inbox has reported them as destroyed: the
    /// inbox destroys tokens in its own tables, while the store keeps them in another database.
    pub(super) async fn has_live_tokens(&self, event: &DeauthEvent) -> bool {
        if self.shares_database.load(Ordering::Relaxed) {
            return false;
        }
        let Ok(record) = self.context.store.load(&event.member).await else {
            return false;
        };
        let live = record.is_some_and(|record| {
            record.is_authorized() && !is_stale(event, TokenProgress::Untouched, &record)
        });
        if live {
            tracing::error!(
                "the inbox destroys tokens in another database than the token store's: construct \
                 the inbox with oh-sqlx's `inbox_only`"
            );
        } else {
            self.shares_database.store(true, Ordering::Relaxed);
        }
        live
    }

    /// Destroys the member's tokens and records it in the ledger, unless the event is stale.
    /// `progress` is the state that the inbox has recorded.
    pub(super) async fn destroy(
        &self,
        event: &DeauthEvent,
        progress: TokenProgress,
    ) -> Result<TokenDestruction, ReportError> {
        if self.write_tombstone(event, progress).await? == TokenDestruction::Stale {
            return Ok(TokenDestruction::Stale);
        }
        self.end_sessions(&event.member);
        if progress != TokenProgress::Destroyed {
            let now = self.context.clock.now();
            self.context.inbox.mark_tokens_destroyed(event, now).await?;
        }
        if event.discovery == Discovery::TokenLoss {
            self.mark_lost(event, progress).await?;
        }
        Ok(TokenDestruction::Complete)
    }

    async fn write_tombstone(
        &self,
        event: &DeauthEvent,
        progress: TokenProgress,
    ) -> Result<TokenDestruction, StoreError> {
        let at = tombstone_time(event, progress);
        loop {
            let (next, expected) = match self.context.store.load(&event.member).await? {
                Some(record) if is_stale(event, progress, &record) => {
                    return Ok(TokenDestruction::Stale);
                }
                Some(record) if record.is_authorized() => {
                    (record.deauthorized(at), Some(record.version))
                }
                _ if progress == TokenProgress::Destroyed => return Ok(TokenDestruction::Complete),
                // This tombstone already keeps a pending login from restoring the member.
                Some(record) if record.deauthorized_at >= Some(at) => {
                    return Ok(TokenDestruction::Complete);
                }
                Some(record) => (record.deauthorized(at), Some(record.version)),
                None => (MemberRecord::tombstone(event.member.clone(), at), None),
            };
            if self.context.store.put(&next, expected).await? == PutOutcome::Stored {
                return Ok(TokenDestruction::Complete);
            }
        }
    }

    /// Records that the member may still be authorized, unless a later event has written another
    /// tombstone.
    async fn mark_lost(
        &self,
        event: &DeauthEvent,
        progress: TokenProgress,
    ) -> Result<(), StoreError> {
        let store = &self.context.store;
        while let Some(record) = store.load(&event.member).await? {
            let is_ours = record.deauthorized_at == Some(tombstone_time(event, progress));
            if record.has_lost_tokens() || !is_ours {
                break;
            }
            let next = MemberRecord {
                refresh_unanswered: true,
                version: Version::fresh(),
                ..record.clone()
            };
            if store.put(&next, Some(record.version)).await? == PutOutcome::Stored {
                break;
            }
        }
        Ok(())
    }
}

/// The time of the event's tombstone.
fn tombstone_time(event: &DeauthEvent, progress: TokenProgress) -> Timestamp {
    match progress {
        // The event may be weeks old while a login is pending now.
        TokenProgress::Requeued(at) => at,
        TokenProgress::Untouched | TokenProgress::Destroyed => event.received_at,
    }
}

/// Whether the member has authorized again after the event.
fn is_stale(event: &DeauthEvent, progress: TokenProgress, record: &MemberRecord) -> bool {
    match progress {
        TokenProgress::Untouched => record.authorized_at > event.left_at,
        // The event's tokens were destroyed, so these are from a later login, even if the clocks
        // suggest otherwise.
        TokenProgress::Destroyed => record.is_authorized(),
        // The operator who requeued the event knew of earlier authorizations.
        TokenProgress::Requeued(at) => record.is_authorized() && record.authorized_at > at,
    }
}

#[cfg(test)]
mod tests;
