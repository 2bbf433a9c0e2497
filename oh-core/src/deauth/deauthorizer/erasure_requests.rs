//! Erasure requests that members make in the application.
//!
//! The application stores the request before it removes the member at Open Humans, so that a crash
//! in between does not lose it. Until the removal is certain the request stays quarantined.

use super::{Deauthorizer, TokenProgress};
use crate::deauth::event::{DeauthEvent, Discovery, ErasureRequest};
use crate::deauth::inbox::{Accepted, EventQuery, EventState, InboxError};
use crate::deauth::metrics;
use crate::store::MemberRecord;

/// Stores an erasure request in quarantine.
pub(crate) async fn store(
    deauthorizer: &Deauthorizer,
    record: &MemberRecord,
) -> Result<DeauthEvent, InboxError> {
    let request = deauthorizer.pseudonymizer().local_event(
        record,
        ErasureRequest::Requested,
        Discovery::Disconnected,
        deauthorizer.clock().now(),
    );
    let accepted = deauthorizer.inbox().quarantine(
        &request,
        "requested in the application; removal at Open Humans not confirmed",
    );
    if let Accepted::New(_) = accepted.await? {
        metrics::count_by(
            "openhumans_deauth_received_total",
            "discovery",
            request.discovery.as_str(),
        );
    }
    Ok(request)
}

/// Releases a stored request after the member was removed at Open Humans.
pub(crate) async fn confirm(
    deauthorizer: &Deauthorizer,
    request: &DeauthEvent,
) -> Result<(), InboxError> {
    // If it is not quarantined any more, `release_for` has released it already.
    if deauthorizer.release(&request.id).await? {
        deauthorizer
            .try_to_destroy_tokens(request, TokenProgress::Untouched)
            .await;
    }
    Ok(())
}

/// Releases the stored requests of a member whose departure another event proves. The process that
/// stored them may have died.
pub(in crate::deauth) async fn release_for(
    deauthorizer: &Deauthorizer,
    event: &DeauthEvent,
) -> Result<(), InboxError> {
    let proves_departure = matches!(
        event.discovery,
        Discovery::Webhook | Discovery::Reconciliation
    );
    if !proves_departure || event.erasure == ErasureRequest::Requested {
        return Ok(());
    }
    let quarantined = EventQuery::first(100)
        .state(EventState::Quarantined)
        .pseudonym(event.pseudonym.clone());
    for request in deauthorizer.inbox().events(&quarantined).await? {
        if request.discovery == Discovery::Disconnected {
            deauthorizer.release(&request.id).await?;
        }
    }
    Ok(())
}
