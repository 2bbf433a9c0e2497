//! Named locks: one holder at a time, and a note for the next.

use super::*;

async fn take(inbox: &Inbox, job: &str, holder: &str, now: i64, until: i64) -> Option<String> {
    inbox
        .acquire_lock(job, holder, at(now), at(until))
        .await
        .expect("the inbox answers")
}

async fn keep(inbox: &Inbox, job: &str, holder: &str, until: i64, note: &str) -> LeaseOutcome {
    inbox
        .update_lock(job, holder, at(until), note)
        .await
        .expect("the inbox answers")
}

/// One of many at once, until the time is up; each job by itself.
pub async fn one_holds_the_lock(inbox: Arc<dyn DeauthInbox>) {
    let tasks: Vec<_> = (0..16)
        .map(|i| {
            let inbox = inbox.clone();
            tokio::spawn(async move { take(&inbox, "job", &format!("h{i}"), 1, 10).await })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        if let Some(note) = task.await.expect("the task ends") {
            assert_eq!(note, "", "a first note");
            taken += 1;
        }
    }
    assert_eq!(taken, 1, "one holds the lock");
    assert_eq!(take(&inbox, "job", "late", 9, 20).await, None);
    assert_eq!(
        take(&inbox, "job", "late", 10, 20).await,
        Some(String::new())
    );
    assert_eq!(
        take(&inbox, "another job", "x", 9, 20).await,
        Some(String::new())
    );
    // Prolonged by its holder.
    assert_eq!(
        take(&inbox, "job", "late", 15, 40).await,
        Some(String::new())
    );
    assert_eq!(take(&inbox, "job", "x", 30, 50).await, None);
    // Whoever lost it cannot keep it.
    assert_eq!(
        keep(&inbox, "job", "x", 90, "mine").await,
        LeaseOutcome::Lost
    );
    assert_eq!(
        keep(&inbox, "no job", "x", 90, "mine").await,
        LeaseOutcome::Lost
    );
    assert_eq!(take(&inbox, "job", "x", 40, 50).await, Some(String::new()));
}

/// A lock that was taken by a clock in the future is anyone's, as soon as the clock is right.
pub async fn a_lock_of_a_wrong_clock_is_over(inbox: Arc<dyn DeauthInbox>) {
    let far = i64::try_from(MAX_WAIT.as_secs()).expect("it fits");
    assert!(take(&inbox, "job", "a", far, far + 10).await.is_some());
    assert_eq!(take(&inbox, "job", "b", 10, 20).await, None);
    assert!(take(&inbox, "job", "b", 9, 19).await.is_some());
}

/// The next holder reads what the last one wrote, and may come at once if the lock is given up.
pub async fn a_note_outlives_its_holder(inbox: Arc<dyn DeauthInbox>) {
    let note = "{\"näxt\": \"2026-11-22T12:00:00Z\"}".repeat(20);
    assert_eq!(take(&inbox, "job", "a", 1, 10).await, Some(String::new()));
    assert_eq!(
        keep(&inbox, "job", "a", 10, &note).await,
        LeaseOutcome::Applied
    );
    assert_eq!(take(&inbox, "job", "b", 9, 20).await, None);
    assert_eq!(take(&inbox, "job", "b", 10, 20).await, Some(note.clone()));
    assert_eq!(
        keep(&inbox, "job", "a", 30, "late").await,
        LeaseOutcome::Lost
    );
    assert_eq!(
        keep(&inbox, "job", "b", 11, "second").await,
        LeaseOutcome::Applied
    );
    assert_eq!(
        take(&inbox, "job", "c", 11, 20).await,
        Some("second".to_owned())
    );
}
