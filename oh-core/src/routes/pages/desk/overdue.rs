//! What should have been done by now, and is not.

use crate::Timestamp;
use crate::deauth::{DEADLINE, DeauthInbox, EventQuery, EventRecord, EventState, InboxError};

/// Where events are that can be overdue.
pub(super) const STATES: [EventState; 3] = [
    EventState::Pending,
    EventState::DeadLetter,
    EventState::Quarantined,
];

/// The first of a query's events that are overdue. Those that a later event has made up for are
/// passed over: nobody need see to them.
pub(super) async fn first(
    inbox: &dyn DeauthInbox,
    mut query: EventQuery,
    now: Timestamp,
) -> Result<Vec<EventRecord>, InboxError> {
    query.received_before = Some(now - DEADLINE);
    let mut found = Vec::new();
    while found.len() < query.limit {
        let page = inbox.events(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some((last.received_at, last.id.clone()));
        found.extend(page.into_iter().filter(EventRecord::is_open));
    }
    found.truncate(query.limit);
    Ok(found)
}
