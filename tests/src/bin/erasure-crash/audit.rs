//! Checks the rows of all members and the ledger after a run.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt;
use oh_core::OpenHumans;
use oh_core::deauth::{Discovery, EventId, EventState, LedgerLine, Step};

use crate::Result;
use crate::participants::{Participant, Participants};
use crate::rows::Rows;

const STATES: [EventState; 5] = [
    EventState::Pending,
    EventState::Quarantined,
    EventState::Done,
    EventState::DeadLetter,
    EventState::Stale,
];

#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// Events whose webhooks got a 2xx response.
    pub(crate) accepted: usize,
    /// Members with an erasure request whose rows are deleted.
    pub(crate) erased: usize,
    /// Members with an erasure request whose rows exist.
    pub(crate) missing: usize,
    /// Members without an erasure request whose rows are deleted.
    pub(crate) wrongly_erased: usize,
    /// Calls of the handler after success was recorded, according to the application's table and to the
    /// ledger.
    pub(crate) handled_after_done: usize,
    /// Events whose ledger lines have a gap or no end.
    pub(crate) incomplete_ledgers: usize,
    /// Departures that the reconciler discovered.
    pub(crate) found: usize,
    /// Quarantined events.
    pub(crate) stale: usize,
    pub(crate) handler_calls: i64,
    /// Done events with a member id.
    pub(crate) ids_left: usize,
}

impl Audit {
    pub(crate) async fn of(
        openhumans: &OpenHumans,
        rows: &Rows,
        participants: &Participants,
    ) -> Result<Self> {
        let mut audit = Self::default();
        let with_rows = rows.members().await?;
        let mut accepted = HashSet::new();
        for participant in participants.all() {
            let has_rows = with_rows.contains(participant.member.as_str());
            match (participant.scenario.expects_erasure(), has_rows) {
                (true, false) => audit.erased += 1,
                (true, true) => {
                    audit.missing += 1;
                    explain(openhumans, &participant).await?;
                }
                (false, false) => {
                    audit.wrongly_erased += 1;
                    explain(openhumans, &participant).await?;
                }
                (false, true) => {}
            }
            accepted.extend(participant.accepted.clone());
        }
        audit.accepted = accepted.len();

        let ledger = openhumans.ledger();
        let mut lines_of: HashMap<EventId, Vec<LedgerLine>> = HashMap::new();
        let mut lines = std::pin::pin!(ledger.export_lines());
        while let Some(line) = lines.try_next().await? {
            let line: LedgerLine = serde_json::from_slice(&line)?;
            lines_of.entry(line.event.clone()).or_default().push(line);
        }
        let unknown = accepted
            .iter()
            .filter(|id| !lines_of.contains_key(*id))
            .count();
        // A quarantined event that a later event supersedes remains quarantined.
        let held = ledger.events(EventState::Quarantined).await?;
        let held = held.iter().filter(|event| event.member.is_none());
        for event in held {
            lines_of.remove(&event.id);
        }
        let broken: Vec<_> = lines_of
            .values()
            .filter(|life| !is_complete(life))
            .collect();
        audit.incomplete_ledgers = unknown + broken.len();
        for life in broken {
            let steps: Vec<_> = life.iter().map(|line| (line.step, line.attempt)).collect();
            crate::say(&format!("an incomplete ledger: {steps:?}"));
        }

        let (calls, after_done) = rows.calls().await?;
        audit.handler_calls = calls;
        let by_ledger = lines_of
            .values()
            .filter(|life| is_tried_after_done(life))
            .count();
        audit.handled_after_done = usize::try_from(after_done)? + by_ledger;

        let done = ledger.events(EventState::Done).await?;
        audit.ids_left = done.iter().filter(|event| event.member.is_some()).count();
        audit.found = done
            .iter()
            .filter(|event| event.discovery == Discovery::Reconciliation)
            .count();
        audit.stale = ledger.events(EventState::Stale).await?.len();
        Ok(audit)
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.accepted > 0
            && self.erased > 0
            && [
                self.missing,
                self.wrongly_erased,
                self.handled_after_done,
                self.incomplete_ledgers,
                self.ids_left,
            ] == [0; 5]
    }
}

/// Prints the history of a member with a wrong result.
async fn explain(openhumans: &OpenHumans, participant: &Participant) -> Result {
    crate::say(&format!("{participant:?}"));
    for state in STATES {
        for event in openhumans.ledger().events(state).await? {
            if event.pseudonym == openhumans.ledger().pseudonym(&participant.member) {
                crate::say(&format!("  {event:?}"));
            }
        }
    }
    Ok(())
}

/// Whether the lines are complete: one `Received` at the beginning, attempts counted without gaps (a killed
/// attempt has no end), tokens destroyed before the end, and `Done` or `Stale` as the last line.
fn is_complete(life: &[LedgerLine]) -> bool {
    let mut attempt = 0;
    let mut tokens_gone = false;
    for (place, line) in life.iter().enumerate() {
        let is_last = place + 1 == life.len();
        let fits = match line.step {
            Step::Received => place == 0,
            Step::Quarantined => place == 1,
            Step::Released => life[place - 1].step == Step::Quarantined,
            Step::TokensDestroyed => {
                tokens_gone = true;
                true
            }
            Step::Tried => {
                attempt += 1;
                line.attempt == attempt
            }
            Step::Failed => line.attempt == attempt && line.note.is_some(),
            Step::Done => line.attempt == attempt && tokens_gone && is_last,
            Step::Stale => is_last && !tokens_gone,
            _ => false,
        };
        let ends = matches!(line.step, Step::Done | Step::Stale);
        if !fits || (place == 0) != (line.step == Step::Received) || is_last != ends {
            return false;
        }
    }
    !life.is_empty()
}

fn is_tried_after_done(life: &[LedgerLine]) -> bool {
    let done = life.iter().position(|line| line.step == Step::Done);
    done.is_some_and(|done| life[done..].iter().any(|line| line.step == Step::Tried))
}
