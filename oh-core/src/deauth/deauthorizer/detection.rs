//! Examines members who appear to be deauthorized.

use std::sync::Arc;

use super::circuit_breaker::{Breaker, CircuitBreaker, Verdict};
use super::{CLOCK_TOLERANCE, Context, ReportError};
use crate::deauth::event::{DeauthEvent, Discovery, ErasureRequest};
use crate::deauth::inbox::{EventQuery, EventState, InboxError};
use crate::deauth::member_list::MemberList;
use crate::store::MemberRecord;

/// Examines members whose tokens Open Humans does not know.
pub(super) struct Detector {
    context: Context,
    breaker: Breaker,
    member_list: Arc<MemberList>,
}

/// The result of an examination.
pub(super) enum Finding {
    /// The stored record has changed since the observation, which is void.
    Outdated,
    /// The member has left, or the tokens are lost.
    Deauthorized(DeauthEvent),
    /// The circuit breaker is open: the number of such members suggests a fault.
    Suspicious(DeauthEvent),
    /// An earlier event was mistaken for stale, and is pending again.
    NotStale(DeauthEvent),
}

impl Detector {
    pub(super) fn new(
        context: Context,
        circuit_breaker: CircuitBreaker,
        member_list: Arc<MemberList>,
    ) -> Self {
        Self {
            context,
            breaker: Breaker::new(circuit_breaker),
            member_list,
        }
    }

    pub(super) async fn examine(
        &self,
        observed: &MemberRecord,
        discovery: Discovery,
    ) -> Result<Finding, ReportError> {
        let stored = self.context.store.load(&observed.member).await?;
        if !stored.is_some_and(|stored| is_same_authorization(&stored, observed)) {
            return Ok(Finding::Outdated);
        }
        let now = self.context.clock.now();
        let mut discovery = discovery;
        if discovery == Discovery::Reconciliation {
            // Unlike a new event, the stale one knows whether the member asked for erasure.
            if let Some(event) = self.possibly_mistaken_event(observed).await?
                && self.context.inbox.requeue(&event.id, now).await?
            {
                return Ok(Finding::NotStale(event));
            }
            // The tokens of a listed member are dead for another reason, such as a restored backup.
            if self.member_list.contains(&observed.member).await {
                discovery = Discovery::TokenLoss;
            }
        }
        let event = self.context.pseudonymizer.local_event(
            observed,
            ErasureRequest::Unknown,
            discovery,
            now,
        );
        match self.check_breaker().await? {
            Verdict::Accept => return Ok(Finding::Deauthorized(event)),
            Verdict::Open => {}
            Verdict::JustOpened => tracing::error!(
                "circuit breaker opened: unusually many members appear deauthorized; their events \
                 are quarantined and their tokens kept"
            ),
        }
        Ok(Finding::Suspicious(event))
    }

    /// Returns the member's latest stale event, if it is not much older than the authorization.
    async fn possibly_mistaken_event(
        &self,
        record: &MemberRecord,
    ) -> Result<Option<DeauthEvent>, InboxError> {
        let query = EventQuery::first(100)
            .state(EventState::Stale)
            .pseudonym(self.context.pseudonymizer.pseudonym(&record.member));
        let stale = self.context.inbox.events(&query).await?;
        let mistaken = stale.into_iter().filter(|event| {
            event.member.is_some() && record.authorized_at.since(event.left_at) < CLOCK_TOLERANCE
        });
        let latest = mistaken.max_by_key(|event| event.left_at);
        Ok(latest.map(|event| DeauthEvent {
            id: event.id,
            member: record.member.clone(),
            pseudonym: event.pseudonym,
            erasure: event.erasure,
            discovery: event.discovery,
            left_at: event.left_at,
            received_at: event.received_at,
        }))
    }

    /// Counts one more deauthorization. The breaker closes once no event is quarantined any more.
    async fn check_breaker(&self) -> Result<Verdict, ReportError> {
        if self.breaker.is_open().await {
            let quarantined = EventQuery::first(1).state(EventState::Quarantined);
            if self.context.inbox.events(&quarantined).await?.is_empty() {
                self.breaker.close().await;
            }
        }
        let now = self.context.clock.now();
        Ok(self.breaker.count_one(&*self.context.store, now).await?)
    }

    pub(super) async fn close_circuit(&self) {
        self.breaker.close().await;
    }
}

fn is_same_authorization(stored: &MemberRecord, observed: &MemberRecord) -> bool {
    let same_tokens = match (&stored.tokens, &observed.tokens) {
        (Some(a), Some(b)) => a.access_token.expose() == b.access_token.expose(),
        (None, None) => stored.has_lost_tokens() && observed.has_lost_tokens(),
        _ => false,
    };
    same_tokens && stored.epoch == observed.epoch && stored.authorized_at == observed.authorized_at
}

#[cfg(test)]
mod tests;
