//! The change that a completed attempt makes, for both dialects.

use oh_core::Timestamp;
use oh_core::deauth::{Completion, EventState, Step};

/// The columns that a [`Completion`] sets, and the step that it writes to the ledger.
pub(crate) struct Change<'a> {
    /// When the attempt was completed.
    #[cfg(feature = "postgres")]
    pub(crate) at: Timestamp,
    pub(crate) state: EventState,
    /// When the next attempt is due, if there is one.
    pub(crate) due_at: Option<i64>,
    pub(crate) settled_at: Option<i64>,
    /// Whether the project member id is removed.
    pub(crate) remove_member: bool,
    pub(crate) step: Step,
    pub(crate) note: Option<&'a str>,
}

impl<'a> Change<'a> {
    pub(crate) fn new(completion: &'a Completion, now: Timestamp) -> Self {
        let settled = |state, step, note| Self {
            #[cfg(feature = "postgres")]
            at: now,
            state,
            due_at: None,
            settled_at: Some(now.as_micros()),
            remove_member: state == EventState::Done,
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
                #[cfg(feature = "postgres")]
                at: now,
                state: EventState::Pending,
                due_at: Some(due_at.as_micros()),
                settled_at: None,
                remove_member: false,
                step: Step::Failed,
                note: Some(note),
            },
        }
    }
}
