//! Reading the ledger: what is pending, what is overdue, what happened to a member, and all of it
//! for whoever asks for proof.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream;

use super::deauthorizer::Deauthorizer;
use super::event::Pseudonym;
use super::inbox::{
    CheckpointQuery, DeauthInbox, EventQuery, EventRecord, EventState, InboxError, InboxStats,
    LedgerLine, LedgerQuery, StoredCheckpoint,
};
use super::pseudonym::Pseudonymizer;
use crate::ledger::checkpoint_record;
use crate::{Clock, ProjectMemberId};

/// The time a request to be erased may take: one month (GDPR Art. 12(3)), taken as 30 days.
pub const DEADLINE: Duration = Duration::from_secs(30 * 24 * 3_600);

const PAGE: usize = 500;

/// Reads what an inbox knows.
///
/// ```
/// use oh_core::deauth::EventQuery;
/// use oh_core::{OpenHumans, Settings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
/// let oh = OpenHumans::builder(settings).build()?;
/// let ledger = oh.ledger();
/// assert!(ledger.overdue(EventQuery::first(100)).await?.is_empty());
/// assert!(ledger.of_member(&"01026778".parse()?).await?.is_empty());
/// assert_eq!(ledger.export(&mut std::io::stdout()).await?, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Ledger {
    inbox: Arc<dyn DeauthInbox>,
    names: Pseudonymizer,
    clock: Clock,
}

/// The ledger could not be written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The inbox could not answer.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// The lines could not be written.
    #[error("the ledger could not be written")]
    Write(#[from] io::Error),
}

impl Ledger {
    /// Of the inbox a deauthorizer reports to.
    pub fn new(deauthorizer: &Deauthorizer) -> Self {
        Self {
            inbox: deauthorizer.inbox().clone(),
            names: deauthorizer.names().clone(),
            clock: deauthorizer.clock().clone(),
        }
    }

    /// How many events stand where.
    ///
    /// # Errors
    ///
    /// When the inbox cannot answer.
    pub async fn stats(&self) -> Result<InboxStats, InboxError> {
        self.inbox.stats().await
    }

    /// Every event in one state, oldest first.
    ///
    /// # Errors
    ///
    /// When the inbox cannot answer.
    pub async fn events(&self, state: EventState) -> Result<Vec<EventRecord>, InboxError> {
        self.all_events(EventQuery {
            state: Some(state),
            ..EventQuery::default()
        })
        .await
    }

    /// Returns up to `query.limit` overdue events, in the order of the query.
    ///
    /// An event is overdue if it is open (pending, quarantined or a dead letter, and not superseded
    /// by a later event of the member) although it was received more than [`DEADLINE`] ago. The
    /// query's `state` and `received_before` are ignored.
    ///
    /// # Errors
    ///
    /// When the inbox cannot answer.
    pub async fn overdue(&self, query: EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let mut overdue = Vec::new();
        for state in [
            EventState::Pending,
            EventState::Quarantined,
            EventState::DeadLetter,
        ] {
            let query = query
                .clone()
                .state(state)
                .received_before(self.clock.now() - DEADLINE);
            overdue.extend(self.open_events(query).await?);
        }
        overdue.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        if query.newest_first {
            overdue.reverse();
        }
        overdue.truncate(query.limit);
        Ok(overdue)
    }

    async fn open_events(&self, mut query: EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        let mut open = Vec::new();
        while open.len() < query.limit {
            let page = self.inbox.events(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = Some((last.received_at, last.id.clone()));
            open.extend(page.into_iter().filter(EventRecord::is_open));
        }
        Ok(open)
    }

    /// What the ledger calls a member.
    pub fn pseudonym(&self, member: &ProjectMemberId) -> Pseudonym {
        self.names.pseudonym(member)
    }

    /// Everything that happened to a member, also long after the member's id is gone from here.
    ///
    /// # Errors
    ///
    /// When the inbox cannot answer.
    pub async fn of_member(&self, member: &ProjectMemberId) -> Result<Vec<LedgerLine>, InboxError> {
        let mut query = LedgerQuery {
            member: Some(self.pseudonym(member)),
            limit: PAGE,
            ..LedgerQuery::default()
        };
        let mut all = Vec::new();
        loop {
            let lines = self.inbox.ledger(&query).await?;
            let Some(last) = lines.last() else {
                return Ok(all);
            };
            query.after = Some(last.seq);
            all.extend(lines);
        }
    }

    /// All lines, in the order they were written, read as they are asked for.
    pub fn lines(&self) -> impl Stream<Item = Result<LedgerLine, InboxError>> + Send + use<> {
        let state = Lines::of(self.inbox.clone());
        stream::try_unfold(state, |mut state| async move {
            let next = state.next().await?;
            Ok(next.map(|line| (line, state)))
        })
    }

    /// All lines as JSON, with the checkpoints among them, each after the last line it covers: what
    /// [`oh_ledger`](crate::ledger) checks. Without line breaks; read as they are asked for.
    pub fn export_lines(&self) -> impl Stream<Item = Result<Vec<u8>, InboxError>> + Send + use<> {
        let state = Export::of(self.inbox.clone());
        stream::try_unfold(state, |mut state| async move {
            let next = state.next().await?;
            Ok(next.map(|line| (line, state)))
        })
    }

    /// Writes [`export_lines`](Self::export_lines), a line each. Gives how many are lines of the
    /// ledger.
    ///
    /// # Errors
    ///
    /// When the inbox cannot answer, or `to` cannot be written to.
    pub async fn export(&self, to: &mut (dyn io::Write + Send)) -> Result<u64, ExportError> {
        let mut export = Export::of(self.inbox.clone());
        while let Some(line) = export.next().await? {
            to.write_all(&line)?;
            to.write_all(b"\n")?;
        }
        to.flush()?;
        Ok(export.count)
    }

    async fn all_events(&self, mut query: EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        query.limit = PAGE;
        let mut all: Vec<EventRecord> = Vec::new();
        loop {
            let records = self.inbox.events(&query).await?;
            let Some(last) = records.last() else {
                return Ok(all);
            };
            query.after = Some((last.received_at, last.id.clone()));
            all.extend(records);
        }
    }
}

/// The lines, read page by page, up to the first page that is not full.
struct Lines {
    inbox: Arc<dyn DeauthInbox>,
    page: std::vec::IntoIter<LedgerLine>,
    after: Option<i64>,
    whole: bool,
}

impl Lines {
    fn of(inbox: Arc<dyn DeauthInbox>) -> Self {
        Self {
            inbox,
            page: Vec::new().into_iter(),
            after: None,
            whole: false,
        }
    }

    async fn next(&mut self) -> Result<Option<LedgerLine>, InboxError> {
        if self.page.len() == 0 && !self.whole {
            let query = LedgerQuery::first(PAGE).after(self.after);
            let lines = self.inbox.ledger(&query).await?;
            self.whole = lines.len() < PAGE;
            self.after = lines.last().map(|line| line.seq).or(self.after);
            self.page = lines.into_iter();
        }
        Ok(self.page.next())
    }
}

/// Lines and checkpoints, in the order of an export.
struct Export {
    inbox: Arc<dyn DeauthInbox>,
    lines: Lines,
    count: u64,
    checkpoints: VecDeque<StoredCheckpoint>,
    // Those that are there when the export begins. Later ones may cover lines that it has passed.
    up_to: Option<u64>,
    seen: u64,
}

impl Export {
    fn of(inbox: Arc<dyn DeauthInbox>) -> Self {
        Self {
            lines: Lines::of(inbox.clone()),
            inbox,
            count: 0,
            checkpoints: VecDeque::new(),
            up_to: None,
            seen: 0,
        }
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, InboxError> {
        self.read_checkpoints().await?;
        if self
            .checkpoints
            .front()
            .is_none_or(|next| next.size > self.count)
            && let Some(line) = self.lines.next().await?
        {
            self.count += 1;
            return Ok(Some(line.to_json()));
        }
        // Its place, or no lines are left that should be there: who checks it will notice.
        let checkpoint = self.checkpoints.pop_front();
        Ok(checkpoint.map(|kept| checkpoint_record(&kept.note).into_bytes()))
    }

    async fn read_checkpoints(&mut self) -> Result<(), InboxError> {
        let up_to = match self.up_to {
            Some(up_to) => up_to,
            None => {
                let last = self.inbox.checkpoints(&CheckpointQuery::last()).await?;
                let last = last.first().map_or(0, |last| last.size);
                *self.up_to.insert(last)
            }
        };
        if self.checkpoints.is_empty() && self.seen < up_to {
            let query = CheckpointQuery::first(PAGE).after(self.seen);
            let page = self.inbox.checkpoints(&query).await?;
            self.seen = page.last().map_or(up_to, |last| last.size);
            let page = page.into_iter().filter(|kept| kept.size <= up_to);
            self.checkpoints.extend(page);
        }
        Ok(())
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use futures_util::TryStreamExt;

    use super::super::inbox::{CheckpointOutcome, Completion, DeauthInbox};
    use super::super::test_support::{Setting, at, member};
    use super::*;
    use crate::deauth::{DeauthEvent, Discovery, ErasureRequest, Step};

    #[tokio::test]
    async fn what_a_later_event_has_made_up_for_is_not_overdue() {
        let setting = Setting::new();
        let ledger = Ledger::new(&setting.deauthorizer);
        let dead_letter = Completion::DeadLetter {
            note: String::new(),
        };
        let done = Completion::Done { note: None };
        let names = setting.deauthorizer.names();
        for (left_at, end, overdue) in [(at(50), dead_letter, 1), (at(60), done, 0)] {
            let event = DeauthEvent {
                id: names.webhook_event_id(&member(1), left_at, ErasureRequest::Requested),
                member: member(1),
                pseudonym: names.pseudonym(&member(1)),
                erasure: ErasureRequest::Requested,
                discovery: Discovery::Webhook,
                left_at,
                received_at: left_at,
            };
            let _ = setting.inbox.accept(&event).await.unwrap();
            let leased = setting.inbox.lease(at(100), at(160), 1).await.unwrap();
            let held = setting
                .inbox
                .complete(&leased[0].lease, &end, at(101))
                .await;
            assert_eq!(held.unwrap(), crate::deauth::LeaseOutcome::Applied);
            setting.clock.advance(DEADLINE);
            assert_eq!(
                ledger.overdue(EventQuery::first(10)).await.unwrap().len(),
                overdue
            );
        }
    }

    #[tokio::test]
    async fn what_is_not_done_in_time_is_overdue_dead_letter_or_not() {
        let setting = Setting::new();
        let ledger = Ledger::new(&setting.deauthorizer);
        for number in 1..=4 {
            let _ = setting.report_webhook(number, at(50)).await;
        }
        let leased = setting.inbox.lease(at(100), at(160), 2).await.unwrap();
        let dead_letter = Completion::DeadLetter {
            note: String::new(),
        };
        for (leased, end) in leased
            .iter()
            .zip([Completion::Done { note: None }, dead_letter])
        {
            let held = setting.inbox.complete(&leased.lease, &end, at(101)).await;
            assert_eq!(held.unwrap(), crate::deauth::LeaseOutcome::Applied);
        }
        let stats = ledger.stats().await.unwrap();
        assert_eq!((stats.pending, stats.done, stats.dead_letters), (2, 1, 1));
        assert!(
            ledger
                .overdue(EventQuery::first(10))
                .await
                .unwrap()
                .is_empty()
        );
        setting.clock.advance(DEADLINE);
        assert!(
            ledger
                .overdue(EventQuery::first(10))
                .await
                .unwrap()
                .is_empty()
        );
        setting.clock.advance(Duration::from_secs(1));
        let _ = setting.report_webhook(5, setting.clock.now()).await;
        let overdue = ledger.overdue(EventQuery::first(10)).await.unwrap();
        assert_eq!(overdue.len(), 3);
        assert!(overdue.iter().all(|event| event.state != EventState::Done));
        assert_eq!(ledger.events(EventState::Pending).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn the_ledger_is_written_out_and_names_nobody() {
        let setting = Setting::new();
        let ledger = Ledger::new(&setting.deauthorizer);
        for number in 0..PAGE {
            let _ = setting.report_webhook(number, at(50)).await;
        }
        let mut out = Vec::new();
        let count = ledger.export(&mut out).await.unwrap();
        assert_eq!(count, 2 * PAGE as u64);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count() as u64, count);
        let lines: Vec<LedgerLine> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(lines.windows(2).all(|two| two[0].seq < two[1].seq));
        assert!(!text.contains(member(7).as_str()));

        let of_7 = ledger.of_member(&member(7)).await.unwrap();
        let steps: Vec<_> = of_7.iter().map(|line| line.step).collect();
        assert_eq!(steps, [Step::Received, Step::TokensDestroyed]);
    }

    #[tokio::test]
    async fn all_lines_are_read_in_their_order_each_page_once() {
        let setting = Setting::new();
        for number in 0..=PAGE {
            let _ = setting.report_webhook(number, at(50)).await;
        }
        let _ = setting.inbox.readings();
        let ledger = Ledger::new(&setting.deauthorizer);
        let lines: Vec<LedgerLine> = ledger.lines().try_collect().await.unwrap();
        let ends = [
            None,
            Some(lines[PAGE - 1].seq),
            Some(lines[2 * PAGE - 1].seq),
        ];
        assert_eq!(setting.inbox.readings(), ends);
        assert_eq!(lines, setting.lines().await);
    }

    #[tokio::test]
    async fn an_export_asks_for_what_there_is_once() {
        let setting = Setting::new();
        for number in 0..2 {
            let _ = setting.report_webhook(number, at(50)).await;
        }
        let kept = StoredCheckpoint::new(2, 1, "root", at(100), "note", "tree");
        let fate = setting.inbox.store_checkpoint(&kept).await.unwrap();
        assert_eq!(fate, CheckpointOutcome::Stored);
        let ledger = Ledger::new(&setting.deauthorizer);
        let exported: Vec<_> = ledger.export_lines().try_collect().await.unwrap();
        assert_eq!(exported.len(), 5);
        assert_eq!(exported[2], checkpoint_record("note").into_bytes());
        assert_eq!(setting.inbox.readings(), [None]);
        // Which is the last, and then a page.
        let asked = setting.inbox.asked_for_checkpoints.load(Ordering::SeqCst);
        assert_eq!(asked, 2);
    }
}
