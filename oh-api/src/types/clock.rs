//! A clock that tests can set.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::timestamp::Timestamp;

/// The system clock, or a manual clock for tests.
///
/// ```
/// use std::time::Duration;
/// use oh_api::{Clock, Timestamp};
///
/// let clock = Clock::manual("2026-11-22T12:00:00Z".parse()?);
/// clock.advance(Duration::from_secs(36_000));
/// assert_eq!(clock.now().to_string(), "2026-11-22T22:00:00Z");
/// # Ok::<(), oh_api::InvalidTimestamp>(())
/// ```
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// Returns the system clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// Creates a clock that only moves when a test sets it. Clones share the time.
    pub fn manual(at: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(at.as_micros()))))
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp::now(),
            Some(micros) => Timestamp::from_micros(micros.load(Ordering::SeqCst)),
        }
    }

    /// Advances a manual clock. Has no effect on the system clock.
    pub fn advance(&self, by: Duration) {
        if let Some(micros) = &self.0 {
            let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            micros.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Sets a manual clock. Has no effect on the system clock.
    pub fn set(&self, at: Timestamp) {
        if let Some(micros) = &self.0 {
            micros.store(at.as_micros(), Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
