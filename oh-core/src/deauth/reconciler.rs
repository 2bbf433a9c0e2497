//! Finding members who left unannounced: the [`Reconciler`].
//!
//! Open Humans announces a member leaving once, if at all. So each member who has not been heard
//! of for a while is asked about, with the member's own token: the one question whose answer
//! means something for one member. With a master token the project's list of members comes first,
//! and spares the questions about those who are on it. The list has no order, so a page can miss
//! someone while others come and go: absence counts only if it is seen in two whole readings, and
//! then the direct question decides.
//!
//! The record's `heard_at` is where the work stands, so a restart forgets nothing. One process of
//! many asks at a time; the next takes over when it dies. Besides that every process asks about
//! the members it has a hint about: those named by the legacy unsigned POST, and those with a
//! stale event.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::desk::Deauthorizer;
use super::event::EventId;
use super::hints::Hint;
use super::metrics;
use crate::store::{MemberRecord, Put, StoreError, Version};
use crate::transport::BoxError;
use crate::{Error, ProjectMemberId, Timestamp};

const JOB: &str = "reconciler";
const PAGE: usize = 200;
/// As many failures in a row end a round: Open Humans is down, or we are cut off.
const PATIENCE: u32 = 10;
const HINT_PACE: Duration = Duration::from_secs(1);

/// What Open Humans says of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The member's authorization is known there.
    Authorized,
    /// It is not: the member has left.
    Gone,
    /// The answer says neither.
    Unsure,
}

impl Standing {
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
    async fn standing(&self, member: &ProjectMemberId) -> Result<Standing, Error>;

    /// Reads the whole list of the project's members, every page of it. `None` if the app has no
    /// master token to do so.
    ///
    /// # Errors
    ///
    /// When a page could not be read: an incomplete list is not given.
    async fn listed(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error>;
}

/// What a round of questions came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Round {
    /// Members not heard of for a while.
    pub due: u64,
    /// Of those, members found on the project's list.
    pub listed: u64,
    /// Of those, members asked about.
    pub asked: u64,
    /// Of those, members who have left.
    pub gone: u64,
}

/// Asks about members not heard of for a while. See the [module](self).
#[derive(Clone)]
#[must_use = "a reconciler does nothing until it is started"]
pub struct Reconciler {
    desk: Deauthorizer,
    membership: Arc<dyn Membership>,
    every: Duration,
    pace: Duration,
    turn: Duration,
}

/// What the turn's note says.
#[derive(Serialize, Deserialize)]
struct Note {
    /// When the last whole round ended.
    finished: Timestamp,
}

impl Reconciler {
    /// One that asks `membership`, and reports to `desk`.
    pub fn new(desk: Deauthorizer, membership: Arc<dyn Membership>) -> Self {
        Self {
            desk,
            membership,
            every: Duration::from_secs(24 * 3_600),
            pace: Duration::from_millis(200),
            turn: Duration::from_secs(120),
        }
    }

    /// How long a member may go unheard of before being asked about. Default 24 h.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// How long to wait between two questions. Default 200 ms, so that at most five are asked a
    /// second.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// How long the turn to ask stays with a process that died; one that lives keeps it for as
    /// long as a round takes. Default 120 s, at least 1 s.
    pub fn turn(mut self, turn: Duration) -> Self {
        self.turn = turn.max(Duration::from_secs(1));
        self
    }

    /// Starts it on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> ReconcilerHandle {
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(self.run_until(stopped));
        ReconcilerHandle {
            stop,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// Asks in rounds, and as hints come in, until `stop` is ready. A question that is under way
    /// then is given up: it will be asked again.
    pub async fn run_until(self, stop: impl Future<Output = ()> + Send) {
        let holder = crate::random::hex();
        tokio::select! {
            () = stop => {}
            ((), ()) = async { tokio::join!(self.rounds(&holder), self.hints()) } => {}
        }
        // Nobody need wait for the end of a turn that is not used.
        let now = self.desk.clock().now();
        if let Ok(Some(note)) = self.desk.inbox().take_turn(JOB, &holder, now, now).await {
            let _ = self.desk.inbox().keep_turn(JOB, &holder, now, &note).await;
        }
    }

    /// One round over all members who are due, now, whoever's turn it is. For tests, and for
    /// those who have a scheduler of their own.
    ///
    /// # Errors
    ///
    /// When a store or the inbox cannot answer, or Open Humans does not for too long.
    pub async fn round(&self) -> Result<Round, BoxError> {
        self.walk(None).await
    }

    async fn rounds(&self, holder: &str) {
        let rest = self.rest();
        loop {
            let wait = match self.take_turn(holder).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(error = &*error, "asking about members was given up for now");
                    rest.min(Duration::from_secs(300))
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Between two rounds.
    fn rest(&self) -> Duration {
        (self.every / 24).max(Duration::from_millis(10))
    }

    /// Makes a round if it is our turn and time. Gives how long to wait until the next look.
    async fn take_turn(&self, holder: &str) -> Result<Duration, BoxError> {
        let inbox = self.desk.inbox();
        let now = self.desk.clock().now();
        let Some(note) = inbox.take_turn(JOB, holder, now, now + self.turn).await? else {
            return Ok(self.turn.min(self.rest()));
        };
        if let Ok(last) = serde_json::from_str::<Note>(&note) {
            let rested = now.since(last.finished);
            if rested < self.rest() {
                let _ = inbox.keep_turn(JOB, holder, now, &note).await?;
                return Ok(self.rest() - rested);
            }
        }
        let round = self.walk(Some(holder)).await?;
        tracing::info!(?round, "members were asked about");
        let now = self.desk.clock().now();
        let note = serde_json::to_string(&Note { finished: now })?;
        let _ = inbox.keep_turn(JOB, holder, now, &note).await?;
        Ok(self.rest())
    }

    #[tracing::instrument(name = "deauth.reconcile", skip_all)]
    async fn walk(&self, holder: Option<&str>) -> Result<Round, BoxError> {
        let mut walk = Walk {
            reconciler: self,
            holder,
            turn_kept: Instant::now(),
            listed: Listing::NotRead,
            absent: Vec::new(),
            failures: 0,
            round: Round::default(),
        };
        walk.all().await?;
        walk.absentees().await?;
        Ok(walk.round)
    }

    async fn hints(&self) {
        // Another reconciler of this process may have it, and then goes on having it.
        let mut hints = self.desk.hints().receiver().await;
        while let Some(hint) = hints.recv().await {
            match self.ask_about(&hint).await {
                Ok(None) => {}
                Ok(Some(_)) => tokio::time::sleep(HINT_PACE).await,
                Err(error) => {
                    tracing::warn!(error = &*error, "a hint could not be followed");
                    tokio::time::sleep(HINT_PACE).await;
                }
            }
        }
    }

    async fn ask_about(&self, hint: &Hint) -> Result<Option<Standing>, BoxError> {
        match self.desk.token_store().load(&hint.member).await? {
            Some(record) if record.is_authorized() => {
                Ok(Some(self.question(&record, hint.stale.as_ref()).await?))
            }
            _ => Ok(None),
        }
    }

    /// Asks about a member and acts on the answer.
    async fn question(
        &self,
        record: &MemberRecord,
        stale: Option<&EventId>,
    ) -> Result<Standing, BoxError> {
        let standing = self.membership.standing(&record.member).await?;
        metrics::reconciled(standing.as_str());
        match standing {
            Standing::Authorized => self.heard(record).await?,
            Standing::Gone => self.gone(record, stale).await?,
            Standing::Unsure => {}
        }
        Ok(standing)
    }

    async fn gone(&self, record: &MemberRecord, stale: Option<&EventId>) -> Result<(), BoxError> {
        // An earlier refresh got no answer: it may be our loss of the tokens that shows.
        if record.refresh_unanswered {
            self.desk.lost(record).await?;
            return Ok(());
        }
        tracing::info!("a member has left unannounced");
        // The event that looked stale was right after all, and it knows what the member wants.
        if let Some(event) = stale
            && self.desk.revive(event).await?
        {
            return Ok(());
        }
        self.desk.found(record).await?;
        Ok(())
    }

    /// Writes down that Open Humans answered for this member.
    async fn heard(&self, record: &MemberRecord) -> Result<(), StoreError> {
        let store = self.desk.token_store();
        let mut record = record.clone();
        for _ in 0..3 {
            let next = MemberRecord {
                heard_at: self.desk.clock().now(),
                version: Version::fresh(),
                ..record.clone()
            };
            if store.put(&next, Some(record.version)).await? == Put::Done {
                return Ok(());
            }
            match store.load(&record.member).await? {
                Some(stored) if stored.is_authorized() && stored.epoch == record.epoch => {
                    record = stored;
                }
                _ => return Ok(()),
            }
        }
        // Whoever keeps writing this record hears of the member too.
        Ok(())
    }
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler")
            .field("every", &self.every)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

/// A reconciler at work. Dropping it ends it at once; [`stop`](Self::stop) lets it give its turn
/// to another process.
#[derive(Debug)]
#[must_use = "dropping it ends the reconciler"]
pub struct ReconcilerHandle {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl ReconcilerHandle {
    /// Ends it.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the reconciler ended badly");
        }
    }
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
struct Walk<'a> {
    reconciler: &'a Reconciler,
    // Whose turn is to be kept meanwhile.
    holder: Option<&'a str>,
    turn_kept: Instant,
    listed: Listing,
    absent: Vec<ProjectMemberId>,
    failures: u32,
    round: Round,
}

impl Walk<'_> {
    async fn all(&mut self) -> Result<(), BoxError> {
        let reconciler = self.reconciler;
        let store = reconciler.desk.token_store();
        let mut after: Option<ProjectMemberId> = None;
        loop {
            let page = store.page(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.member.clone());
            for record in &page {
                let now = reconciler.desk.clock().now();
                if !record.is_authorized() || record.heard_at + reconciler.every > now {
                    continue;
                }
                self.round.due += 1;
                self.due(record).await?;
            }
            self.keep_turn().await?;
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

    /// Reads the list, which can take longer than a turn.
    async fn read_list(&mut self) -> Result<Listing, BoxError> {
        let membership = self.reconciler.membership.clone();
        let mut listed = std::pin::pin!(membership.listed());
        let mut beat = tokio::time::interval(self.reconciler.turn / 3);
        let listed = loop {
            tokio::select! {
                listed = &mut listed => break listed,
                _ = beat.tick() => self.keep_turn().await?,
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
        self.keep_turn().await?;
        for member in std::mem::take(&mut self.absent) {
            if let Listing::Read(members) = &self.listed
                && members.contains(&member)
            {
                self.round.listed += 1;
                if let Some(record) = self.reconciler.desk.token_store().load(&member).await? {
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
            tokio::time::sleep(self.reconciler.pace).await;
        }
        self.keep_turn().await?;
        // As it is now: the page may be minutes old.
        let stored = self.reconciler.desk.token_store().load(member).await?;
        let Some(record) = stored.filter(MemberRecord::is_authorized) else {
            return Ok(());
        };
        self.round.asked += 1;
        match self.reconciler.question(&record, None).await {
            Ok(standing) => {
                self.failures = 0;
                if standing == Standing::Gone {
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

    async fn keep_turn(&mut self) -> Result<(), BoxError> {
        let Some(holder) = self.holder else {
            return Ok(());
        };
        let turn = self.reconciler.turn;
        if self.turn_kept.elapsed() < turn / 4 {
            return Ok(());
        }
        let desk = &self.reconciler.desk;
        let now = desk.clock().now();
        let kept = desk.inbox().take_turn(JOB, holder, now, now + turn).await?;
        if kept.is_none() {
            return Err("another process has taken the turn".into());
        }
        self.turn_kept = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
#[path = "reconciler_tests.rs"]
mod tests;
