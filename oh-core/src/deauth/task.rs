//! Long-running background tasks: a handle to stop one, and protection from panics.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::AbortOnDropHandle;

use crate::transport::BoxError;

/// A running background task. Dropping the handle aborts the task.
#[derive(Debug)]
#[must_use = "dropping the handle aborts the task"]
pub(crate) struct TaskHandle {
    name: &'static str,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl TaskHandle {
    /// Spawns a task on the current tokio runtime. `work` receives a future that completes when the
    /// task must stop.
    pub(super) fn spawn<F>(
        name: &'static str,
        work: impl FnOnce(WaitForCancellationFutureOwned) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(work(stop.clone().cancelled_owned()));
        Self {
            name,
            stop,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// Asks the task to stop and waits until it has ended.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, task = self.name, "background task panicked");
        }
    }
}

/// Turns a panic of `work` into an error.
///
/// Stores and inboxes that an application provides may panic, which must not end a background task.
/// The panic hook has reported the panic itself.
pub(super) async fn catch_panic<T, E: Into<BoxError>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, BoxError> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err("the store or inbox panicked".into()),
    }
}
