//! Members who are asked about at once.

use tokio::time::Instant;

use super::*;
use crate::deauth::Step;

#[tokio::test]
async fn a_hint_is_followed_at_once() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([1, 2]));
    setting.authorize(1, at(0)).await;
    setting.authorize(2, at(0)).await;
    project.leaves(2);
    assert!(
        setting.deauthorizer.hint(&member(9)),
        "a stranger, for all we know"
    );
    assert!(setting.deauthorizer.hint(&member(2)));
    let handle = setting.reconciler(&project).spawn();
    project.question.notified().await;
    let accepted = async {
        while setting.gone().await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), accepted)
        .await
        .unwrap();
    assert_eq!(
        project.asked(),
        [member(2)],
        "strangers are not asked about"
    );
    assert_eq!(setting.gone().await, [member(2)]);
    handle.stop().await;
}

#[tokio::test]
async fn a_hint_outlives_the_trouble_that_led_to_it() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    setting.authorize(1, at(0)).await;
    project.down.store(true, Ordering::SeqCst);
    assert!(setting.deauthorizer.hint(&member(1)));
    tokio::time::pause();
    let handle = setting.reconciler(&project).spawn();
    let asked_again = async || {
        let begun = Instant::now();
        let question = project.question.notified();
        let asked = tokio::time::timeout(Duration::from_secs(60), question).await;
        assert!(asked.is_ok(), "it is given up");
        begun.elapsed()
    };
    asked_again().await;
    for _ in 2..HINT_PATIENCE {
        assert!(asked_again().await >= HINT_PACE);
    }
    project.down.store(false, Ordering::SeqCst);
    asked_again().await;
    handle.stop().await;
    assert_eq!(setting.gone().await, [member(1)]);
}

#[tokio::test]
async fn a_hint_at_whom_asking_says_nothing_of_is_not_followed() {
    let setting = Setting::new();
    // Whoever is asked about is said to be gone.
    let project = Arc::new(Project::of([]));
    let reconciler = setting.reconciler(&project);
    // The tokens may be dead by our fault.
    setting.authorize(1, at(0)).await;
    unanswered(&setting, 1).await;
    // Has left.
    setting.authorize(2, at(0)).await;
    let _ = setting.report_webhook(2, at(50)).await;
    assert_eq!(setting.gone().await, [member(2)]);
    for number in [1, 2] {
        let answer = reconciler.ask_about(&member(number)).await.unwrap();
        assert_eq!(answer, None, "{number}");
    }
    assert!(project.asked().is_empty());
    assert!(setting.record(1).await.unwrap().is_authorized());
    let events = setting.events(EventState::Pending).await;
    assert_eq!(events.len(), 1, "that of number 2");
}

#[tokio::test]
async fn a_stale_event_of_someone_who_is_gone_after_all_is_requeued() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    // As if their clock and ours disagreed: the authorization looks newer than the leaving.
    setting.authorize(1, at(60)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    let handler = |departure: crate::deauth::Departure| async move {
        if departure.delete_data {
            Ok(())
        } else {
            Err("the wish was forgotten".into())
        }
    };
    let worker = setting.worker(handler).spawn();
    worker.drain().await;
    assert_eq!(setting.events(EventState::Stale).await.len(), 1);

    let hint = setting.hint().await;
    let reconciler = setting.reconciler(&project);
    assert_eq!(
        reconciler.ask_about(&hint).await.unwrap(),
        Some(MembershipStatus::Gone)
    );
    worker.drain().await;
    assert_eq!(setting.gone().await, [member(1)]);
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
    worker.stop().await;
}
