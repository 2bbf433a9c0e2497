//! Queues of members about whom Open Humans is to be asked soon.
//!
//! Anyone can send an unsigned notification, so it proves nothing: each member is queued at most once
//! in ten minutes, and dropped if the queue is full. Members with an event that may be mistaken for
//! stale have a separate queue, which strangers cannot fill. Dropping a member loses nothing, because
//! reconciliation passes cover all members.

use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Mutex, MutexGuard, mpsc};

use crate::ProjectMemberId;

const MAX_QUEUED: usize = 256;
const MAX_REMEMBERED: u64 = 10_000;
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// The queues.
pub(in crate::deauth) struct InquiryQueue {
    unsigned: Queue,
    stale: Queue,
    receiver: Mutex<Receiver>,
}

/// The receiving end of both queues.
pub(in crate::deauth) struct Receiver {
    unsigned: mpsc::Receiver<ProjectMemberId>,
    stale: mpsc::Receiver<ProjectMemberId>,
}

struct Queue {
    recent: Cache<ProjectMemberId, ()>,
    sender: mpsc::Sender<ProjectMemberId>,
}

impl InquiryQueue {
    pub(super) fn new() -> Self {
        let (unsigned, unsigned_receiver) = Queue::new();
        let (stale, stale_receiver) = Queue::new();
        Self {
            unsigned,
            stale,
            receiver: Mutex::new(Receiver {
                unsigned: unsigned_receiver,
                stale: stale_receiver,
            }),
        }
    }

    /// Queues a member that an unsigned notification named.
    pub(super) fn push_unsigned(&self, member: &ProjectMemberId) -> bool {
        self.unsigned.push(member)
    }

    /// Queues a member with an event that may be mistaken for stale.
    pub(super) fn push_stale(&self, member: &ProjectMemberId) -> bool {
        self.stale.push(member)
    }

    /// Waits for the receiving end, which one reconciler of the process holds.
    pub(in crate::deauth) async fn receiver(&self) -> MutexGuard<'_, Receiver> {
        self.receiver.lock().await
    }
}

impl Receiver {
    /// Receives the next member, those with a stale event first.
    pub(in crate::deauth) async fn recv(&mut self) -> Option<ProjectMemberId> {
        tokio::select! {
            biased;
            Some(member) = self.stale.recv() => Some(member),
            member = self.unsigned.recv() => member,
        }
    }
}

impl Queue {
    fn new() -> (Self, mpsc::Receiver<ProjectMemberId>) {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        let recent = Cache::builder()
            .max_capacity(MAX_REMEMBERED)
            .time_to_live(REPEAT_INTERVAL)
            .build();
        (Self { recent, sender }, receiver)
    }

    fn push(&self, member: &ProjectMemberId) -> bool {
        if !self.recent.entry(member.clone()).or_insert(()).is_fresh() {
            return false;
        }
        let queued = self.sender.try_send(member.clone()).is_ok();
        if !queued {
            self.recent.invalidate(member);
        }
        queued
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deauth::test_support::member;

    #[test]
    fn member_is_queued_once_in_repeat_interval() {
        let queue = InquiryQueue::new();
        assert!(queue.push_unsigned(&member(1)));
        assert!(!queue.push_unsigned(&member(1)));
        assert!(queue.push_unsigned(&member(2)));
    }

    #[tokio::test]
    async fn flood_of_unsigned_notifications_displaces_no_stale_event() {
        let queue = InquiryQueue::new();
        let queued = (0..10 * MAX_QUEUED)
            .filter(|number| queue.push_unsigned(&member(*number)))
            .count();
        assert_eq!(queued, MAX_QUEUED);
        // The flood names this member, too.
        assert!(queue.push_stale(&member(7)));
        let mut receiver = queue.receiver().await;
        assert_eq!(receiver.recv().await.unwrap(), member(7));
        assert_eq!(receiver.recv().await.unwrap(), member(0));
        assert!(queue.push_unsigned(&member(10 * MAX_QUEUED)));
    }
}
