//! A member who comes back while the app still deals with their leaving, or leaves while it
//! still deals with their coming.
//!
//! Two handlers of the app must not meet: the `DeauthHandler` that deletes a member's rows and the
//! [`LoginHandler`](super::LoginHandler) that makes them anew. Nothing locks the two against each
//! other. It follows from the order in which each side writes and reads:
//!
//! - The worker takes a lease on the event in the inbox, *then* reads the member's record. If the
//!   member is authorized after the event, the event is stale and no handler is called.
//! - The login writes the authorization into the member's record, *then* reads the inbox. If an
//!   event of the member is under a lease, it waits, and calls no handler before that ends.
//!
//! Whichever write comes first, the other side's read sees it, since a write that was answered is
//! seen by every later read. So a login either finds the lease, or the worker finds the login.
//! The record is written by compare-and-swap, so a login that read the record before the member
//! left does not write over what leaving wrote: it reads again, and is refused.
//!
//! The other way round, a member who leaves while the `LoginHandler` runs: the event is worked on
//! at once, and the handler of the login may make rows after that. So the login reads the record
//! once more when its handler is done. If the member has left, it keeps a second event, with the
//! same wish, and the rows go with it. Only a process that dies, or a store that fails, between
//! making rows and that read leaves them behind.

use std::time::Duration;

use tokio::time::Instant;

use crate::deauth::{
    Deauthorizer, ErasureRequest, EventQuery, EventRecord, EventState, InboxError,
};
use crate::store::MemberRecord;
use crate::{ProjectMemberId, Timestamp};

/// More events than one member ever has.
const MOST: usize = 1_000;

/// Between two looks at the inbox.
const PAUSE: Duration = Duration::from_millis(100);

/// By how much the clocks of worker and login may differ.
const SKEW: Duration = Duration::from_secs(60);

/// A lease that ends later than this from now was written by a wrong clock.
const AHEAD: Duration = Duration::from_secs(24 * 3_600);

/// Waits until no event of the member is being worked on, in any process. False if that takes
/// longer than `patience`.
pub(super) async fn is_over(
    deauthorizer: &Deauthorizer,
    member: &ProjectMemberId,
    patience: Duration,
) -> Result<bool, InboxError> {
    let give_up = Instant::now() + patience;
    let pending = EventQuery::first(MOST)
        .pseudonym(deauthorizer.names().pseudonym(member))
        .state(EventState::Pending);
    loop {
        let events = deauthorizer.inbox().events(&pending).await?;
        let now = deauthorizer.clock().now();
        if !events.iter().any(|event| is_worked_on(event, now)) {
            return Ok(true);
        }
        if Instant::now() >= give_up {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_worked_on(event: &EventRecord, now: Timestamp) -> bool {
    event
        .leased_until
        .is_some_and(|until| until + SKEW > now && until < now + AHEAD)
}

/// The member of this record has left since. Has what the login made go the way of the rest.
pub(super) async fn repeat(
    deauthorizer: &Deauthorizer,
    record: &MemberRecord,
) -> Result<(), InboxError> {
    let all = EventQuery::first(MOST).pseudonym(deauthorizer.names().pseudonym(&record.member));
    let events = deauthorizer.inbox().events(&all).await?;
    let wishes: Vec<ErasureRequest> = events
        .iter()
        .filter(|event| event.left_at >= record.authorized_at)
        .map(|event| event.erasure)
        .collect();
    let wish = [ErasureRequest::Requested, ErasureRequest::NotRequested]
        .into_iter()
        .find(|wish| wishes.contains(wish))
        .unwrap_or(ErasureRequest::Unknown);
    let _ = deauthorizer.report_disconnected(record, wish).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deauth::{Discovery, EventId, Pseudonym};

    #[test]
    fn a_lease_counts_while_it_can_be_running() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let mut event = EventRecord::new(
            EventId::new("e"),
            Pseudonym::new("p"),
            ErasureRequest::Requested,
            Discovery::Webhook,
            now,
            now,
        );
        assert!(!is_worked_on(&event, now));
        for (until, counts) in [
            (now + Duration::from_secs(60), true),
            // The worker's clock is behind ours.
            (now - Duration::from_secs(59), true),
            (now - Duration::from_secs(60), false),
            // The worker's clock was ahead by years.
            (now + Duration::from_secs(366 * 24 * 3_600), false),
        ] {
            event.leased_until = Some(until);
            assert_eq!(is_worked_on(&event, now), counts, "{until}");
        }
    }
}
