//! What a completion writes, said once for both databases.

use oh_core::Timestamp;
use oh_core::deauth::{Completion, EventState, Step};

/// The columns that a [`Completion`] sets, and its line in the ledger.
pub(crate) struct Change<'a> {
    pub(crate) state: EventState,
    /// When the next try is due, if there is one.
    pub(crate) due_at: Option<i64>,
    pub(crate) settled_at: Option<i64>,
    /// The project member id goes.
    pub(crate) forget: bool,
    pub(crate) step: Step,
    pub(crate) note: Option<&'a str>,
}

impl<'a> Change<'a> {
    pub(crate) fn of(completion: &'a Completion, now: Timestamp) -> Self {
        let settled = |state, step, note| Self {
            state,
            due_at: None,
            settled_at: Some(now.as_micros()),
            forget: state == EventState::Done,
            step,
            note,
        };
        match completion {
            Completion::Done { note } => settled(EventState::Done, Step::Done, note.as_deref()),
            Completion::DeadLetter { note } => {
                settled(EventState::DeadLetter, Step::DeadLettered, Some(note))
            }
            Completion::Stale => settled(EventState::Stale, Step::Stale, None),
            Completion::Retry { due_at, note } => Self {
                state: EventState::Pending,
                due_at: Some(due_at.as_micros()),
                settled_at: None,
                forget: false,
                step: Step::Failed,
                note: Some(note),
            },
        }
    }
}
