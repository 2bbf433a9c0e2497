//! A circuit breaker for mass deauthorization.
//!
//! After a backup was restored, or in a staging copy with another client's credentials, Open Humans
//! rejects the tokens of every member, as it does after members have left. If more members appear
//! deauthorized within an hour than is plausible, the events of the rest are quarantined until an
//! operator has looked.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::Timestamp;
use crate::store::{MemberRecord, StoreError, TokenStore};

const WINDOW: Duration = Duration::from_secs(3_600);
const PAGE_SIZE: usize = 1_000;

/// Limits for deauthorizations that one process may discover within an hour.
///
/// The limit is the larger of both values. It applies to members whom Open Humans no longer knows and
/// to lost tokens. Signed webhooks are always accepted.
///
/// ```
/// use oh_core::deauth::CircuitBreaker;
///
/// let breaker = CircuitBreaker::default();
/// assert_eq!((breaker.share, breaker.at_least), (0.1, 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CircuitBreaker {
    /// The share of all members, from 0 to 1. Default: 0.1.
    pub share: f64,
    /// The number of members that is always accepted. Default: 10.
    pub at_least: u32,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            share: 0.1,
            at_least: 10,
        }
    }
}

impl CircuitBreaker {
    /// Disables the circuit breaker.
    pub const OFF: Self = Self {
        share: 1.0,
        at_least: u32::MAX,
    };
}

/// The state of the circuit breaker.
pub(super) struct Breaker {
    limits: CircuitBreaker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The deauthorizations of the last hour.
    recent: Vec<Timestamp>,
    /// The number of members, and when they were counted.
    members: Option<(Timestamp, u64)>,
    open: bool,
}

/// What to do with one more deauthorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    /// This one has opened the breaker.
    JustOpened,
    Open,
}

impl Breaker {
    pub(super) fn new(limits: CircuitBreaker) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    pub(super) async fn is_open(&self) -> bool {
        self.state.lock().await.open
    }

    pub(super) async fn close(&self) {
        let mut state = self.state.lock().await;
        state.open = false;
        state.recent.clear();
    }

    /// Counts one more deauthorization.
    pub(super) async fn count_one(
        &self,
        store: &dyn TokenStore,
        now: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let mut state = self.state.lock().await;
        if state.open {
            return Ok(Verdict::Open);
        }
        state.recent.retain(|at| *at + WINDOW >= now && *at <= now);
        state.recent.push(now);
        let recent = state.recent.len() as u64;
        if recent <= u64::from(self.limits.at_least) {
            return Ok(Verdict::Accept);
        }
        let members = match state.members {
            Some((at, members)) if now.since(at) < WINDOW && at <= now => members,
            _ => {
                // The recently deauthorized were members an hour ago.
                let members = count_authorized(store).await? + recent;
                state.members = Some((now, members));
                members
            }
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "members are far fewer than 2^52"
        )]
        if recent as f64 <= self.limits.share * members as f64 {
            return Ok(Verdict::Accept);
        }
        state.open = true;
        Ok(Verdict::JustOpened)
    }
}

async fn count_authorized(store: &dyn TokenStore) -> Result<u64, StoreError> {
    let mut members = 0;
    let mut after = None;
    loop {
        let page = store.page(after.as_ref(), PAGE_SIZE).await?;
        members += page
            .iter()
            .filter(|r| MemberRecord::is_authorized(r))
            .count() as u64;
        match page.last() {
            Some(last) => after = Some(last.member.clone()),
            None => return Ok(members),
        }
    }
}

#[cfg(test)]
mod tests;
