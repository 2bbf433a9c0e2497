//! Whose turn it is to ask, and when.

use super::*;

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn one_process_asks_at_a_time_and_another_takes_over() {
    let setting = Setting::new();
    let project = Arc::new(Project::of(0..5));
    for number in 0..5 {
        setting.authorize(number, at(0)).await;
    }
    setting.clock.advance(DAY);
    let reconciler = setting.reconciler(&project);
    let now = setting.clock.now();
    let inbox = setting.deauthorizer.inbox();
    let taken = inbox
        .acquire_lock(JOB, "dead", now, now + reconciler.pace.lock_ttl)
        .await
        .unwrap();
    assert!(taken.is_some());
    reconciler.round_if_due("other").await.unwrap();
    assert!(project.asked().is_empty());

    setting.clock.advance(reconciler.pace.lock_ttl);
    reconciler.round_if_due("other").await.unwrap();
    assert_eq!(project.asked().len(), 5);
    // The round is noted: nobody starts another one now, in this process or the next.
    setting.clock.advance(Duration::from_secs(60));
    let wait = reconciler.round_if_due("third").await.unwrap();
    assert_eq!(wait, reconciler.pace.rest() - Duration::from_secs(60));
    let mut note = inbox
        .acquire_lock(JOB, "fourth", now + DAY, now + DAY)
        .await
        .unwrap()
        .unwrap();
    note.retain(|c| c.is_ascii_digit());
    assert!(!note.contains(member(4).as_str()), "notes name nobody");
}

#[tokio::test]
async fn a_note_from_the_future_puts_no_round_off() {
    let setting = Setting::new();
    let project = Arc::new(Project::of(0..2));
    setting.authorize(0, at(0)).await;
    setting.clock.advance(DAY);
    let now = setting.clock.now();
    let inbox = setting.deauthorizer.inbox();
    let _ = inbox.acquire_lock(JOB, "ahead", now, now).await.unwrap();
    let note = serde_json::to_string(&Note {
        finished: now + 366 * DAY,
    });
    let kept = inbox.update_lock(JOB, "ahead", now, &note.unwrap()).await;
    assert_eq!(kept.unwrap(), crate::deauth::LeaseOutcome::Applied);
    let reconciler = setting.reconciler(&project);
    reconciler.round_if_due("one").await.unwrap();
    assert_eq!(project.asked(), [member(0)]);
}

#[tokio::test(start_paused = true)]
async fn whoever_has_lost_the_lock_asks_no_further() {
    let setting = Setting::new();
    let project = Arc::new(Project::of(0..5));
    for number in 0..5 {
        setting.authorize(number, at(0)).await;
    }
    setting.clock.advance(DAY);
    let second = Duration::from_secs(1);
    let reconciler = setting
        .reconciler(&project)
        .lock_ttl(second)
        .min_delay(second);
    let asking = tokio::spawn(async move { reconciler.round_if_due("one").await });
    project.question.notified().await;
    // As after a pause of this process that was longer than the lock lasts.
    setting.clock.advance(second);
    let now = setting.clock.now();
    let inbox = setting.deauthorizer.inbox();
    let taken = inbox.acquire_lock(JOB, "two", now, now + second).await;
    assert!(taken.unwrap().is_some());
    let error = asking.await.unwrap().unwrap_err();
    let lost = error.downcast_ref::<ReconcileError>();
    assert!(matches!(lost, Some(ReconcileError::LockLost)), "{error}");
    assert_eq!(project.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_one_process_asks_no_other_does() {
    let setting = Setting::new();
    let project = Arc::new(Project::of(0..5));
    for number in 0..5 {
        setting.authorize(number, at(0)).await;
    }
    setting.clock.advance(DAY);
    let slow = setting.reconciler(&project).min_delay(PAUSE);
    let asking = tokio::spawn(async move { slow.round_if_due("one").await });
    project.question.notified().await;
    let other = setting.reconciler(&project);
    other.round_if_due("two").await.unwrap();
    assert_eq!(project.asked().len(), 1);
    asking.await.unwrap().unwrap();
    assert_eq!(project.asked().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_reconciler_that_is_stopped_gives_its_lock_back() {
    let setting = Setting::new();
    let project = Arc::new(Project::of(0..5));
    for number in 0..5 {
        setting.authorize(number, at(0)).await;
    }
    setting.clock.advance(DAY);
    let handle = setting.reconciler(&project).min_delay(PAUSE).spawn();
    project.question.notified().await;
    let now = setting.clock.now();
    let inbox = setting.deauthorizer.inbox();
    let taken = inbox.acquire_lock(JOB, "next", now, now + PAUSE).await;
    assert!(taken.unwrap().is_none());
    handle.stop().await;
    let taken = inbox.acquire_lock(JOB, "next", now, now + PAUSE).await;
    assert!(taken.unwrap().is_some());
}

#[tokio::test]
async fn the_next_round_comes_as_soon_as_the_rest_is_over() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([0]));
    setting.authorize(0, at(0)).await;
    let reconciler = setting.reconciler(&project);
    let rest = reconciler.pace.rest();
    setting.clock.advance(DAY - rest);
    assert_eq!(reconciler.round_if_due("one").await.unwrap(), rest);
    assert!(project.asked().is_empty(), "not due yet");
    setting.clock.advance(rest);
    assert_eq!(reconciler.round_if_due("one").await.unwrap(), rest);
    assert_eq!(project.asked(), [member(0)]);
}
