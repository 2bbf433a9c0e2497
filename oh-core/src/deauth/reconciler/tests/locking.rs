//! Which process performs a pass, and when.

use super::*;
use crate::deauth::inbox::DeauthInbox;

/// Five due members.
async fn five_due() -> (Setting, Arc<Project>) {
    let setting = Setting::new();
    setting.authorize_all(0..5).await;
    setting.clock.advance(DAY);
    (setting, Arc::new(Project::of(0..5)))
}

#[tokio::test]
async fn pass_waits_for_lock_of_another_process() {
    let (setting, project) = five_due().await;
    let reconciler = setting.reconciler(&project);
    let lock_ttl = reconciler.settings.lock_ttl;
    // This process dies.
    assert!(reconciler.lock().acquire().await.unwrap().is_some());
    let lock = reconciler.lock();
    reconciler.run_pass_if_due(&lock).await.unwrap();
    assert!(project.asked().is_empty());

    setting.clock.advance(lock_ttl);
    reconciler.run_pass_if_due(&lock).await.unwrap();
    assert_eq!(project.asked().len(), 5);
    // The pass is recorded, so no process starts another one now.
    setting.clock.advance(60 * SECOND);
    let pause = reconciler.run_pass_if_due(&reconciler.lock()).await;
    assert_eq!(pause.unwrap(), PASS_INTERVAL - 60 * SECOND);
    let state = setting.inbox.lock_state(JOB, setting.clock.now()).await;
    let digits = state
        .unwrap()
        .note
        .replace(|c: char| !c.is_ascii_digit(), "");
    assert!(!digits.contains(member(4).as_str()), "{digits}");
}

#[tokio::test]
async fn pass_recorded_in_the_future_is_ignored() {
    let (setting, project) = five_due().await;
    let reconciler = setting.reconciler(&project);
    let finished = setting.clock.now() + 366 * DAY;
    let note = serde_json::to_string(&Note { finished }).unwrap();
    let lock = reconciler.lock();
    assert!(lock.acquire().await.unwrap().is_some());
    lock.release(&note).await.unwrap();
    reconciler.run_pass_if_due(&lock).await.unwrap();
    assert_eq!(project.asked().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn pass_ends_when_lock_is_lost() {
    let (setting, project) = five_due().await;
    let reconciler = setting.reconciler_with(&project, |settings| {
        settings.lock_ttl = SECOND;
        settings.min_delay = SECOND;
    });
    let (other, lock) = (reconciler.lock(), reconciler.lock());
    let passing = tokio::spawn(async move { reconciler.run_pass_if_due(&lock).await });
    project.question.notified().await;
    // The process pauses for longer than the lock lasts.
    setting.clock.advance(SECOND);
    assert!(other.acquire().await.unwrap().is_some());
    let error = passing.await.unwrap().unwrap_err();
    let error = error.downcast_ref::<ReconcileError>();
    assert!(matches!(error, Some(ReconcileError::LockLost)), "{error:?}");
    assert_eq!(project.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lock_is_held_during_pass() {
    let (setting, project) = five_due().await;
    let slow = setting.reconciler_with(&project, |settings| settings.min_delay = SECOND);
    let passing = tokio::spawn(async move {
        let lock = slow.lock();
        slow.run_pass_if_due(&lock).await
    });
    project.question.notified().await;
    let other = setting.reconciler(&project);
    other.run_pass_if_due(&other.lock()).await.unwrap();
    assert_eq!(project.asked().len(), 1);
    passing.await.unwrap().unwrap();
    assert_eq!(project.asked().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn stopped_reconciler_releases_lock() {
    let (setting, project) = five_due().await;
    let reconciler = setting.reconciler_with(&project, |settings| settings.min_delay = SECOND);
    let other = reconciler.lock();
    let task = reconciler.spawn();
    project.question.notified().await;
    assert!(other.acquire().await.unwrap().is_none());
    task.stop().await;
    assert!(other.acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn next_pass_starts_after_pass_interval() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([0]));
    setting.authorize_all([0]).await;
    let reconciler = setting.reconciler(&project);
    let lock = reconciler.lock();
    setting.clock.advance(DAY - PASS_INTERVAL);
    for asked in [0, 1] {
        let pause = reconciler.run_pass_if_due(&lock).await.unwrap();
        assert_eq!(pause, PASS_INTERVAL);
        assert_eq!(project.asked().len(), asked);
        setting.clock.advance(PASS_INTERVAL);
    }
}
