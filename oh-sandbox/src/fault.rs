//! Fault injection.
//!
//! A test adds a fault to an [`Endpoint`](crate::Endpoint), for the next requests or until it is
//! removed. Each fault specifies what the client observes and whether the request takes effect: a
//! server that responds 500 may have executed the request.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use url::Url;

use crate::Endpoint;

/// A fault that changes a response.
///
/// The JSON form for `POST /sandbox/faults` is `{"kind": "rate_limited", "retry_after": 3}`.
///
/// ```
/// use oh_sandbox::Fault;
///
/// let fault: Fault = serde_json::from_str(r#"{"kind": "rate_limited", "retry_after": 3}"#).unwrap();
/// assert_eq!(fault, Fault::RateLimited { retry_after: Some(3) });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// Responds with this response. The request has no effect.
    Status {
        /// The status code, 200 to 599.
        status: u16,
        /// The `Content-Type` of the body.
        content_type: String,
        /// The body.
        body: String,
    },
    /// Responds 429 like a reverse proxy. The request has no effect.
    RateLimited {
        /// The seconds in the `Retry-After` header. Without a value there is no header.
        retry_after: Option<u64>,
    },
    /// Responds with a 500 page. The request has no effect.
    Html500,
    /// Responds with a 500 page after the request has taken effect.
    Html500After,
    /// Delays the request until [`Sandbox::release`](crate::Sandbox::release), then processes it.
    /// The request has no effect if the client disconnects first;
    /// [`Sandbox::wait_for_hanging`](crate::Sandbox::wait_for_hanging) detects that.
    Hang,
    /// Processes the request, but delays the response until
    /// [`Sandbox::release`](crate::Sandbox::release).
    HangAfter,
    /// Delays the real response and limits its speed.
    Slow {
        /// The delay in milliseconds.
        #[serde(default)]
        delay_ms: u64,
        /// The speed of the body. Without a value it is not limited.
        #[serde(default)]
        bytes_per_second: Option<u64>,
    },
    /// Resets the connection. The request has no effect.
    Reset,
    /// Resets the connection after the request has taken effect.
    ResetAfter,
    /// Resets the connection in the middle of the response body. The request takes effect.
    ///
    /// For a PUT to the object store: resets the connection in the middle of the request body, and
    /// stores nothing.
    ResetMidBody,
    /// Truncates the body. The response is complete HTTP, and the request takes effect.
    TruncatedJson,
    /// Sends a `Content-Length` that is ten bytes too long. The request takes effect.
    WrongContentLength,
    /// Changes the host in the `next` link of a list.
    NextLinkToOtherHost {
        /// The other host. The path and the query of the link do not change.
        host: Url,
    },
    /// Shifts each page of a list after the first, as if the list changed between requests.
    ShiftingPages {
        /// The number of items. A negative number repeats items of the previous page, a positive
        /// one skips items.
        by: i64,
    },
}

impl Fault {
    /// Creates a fault that responds with JSON.
    ///
    /// ```
    /// let fault = oh_sandbox::Fault::json(401, r#"{"error": "invalid_grant"}"#);
    /// # let _ = fault;
    /// ```
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Status {
            status,
            content_type: "application/json".into(),
            body: body.into(),
        }
    }

    /// Creates a fault that responds with an HTML page, like a reverse proxy that responds 502, 503
    /// or 504.
    #[must_use]
    pub fn page(status: u16) -> Self {
        let body = format!(
            "<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
        );
        Self::Status {
            status,
            content_type: "text/html".into(),
            body,
        }
    }

    /// Creates a fault that delays the response.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self::Slow {
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            bytes_per_second: None,
        }
    }

    /// Creates a fault that limits the speed of the body.
    #[must_use]
    pub fn trickle(bytes_per_second: u64) -> Self {
        Self::Slow {
            delay_ms: 0,
            bytes_per_second: Some(bytes_per_second),
        }
    }
}

/// The faults of each endpoint, and the requests that hang.
#[derive(Debug)]
pub(crate) struct Faults {
    queues: Mutex<HashMap<Endpoint, VecDeque<QueuedFault>>>,
    released: watch::Sender<u64>,
    hanging: watch::Sender<usize>,
}

#[derive(Debug)]
struct QueuedFault {
    fault: Fault,
    /// The number of further requests, or `None` for no limit.
    remaining: Option<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            queues: Mutex::default(),
            released: watch::Sender::new(0),
            hanging: watch::Sender::new(0),
        }
    }
}

impl Faults {
    /// Appends a fault to the queue of an endpoint.
    pub(crate) fn add(&self, endpoint: Endpoint, fault: Fault, times: Option<u64>) {
        self.lock()
            .entry(endpoint)
            .or_default()
            .push_back(QueuedFault {
                fault,
                remaining: times,
            });
    }

    pub(crate) fn clear_all(&self) {
        self.lock().clear();
    }

    /// Returns the fault for the next request to an endpoint.
    pub(crate) fn take(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut queues = self.lock();
        let queue = queues.get_mut(&endpoint)?;
        queue.retain(|fault| fault.remaining != Some(0));
        let first = queue.front_mut()?;
        first.remaining = first.remaining.map(|count| count - 1);
        Some(first.fault.clone())
    }

    /// Releases all requests that hang.
    pub(crate) fn release(&self) {
        self.released.send_modify(|generation| *generation += 1);
    }

    /// Creates the waiter of a request. Create it when the request arrives, so that the request
    /// does not miss a later release.
    pub(crate) fn waiter(&self) -> ReleaseWaiter {
        ReleaseWaiter {
            released: self.released.subscribe(),
            hanging: self.hanging.clone(),
        }
    }

    /// Waits until exactly this number of requests hang.
    pub(crate) async fn wait_for_hanging(&self, requests: usize) {
        // An error means that the sandbox has stopped.
        let _ = self
            .hanging
            .subscribe()
            .wait_for(|&hanging| hanging == requests)
            .await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, VecDeque<QueuedFault>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the first release after its creation.
pub(crate) struct ReleaseWaiter {
    released: watch::Receiver<u64>,
    hanging: watch::Sender<usize>,
}

impl ReleaseWaiter {
    pub(crate) async fn wait(&mut self) {
        let _hanging = Hanging::one_more(&self.hanging);
        // An error means that the sandbox has stopped.
        let _ = self.released.changed().await;
    }
}

/// Counts a hanging request until it is dropped.
struct Hanging<'a>(&'a watch::Sender<usize>);

impl<'a> Hanging<'a> {
    fn one_more(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_applies_to_requested_number_of_requests() {
        let faults = Faults::default();
        faults.add(Endpoint::Token, Fault::Html500, Some(2));
        faults.add(Endpoint::Token, Fault::Reset, None);
        assert_eq!(faults.take(Endpoint::Token), Some(Fault::Html500));
        assert_eq!(faults.take(Endpoint::Token), Some(Fault::Html500));
        assert_eq!(faults.take(Endpoint::Token), Some(Fault::Reset));
        assert_eq!(faults.take(Endpoint::Members), None);
        faults.clear_all();
        assert_eq!(faults.take(Endpoint::Token), None);
    }

    #[tokio::test]
    async fn release_wakes_waiter() {
        let faults = Faults::default();
        let mut waiter = faults.waiter();
        let mut waiting = Box::pin(waiter.wait());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        faults.release();
        waiting.await;
    }

    #[tokio::test]
    async fn release_before_wait_wakes_waiter() {
        let faults = Faults::default();
        let mut waiter = faults.waiter();
        faults.release();
        waiter.wait().await;
    }
}
