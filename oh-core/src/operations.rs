//! What operators do with deauthorization events, and the state of the background work.

use crate::OpenHumans;
use crate::deauth::{
    CheckpointStatus, EventId, Heartbeats, InboxError, read_checkpoint_status, read_heartbeats,
};

impl OpenHumans {
    /// Makes a dead letter or a stale event pending again, due now.
    ///
    /// A stale event is then processed although the member has authorized the project again since:
    /// the caller has decided that. Returns false if there is no such event in one of those states.
    ///
    /// # Errors
    ///
    /// When the inbox cannot commit the change.
    pub async fn requeue_event(&self, event: &EventId) -> Result<bool, InboxError> {
        self.inner.deauthorizer.requeue(event).await
    }

    /// Makes a quarantined event pending, due now. Returns false if no such event is quarantined.
    ///
    /// # Errors
    ///
    /// When the inbox cannot commit the change.
    pub async fn release_event(&self, event: &EventId) -> Result<bool, InboxError> {
        self.inner.deauthorizer.release(event).await
    }

    /// Makes all quarantined events pending and returns their number. Closes the
    /// [circuit breaker](crate::deauth::CircuitBreaker) of this process.
    ///
    /// # Errors
    ///
    /// When the inbox fails. Events that were released before stay released.
    pub async fn release_all_events(&self) -> Result<u64, InboxError> {
        self.inner.deauthorizer.release_all().await
    }

    /// Returns when the background work of any process was last active.
    ///
    /// # Errors
    ///
    /// When the inbox cannot answer.
    pub async fn heartbeats(&self) -> Result<Heartbeats, InboxError> {
        read_heartbeats(&self.inner.deauthorizer).await
    }

    /// Returns the last checkpoint of the ledger and any problem with signing.
    ///
    /// # Errors
    ///
    /// When the inbox cannot answer.
    pub async fn checkpoint_status(&self) -> Result<CheckpointStatus, InboxError> {
        Ok(CheckpointStatus {
            enabled: self.signs_checkpoints(),
            ..read_checkpoint_status(&self.inner.deauthorizer).await?
        })
    }
}
