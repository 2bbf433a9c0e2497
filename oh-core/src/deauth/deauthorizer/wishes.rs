//! Wishes to be erased that members said to the app itself.

use super::Deauthorizer;
use crate::deauth::event::{DeauthEvent, Discovery, ErasureRequest};
use crate::deauth::inbox::{Accepted, EventQuery, EventState, InboxError};
use crate::deauth::metrics;
use crate::store::MemberRecord;

impl Deauthorizer {
    /// Keeps the wish of a member who asks the app for erasure, before the app removes the member at
    /// Open Humans. Nothing is done about it yet.
    pub(crate) async fn keep_wish(&self, record: &MemberRecord) -> Result<DeauthEvent, InboxError> {
        let wish = self.own_event(record, ErasureRequest::Requested, Discovery::Disconnected);
        let kept = self.0.inbox.quarantine(
            &wish,
            "asked for here, before the member was removed at Open Humans",
        );
        if matches!(kept.await?, Accepted::New(_)) {
            metrics::received(wish.discovery);
        }
        Ok(wish)
    }

    /// The member is removed at Open Humans: the wish is acted on.
    pub(crate) async fn act_on_wish(&self, wish: &DeauthEvent) -> Result<(), InboxError> {
        // If it is not held any more, the worker was faster, see `release_wishes`.
        if self.0.inbox.release(&wish.id, self.0.clock.now()).await? {
            tracing::info!(event = %wish.id, "a member has left");
            self.ready_if_possible(wish).await;
            self.wake();
        }
        Ok(())
    }

    /// The member has left: what the member asked for here is acted on, although the process that
    /// was at it may be gone.
    pub(in crate::deauth) async fn release_wishes(
        &self,
        event: &DeauthEvent,
    ) -> Result<(), InboxError> {
        let says_left = matches!(
            event.discovery,
            Discovery::Webhook | Discovery::Reconciliation
        );
        if !says_left || event.erasure == ErasureRequest::Requested {
            return Ok(());
        }
        let held = EventQuery::first(100)
            .state(EventState::Quarantined)
            .pseudonym(event.pseudonym.clone());
        for wish in self.0.inbox.events(&held).await? {
            if wish.discovery == Discovery::Disconnected {
                self.release(&wish.id).await?;
            }
        }
        Ok(())
    }
}
