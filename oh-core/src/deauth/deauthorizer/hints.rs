//! Members to ask about at once: a bounded queue that cannot be made to ask much.
//!
//! Anyone can send the legacy unsigned POST, so a hint is never believed, is taken once per member
//! in ten minutes, and is dropped when the queue is full. What is dropped is not lost: the
//! reconciler comes round to every member.

use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Mutex, MutexGuard, mpsc};

use crate::ProjectMemberId;
use crate::deauth::event::EventId;

const WAITING: usize = 256;
const REMEMBERED: u64 = 10_000;
const ONCE_IN: Duration = Duration::from_secs(600);

/// A member to ask about.
#[derive(Debug)]
pub(in crate::deauth) struct Hint {
    pub(in crate::deauth) member: ProjectMemberId,
    /// The stale event that made us doubt, to be requeued if the member turns out to be gone.
    pub(in crate::deauth) stale: Option<EventId>,
}

pub(in crate::deauth) struct Hints {
    taken: Cache<(ProjectMemberId, bool), ()>,
    sender: mpsc::Sender<Hint>,
    receiver: Mutex<mpsc::Receiver<Hint>>,
}

impl Hints {
    pub(in crate::deauth) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            taken: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(ONCE_IN)
                .build(),
            sender,
            receiver: Mutex::new(receiver),
        }
    }

    /// Queues the question, unless it was queued lately or too many wait.
    pub(in crate::deauth) fn push(&self, hint: Hint) -> bool {
        // A hint with a stale event is worth asking about even right after one without.
        let key = (hint.member.clone(), hint.stale.is_some());
        if !self.taken.entry(key.clone()).or_insert(()).is_fresh() {
            return false;
        }
        let queued = self.sender.try_send(hint).is_ok();
        if !queued {
            self.taken.invalidate(&key);
        }
        queued
    }

    /// The receiving end, for the one reconciler of this handle that has it.
    pub(in crate::deauth) async fn receiver(&self) -> MutexGuard<'_, mpsc::Receiver<Hint>> {
        self.receiver.lock().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(id: usize) -> Hint {
        Hint {
            member: id.to_string().parse().unwrap(),
            stale: None,
        }
    }

    #[test]
    fn one_member_is_asked_about_once() {
        let hints = Hints::new();
        assert!(hints.push(hint(1)));
        assert!(!hints.push(hint(1)));
        assert!(hints.push(hint(2)));
    }

    #[tokio::test]
    async fn a_flood_is_dropped_and_room_is_found_again() {
        let hints = Hints::new();
        let queued = (0..10 * WAITING).filter(|id| hints.push(hint(*id))).count();
        assert_eq!(queued, WAITING);
        let first = hints.receiver().await.recv().await.unwrap();
        assert_eq!(first.member.as_str(), "0");
        assert!(hints.push(hint(10 * WAITING)));
    }
}
