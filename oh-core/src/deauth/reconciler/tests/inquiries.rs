//! Members about whom Open Humans is asked soon.

use tokio::time::Instant;

use super::*;
use crate::deauth::Step;

#[tokio::test(start_paused = true)]
async fn unsigned_notification_causes_inquiry_about_known_member() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([1, 2]));
    setting.authorize_all([1, 2]).await;
    project.remove(2);
    for unknown_then_known in [9, 2] {
        let member = member(unknown_then_known);
        assert!(setting.deauthorizer.report_unsigned(&member));
    }
    let task = setting.reconciler(&project).spawn();
    tokio::time::sleep(SECOND).await;
    assert_eq!(project.asked(), [member(2)]);
    assert_eq!(setting.deauthorized().await, [member(2)]);
    task.stop().await;
}

#[tokio::test(start_paused = true)]
async fn inquiry_is_retried_until_last_attempt() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    setting.authorize_all([1]).await;
    project.down.store(true, Ordering::SeqCst);
    assert!(setting.deauthorizer.report_unsigned(&member(1)));
    let task = setting.reconciler(&project).spawn();
    let next_attempt = async || {
        let started = Instant::now();
        let question = project.question.notified();
        let asked = tokio::time::timeout(60 * SECOND, question).await;
        assert!(asked.is_ok(), "no further attempt");
        started.elapsed()
    };
    next_attempt().await;
    for _ in 2..20 {
        assert!(next_attempt().await >= INQUIRY_PAUSE);
    }
    project.down.store(false, Ordering::SeqCst);
    next_attempt().await;
    task.stop().await;
    assert_eq!(setting.deauthorized().await, [member(1)]);
}

#[tokio::test]
async fn inquiry_is_skipped_where_the_answer_proves_nothing() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    let reconciler = setting.reconciler(&project);
    setting.authorize_all([1, 2]).await;
    setting.set_unanswered(1).await;
    // Member 2 has left.
    let _ = setting.report_webhook(2, at(50)).await;
    for number in [1, 2] {
        let status = reconciler.inquire(&member(number)).await.unwrap();
        assert_eq!(status, None, "{number}");
    }
    assert!(project.asked().is_empty());
    assert!(setting.is_authorized(1).await);
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
}

/// The clocks differ, so the authorization appears to be later than the departure.
#[tokio::test]
async fn inquiry_requeues_event_that_was_mistaken_for_stale() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    setting.authorize(1, at(60)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    let handler = |departure: Departure| async move {
        match departure.delete_data {
            true => Ok(()),
            false => Err("the erasure request was lost".into()),
        }
    };
    setting.run_worker(handler).await;
    assert_eq!(setting.events(EventState::Stale).await.len(), 1);

    let next = setting.next_inquiry().await;
    let status = setting.reconciler(&project).inquire(&next).await;
    assert_eq!(status.unwrap(), Some(MembershipStatus::Deauthorized));
    setting.run_worker(handler).await;
    assert_eq!(setting.deauthorized().await, [member(1)]);
    assert_eq!(setting.events(EventState::Done).await.len(), 1);
    assert_eq!(
        setting.steps().await,
        [
            Step::Received,
            Step::Tried,
            Step::Stale,
            Step::Requeued,
            Step::TokensDestroyed,
            Step::Tried,
            Step::Done,
        ]
    );
}
