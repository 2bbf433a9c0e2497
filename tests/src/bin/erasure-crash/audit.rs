//! Who was forgotten, who was wronged, and whether the ledger proves the rest.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt;
use oh_core::OpenHumans;
use oh_core::deauth::{Discovery, EventId, EventState, LedgerLine, Step};

use crate::Result;
use crate::cast::{Cast, Player};
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
    /// Events that were answered with 2xx.
    pub(crate) accepted: usize,
    /// Members who asked and whose rows are gone.
    pub(crate) erased: usize,
    /// Members who asked and whose rows are still there.
    pub(crate) missing: usize,
    /// Members who did not ask and whose rows are gone.
    pub(crate) wrongly_erased: usize,
    /// Calls of the handler after success had been recorded, by the app's own notes and by the
    /// ledger.
    pub(crate) handled_after_done: usize,
    /// Events, those answered 2xx and all others, whose ledger has a gap or no end.
    pub(crate) incomplete_ledgers: usize,
    /// Members whose leaving was found by asking.
    pub(crate) found: usize,
    /// Events kept and not acted on.
    pub(crate) stale: usize,
    pub(crate) handler_calls: i64,
    /// Events that are done and still say who it was.
    pub(crate) ids_left: usize,
}

impl Audit {
    pub(crate) async fn of(openhumans: &OpenHumans, rows: &Rows, cast: &Cast) -> Result<Self> {
        let mut audit = Self::default();
        let with_rows = rows.members().await?;
        let mut accepted = HashSet::new();
        for player in cast.players() {
            let has_rows = with_rows.contains(player.member.as_str());
            match (player.part.is_erased(), has_rows) {
                (true, false) => audit.erased += 1,
                (true, true) => {
                    audit.missing += 1;
                    explain(openhumans, &player).await?;
                }
                (false, false) => {
                    audit.wrongly_erased += 1;
                    explain(openhumans, &player).await?;
                }
                (false, true) => {}
            }
            accepted.extend(player.accepted.clone());
        }
        audit.accepted = accepted.len();

        let ledger = openhumans.ledger();
        let mut lives: HashMap<EventId, Vec<LedgerLine>> = HashMap::new();
        let mut lines = std::pin::pin!(ledger.export_lines());
        while let Some(line) = lines.try_next().await? {
            let line: LedgerLine = serde_json::from_slice(&line)?;
            lives.entry(line.event.clone()).or_default().push(line);
        }
        let unknown = accepted
            .iter()
            .filter(|id| !lives.contains_key(*id))
            .count();
        // What is held, and made up for by a later event of the member, ends so.
        let held = ledger.events(EventState::Quarantined).await?;
        let held = held.iter().filter(|event| event.member.is_none());
        for event in held {
            lives.remove(&event.id);
        }
        let broken: Vec<_> = lives.values().filter(|life| !is_complete(life)).collect();
        audit.incomplete_ledgers = unknown + broken.len();
        for life in broken {
            let steps: Vec<_> = life.iter().map(|line| (line.step, line.attempt)).collect();
            crate::say(&format!("an incomplete ledger: {steps:?}"));
        }

        let (calls, after_done) = rows.calls().await?;
        audit.handler_calls = calls;
        let by_ledger = lives
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

/// Says what happened to a member to whom the wrong thing happened.
async fn explain(openhumans: &OpenHumans, player: &Player) -> Result {
    crate::say(&format!("{player:?}"));
    for state in STATES {
        for event in openhumans.ledger().events(state).await? {
            if event.pseudonym == openhumans.ledger().pseudonym(&player.member) {
                crate::say(&format!("  {event:?}"));
            }
        }
    }
    Ok(())
}

/// Received first and once; each attempt begun before it ended, and counted without a gap (one
/// that was cut off has no end); tokens gone before the end; and then done, or stale, and nothing
/// after.
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
