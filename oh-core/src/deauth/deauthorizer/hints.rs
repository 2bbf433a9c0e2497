//! Members to ask about at once: bounded queues that cannot be made to ask much.
//!
//! Anyone can send the legacy unsigned POST, so such a hint is never believed, is taken once per
//! member in ten minutes, and is dropped when its queue is full. Doubts of our own, of events that
//! look stale, have a queue that no stranger can fill. What is dropped is not lost: the reconciler
//! comes round to every member.

use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Mutex, MutexGuard, mpsc};

use crate::ProjectMemberId;

const WAITING: usize = 256;
const REMEMBERED: u64 = 10_000;
const ONCE_IN: Duration = Duration::from_secs(600);

/// The queues.
pub(in crate::deauth) struct Hints {
    told: Queue,
    doubts: Queue,
    receiver: Mutex<Receiver>,
}

/// The receiving end of both.
pub(in crate::deauth) struct Receiver {
    told: mpsc::Receiver<ProjectMemberId>,
    doubts: mpsc::Receiver<ProjectMemberId>,
}

struct Queue {
    taken: Cache<ProjectMemberId, ()>,
    sender: mpsc::Sender<ProjectMemberId>,
}

impl Hints {
    pub(in crate::deauth) fn new() -> Self {
        let ((told, told_receiver), (doubts, doubts_receiver)) = (Queue::new(), Queue::new());
        let receiver = Receiver {
            told: told_receiver,
            doubts: doubts_receiver,
        };
        Self {
            told,
            doubts,
            receiver: Mutex::new(receiver),
        }
    }

    /// Someone who need not be believed named this member.
    pub(in crate::deauth) fn told(&self, member: &ProjectMemberId) -> bool {
        self.told.push(member)
    }

    /// An event of this member looks stale, and may not be.
    pub(in crate::deauth) fn doubt(&self, member: &ProjectMemberId) -> bool {
        self.doubts.push(member)
    }

    /// The receiving end, for the one reconciler of this handle that has it.
    pub(in crate::deauth) async fn receiver(&self) -> MutexGuard<'_, Receiver> {
        self.receiver.lock().await
    }
}

impl Receiver {
    /// The next member to ask about: doubts first.
    pub(in crate::deauth) async fn recv(&mut self) -> Option<ProjectMemberId> {
        tokio::select! {
            biased;
            Some(member) = self.doubts.recv() => Some(member),
            member = self.told.recv() => member,
        }
    }
}

impl Queue {
    fn new() -> (Self, mpsc::Receiver<ProjectMemberId>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let taken = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(ONCE_IN)
            .build();
        (Self { taken, sender }, receiver)
    }

    /// Queues the question, unless it was queued lately or too many wait.
    fn push(&self, member: &ProjectMemberId) -> bool {
        if !self.taken.entry(member.clone()).or_insert(()).is_fresh() {
            return false;
        }
        let queued = self.sender.try_send(member.clone()).is_ok();
        if !queued {
            self.taken.invalidate(member);
        }
        queued
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: usize) -> ProjectMemberId {
        number.to_string().parse().unwrap()
    }

    #[test]
    fn one_member_is_asked_about_once() {
        let hints = Hints::new();
        assert!(hints.told(&member(1)));
        assert!(!hints.told(&member(1)));
        assert!(hints.told(&member(2)));
    }

    #[tokio::test]
    async fn a_flood_is_dropped_and_displaces_no_doubt() {
        let hints = Hints::new();
        let queued = (0..10 * WAITING)
            .filter(|n| hints.told(&member(*n)))
            .count();
        assert_eq!(queued, WAITING);
        // Of the same member as one in the flood.
        assert!(hints.doubt(&member(7)));
        let mut receiver = hints.receiver().await;
        assert_eq!(receiver.recv().await.unwrap(), member(7));
        assert_eq!(receiver.recv().await.unwrap(), member(0));
        assert!(hints.told(&member(10 * WAITING)));
    }
}
