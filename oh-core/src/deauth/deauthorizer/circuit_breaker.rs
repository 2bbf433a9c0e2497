//! A brake on mass departure.
//!
//! A restored backup holds tokens that were replaced long ago, and a staging copy under another
//! client's credentials holds tokens that are not its own: Open Humans answers `invalid_grant` for
//! every member, as it does for those who have left. Where more members turn out gone within an
//! hour than is to be believed, the rest are held until someone has looked.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::Timestamp;
use crate::store::{MemberRecord, StoreError, TokenStore};

const WINDOW: Duration = Duration::from_secs(3_600);
const PAGE: usize = 1_000;

/// How many members may turn out gone within an hour, in one process, before the others are held.
///
/// Only those count who were found to be gone, or whose tokens were lost. What a signed webhook
/// tells is acted on, however many there are.
///
/// ```
/// use oh_core::deauth::CircuitBreaker;
///
/// let brake = CircuitBreaker::default();
/// assert_eq!((brake.share, brake.at_least), (0.1, 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CircuitBreaker {
    /// The share of all members. Default 0.1.
    pub share: f64,
    /// So many are believed in any case. Default 10.
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
    /// With limits of one's own.
    pub fn new(share: f64, at_least: u32) -> Self {
        Self { share, at_least }
    }

    /// None: every departure that is found is acted on.
    pub fn off() -> Self {
        Self::new(1.0, u32::MAX)
    }
}

/// The brake at work.
pub(super) struct Braking {
    brake: CircuitBreaker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When members turned out gone, within the last hour.
    recent: VecDeque<Timestamp>,
    /// How many members there are, and as of when.
    members: Option<(Timestamp, u64)>,
    on: bool,
}

/// What the brake says of one more departure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Believe,
    /// It has just gone on.
    HoldFirst,
    Hold,
}

impl Braking {
    pub(super) fn new(brake: CircuitBreaker) -> Self {
        Self {
            brake,
            state: Mutex::default(),
        }
    }

    pub(super) async fn is_on(&self) -> bool {
        self.state.lock().await.on
    }

    /// Nothing is held any more: whoever looked has decided.
    pub(super) async fn release(&self) {
        let mut state = self.state.lock().await;
        state.on = false;
        state.recent.clear();
    }

    /// One more member turned out gone.
    pub(super) async fn one_more(
        &self,
        store: &dyn TokenStore,
        now: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let mut state = self.state.lock().await;
        if state.on {
            return Ok(Verdict::Hold);
        }
        while state
            .recent
            .front()
            .is_some_and(|at| *at + WINDOW < now || *at > now)
        {
            state.recent.pop_front();
        }
        state.recent.push_back(now);
        let gone = state.recent.len() as u64;
        if gone <= u64::from(self.brake.at_least) {
            return Ok(Verdict::Believe);
        }
        let members = match state.members {
            Some((at, members)) if now.since(at) < WINDOW && at <= now => members,
            _ => {
                // Those who are gone already count as members of an hour ago.
                let members = count(store).await? + gone;
                state.members = Some((now, members));
                members
            }
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "members are far fewer than 2^52"
        )]
        if gone as f64 <= self.brake.share * members as f64 {
            return Ok(Verdict::Believe);
        }
        state.on = true;
        Ok(Verdict::HoldFirst)
    }
}

async fn count(store: &dyn TokenStore) -> Result<u64, StoreError> {
    let mut members = 0;
    let mut after = None;
    loop {
        let page = store.page(after.as_ref(), PAGE).await?;
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
