use std::ops::Range;

use super::*;
use crate::deauth::test_support::{Setting, at};

/// A brake over a store of members.
struct Trial {
    setting: Setting,
    braking: Braking,
}

impl Trial {
    async fn new(brake: CircuitBreaker, members: usize) -> Self {
        let trial = Self {
            setting: Setting::new(),
            braking: Braking::new(brake),
        };
        trial.join(0..members).await;
        trial
    }

    async fn join(&self, numbers: Range<usize>) {
        for number in numbers {
            self.setting.authorize(number, at(0)).await;
        }
    }

    /// Whether one more departure is believed.
    async fn believes(&self, now: Timestamp) -> bool {
        let verdict = self.braking.one_more(&*self.setting.store, now).await;
        verdict.unwrap() == Verdict::Believe
    }
}

#[tokio::test]
async fn a_departure_counts_for_an_hour() {
    let later = at(3_600) + Duration::from_micros(1);
    for (second, believed) in [(at(10), false), (at(3_600), false), (later, true)] {
        let trial = Trial::new(CircuitBreaker::new(0.0, 1), 0).await;
        assert!(trial.believes(at(0)).await);
        assert_eq!(trial.believes(second).await, believed, "{second}");
    }
}

#[tokio::test]
async fn a_departure_of_a_clock_that_was_ahead_does_not_count() {
    let trial = Trial::new(CircuitBreaker::new(0.0, 1), 0).await;
    assert!(trial.believes(at(100)).await);
    assert!(trial.believes(at(50)).await);
    assert!(!trial.believes(at(60)).await);
}

#[tokio::test]
async fn so_many_as_are_believed_in_any_case_and_not_one_more() {
    let trial = Trial::new(CircuitBreaker::new(0.0, 3), 0).await;
    for _ in 0..3 {
        assert!(trial.believes(at(0)).await);
    }
    assert!(!trial.believes(at(0)).await);
}

/// A tenth of 47 members is four. Then hundreds join.
async fn four_departures_then_many_join() -> Trial {
    let trial = Trial::new(CircuitBreaker::new(0.1, 1), 45).await;
    for _ in 0..4 {
        assert!(trial.believes(at(0)).await);
    }
    trial.join(45..400).await;
    trial
}

#[tokio::test]
async fn the_share_is_of_the_members_as_counted_within_the_hour() {
    for (now, believed) in [(at(10), false), (at(3_599), false), (at(3_600), true)] {
        let trial = four_departures_then_many_join().await;
        assert_eq!(trial.believes(now).await, believed, "{now}");
    }
}

#[tokio::test]
async fn members_counted_by_a_clock_that_was_ahead_are_counted_anew() {
    let trial = four_departures_then_many_join().await;
    for _ in 0..5 {
        assert!(trial.believes(at(-10)).await);
    }
}

#[tokio::test]
async fn members_of_every_page_count() {
    // Two and a half of them.
    let trial = Trial::new(CircuitBreaker::new(0.001, 1), 2_500).await;
    for believed in [true, true, false] {
        assert_eq!(trial.believes(at(0)).await, believed);
    }
}

#[tokio::test]
async fn no_brake_believes_everything() {
    let trial = Trial::new(CircuitBreaker::off(), 30).await;
    for _ in 0..30 {
        assert!(trial.believes(at(0)).await);
    }
}
