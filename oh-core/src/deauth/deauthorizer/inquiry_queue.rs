//! Queues of members about whom Open Humans is to be asked soon.
//!
//! Anyone can send an unsigned notification, so it proves nothing: each member is queued at most once
//! in ten minutes, and dropped if the queue is full. Members with an event that may be mistaken for
//! stale have a separate queue, which strangers cannot fill. Dropping a member loses nothing, because
//! reconciliation passes cover all members.

use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Mutex, mpsc};

use crate::ProjectMemberId;

const MAX_QUEUED: usize = 256;
const MAX_REMEMBERED: u64 = 10_000;
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// The queues.
pub(in crate::deauth) struct InquiryQueue {
    unsigned: Queue,
    stale: Queue,
}

struct Queue {
    recent: Cache<ProjectMemberId, ()>,
    sender: mpsc::Sender<ProjectMemberId>,
    receiver: Mutex<mpsc::Receiver<ProjectMemberId>>,
}

impl InquiryQueue {
    pub(super) fn new() -> Self {
        Self {
            unsigned: Queue::new(),
            stale: Queue::new(),
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

    /// Waits for the next member. Members with a stale event come first.
    pub(in crate::deauth) async fn pop(&self) -> Option<ProjectMemberId> {
        let mut stale = self.stale.receiver.lock().await;
        let mut unsigned = self.unsigned.receiver.lock().await;
        tokio::select! {
            biased;
            member = stale.recv() => member,
            member = unsigned.recv() => member,
        }
    }
}

impl Queue {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        let recent = Cache::builder()
            .max_capacity(MAX_REMEMBERED)
            .time_to_live(REPEAT_INTERVAL)
            .build();
        Self {
            recent,
            sender,
            receiver: Mutex::new(receiver),
        }
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
        assert_eq!(queue.pop().await.unwrap(), member(7));
        assert_eq!(queue.pop().await.unwrap(), member(0));
        assert!(queue.push_unsigned(&member(10 * MAX_QUEUED)));
    }
}
