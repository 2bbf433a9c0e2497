//! Heartbeats of the background work.
//!
//! The worker and the reconciler may run in another process than the dashboard that shows their
//! state, so they leave notes under named locks in the inbox.

use std::time::Duration;

use super::deauthorizer::Deauthorizer;
use super::inbox::InboxError;
use super::job_lock::JobLock;
use super::reconciler;
use crate::Timestamp;

/// The interval between two heartbeats of a worker.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

const WORKER: &str = "worker";

/// When the background work of any process was last active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeats {
    /// The last heartbeat of any worker. Each worker sends one every [`HEARTBEAT_INTERVAL`].
    pub worker: Option<Timestamp>,
    /// Whether a reconciliation pass is running.
    pub reconciler_running: bool,
    /// When the last complete reconciliation pass ended, unless one is running.
    pub reconciler: Option<Timestamp>,
}

/// Reads the heartbeats of all processes that share the inbox.
pub(crate) async fn read(deauthorizer: &Deauthorizer) -> Result<Heartbeats, InboxError> {
    let now = deauthorizer.clock().now();
    let worker = deauthorizer.inbox().lock_state(WORKER, now).await?;
    let reconciler = deauthorizer
        .inbox()
        .lock_state(reconciler::JOB, now)
        .await?;
    let last_pass = serde_json::from_str::<reconciler::Note>(&reconciler.note).ok();
    Ok(Heartbeats {
        worker: worker.note.parse().ok(),
        reconciler_running: reconciler.held,
        reconciler: last_pass
            .filter(|_| !reconciler.held)
            .map(|note| note.finished),
    })
}

/// Sends the heartbeat of a worker until the task is aborted.
pub(super) async fn run(deauthorizer: Deauthorizer) {
    let lock = JobLock::new(&deauthorizer, WORKER, Duration::ZERO);
    let mut interval = tokio::time::interval(HEARTBEAT_INTERVAL);
    loop {
        interval.tick().await;
        // The worker itself logs that the inbox is unreachable.
        if let Ok(Some(_)) = lock.acquire().await {
            let _ = lock.release(&deauthorizer.clock().now().to_string()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::inbox::DeauthInbox;
    use super::super::test_support::{Setting, at};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn worker_heartbeat_repeats_every_interval() {
        let setting = Setting::new();
        let heartbeats = read(&setting.deauthorizer).await.unwrap();
        assert_eq!(heartbeats, Heartbeats::default());

        let task = tokio::spawn(run(setting.deauthorizer.clone()));
        tokio::time::sleep(HEARTBEAT_INTERVAL / 2).await;
        let heartbeats = read(&setting.deauthorizer).await.unwrap();
        assert_eq!(heartbeats.worker, Some(at(100)));
        setting.clock.advance(HEARTBEAT_INTERVAL);
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        let heartbeats = read(&setting.deauthorizer).await.unwrap();
        assert_eq!(heartbeats.worker, Some(at(115)));
        task.abort();
    }

    #[tokio::test]
    async fn reconciler_heartbeat_shows_running_and_last_pass() {
        let setting = Setting::new();
        let lock = JobLock::new(
            &setting.deauthorizer,
            reconciler::JOB,
            Duration::from_secs(30),
        );
        assert!(lock.acquire().await.unwrap().is_some());
        let heartbeats = read(&setting.deauthorizer).await.unwrap();
        assert!(heartbeats.reconciler_running && heartbeats.reconciler.is_none());

        let note = format!(r#"{{"finished":"{}"}}"#, at(99));
        lock.release(&note).await.unwrap();
        let heartbeats = read(&setting.deauthorizer).await.unwrap();
        assert!(!heartbeats.reconciler_running);
        assert_eq!(heartbeats.reconciler, Some(at(99)));
        // Reading does not acquire the lock.
        let next = setting
            .inbox
            .acquire_lock(reconciler::JOB, "next", at(100), at(130))
            .await;
        assert_eq!(next.unwrap(), Some(note));
    }
}
