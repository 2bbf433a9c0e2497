use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::JOB;
use super::super::tests::{PASS_INTERVAL, Project};
use super::*;
use crate::deauth::inbox::DeauthInbox;
use crate::deauth::test_support::{DAY, MINUTE, SECOND, Setting, at, change};

/// Members who were last confirmed a day ago, and whom Open Humans knows.
async fn due(members: impl IntoIterator<Item = usize> + Clone) -> (Setting, Arc<Project>) {
    let setting = Setting::new();
    setting.authorize_all(members.clone()).await;
    setting.clock.advance(DAY);
    (setting, Arc::new(Project::of(members)))
}

#[tokio::test]
async fn list_that_contains_everyone_is_read_once() {
    let (setting, project) = due(0..5).await;
    project.set_list(0..5);
    let reconciler = setting.reconciler_with(&project, |_| {});
    let report = reconciler.run_pass().await.unwrap();
    assert_eq!((report.due, report.listed, report.asked), (5, 5, 0));
    assert_eq!(project.list_reads.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn min_delay_separates_requests() {
    let (setting, project) = due(0..3).await;
    let started = Instant::now();
    let reconciler = setting.reconciler_with(&project, |settings| settings.min_delay = MINUTE);
    assert_eq!(reconciler.run_pass().await.unwrap().asked, 3);
    assert_eq!(started.elapsed(), 2 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn lock_is_renewed_while_list_is_read() {
    let (setting, project) = due([1]).await;
    project.set_list([1]);
    let (inbox, clock) = (setting.inbox.clone(), setting.clock.clone());
    project.while_listing(async move {
        for _ in 0..60 {
            tokio::time::sleep(SECOND).await;
            clock.advance(SECOND);
            let now = clock.now();
            let acquired = inbox.acquire_lock(JOB, "other", now, now).await;
            assert!(acquired.unwrap().is_none(), "the lock has expired");
        }
    });
    let reconciler = setting.reconciler_with(&project, |settings| settings.lock_ttl = 12 * SECOND);
    let lock = reconciler.lock();
    reconciler.run_pass_if_due(&lock).await.unwrap();
    let confirmed_at = setting.record(1).await.unwrap().confirmed_at;
    assert_eq!(confirmed_at, at(160) + DAY);
}

#[tokio::test(start_paused = true)]
async fn lock_is_renewed_after_a_quarter_of_its_lifetime() {
    // Nine requests take four seconds.
    let (setting, project) = due(0..9).await;
    let reconciler = setting.reconciler_with(&project, |settings| {
        settings.min_delay = SECOND / 2;
        settings.lock_ttl = 4 * SECOND;
    });
    let lock = reconciler.lock();
    reconciler.run_pass_if_due(&lock).await.unwrap();
    let acquisitions = setting.inbox.lock_acquisitions.load(Ordering::SeqCst);
    assert_eq!(acquisitions, 1 + 4);
}

#[tokio::test]
async fn absence_decides_after_pass_interval() {
    let (setting, project) = due([1]).await;
    setting.set_unanswered(1).await;
    project.set_list([]);
    let reconciler = setting.reconciler_with(&project, |_| {});
    let microsecond = Duration::from_micros(1);
    for (advance, deauthorized) in [
        (Duration::ZERO, 0),
        (PASS_INTERVAL - microsecond, 0),
        (microsecond, 1),
    ] {
        setting.clock.advance(advance);
        let report = reconciler.run_pass().await.unwrap();
        assert_eq!(report.deauthorized, deauthorized);
    }
    assert!(!setting.is_authorized(1).await);
}

#[tokio::test]
async fn absence_begins_again_after_member_was_listed() {
    let (setting, project) = due([1, 2]).await;
    for number in [1, 2] {
        setting.set_unanswered(number).await;
    }
    project.set_list([]);
    let reconciler = setting.reconciler_with(&project, |_| {});
    assert_eq!(reconciler.run_pass().await.unwrap().deauthorized, 0);

    // Member 2 logs out meanwhile, so the confirmation is not stored.
    setting.clock.advance(PASS_INTERVAL);
    project.set_list([1, 2]);
    let (store, now) = (setting.store.clone(), setting.clock.now());
    project.while_listing(async move {
        change(&*store, 2, |record| {
            record.epoch = record.epoch.advance(now)
        })
        .await;
    });
    assert_eq!(reconciler.run_pass().await.unwrap().listed, 2);

    project.set_list([]);
    setting.clock.advance(DAY);
    let report = reconciler.run_pass().await.unwrap();
    assert_eq!((report.due, report.deauthorized), (2, 0));
    setting.clock.advance(PASS_INTERVAL);
    assert_eq!(reconciler.run_pass().await.unwrap().deauthorized, 2);
}

/// Another process performs the passes in between.
#[tokio::test]
async fn absence_begins_again_after_new_login() {
    let (setting, project) = due([1]).await;
    setting.set_unanswered(1).await;
    project.set_list([]);
    let reconciler = setting.reconciler_with(&project, |_| {});
    assert_eq!(reconciler.run_pass().await.unwrap().deauthorized, 0);

    setting.authorize(1, setting.clock.now()).await;
    setting.clock.advance(30 * DAY);
    setting.set_unanswered(1).await;
    assert_eq!(reconciler.run_pass().await.unwrap().deauthorized, 0);
    assert!(setting.is_authorized(1).await);
    setting.clock.advance(PASS_INTERVAL);
    assert_eq!(reconciler.run_pass().await.unwrap().deauthorized, 1);
}
