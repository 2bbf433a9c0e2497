//! Metrics of deauthorization, through the `metrics` facade.
//!
//! Available with the feature `metrics`; without it nothing is recorded. No label contains personal
//! data.
//!
//! | name | type | value |
//! |---|---|---|
//! | `openhumans_deauth_received_total` | counter, by `discovery` | events stored |
//! | `openhumans_deauth_duplicates_total` | counter | events that were stored already |
//! | `openhumans_deauth_quarantined_total` | counter | events quarantined until an operator releases them |
//! | `openhumans_deauth_accepted_late_total` | counter | verified events stored by a retry, usually after the webhook was answered with 503 |
//! | `openhumans_deauth_abandoned_total` | counter | verified events that were never stored |
//! | `openhumans_deauth_rejected_total` | counter, by `reason` | webhooks rejected |
//! | `openhumans_deauth_failed_total` | counter | failed attempts |
//! | `openhumans_deauth_slow_total` | counter | ten-minute periods that a handler has run for one event |
//! | `openhumans_deauth_done_total` | counter | events done |
//! | `openhumans_deauth_dead_letters_total` | counter | events that became dead letters |
//! | `openhumans_deauth_stale_total` | counter | events older than the member's latest authorization |
//! | `openhumans_deauth_reconciled_total` | counter, by `status` | members about whom Open Humans was asked |
//! | `openhumans_deauth_pending` | gauge | pending events |
//! | `openhumans_deauth_oldest_pending_seconds` | gauge | the age of the oldest pending event |

use super::inbox::InboxStats;
use crate::Timestamp;

/// Increments a counter.
pub(crate) fn count(name: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(name).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = name;
}

/// Increments a counter with a label. The values come from a fixed set of words.
pub(crate) fn count_by(name: &'static str, label: &'static str, value: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(name, label => value).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (name, label, value);
}

#[cfg(feature = "metrics")]
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(crate) fn update_gauges(stats: &InboxStats, now: Timestamp) {
    let age = stats
        .oldest_pending
        .map_or(0.0, |at| now.since(at).as_secs_f64());
    metrics::gauge!("openhumans_deauth_pending").set(stats.pending as f64);
    metrics::gauge!("openhumans_deauth_oldest_pending_seconds").set(age);
}
#[cfg(not(feature = "metrics"))]
pub(crate) fn update_gauges(_: &InboxStats, _: Timestamp) {}

#[cfg(all(test, feature = "metrics"))]
mod tests;
