//! How far a transfer is, for whoever watches and for noticing that it has stopped.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Error;

/// How far a transfer is. Given to a callback after each chunk; it begins anew when the transfer
/// does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes moved.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
}

type Callback = Arc<dyn Fn(Progress) + Send + Sync>;

/// A callback that may not be there.
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
        f.write_str(if self.0.is_some() {
            "ProgressCallback(..)"
        } else {
            "ProgressCallback"
        })
    }
}

/// Counts bytes as they leave.
#[derive(Debug)]
pub(crate) struct TransferMeter {
    moved: AtomicU64,
    total: u64,
    progress: ProgressCallback,
}

impl TransferMeter {
    pub(crate) fn new(total: u64, progress: ProgressCallback) -> Arc<Self> {
        progress.report(0, Some(total));
        Arc::new(Self {
            moved: AtomicU64::new(0),
            total,
            progress,
        })
    }

    pub(crate) fn moved(&self, bytes: usize) {
        let bytes = bytes as u64;
        let before = self.moved.fetch_add(bytes, Ordering::Relaxed);
        self.progress.report(before + bytes, Some(self.total));
    }

    /// Runs `work` for as long as something moves, or [`Error::Timeout`] once nothing has for
    /// `idle`.
    pub(crate) async fn while_moving<T>(
        &self,
        idle: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            let before = self.moved.load(Ordering::Relaxed);
            match tokio::time::timeout(idle, work.as_mut()).await {
                Ok(done) => return done,
                Err(_) if self.moved.load(Ordering::Relaxed) == before => {
                    return Err(Error::Timeout);
                }
                Err(_) => {}
            }
        }
    }
}
