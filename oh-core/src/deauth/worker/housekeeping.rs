//! Clearing tombstones away.
//!
//! The record of a member who left keeps a login that was under way from bringing the member back.
//! Such a login lives at most an hour: half of that its cookie, half its code. After that the
//! record is only a trace of someone who may have asked to be erased, so it goes.

use std::time::Duration;

use crate::deauth::deauthorizer::Deauthorizer;
use crate::deauth::inbox::{EventQuery, EventState};
use crate::store::{MemberRecord, PutOutcome};
use crate::transport::BoxError;
use crate::{ProjectMemberId, Timestamp};

/// How old a tombstone gets, and how often one looks for such.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

const JOB: &str = "tombstones";
const LOCK_TTL: Duration = Duration::from_secs(300);
const PAGE: usize = 200;

/// Removes tombstones older than an hour whose member has no event pending, if it is time and
/// nobody else does. Gives how many, or `None` if it was not this process that held the lock.
pub(super) async fn sweep(
    deauthorizer: &Deauthorizer,
    holder: &str,
) -> Result<Option<u64>, BoxError> {
    let inbox = deauthorizer.inbox();
    let now = deauthorizer.clock().now();
    let Some(last) = inbox.acquire_lock(JOB, holder, now, now + LOCK_TTL).await? else {
        return Ok(None);
    };
    let swept_lately = last
        .parse::<Timestamp>()
        .is_ok_and(|last| now.since(last) < HOUR);
    if swept_lately {
        let _ = inbox.update_lock(JOB, holder, now, &last).await?;
        return Ok(None);
    }
    let mut removed = 0;
    let mut after: Option<ProjectMemberId> = None;
    loop {
        let page = deauthorizer
            .token_store()
            .page(after.as_ref(), PAGE)
            .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.member.clone());
        for record in page.iter().filter(|record| is_old(record, now)) {
            if !has_pending(deauthorizer, record).await?
                && deauthorizer
                    .token_store()
                    .remove(&record.member, record.version)
                    .await?
                    == PutOutcome::Stored
            {
                removed += 1;
            }
        }
        let now = deauthorizer.clock().now();
        if inbox
            .acquire_lock(JOB, holder, now, now + LOCK_TTL)
            .await?
            .is_none()
        {
            return Ok(Some(removed));
        }
    }
    let _ = inbox
        .update_lock(JOB, holder, now, &now.to_string())
        .await?;
    Ok(Some(removed))
}

fn is_old(record: &MemberRecord, now: Timestamp) -> bool {
    // Whoever may be there still is kept in mind: the reconciler asks the list.
    let has_left = !record.is_authorized() && !record.has_lost_tokens();
    has_left && record.deauthorized_at.is_none_or(|at| at + HOUR < now)
}

async fn has_pending(deauthorizer: &Deauthorizer, record: &MemberRecord) -> Result<bool, BoxError> {
    let query = EventQuery {
        state: Some(EventState::Pending),
        pseudonym: Some(deauthorizer.names().pseudonym(&record.member)),
        limit: 1,
        ..EventQuery::default()
    };
    let found = deauthorizer.inbox().events(&query).await?;
    Ok(!found.is_empty())
}

#[cfg(test)]
mod tests;
