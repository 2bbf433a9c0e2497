//! How long to wait before trying again: longer each time, up to a limit, and never in step with
//! others.

use std::time::Duration;

/// Waits that double from `first` up to `longest`, each a quarter longer or shorter by chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

/// What keeps on failing while a database is down is tried again after these waits.
pub(super) const TROUBLE: Backoff = Backoff {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(5),
};

impl Backoff {
    /// The wait after failure number `failures`, from 1.
    pub(super) fn wait(self, failures: u32) -> Duration {
        let chance = f64::from(u16::from_le_bytes(crate::random::bytes())) / f64::from(u16::MAX);
        self.after(failures).mul_f64(0.75 + chance / 2.0)
    }

    fn after(self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(31));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Backoff = Backoff {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(3_600),
    };

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<_> = (0..5).map(|n| USUAL.after(n).as_secs()).collect();
        assert_eq!(waits, [1, 1, 2, 4, 8]);
        assert_eq!(USUAL.after(13).as_secs(), 3_600);
        assert_eq!(USUAL.after(u32::MAX).as_secs(), 3_600);
    }

    #[test]
    fn chance_keeps_within_a_quarter() {
        let waits: Vec<_> = (0..200).map(|_| USUAL.wait(3)).collect();
        assert!(waits.iter().all(|w| (3.0..=5.0).contains(&w.as_secs_f64())));
        assert!(waits.iter().any(|w| *w != waits[0]));
    }
}
