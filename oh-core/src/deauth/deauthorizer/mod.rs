//! Where members leaving are reported, whoever found out: the [`Deauthorizer`].
//!
//! One order, always: the event is durably in the inbox, then the tokens go, then the app's
//! handler is called. So nothing that happens after the first step can make us forget a member,
//! and a handler never runs while the member's tokens still work. What the first caller does not
//! get to, because it dies or a database is down, the worker does before it calls the handler.

mod circuit_breaker;
mod hints;
mod pending_accepts;
mod tokens;
mod wishes;

pub use circuit_breaker::CircuitBreaker;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::time::Instant;

use super::event::{DeauthEvent, Discovery, ErasureRequest, EventId};
use super::inbox::{
    Accepted, DeauthInbox, EventQuery, EventState, InboxError, TokenOutcome, TokenProgress,
};
use super::metrics;
use super::pseudonym::Pseudonymizer;
use crate::store::{MemberRecord, StoreError, TokenStore};
use crate::{Clock, ProjectMemberId, Timestamp};
use circuit_breaker::{Braking, Verdict};
use hints::Hints;
use pending_accepts::PendingAccepts;

/// How much an event that looks stale may be older than the authorization that makes it so, to be put
/// back when its member turns out to be gone: so much two clocks may differ.
const DOUBT: Duration = Duration::from_secs(3_600);

/// Takes note of members leaving, and sees to their tokens. Cheap to clone.
#[derive(Clone)]
pub struct Deauthorizer(Arc<Inner>);

struct Inner {
    store: Arc<dyn TokenStore>,
    inbox: Arc<dyn DeauthInbox>,
    names: Pseudonymizer,
    clock: Clock,
    wake: Notify,
    hints: Hints,
    unkept: PendingAccepts,
    braking: Braking,
    roster: Option<MemberList>,
    listed: AsyncMutex<Option<(Timestamp, HashSet<ProjectMemberId>)>>,
    works: AtomicBool,
    // The inbox has been seen to delete the tokens that the store has.
    one_database: AtomicBool,
    gone: Box<dyn Fn(&ProjectMemberId) + Send + Sync>,
}

/// Reads the whole list of the project's members.
pub(crate) type MemberList = Box<
    dyn Fn() -> BoxFuture<'static, Result<HashSet<ProjectMemberId>, oh_api::Error>> + Send + Sync,
>;

/// What a [`Deauthorizer`] may have besides.
pub(crate) struct Extras {
    pub(crate) brake: CircuitBreaker,
    /// With a master token the project's list is asked before `invalid_grant` is believed.
    pub(crate) roster: Option<MemberList>,
    /// Called for each member whose sessions have just ended.
    pub(crate) gone: Box<dyn Fn(&ProjectMemberId) + Send + Sync>,
}

/// How long a reading of the project's list is good for.
const LIST_FRESH: Duration = Duration::from_secs(60);

/// Open Humans tells of a wish at once or never: what is older is held until someone has looked.
const OLD: Duration = Duration::from_secs(3 * 24 * 3_600);

/// Why a departure could not be reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The token store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event could not be kept.
    #[error(transparent)]
    Inbox(#[from] InboxError),
}

/// What stands in the way of calling the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// Nothing: the tokens are gone, and the ledger says so.
    Yes,
    /// The member has authorized again since.
    Stale,
}

impl Deauthorizer {
    /// Over an app's stores.
    pub fn new(
        store: Arc<dyn TokenStore>,
        inbox: Arc<dyn DeauthInbox>,
        names: Pseudonymizer,
        clock: Clock,
    ) -> Self {
        Self::with_hook(store, inbox, names, clock, |_| {})
    }

    /// As [`new`](Self::new), and calls `gone` for each member whose sessions have just ended, so
    /// that whoever remembers sessions forgets them.
    pub fn with_hook(
        store: Arc<dyn TokenStore>,
        inbox: Arc<dyn DeauthInbox>,
        names: Pseudonymizer,
        clock: Clock,
        gone: impl Fn(&ProjectMemberId) + Send + Sync + 'static,
    ) -> Self {
        Self::assemble(
            store,
            inbox,
            names,
            clock,
            Extras {
                brake: CircuitBreaker::default(),
                roster: None,
                gone: Box::new(gone),
            },
        )
    }

    pub(crate) fn assemble(
        store: Arc<dyn TokenStore>,
        inbox: Arc<dyn DeauthInbox>,
        names: Pseudonymizer,
        clock: Clock,
        extras: Extras,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            inbox,
            names,
            clock,
            wake: Notify::new(),
            hints: Hints::new(),
            unkept: PendingAccepts::default(),
            braking: Braking::new(extras.brake),
            roster: extras.roster,
            listed: AsyncMutex::default(),
            works: AtomicBool::new(false),
            one_database: AtomicBool::new(false),
            gone: extras.gone,
        }))
    }

    /// The inbox.
    pub fn inbox(&self) -> &Arc<dyn DeauthInbox> {
        &self.0.inbox
    }

    /// The token store.
    pub fn token_store(&self) -> &Arc<dyn TokenStore> {
        &self.0.store
    }

    /// The names of members and events.
    pub fn names(&self) -> &Pseudonymizer {
        &self.0.names
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Open Humans has told, by a signed webhook, that a member left at `left_at`.
    ///
    /// # Errors
    ///
    /// When the event could not be kept. The webhook then answers 503.
    pub async fn report_webhook(
        &self,
        member: &ProjectMemberId,
        erasure: ErasureRequest,
        left_at: Timestamp,
    ) -> Result<Accepted, InboxError> {
        let id = self.0.names.webhook_event_id(member, left_at, erasure);
        self.accept(self.event(id, member, erasure, Discovery::Webhook, left_at))
            .await
    }

    /// As [`report_webhook`](Self::report_webhook), for whoever must answer soon: after `patience` at the
    /// latest. What could not be kept by then is kept in mind and tried again for a day, if not too
    /// much is; see [`finish`](Self::finish).
    ///
    /// # Errors
    ///
    /// When the event is not kept yet.
    pub async fn report_webhook_within(
        &self,
        patience: Duration,
        member: &ProjectMemberId,
        erasure: ErasureRequest,
        left_at: Timestamp,
    ) -> Result<Accepted, InboxError> {
        let end = Instant::now() + patience;
        let id = self.0.names.webhook_event_id(member, left_at, erasure);
        let event = self.event(id, member, erasure, Discovery::Webhook, left_at);
        let failed = match tokio::time::timeout_at(end, self.accept(event.clone())).await {
            Ok(Ok(accepted)) => return Ok(accepted),
            Ok(Err(error)) => error,
            Err(_) => InboxError::new("the inbox did not answer in time"),
        };
        match self.0.unkept.keep_trying(self.clone(), event) {
            Some(kept) => match tokio::time::timeout_at(end, kept).await {
                Ok(Ok(accepted)) => Ok(accepted),
                _ => Err(failed),
            },
            None => Err(failed),
        }
    }

    /// Tries once more to keep what could not be kept so far, until `deadline` at the latest. For
    /// the end of a process; [`Background::stop`](crate::Background::stop) does it.
    pub async fn finish(&self, deadline: Duration) {
        self.0.unkept.finish(deadline).await;
    }

    /// Open Humans, when asked with the tokens in `observed`, no longer knew them. `None` if the
    /// record has changed since so that the answer means nothing: the member has authorized again,
    /// the tokens were refreshed, or the member is deauthorized already.
    ///
    /// # Errors
    ///
    /// When the record could not be read again, or the event could not be kept.
    pub async fn report_missing(
        &self,
        observed: &MemberRecord,
    ) -> Result<Option<Accepted>, ReportError> {
        self.observed(observed, Discovery::Reconciliation).await
    }

    /// As [`report_missing`](Self::report_missing), when it may be we who used the tokens up without getting the
    /// next ones: nothing says that the member has left.
    ///
    /// # Errors
    ///
    /// As [`report_missing`](Self::report_missing).
    pub async fn report_token_loss(
        &self,
        observed: &MemberRecord,
    ) -> Result<Option<Accepted>, ReportError> {
        self.observed(observed, Discovery::TokenLoss).await
    }

    /// The member's latest event that looks stale, if it is not much older than the authorization.
    async fn wish_in_doubt(
        &self,
        record: &MemberRecord,
    ) -> Result<Option<DeauthEvent>, InboxError> {
        let query = EventQuery::first(100)
            .state(EventState::Stale)
            .pseudonym(self.0.names.pseudonym(&record.member));
        let stale = self.0.inbox.events(&query).await?;
        let in_doubt = stale.into_iter().filter(|event| {
            event.member.is_some() && record.authorized_at.since(event.left_at) < DOUBT
        });
        let latest = in_doubt.max_by_key(|event| event.left_at);
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

    async fn observed(
        &self,
        observed: &MemberRecord,
        discovery: Discovery,
    ) -> Result<Option<Accepted>, ReportError> {
        let stored = self.0.store.load(&observed.member).await?;
        if !stored.is_some_and(|stored| same_authorization(&stored, observed)) {
            return Ok(None);
        }
        // An event that looked stale was right after all, and it knows what the member wants.
        if discovery == Discovery::Reconciliation
            && let Some(event) = self.wish_in_doubt(observed).await?
            && self.0.inbox.requeue(&event.id, self.0.clock.now()).await?
        {
            tracing::info!(event = %event.id, "an event that looked stale is acted on after all");
            let tokens = TokenProgress::Requeued(self.0.clock.now());
            if let Err(error) = self.ready(&event, tokens).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the tokens are left to the worker"
                );
            }
            self.wake();
            return Ok(Some(Accepted::Duplicate));
        }
        // They are a member still: it is the tokens that are dead, as after a backup was restored.
        let discovery = match discovery {
            Discovery::Reconciliation if self.is_listed(&observed.member).await => {
                Discovery::TokenLoss
            }
            other => other,
        };
        let event = self.own_event(observed, ErasureRequest::Unknown, discovery);
        let verdict = self.circuit_breaker().await?;
        if verdict == Verdict::Believe {
            return Ok(Some(self.accept(event).await?));
        }
        if verdict == Verdict::HoldFirst {
            tracing::error!(
                "so many members turn out gone that they are not believed to be: their events are \
                 held, their tokens untouched. Was a backup restored, or does a copy run with \
                 another project's credentials? Release what is true, see Deauthorizer::release"
            );
        }
        let held = self
            .0
            .inbox
            .quarantine(&event, "too many members gone within an hour")
            .await?;
        if matches!(held, Accepted::New(_)) {
            metrics::quarantined();
        }
        Ok(Some(held))
    }

    /// What the brake says of one more departure. It goes off once nothing is held any more.
    async fn circuit_breaker(&self) -> Result<Verdict, ReportError> {
        if self.0.braking.is_on().await {
            let held = EventQuery::first(1).state(EventState::Quarantined);
            if self.0.inbox.events(&held).await?.is_empty() {
                self.0.braking.release().await;
            }
        }
        let now = self.0.clock.now();
        Ok(self.0.braking.one_more(&*self.0.store, now).await?)
    }

    /// Whether the project's list names the member. False where there is no list, or none that can
    /// be read.
    async fn is_listed(&self, member: &ProjectMemberId) -> bool {
        let Some(roster) = &self.0.roster else {
            return false;
        };
        let mut listed = self.0.listed.lock().await;
        let now = self.0.clock.now();
        let fresh = |(at, _): &(Timestamp, _)| now.since(*at) < LIST_FRESH && *at <= now;
        if !listed.as_ref().is_some_and(fresh) {
            match roster().await {
                Ok(members) => *listed = Some((now, members)),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the list of members could not be read");
                    return false;
                }
            }
        }
        listed
            .as_ref()
            .is_some_and(|(_, members)| members.contains(member))
    }

    /// Lets an event that is held be acted on. False if there is no such event.
    ///
    /// # Errors
    ///
    /// When it could not be committed.
    pub async fn release(&self, event: &EventId) -> Result<bool, InboxError> {
        let released = self.0.inbox.release(event, self.0.clock.now()).await?;
        if released {
            tracing::info!(%event, "an event that was held is released");
            self.wake();
        }
        Ok(released)
    }

    /// Lets all events that are held be acted on. Gives how many.
    ///
    /// # Errors
    ///
    /// When the inbox fails on the way; those released so far stay so.
    pub async fn release_all(&self) -> Result<u64, InboxError> {
        let mut released = 0;
        loop {
            let held = self
                .0
                .inbox
                .events(&EventQuery::first(500).state(EventState::Quarantined))
                .await?;
            let before = released;
            for event in held {
                released += u64::from(self.release(&event.id).await?);
            }
            // What is left, if anything, cannot be released.
            if released == before {
                self.0.braking.release().await;
                return Ok(released);
            }
        }
    }

    /// A worker of this process has started.
    pub(super) fn works(&self) {
        self.0.works.store(true, Ordering::Relaxed);
    }

    /// The app disconnects the member of this record, and knows what the member wants.
    ///
    /// # Errors
    ///
    /// When the event could not be kept.
    pub async fn report_disconnected(
        &self,
        record: &MemberRecord,
        erasure: ErasureRequest,
    ) -> Result<Accepted, InboxError> {
        let event = self.own_event(record, erasure, Discovery::Disconnected);
        self.accept(event).await
    }

    /// Someone who need not be believed says that this member has left: the legacy unsigned POST.
    /// Open Humans is asked at once, unless it was asked about this member lately, the member is
    /// not authorized anyway, or no reconciler runs. True if the question was queued.
    pub fn hint(&self, member: &ProjectMemberId) -> bool {
        self.0.hints.told(member)
    }

    /// Puts a dead letter or a stale event back, to be acted on now. A stale one is then acted on although
    /// the member has authorized again since: whoever calls this has decided that. False if there
    /// is no such event in one of those states.
    ///
    /// # Errors
    ///
    /// When it could not be committed.
    pub async fn requeue(&self, event: &EventId) -> Result<bool, InboxError> {
        let requeued = self.0.inbox.requeue(event, self.0.clock.now()).await?;
        if requeued {
            tracing::info!(%event, "an event was put back");
            self.wake();
        }
        Ok(requeued)
    }

    /// Has the worker look for events now.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Keeps an event, then sees to the member's tokens and wakes the worker.
    ///
    /// # Errors
    ///
    /// When the event could not be kept. Once it is kept, nothing else is an error here: the
    /// worker makes up for it.
    #[tracing::instrument(name = "deauth.accept", skip_all, fields(event = %event.id, discovery = %event.discovery, erasure = %event.erasure))]
    pub async fn accept(&self, event: DeauthEvent) -> Result<Accepted, InboxError> {
        if event.discovery == Discovery::Webhook && event.received_at.since(event.left_at) > OLD {
            let held = self
                .0
                .inbox
                .quarantine(&event, "told days after the member left")
                .await?;
            if matches!(held, Accepted::New(_)) {
                metrics::quarantined();
                tracing::error!(
                    "a webhook tells of a departure of days ago, as when an old one is sent again: it \
                     is held until someone releases it"
                );
            }
            return Ok(held);
        }
        let accepted = self.0.inbox.accept(&event).await.inspect_err(|error| {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "an event could not be kept"
            );
        })?;
        let Accepted::New(fate) = accepted else {
            metrics::duplicate();
            tracing::info!("the event is known already");
            return Ok(accepted);
        };
        metrics::received(event.discovery);
        tracing::info!("a member has left");
        if !self.0.works.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "an event was accepted, and no worker was started in this process: unless another \
                 process runs one, nobody acts on it (see OpenHumans::start_background)"
            );
        }
        match fate {
            TokenOutcome::Destroyed if self.tokens_are_elsewhere(&event).await => {
                self.ready_if_possible(&event).await;
            }
            TokenOutcome::Destroyed => (self.0.gone)(&event.member),
            TokenOutcome::Stale => self.found_stale(&event),
            TokenOutcome::Untouched => self.ready_if_possible(&event).await,
        }
        self.wake();
        Ok(accepted)
    }

    pub(super) fn found_stale(&self, event: &DeauthEvent) {
        metrics::stale();
        tracing::warn!(event = %event.id, "an event is older than the member's latest authorization: not acted on");
        // Of two clocks that differ a little, one may make a fresh wish look old. An old one stays
        // old, whoever sends it again.
        if self.0.clock.now().since(event.left_at) < DOUBT {
            self.0.hints.doubt(&event.member);
        }
    }

    pub(super) fn hints(&self) -> &Hints {
        &self.0.hints
    }

    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    fn own_event(
        &self,
        record: &MemberRecord,
        erasure: ErasureRequest,
        discovery: Discovery,
    ) -> DeauthEvent {
        let id = self.0.names.own_event(record, discovery);
        // Their clock may be ahead of ours; the event must not look older than the authorization
        // that it ends.
        let left_at = self.0.clock.now().max(record.authorized_at);
        self.event(id, &record.member, erasure, discovery, left_at)
    }

    fn event(
        &self,
        id: EventId,
        member: &ProjectMemberId,
        erasure: ErasureRequest,
        discovery: Discovery,
        left_at: Timestamp,
    ) -> DeauthEvent {
        DeauthEvent {
            id,
            member: member.clone(),
            pseudonym: self.0.names.pseudonym(member),
            erasure,
            discovery,
            left_at,
            received_at: self.0.clock.now(),
        }
    }
}

impl fmt::Debug for Deauthorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deauthorizer").finish_non_exhaustive()
    }
}

fn same_authorization(stored: &MemberRecord, observed: &MemberRecord) -> bool {
    let same_tokens = match (&stored.tokens, &observed.tokens) {
        (Some(a), Some(b)) => a.access_token.expose() == b.access_token.expose(),
        (None, None) => stored.has_lost_tokens() && observed.has_lost_tokens(),
        _ => false,
    };
    same_tokens && stored.epoch == observed.epoch && stored.authorized_at == observed.authorized_at
}

#[cfg(test)]
mod tests;
