//! The members of a run, and the expected result for each.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oh_core::deauth::EventId;
use oh_core::{OpenHumans, ProjectMemberId};

use crate::Result;

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Leaves with an erasure request. The webhook is sent until it is accepted.
    RequestsErasure,
    /// Leaves without an erasure request. The webhook is sent until it is accepted.
    Leaves,
    /// Leaves at the sandbox with an erasure request. The sandbox sends the webhook once.
    RequestsErasureAtOpenHumans,
    /// Requests erasure in the application, until it succeeds or Open Humans has removed the member. The
    /// webhook then contains no erasure request.
    RequestsErasureInApp,
    /// Stays, and an old webhook is replayed.
    StaysDespiteReplay,
    /// Stays.
    Stays,
}

impl Scenario {
    fn of(number: u64) -> Self {
        match number % 20 {
            0..=11 => Self::RequestsErasure,
            12 | 13 => Self::Leaves,
            14 | 15 => Self::RequestsErasureAtOpenHumans,
            16 => Self::RequestsErasureInApp,
            17 => Self::StaysDespiteReplay,
            _ => Self::Stays,
        }
    }

    /// Whether the member's rows must be deleted at the end.
    pub(crate) fn expects_erasure(self) -> bool {
        matches!(
            self,
            Self::RequestsErasure | Self::RequestsErasureAtOpenHumans | Self::RequestsErasureInApp
        )
    }

    fn has_left(self) -> bool {
        self.expects_erasure() || self == Self::Leaves
    }
}

/// A member whose scenario is complete.
#[derive(Clone, Debug)]
pub(crate) struct Participant {
    pub(crate) member: ProjectMemberId,
    pub(crate) scenario: Scenario,
    /// The event whose webhook got a 2xx response.
    pub(crate) accepted: Option<EventId>,
}

/// All members whose scenarios are complete.
#[derive(Debug, Default)]
pub(crate) struct Participants {
    next: AtomicU64,
    closed: std::sync::atomic::AtomicBool,
    participants: Mutex<Vec<Participant>>,
}

impl Participants {
    /// Returns the next member, unless the run is over.
    pub(crate) fn next(&self) -> Result<Option<(ProjectMemberId, Scenario)>> {
        if self.closed.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        Ok(Some((
            format!("{number:08}").parse()?,
            Scenario::of(number),
        )))
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn add(&self, participant: Participant) {
        self.lock().push(participant);
    }

    pub(crate) fn all(&self) -> Vec<Participant> {
        self.lock().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Counts departed members that are still authorized or have lost tokens.
    pub(crate) async fn count_unnoticed(&self, openhumans: &OpenHumans) -> Result<usize> {
        let mut unnoticed = 0;
        for participant in self
            .all()
            .iter()
            .filter(|participant| participant.scenario.has_left())
        {
            let record = openhumans.token_store().load(&participant.member).await?;
            unnoticed += usize::from(
                record.is_some_and(|record| record.is_authorized() || record.has_lost_tokens()),
            );
        }
        Ok(unnoticed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Participant>> {
        self.participants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A random number below `end`.
pub(crate) fn random(end: u64) -> u64 {
    RandomState::new().build_hasher().finish() % end
}
