//! What becomes of a member's tokens once the departure is in the inbox.

use std::sync::atomic::Ordering;

use super::{Deauthorizer, Ready, ReportError};
use crate::Timestamp;
use crate::deauth::event::{DeauthEvent, Discovery};
use crate::deauth::inbox::TokenProgress;
use crate::store::{MemberRecord, PutOutcome, StoreError, Version};

impl Deauthorizer {
    /// Whether the inbox deletes tokens in its own tables while the store's are somewhere else.
    pub(super) async fn tokens_are_elsewhere(&self, event: &DeauthEvent) -> bool {
        if self.0.one_database.load(Ordering::Relaxed) {
            return false;
        }
        let Ok(record) = self.0.store.load(&event.member).await else {
            return false;
        };
        let lives = record.is_some_and(|record| {
            record.is_authorized() && !took_it_back(TokenProgress::Untouched, &record, event)
        });
        if lives {
            tracing::error!(
                "the inbox says that it has deleted a member's tokens, and the token store still \
                 has them: an inbox beside another store must be told so (oh-sqlx: inbox_only), or \
                 wishes to be erased are taken for stale"
            );
        } else {
            self.0.one_database.store(true, Ordering::Relaxed);
        }
        lives
    }

    pub(super) async fn ready_if_possible(&self, event: &DeauthEvent) {
        if let Err(error) = self.ready(event, TokenProgress::Untouched).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the tokens are left to the worker"
            );
        }
    }

    /// Makes sure that the member's tokens are gone and the ledger says so, unless the member has
    /// authorized again since. `tokens` is how far that has come.
    pub(in crate::deauth) async fn ready(
        &self,
        event: &DeauthEvent,
        tokens: TokenProgress,
    ) -> Result<Ready, ReportError> {
        if self.destroy(event, tokens).await? == Ready::Stale {
            return Ok(Ready::Stale);
        }
        (self.0.gone)(&event.member);
        if tokens != TokenProgress::Destroyed {
            let now = self.0.clock.now();
            self.0.inbox.mark_tokens_destroyed(event, now).await?;
        }
        if event.discovery == Discovery::TokenLoss {
            self.mark_lost(event, tokens).await?;
        }
        Ok(Ready::Yes)
    }

    /// Writes down that the member may be there still, unless something has been heard since the
    /// event.
    async fn mark_lost(
        &self,
        event: &DeauthEvent,
        tokens: TokenProgress,
    ) -> Result<(), StoreError> {
        while let Some(record) = self.0.store.load(&event.member).await? {
            let heard_since = record.deauthorized_at != Some(destroyed_at(event, tokens));
            if record.has_lost_tokens() || heard_since {
                break;
            }
            let next = MemberRecord {
                refresh_unanswered: true,
                version: Version::fresh(),
                ..record.clone()
            };
            if self.0.store.put(&next, Some(record.version)).await? == PutOutcome::Stored {
                break;
            }
        }
        Ok(())
    }

    async fn destroy(
        &self,
        event: &DeauthEvent,
        tokens: TokenProgress,
    ) -> Result<Ready, StoreError> {
        let at = destroyed_at(event, tokens);
        loop {
            let (next, expected) = match self.0.store.load(&event.member).await? {
                Some(record) if took_it_back(tokens, &record, event) => {
                    return Ok(Ready::Stale);
                }
                Some(record) if record.is_authorized() => {
                    (record.deauthorized(at), Some(record.version))
                }
                _ if tokens == TokenProgress::Destroyed => return Ok(Ready::Yes),
                // The tombstone keeps a login that is under way from bringing the member back.
                Some(record) if record.deauthorized_at >= Some(at) => {
                    return Ok(Ready::Yes);
                }
                Some(record) => (record.deauthorized(at), Some(record.version)),
                None => (MemberRecord::tombstone(event.member.clone(), at), None),
            };
            if self.0.store.put(&next, expected).await? == PutOutcome::Stored {
                return Ok(Ready::Yes);
            }
        }
    }
}

/// The time the tombstone of this event bears.
fn destroyed_at(event: &DeauthEvent, tokens: TokenProgress) -> Timestamp {
    match tokens {
        // The event may be weeks old, and a login may be under way now.
        TokenProgress::Requeued(at) => at,
        TokenProgress::Untouched | TokenProgress::Destroyed => event.received_at,
    }
}

/// Whether the member has authorized again after the departure that the event tells of, which
/// takes the departure back.
fn took_it_back(tokens: TokenProgress, record: &MemberRecord, event: &DeauthEvent) -> bool {
    match tokens {
        TokenProgress::Untouched => record.authorized_at > event.left_at,
        // The tokens that were there are gone, so these are of a later login, whatever the clocks
        // say.
        TokenProgress::Destroyed => record.is_authorized(),
        // Whoever put it back knew of the authorizations there were.
        TokenProgress::Requeued(at) => record.is_authorized() && record.authorized_at > at,
    }
}
