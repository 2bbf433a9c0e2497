//! Stores and inboxes of an app's own may panic. A task that runs for as long as the app does must
//! not end when they do: it takes a panic as an error like any other.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::transport::BoxError;

/// Does the work. The panic itself has been said by the panic hook.
pub(super) async fn caught<T, E: Into<BoxError>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, BoxError> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err("it panicked".into()),
    }
}
