//! Removes old tombstones.
//!
//! A tombstone keeps a login that was pending when the member left from restoring the member. Such a
//! login lives at most an hour: half of that its cookie, half its code. After that the tombstone is
//! only a trace of a person, so it is removed.

use std::time::Duration;

use crate::deauth::deauthorizer::Deauthorizer;
use crate::deauth::inbox::{EventQuery, EventState, InboxError};
use crate::deauth::job_lock::JobLock;
use crate::store::{MemberRecord, PutOutcome};
use crate::transport::BoxError;
use crate::{ProjectMemberId, Timestamp};

const MAX_AGE: Duration = Duration::from_secs(3_600);
const INTERVAL: Duration = Duration::from_secs(3_600);
const JOB: &str = "tombstones";
const LOCK_TTL: Duration = Duration::from_secs(300);
const PAGE_SIZE: usize = 200;

/// Removes old tombstones every hour until the task is aborted.
pub(super) async fn run(deauthorizer: Deauthorizer) {
    let lock = JobLock::new(&deauthorizer, JOB, LOCK_TTL);
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        match remove_old(&deauthorizer, &lock).await {
            Ok(Some(removed)) => tracing::debug!(removed, "removed tombstones"),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = &*error, "failed to remove tombstones"),
        }
    }
}

/// Removes the tombstones of members without a pending event and returns their number. Returns `None`
/// if another process has done so within the last hour, or is doing so.
async fn remove_old(deauthorizer: &Deauthorizer, lock: &JobLock) -> Result<Option<u64>, BoxError> {
    let store = deauthorizer.token_store();
    let Some(note) = lock.acquire().await? else {
        return Ok(None);
    };
    let now = deauthorizer.clock().now();
    let last_run = note.parse::<Timestamp>();
    if last_run.is_ok_and(|last_run| now.since(last_run) < INTERVAL) {
        lock.release(&note).await?;
        return Ok(None);
    }
    let mut removed = 0;
    let mut after: Option<ProjectMemberId> = None;
    loop {
        let page = store.page(after.as_ref(), PAGE_SIZE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.member.clone());
        for record in page.iter().filter(|record| is_old_tombstone(record, now)) {
            if !has_pending_event(deauthorizer, record).await?
                && store.remove(&record.member, record.version).await? == PutOutcome::Stored
            {
                removed += 1;
            }
        }
        if lock.acquire().await?.is_none() {
            return Ok(Some(removed));
        }
    }
    lock.release(&now.to_string()).await?;
    Ok(Some(removed))
}

fn is_old_tombstone(record: &MemberRecord, now: Timestamp) -> bool {
    // A member with lost tokens may still be authorized: reconciliation passes look them up.
    let has_left = !record.is_authorized() && !record.has_lost_tokens();
    has_left && record.deauthorized_at.is_none_or(|at| at + MAX_AGE < now)
}

async fn has_pending_event(
    deauthorizer: &Deauthorizer,
    record: &MemberRecord,
) -> Result<bool, InboxError> {
    let query = EventQuery::first(1)
        .state(EventState::Pending)
        .pseudonym(deauthorizer.pseudonymizer().pseudonym(&record.member));
    Ok(!deauthorizer.inbox().events(&query).await?.is_empty())
}

#[cfg(test)]
mod tests;
