//! Progress of a transfer, for callbacks and to detect a stalled connection.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Error;

/// The progress of a transfer, reported after each chunk. It starts at 0 again if the transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that were transferred.
    pub done: u64,
    /// Bytes in total, if known.
    pub total: Option<u64>,
}

type Callback = Arc<dyn Fn(Progress) + Send + Sync>;

/// An optional progress callback.
#[derive(Clone, Default)]
pub(crate) struct ProgressCallback(Option<Callback>);

impl ProgressCallback {
    pub(crate) fn new(callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    pub(crate) fn report(&self, done: u64, total: Option<u64>) {
        if let Some(callback) = &self.0 {
            callback(Progress { done, total });
        }
    }
}

impl fmt::Debug for ProgressCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProgressCallback").finish_non_exhaustive()
    }
}

/// Counts the bytes of an upload as they are sent.
#[derive(Debug)]
pub(crate) struct TransferMeter {
    sent: AtomicU64,
    total: u64,
    progress: ProgressCallback,
}

impl TransferMeter {
    pub(crate) fn new(total: u64, progress: ProgressCallback) -> Arc<Self> {
        progress.report(0, Some(total));
        Arc::new(Self {
            sent: AtomicU64::new(0),
            total,
            progress,
        })
    }

    pub(crate) fn add(&self, bytes: usize) {
        let bytes = bytes as u64;
        let before = self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.progress.report(before + bytes, Some(self.total));
    }

    /// Runs `work`, and fails with [`Error::Timeout`] when no byte was sent for `idle`.
    pub(crate) async fn with_idle_timeout<T>(
        &self,
        idle: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            let before = self.sent.load(Ordering::Relaxed);
            match tokio::time::timeout(idle, work.as_mut()).await {
                Ok(done) => return done,
                Err(_) if self.sent.load(Ordering::Relaxed) == before => {
                    return Err(Error::Timeout);
                }
                Err(_) => {}
            }
        }
    }
}
