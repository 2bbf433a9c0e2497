use std::ops::Range;

use super::*;
use crate::deauth::test_support::{Setting, at};

/// A circuit breaker over a store with members.
struct Trial {
    setting: Setting,
    breaker: Breaker,
}

impl Trial {
    async fn new(share: f64, at_least: u32, members: usize) -> Self {
        let trial = Self {
            setting: Setting::new(),
            breaker: Breaker::new(CircuitBreaker { share, at_least }),
        };
        trial.join(0..members).await;
        trial
    }

    async fn join(&self, numbers: Range<usize>) {
        for number in numbers {
            self.setting.authorize(number, at(0)).await;
        }
    }

    /// Whether the breaker accepts one more deauthorization.
    async fn accepts(&self, now: Timestamp) -> bool {
        let verdict = self.breaker.count_one(&*self.setting.store, now).await;
        verdict.unwrap() == Verdict::Accept
    }
}

#[tokio::test]
async fn deauthorization_counts_for_one_hour() {
    let later = at(3_600) + Duration::from_micros(1);
    for (second, accepted) in [(at(10), false), (at(3_600), false), (later, true)] {
        let trial = Trial::new(0.0, 1, 0).await;
        assert!(trial.accepts(at(0)).await);
        assert_eq!(trial.accepts(second).await, accepted, "{second}");
    }
}

#[tokio::test]
async fn deauthorization_in_the_future_does_not_count() {
    let trial = Trial::new(0.0, 1, 0).await;
    for (now, accepted) in [(at(100), true), (at(50), true), (at(60), false)] {
        assert_eq!(trial.accepts(now).await, accepted, "{now}");
    }
}

#[tokio::test]
async fn breaker_opens_after_limit() {
    // The share of 2,500 members, which take several pages, is 2.5.
    for (share, at_least, members, limit) in [(0.0, 3, 0, 3), (0.001, 1, 2_500, 2)] {
        let trial = Trial::new(share, at_least, members).await;
        for number in 0..limit + 1 {
            assert_eq!(trial.accepts(at(0)).await, number < limit, "{number}");
        }
    }
}

#[tokio::test]
async fn disabled_breaker_accepts_everything() {
    let CircuitBreaker { share, at_least } = CircuitBreaker::OFF;
    let trial = Trial::new(share, at_least, 30).await;
    for _ in 0..30 {
        assert!(trial.accepts(at(0)).await);
    }
}

/// A tenth of 47 members is four. Then hundreds join.
async fn four_deauthorizations_then_many_joins() -> Trial {
    let trial = Trial::new(0.1, 1, 45).await;
    for _ in 0..4 {
        assert!(trial.accepts(at(0)).await);
    }
    trial.join(45..400).await;
    trial
}

#[tokio::test]
async fn members_are_counted_again_after_an_hour() {
    for (now, accepted) in [(at(10), false), (at(3_599), false), (at(3_600), true)] {
        let trial = four_deauthorizations_then_many_joins().await;
        assert_eq!(trial.accepts(now).await, accepted, "{now}");
    }
}

#[tokio::test]
async fn member_count_from_the_future_is_discarded() {
    let trial = four_deauthorizations_then_many_joins().await;
    for _ in 0..5 {
        assert!(trial.accepts(at(-10)).await);
    }
}
