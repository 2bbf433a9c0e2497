//! Named locks and their notes.

use super::*;

async fn acquire(inbox: &Inbox, job: &str, holder: &str, now: i64, until: i64) -> Option<String> {
    inbox
        .acquire_lock(job, holder, at(now), at(until))
        .await
        .expect("the inbox responds")
}

async fn update(inbox: &Inbox, job: &str, holder: &str, until: i64, note: &str) -> LeaseOutcome {
    inbox
        .update_lock(job, holder, at(until), note)
        .await
        .expect("the inbox responds")
}

/// A lock has one holder until it expires. Locks of other names are independent.
pub(super) async fn lock_has_one_holder(inbox: Inbox) {
    let tasks: Vec<_> = (0..16)
        .map(|i| {
            let inbox = inbox.clone();
            tokio::spawn(async move { acquire(&inbox, "job", &format!("h{i}"), 1, 10).await })
        })
        .collect();
    let mut acquired = 0;
    for task in tasks {
        if let Some(note) = task.await.expect("the task finishes") {
            assert_eq!(note, "", "the note is empty at first");
            acquired += 1;
        }
    }
    assert_eq!(acquired, 1, "one holder acquires the lock");
    assert_eq!(acquire(&inbox, "job", "late", 9, 20).await, None);
    assert_eq!(
        acquire(&inbox, "job", "late", 10, 20).await,
        Some(String::new())
    );
    assert_eq!(
        acquire(&inbox, "another job", "x", 9, 20).await,
        Some(String::new())
    );
    // The holder renews it.
    assert_eq!(
        acquire(&inbox, "job", "late", 15, 40).await,
        Some(String::new())
    );
    assert_eq!(acquire(&inbox, "job", "x", 30, 50).await, None);
    // Another holder cannot update it.
    assert_eq!(
        update(&inbox, "job", "x", 90, "mine").await,
        LeaseOutcome::Lost
    );
    assert_eq!(
        update(&inbox, "no job", "x", 90, "mine").await,
        LeaseOutcome::Lost
    );
    assert_eq!(
        acquire(&inbox, "job", "x", 40, 50).await,
        Some(String::new())
    );
}

/// A lock that was acquired by a clock in the future is anyone's, as soon as the clock is right.
pub(super) async fn lock_of_wrong_clock_is_free(inbox: Inbox) {
    let far = i64::try_from(MAX_WAIT.as_secs()).expect("it fits");
    assert!(acquire(&inbox, "job", "a", far, far + 10).await.is_some());
    assert_eq!(acquire(&inbox, "job", "b", 10, 20).await, None);
    assert!(acquire(&inbox, "job", "b", 9, 19).await.is_some());
}

/// The next holder reads the note of the previous holder. An update with a past time releases the lock.
pub(super) async fn lock_note_outlives_holder(inbox: Inbox) {
    let note = "{\"näxt\": \"2026-11-22T12:00:00Z\"}".repeat(20);
    assert_eq!(
        acquire(&inbox, "job", "a", 1, 10).await,
        Some(String::new())
    );
    assert_eq!(
        update(&inbox, "job", "a", 10, &note).await,
        LeaseOutcome::Applied
    );
    assert_eq!(acquire(&inbox, "job", "b", 9, 20).await, None);
    assert_eq!(
        acquire(&inbox, "job", "b", 10, 20).await,
        Some(note.clone())
    );
    assert_eq!(
        update(&inbox, "job", "a", 30, "late").await,
        LeaseOutcome::Lost
    );
    assert_eq!(
        update(&inbox, "job", "b", 11, "second").await,
        LeaseOutcome::Applied
    );
    assert_eq!(
        acquire(&inbox, "job", "c", 11, 20).await,
        Some("second".to_owned())
    );
}

/// `lock_state` returns holder state and note, and changes neither.
pub(super) async fn lock_state_reads_lock_without_acquiring_it(inbox: Inbox) {
    let state = async |now| {
        let state = inbox.lock_state("job", at(now)).await;
        state.expect("the inbox responds")
    };
    assert_eq!(state(1).await, LockState::default());
    assert!(acquire(&inbox, "job", "a", 1, 10).await.is_some());
    let (held, note) = (true, String::new());
    assert_eq!(state(9).await, LockState { held, note });
    assert_eq!(
        update(&inbox, "job", "a", 20, "note").await,
        LeaseOutcome::Applied
    );
    for (now, held) in [(19, true), (20, false)] {
        let note = "note".to_owned();
        assert_eq!(state(now).await, LockState { held, note });
    }
    // A wrong clock acquired the lock.
    let far = i64::try_from(MAX_WAIT.as_secs()).expect("a small number");
    assert!(acquire(&inbox, "job", "a", far, far + 10).await.is_some());
    assert!(!state(9).await.held && state(10).await.held);
}
