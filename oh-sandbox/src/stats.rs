//! Request counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use crate::Endpoint;

/// The request counts, also returned by `GET /sandbox/stats`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The number of requests by endpoint, including failed requests.
    pub requests: BTreeMap<Endpoint, u64>,
    /// The requests to the token endpoint.
    pub tokens: TokenStats,
    /// The number of webhook requests, including second attempts.
    pub webhooks: u64,
}

/// The requests to the token endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenStats {
    /// The number of requests.
    pub total: u64,
    /// The number of responses with tokens.
    pub succeeded: u64,
    /// The number of requests by grant type and outcome, which is `granted` or an OAuth2 error.
    /// Requests without an effect because of a fault are not included.
    pub by_grant: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The request counters.
#[derive(Debug)]
pub(crate) struct Counter {
    stats: Mutex<Stats>,
    changed: watch::Sender<()>,
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            stats: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }
}

impl Counter {
    pub(crate) fn snapshot(&self) -> Stats {
        self.lock().clone()
    }

    pub(crate) fn reset(&self) {
        *self.lock() = Stats::default();
        self.changed.send_replace(());
    }

    pub(crate) fn arrived(&self, endpoint: Endpoint) {
        let mut stats = self.lock();
        *stats.requests.entry(endpoint).or_default() += 1;
        if endpoint == Endpoint::Token {
            stats.tokens.total += 1;
        }
        drop(stats);
        self.changed.send_replace(());
    }

    pub(crate) fn token_request(&self, grant_type: &str, outcome: &str) {
        let mut stats = self.lock();
        if outcome == "granted" {
            stats.tokens.succeeded += 1;
        }
        let outcomes = stats
            .tokens
            .by_grant
            .entry(grant_type.to_owned())
            .or_default();
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    pub(crate) fn webhooks(&self, made: usize) {
        self.lock().webhooks += made as u64;
    }

    pub(crate) fn count(&self, endpoint: Endpoint) -> u64 {
        self.lock().requests.get(&endpoint).copied().unwrap_or(0)
    }

    /// Waits until an endpoint has received at least this number of requests.
    pub(crate) async fn wait_for(&self, endpoint: Endpoint, times: u64) {
        let mut changed = self.changed.subscribe();
        while self.count(endpoint) < times {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wait_for_returns_when_count_is_reached() {
        let counter = Counter::default();
        counter.arrived(Endpoint::Token);
        let mut waiting = Box::pin(counter.wait_for(Endpoint::Token, 2));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        counter.arrived(Endpoint::Token);
        waiting.await;
        assert_eq!(counter.snapshot().tokens.total, 2);
    }
}
