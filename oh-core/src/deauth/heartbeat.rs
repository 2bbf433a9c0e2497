//! Signs of life of the background work, for whoever watches over it.
//!
//! Worker and reconciler may run in another process than the one that is asked. So they leave
//! notes in the inbox, under named locks that nobody holds for longer than it takes to write.

use std::time::Duration;

use super::deauthorizer::Deauthorizer;
use super::inbox::{InboxError, LeaseOutcome};
use super::reconciler;
use crate::Timestamp;

/// How often a worker leaves a note.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

const WORKER: &str = "worker";

/// When background work was last heard of, in any process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeats {
    /// When a worker last said that it is at work: each does so every [`HEARTBEAT_INTERVAL`].
    pub worker: Option<Timestamp>,
    /// Whether a reconciler is asking about members now.
    pub reconciler_asking: bool,
    /// When a reconciler last ended a round over all members.
    pub reconciler: Option<Timestamp>,
}

impl Deauthorizer {
    /// When worker and reconciler were last heard of, in any process that shares the inbox.
    ///
    /// # Errors
    ///
    /// When the inbox cannot answer.
    pub async fn heartbeats(&self) -> Result<Heartbeats, InboxError> {
        let now = self.clock().now();
        let worker = self.inbox().lock_state(WORKER, now).await?;
        let reconciler = self.inbox().lock_state(reconciler::JOB, now).await?;
        Ok(Heartbeats {
            worker: worker.note.parse().ok(),
            reconciler_asking: reconciler.held,
            reconciler: serde_json::from_str::<reconciler::Note>(&reconciler.note)
                .ok()
                .filter(|_| !reconciler.held)
                .map(|note| note.finished),
        })
    }
}

/// Leaves a note that a worker is at work, again and again.
pub(super) async fn beat(deauthorizer: Deauthorizer) {
    let holder = crate::random::hex();
    let mut every = tokio::time::interval(HEARTBEAT_INTERVAL);
    loop {
        every.tick().await;
        // Another note will come. That the inbox does not answer is said elsewhere.
        let _ = note(&deauthorizer, &holder).await;
    }
}

async fn note(deauthorizer: &Deauthorizer, holder: &str) -> Result<(), InboxError> {
    let inbox = deauthorizer.inbox();
    let now = deauthorizer.clock().now();
    if inbox
        .acquire_lock(WORKER, holder, now, now)
        .await?
        .is_some()
    {
        let text = now.to_string();
        let (LeaseOutcome::Applied | LeaseOutcome::Lost) =
            inbox.update_lock(WORKER, holder, now, &text).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Setting, at};
    use super::*;

    #[tokio::test]
    async fn nothing_was_heard_of_work_that_never_ran() {
        let setting = Setting::new();
        let signs = setting.deauthorizer.heartbeats().await.unwrap();
        assert_eq!(signs, Heartbeats::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_heard_of_again_and_again() {
        let setting = Setting::new();
        let beating = tokio::spawn(beat(setting.deauthorizer.clone()));
        tokio::time::sleep(HEARTBEAT_INTERVAL / 2).await;
        let signs = setting.deauthorizer.heartbeats().await.unwrap();
        assert_eq!(signs.worker, Some(at(100)));
        setting.clock.advance(HEARTBEAT_INTERVAL);
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        let signs = setting.deauthorizer.heartbeats().await.unwrap();
        assert_eq!(signs.worker, Some(at(115)));
        beating.abort();
    }

    #[tokio::test]
    async fn a_reconciler_is_seen_asking_and_having_asked() {
        let setting = Setting::new();
        let inbox = setting.deauthorizer.inbox();
        let job = reconciler::JOB;
        let _ = inbox
            .acquire_lock(job, "one", at(100), at(130))
            .await
            .unwrap();
        let signs = setting.deauthorizer.heartbeats().await.unwrap();
        assert!(signs.reconciler_asking && signs.reconciler.is_none());

        let note = format!(r#"{{"finished":"{}"}}"#, at(99));
        let kept = inbox.update_lock(job, "one", at(100), &note).await.unwrap();
        assert_eq!(kept, LeaseOutcome::Applied);
        let signs = setting.deauthorizer.heartbeats().await.unwrap();
        assert!(!signs.reconciler_asking);
        assert_eq!(signs.reconciler, Some(at(99)));
        // Having looked, one is in nobody's way.
        let next = inbox
            .acquire_lock(job, "two", at(100), at(130))
            .await
            .unwrap();
        assert_eq!(next, Some(note));
    }
}
