//! Things that can go wrong on purpose.
//!
//! A fault is planted at an [`Endpoint`](crate::Endpoint), for the next few requests or until it
//! is cleared. What each does is said as seen by the client, and whether the request takes effect
//! is part of it: a server that answers 500 may well have done what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use url::Url;

use crate::Endpoint;

/// What goes wrong with an answer.
///
/// In JSON, as `POST /sandbox/faults` takes it: `{"kind": "rate_limited", "retry_after": 3}`.
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
    /// This answer instead of the real one. The request has no effect.
    Status {
        /// The status code, 200 to 599.
        status: u16,
        /// The `Content-Type` of the body.
        content_type: String,
        /// The body.
        body: String,
    },
    /// 429 as a proxy in front would answer. The request has no effect.
    RateLimited {
        /// Seconds for the `Retry-After` header; none is sent without.
        retry_after: Option<u64>,
    },
    /// A 500 page. The request has no effect.
    Html500,
    /// A 500 page, although the request has taken effect.
    Html500After,
    /// No answer until [`Sandbox::release`](crate::Sandbox::release), then the real one. The
    /// request takes effect only then, and not at all if the client has gone away, which
    /// [`Sandbox::wait_for_hanging`](crate::Sandbox::wait_for_hanging) tells.
    Hang,
    /// The request takes effect at once, the answer comes after
    /// [`Sandbox::release`](crate::Sandbox::release).
    HangAfter,
    /// The real answer, late and slowly.
    Slow {
        /// How long nothing happens at all, in milliseconds.
        #[serde(default)]
        delay_ms: u64,
        /// How fast the body comes after that; as fast as it can without.
        #[serde(default)]
        bytes_per_second: Option<u64>,
    },
    /// The connection is reset before the request has any effect, without an answer.
    Reset,
    /// The request takes effect, the connection is reset without an answer.
    ResetAfter,
    /// The request takes effect; half of the answer's body comes, then the connection is reset.
    /// For a PUT to the object store: half of the request is read, then the connection is reset,
    /// and nothing is stored.
    ResetMidBody,
    /// The request takes effect; the answer is complete HTTP, but its body stops half way.
    TruncatedJson,
    /// The request takes effect; the answer promises ten bytes more than come.
    WrongContentLength,
    /// The `next` link of a list leads to another host.
    NextLinkToOtherHost {
        /// That host. Path and query of the link stay as they are.
        host: Url,
    },
    /// Members come and go while a list is read: each page after the first begins elsewhere.
    ShiftingPages {
        /// By how many items: negative repeats items of the page before, positive skips some.
        by: i64,
    },
}

impl Fault {
    /// A JSON answer with a status.
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

    /// A page with a status, as a proxy in front of the server would answer: 502, 503, 504.
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

    /// Nothing for a while, then the real answer.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self::Slow {
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            bytes_per_second: None,
        }
    }

    /// An answer that trickles.
    #[must_use]
    pub fn trickle(bytes_per_second: u64) -> Self {
        Self::Slow {
            delay_ms: 0,
            bytes_per_second: Some(bytes_per_second),
        }
    }
}

/// Which faults are planted where, and who is being kept waiting.
#[derive(Debug)]
pub(crate) struct Faults {
    queues: Mutex<HashMap<Endpoint, VecDeque<QueuedFault>>>,
    released: watch::Sender<u64>,
    hanging: watch::Sender<usize>,
}

#[derive(Debug)]
struct QueuedFault {
    fault: Fault,
    /// For how many more requests; `None` until cleared.
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
    /// Plants a fault behind those already there.
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

    /// The fault that the next request to an endpoint meets.
    pub(crate) fn take(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut queues = self.lock();
        let queue = queues.get_mut(&endpoint)?;
        queue.retain(|fault| fault.remaining != Some(0));
        let first = queue.front_mut()?;
        first.remaining = first.remaining.map(|count| count - 1);
        Some(first.fault.clone())
    }

    /// Lets go whoever hangs now.
    pub(crate) fn release(&self) {
        self.released.send_modify(|generation| *generation += 1);
    }

    /// What a request waits on if it hangs. Taken as it arrives, so that no release after that is
    /// missed, however far the request has come.
    pub(crate) fn waiter(&self) -> ReleaseWaiter {
        ReleaseWaiter {
            released: self.released.subscribe(),
            hanging: self.hanging.clone(),
        }
    }

    /// Waits until just so many requests hang.
    pub(crate) async fn wait_for_hanging(&self, requests: usize) {
        // Fails only when the sandbox is gone, and then nobody need wait.
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

/// Waits for the first release after it was made.
pub(crate) struct ReleaseWaiter {
    released: watch::Receiver<u64>,
    hanging: watch::Sender<usize>,
}

impl ReleaseWaiter {
    pub(crate) async fn wait(&mut self) {
        let _hanging = Hanging::one_more(&self.hanging);
        // Fails only when the sandbox is gone, and then nobody need wait.
        let _ = self.released.changed().await;
    }
}

/// Counts a request that hangs for as long as it does, its being given up included.
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
    fn a_fault_lasts_for_as_many_requests_as_it_was_planted_for() {
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
    async fn release_lets_go_those_who_hang() {
        let faults = Faults::default();
        let mut waiter = faults.waiter();
        let mut waiting = Box::pin(waiter.wait());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        faults.release();
        waiting.await;
    }

    #[tokio::test]
    async fn a_release_between_arriving_and_hanging_counts() {
        let faults = Faults::default();
        let mut waiter = faults.waiter();
        faults.release();
        waiter.wait().await;
    }
}
