//! The members of the play, and what each must have come to in the end.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oh_core::deauth::EventId;
use oh_core::{OpenHumans, ProjectMemberId};

use crate::Result;

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Asks to be erased; the webhook is sent until it is accepted.
    Asks,
    /// Leaves without asking for that; likewise.
    Leaves,
    /// Leaves at the sandbox, asking to be erased. It tries the webhook once, and never again.
    AsksAtTheSandbox,
    /// Asks the app itself to be erased, until it says yes or Open Humans has removed the member,
    /// whose webhook then knows of no such wish.
    AsksHere,
    /// Stays, while someone replays an old webhook that was never delivered.
    StaysDespiteAReplay,
    /// Stays.
    Stays,
}

impl Part {
    fn of(number: u64) -> Self {
        match number % 20 {
            0..=11 => Self::Asks,
            12 | 13 => Self::Leaves,
            14 | 15 => Self::AsksAtTheSandbox,
            16 => Self::AsksHere,
            17 => Self::StaysDespiteAReplay,
            _ => Self::Stays,
        }
    }

    /// Whether the member's rows must be gone in the end.
    pub(crate) fn is_erased(self) -> bool {
        matches!(self, Self::Asks | Self::AsksAtTheSandbox | Self::AsksHere)
    }

    fn is_gone(self) -> bool {
        self.is_erased() || self == Self::Leaves
    }
}

/// A member whose scene has been played to its end.
#[derive(Clone, Debug)]
pub(crate) struct Player {
    pub(crate) member: ProjectMemberId,
    pub(crate) part: Part,
    /// The event that was answered with 2xx.
    pub(crate) accepted: Option<EventId>,
}

/// Everyone so far.
#[derive(Debug, Default)]
pub(crate) struct Cast {
    next: AtomicU64,
    closed: std::sync::atomic::AtomicBool,
    players: Mutex<Vec<Player>>,
}

impl Cast {
    /// The next member, unless the play is over.
    pub(crate) fn next(&self) -> Result<Option<(ProjectMemberId, Part)>> {
        if self.closed.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        Ok(Some((format!("{number:08}").parse()?, Part::of(number))))
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_played(&self, player: Player) {
        self.lock().push(player);
    }

    pub(crate) fn players(&self) -> Vec<Player> {
        self.lock().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// How many of those who left are taken for members still.
    pub(crate) async fn unnoticed(&self, openhumans: &OpenHumans) -> Result<usize> {
        let mut unnoticed = 0;
        for player in self.players().iter().filter(|player| player.part.is_gone()) {
            let record = openhumans.token_store().load(&player.member).await?;
            unnoticed += usize::from(
                record.is_some_and(|record| record.is_authorized() || record.has_lost_tokens()),
            );
        }
        Ok(unnoticed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Player>> {
        self.players.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number below `end`.
pub(crate) fn random(end: u64) -> u64 {
    RandomState::new().build_hasher().finish() % end
}
