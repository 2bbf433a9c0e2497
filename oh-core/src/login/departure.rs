//! Keeps the application's `DeauthHandler` and [`LoginHandler`](super::LoginHandler) apart.
//!
//! One handler deletes a member's rows, the other creates them, and no lock covers both. Their
//! order follows from what each side writes before it reads:
//!
//! - The worker leases the event in the inbox, *then* reads the member's record. If the member was
//!   authorized after the event, the event is stale and the worker calls no handler.
//! - The login writes the authorization into the member's record, *then* reads the inbox. While an
//!   event of the member is leased, it waits and calls no handler.
//!
//! Whichever write comes first, the other side's read sees it, because a completed write is visible
//! to every later read. So either the login finds the lease, or the worker finds the login. The
//! record is written by compare-and-swap: a login that read the record before a deauthorization
//! cannot overwrite it; it reads the record again and fails.
//!
//! A member can also be deauthorized while the `LoginHandler` runs. The worker processes that event
//! immediately, and the login's handler may create rows after it. The login therefore reads the
//! record again when its handler returns. If the member has been deauthorized, it submits a second
//! event with the same erasure request, which deletes the new rows. Rows remain only if the
//! process dies or the store fails between the handler and that read.

use std::time::Duration;

use tokio::time::Instant;

use crate::deauth::{
    Deauthorizer, ErasureRequest, EventQuery, EventRecord, EventState, InboxError,
};
use crate::store::MemberRecord;
use crate::{ProjectMemberId, Timestamp};

/// Limit of inbox queries, above the number of events that one member ever has.
const MAX_EVENTS: usize = 1_000;

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Tolerated difference between the clocks of the worker and the login.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A lease with a later end was written by a process with a wrong clock and is ignored.
const MAX_LEASE: Duration = Duration::from_secs(24 * 3_600);

/// Waits until no process is working on an event of the member. Returns false after `timeout`.
pub(super) async fn wait_until_idle(
    deauthorizer: &Deauthorizer,
    member: &ProjectMemberId,
    timeout: Duration,
) -> Result<bool, InboxError> {
    let deadline = Instant::now() + timeout;
    let pending = EventQuery::first(MAX_EVENTS)
        .pseudonym(deauthorizer.pseudonymizer().pseudonym(member))
        .state(EventState::Pending);
    loop {
        let events = deauthorizer.inbox().events(&pending).await?;
        let now = deauthorizer.clock().now();
        if !events.iter().any(|event| is_leased(event, now)) {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn is_leased(event: &EventRecord, now: Timestamp) -> bool {
    event
        .leased_until
        .is_some_and(|until| until + CLOCK_SKEW > now && until < now + MAX_LEASE)
}

/// Submits another deauthorization after one that happened during the login, so that the worker
/// deletes the rows that the login created. It repeats the erasure request of the first.
pub(super) async fn submit_again(
    deauthorizer: &Deauthorizer,
    record: &MemberRecord,
) -> Result<(), InboxError> {
    let pseudonym = deauthorizer.pseudonymizer().pseudonym(&record.member);
    let query = EventQuery::first(MAX_EVENTS).pseudonym(pseudonym);
    let events = deauthorizer.inbox().events(&query).await?;
    let during_login = |request: &ErasureRequest| {
        let mut events = events.iter();
        events.any(|event| event.left_at >= record.authorized_at && event.erasure == *request)
    };
    let erasure = [ErasureRequest::Requested, ErasureRequest::NotRequested]
        .into_iter()
        .find(during_login)
        .unwrap_or(ErasureRequest::Unknown);
    let _ = deauthorizer.report_disconnected(record, erasure).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deauth::{DeauthEvent, Discovery, EventId, Pseudonym};

    #[test]
    fn lease_counts_only_within_clock_skew_and_maximum_length() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let mut event = EventRecord::pending(&DeauthEvent {
            id: EventId::new("e"),
            member: "01026778".parse().unwrap(),
            pseudonym: Pseudonym::new("p"),
            erasure: ErasureRequest::Requested,
            discovery: Discovery::Webhook,
            left_at: now,
            received_at: now,
        });
        assert!(!is_leased(&event, now));
        for (until, counts) in [
            (now + Duration::from_secs(60), true),
            // The worker's clock is behind.
            (now - Duration::from_secs(59), true),
            (now - Duration::from_secs(60), false),
            // The worker's clock was years ahead.
            (now + Duration::from_secs(366 * 24 * 3_600), false),
        ] {
            event.leased_until = Some(until);
            assert_eq!(is_leased(&event, now), counts, "{until}");
        }
    }
}
