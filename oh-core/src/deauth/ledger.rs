//! Queries on the ledger and the events of an inbox.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use futures_util::{Stream, stream};
use serde::Serialize;

use super::deauthorizer::Deauthorizer;
use super::event::{ERASURE_DEADLINE, Pseudonym};
use super::inbox::{
    CheckpointQuery, DeauthInbox, EventQuery, EventRecord, EventState, InboxError, LedgerLine,
    LedgerQuery, StoredCheckpoint,
};
use super::pseudonymizer::Pseudonymizer;
use crate::{Clock, ProjectMemberId};

const PAGE_SIZE: usize = 500;

/// Answers questions about events and the ledger.
///
/// ```
/// use oh_core::deauth::EventQuery;
/// use oh_core::{OpenHumans, Settings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
/// let ledger = OpenHumans::builder(settings).build()?.ledger();
/// assert!(ledger.overdue(EventQuery::first(100)).await?.is_empty());
/// assert!(ledger.of_member(&"01026778".parse()?).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Ledger {
    inbox: Arc<dyn DeauthInbox>,
    pseudonymizer: Pseudonymizer,
    clock: Clock,
}

impl Ledger {
    pub(crate) fn new(deauthorizer: &Deauthorizer) -> Self {
        Self {
            inbox: deauthorizer.inbox().clone(),
            pseudonymizer: deauthorizer.pseudonymizer().clone(),
            clock: deauthorizer.clock().clone(),
        }
    }

    /// Returns all events in one state, oldest first.
    ///
    /// # Errors
    ///
    /// When the inbox fails.
    pub async fn events(&self, state: EventState) -> Result<Vec<EventRecord>, InboxError> {
        let mut query = EventQuery::first(PAGE_SIZE).state(state);
        let mut all = Vec::new();
        while let Some(page) = self.next_page(&mut query).await? {
            all.extend(page);
        }
        Ok(all)
    }

    /// Returns up to `query.limit` overdue events, in the order of the query.
    ///
    /// An event is overdue if it is open (pending, quarantined or a dead letter, and not superseded
    /// by a later event of the member) although it was received more than [`ERASURE_DEADLINE`] ago.
    /// The query's `state` and `received_before` are ignored.
    ///
    /// # Errors
    ///
    /// When the inbox fails.
    pub async fn overdue(&self, query: EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let mut overdue = Vec::new();
        for state in [
            EventState::Pending,
            EventState::Quarantined,
            EventState::DeadLetter,
        ] {
            let mut query = query
                .clone()
                .state(state)
                .received_before(self.clock.now() - ERASURE_DEADLINE);
            let enough = overdue.len() + query.limit;
            while overdue.len() < enough
                && let Some(page) = self.next_page(&mut query).await?
            {
                overdue.extend(page.into_iter().filter(EventRecord::is_open));
            }
        }
        overdue.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        if query.newest_first {
            overdue.reverse();
        }
        overdue.truncate(query.limit);
        Ok(overdue)
    }

    /// Runs the query and moves it to the next page. Returns `None` after the last page.
    async fn next_page(
        &self,
        query: &mut EventQuery,
    ) -> Result<Option<Vec<EventRecord>>, InboxError> {
        let page = self.inbox.events(query).await?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        query.after = Some((last.received_at, last.id.clone()));
        Ok(Some(page))
    }

    /// Returns the member's pseudonym in the ledger.
    pub fn pseudonym(&self, member: &ProjectMemberId) -> Pseudonym {
        self.pseudonymizer.pseudonym(member)
    }

    /// Returns all lines about a member, including those written before the member's id was removed.
    ///
    /// # Errors
    ///
    /// When the inbox fails.
    pub async fn of_member(&self, member: &ProjectMemberId) -> Result<Vec<LedgerLine>, InboxError> {
        let query = LedgerQuery::first(PAGE_SIZE).member(self.pseudonym(member));
        let mut lines = Lines::new(self.inbox.clone(), query);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await? {
            all.push(line);
        }
        Ok(all)
    }

    /// Returns the complete ledger as JSON lines without line breaks: the lines in the order in which
    /// they were written, and each checkpoint after the last line that it covers. `oh ledger verify`
    /// checks the result. Pages are read as the stream is polled.
    pub fn export_lines(&self) -> impl Stream<Item = Result<Vec<u8>, InboxError>> + Send + use<> {
        stream::try_unfold(Export::new(self.inbox.clone()), |mut export| async move {
            let next = export.next().await?;
            Ok(next.map(|line| (line, export)))
        })
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

/// Reads lines page by page until a page is not full.
struct Lines {
    inbox: Arc<dyn DeauthInbox>,
    query: LedgerQuery,
    page: std::vec::IntoIter<LedgerLine>,
    complete: bool,
}

impl Lines {
    fn new(inbox: Arc<dyn DeauthInbox>, query: LedgerQuery) -> Self {
        Self {
            inbox,
            query,
            page: Vec::new().into_iter(),
            complete: false,
        }
    }

    async fn next(&mut self) -> Result<Option<LedgerLine>, InboxError> {
        if self.page.len() == 0 && !self.complete {
            let lines = self.inbox.ledger(&self.query).await?;
            self.complete = lines.len() < self.query.limit;
            self.query.after = lines.last().map(|line| line.seq).or(self.query.after);
            self.page = lines.into_iter();
        }
        Ok(self.page.next())
    }
}

/// A checkpoint in an export, as `oh_ledger::checkpoint_record` writes it.
#[derive(Serialize)]
struct CheckpointRecord {
    checkpoint: String,
}

/// Merges lines and checkpoints.
struct Export {
    inbox: Arc<dyn DeauthInbox>,
    lines: Lines,
    lines_read: u64,
    checkpoints: VecDeque<StoredCheckpoint>,
    /// The size of the last checkpoint when the export began. Later ones may cover lines that the
    /// export has passed.
    last_size: Option<u64>,
    checkpoints_read_up_to: u64,
}

impl Export {
    fn new(inbox: Arc<dyn DeauthInbox>) -> Self {
        Self {
            lines: Lines::new(inbox.clone(), LedgerQuery::first(PAGE_SIZE)),
            inbox,
            lines_read: 0,
            checkpoints: VecDeque::new(),
            last_size: None,
            checkpoints_read_up_to: 0,
        }
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, InboxError> {
        self.read_checkpoints().await?;
        let next_checkpoint = self.checkpoints.front();
        if next_checkpoint.is_none_or(|next| next.size > self.lines_read)
            && let Some(line) = self.lines.next().await?
        {
            self.lines_read += 1;
            return Ok(Some(line.to_json()));
        }
        // If lines are missing, the remaining checkpoints follow, so that verification fails.
        let checkpoint = self.checkpoints.pop_front();
        Ok(checkpoint.map(|stored| {
            let checkpoint = stored.note;
            serde_json::to_vec(&CheckpointRecord { checkpoint }).expect("text serializes to JSON")
        }))
    }

    async fn read_checkpoints(&mut self) -> Result<(), InboxError> {
        let last_size = match self.last_size {
            Some(size) => size,
            None => {
                let last = self.inbox.checkpoints(&CheckpointQuery::last()).await?;
                *self
                    .last_size
                    .insert(last.first().map_or(0, |last| last.size))
            }
        };
        if self.checkpoints.is_empty() && self.checkpoints_read_up_to < last_size {
            let query = CheckpointQuery::first(PAGE_SIZE).after(self.checkpoints_read_up_to);
            let page = self.inbox.checkpoints(&query).await?;
            self.checkpoints_read_up_to = page.last().map_or(last_size, |last| last.size);
            let page = page.into_iter().filter(|stored| stored.size <= last_size);
            self.checkpoints.extend(page);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
