//! Counters and gauges of members leaving, through the `metrics` facade.
//!
//! Behind the `metrics` feature; without it each of these is nothing. No label holds anything
//! about a member.
//!
//! | name | kind | counts |
//! |---|---|---|
//! | `openhumans_deauth_received_total` | counter, by `discovery` | events newly accepted |
//! | `openhumans_deauth_duplicates_total` | counter | events that were there already |
//! | `openhumans_deauth_quarantined_total` | counter | events held until someone releases them |
//! | `openhumans_deauth_accepted_late_total` | counter | verified events kept only after the webhook was answered with 503, or nearly |
//! | `openhumans_deauth_abandoned_total` | counter | verified events that could not be kept at all |
//! | `openhumans_deauth_rejected_total` | counter, by `reason` | webhooks not accepted |
//! | `openhumans_deauth_failed_total` | counter | attempts of the handler that failed |
//! | `openhumans_deauth_slow_total` | counter | times a handler was found at work on one event for another ten minutes |
//! | `openhumans_deauth_done_total` | counter | events done |
//! | `openhumans_deauth_dead_letters_total` | counter | events given up |
//! | `openhumans_deauth_stale_total` | counter | events found older than an authorization |
//! | `openhumans_deauth_reconciled_total` | counter, by `standing` | members asked about |
//! | `openhumans_deauth_pending` | gauge | events pending |
//! | `openhumans_deauth_oldest_pending_seconds` | gauge | the age of the oldest of them |

use super::event::Discovery;
use super::inbox::InboxStats;
use crate::Timestamp;

macro_rules! count {
    ($name:literal $(, $label:literal => $value:expr)?) => {{
        #[cfg(feature = "metrics")]
        metrics::counter!($name $(, $label => $value)?).increment(1);
        $(#[cfg(not(feature = "metrics"))]
        let _ = $value;)?
    }};
}

pub(crate) fn received(discovery: Discovery) {
    count!("openhumans_deauth_received_total", "discovery" => discovery.as_str());
}

pub(crate) fn duplicate() {
    count!("openhumans_deauth_duplicates_total");
}

pub(crate) fn quarantined() {
    count!("openhumans_deauth_quarantined_total");
}

pub(crate) fn accepted_late() {
    count!("openhumans_deauth_accepted_late_total");
}

pub(crate) fn abandoned() {
    count!("openhumans_deauth_abandoned_total");
}

/// A webhook was not accepted. The reason is one of a fixed few words.
pub(crate) fn rejected(reason: &'static str) {
    count!("openhumans_deauth_rejected_total", "reason" => reason);
}

pub(crate) fn failed() {
    count!("openhumans_deauth_failed_total");
}

pub(crate) fn slow() {
    count!("openhumans_deauth_slow_total");
}

pub(crate) fn done() {
    count!("openhumans_deauth_done_total");
}

pub(crate) fn dead_lettered() {
    count!("openhumans_deauth_dead_letters_total");
}

pub(crate) fn stale() {
    count!("openhumans_deauth_stale_total");
}

pub(crate) fn reconciled(standing: &'static str) {
    count!("openhumans_deauth_reconciled_total", "standing" => standing);
}

#[cfg(feature = "metrics")]
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(crate) fn stand(stats: &InboxStats, now: Timestamp) {
    let age = stats
        .oldest_pending
        .map_or(0.0, |at| now.since(at).as_secs_f64());
    metrics::gauge!("openhumans_deauth_pending").set(stats.pending as f64);
    metrics::gauge!("openhumans_deauth_oldest_pending_seconds").set(age);
}
#[cfg(not(feature = "metrics"))]
pub(crate) fn stand(_: &InboxStats, _: Timestamp) {}

#[cfg(all(test, feature = "metrics"))]
mod tests;
