//! Wishes that members said to the app itself, and what else is heard of them.

use super::*;
use crate::deauth::Discovery;

/// What the handler is told of a member whose wish is held, after `event` as well; and how many
/// wishes are held then.
async fn told_after(event: impl AsyncFnOnce(&Setting)) -> (Vec<Discovery>, u64) {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    let record = setting.record(1).await.unwrap();
    setting.deauthorizer.keep_wish(&record).await.unwrap();
    event(&setting).await;
    let (calls, handler) = failing(0);
    let worker = setting.worker(handler).spawn();
    worker.drain().await;
    worker.stop().await;
    let told = calls
        .lock()
        .unwrap()
        .iter()
        .map(|d| d.event.discovery)
        .collect();
    (told, setting.inbox.stats().await.unwrap().quarantined)
}

#[tokio::test]
async fn a_wish_waits_on_while_nothing_says_that_the_member_left() {
    let after_loss = told_after(async |setting| {
        let record = setting.record(1).await.unwrap();
        let lost = setting
            .deauthorizer
            .report_token_loss(&record)
            .await
            .unwrap();
        assert!(lost.is_some());
    });
    assert_eq!(after_loss.await, (vec![Discovery::TokenLoss], 1));
}

#[tokio::test]
async fn a_wish_that_is_told_of_as_well_is_acted_on_once() {
    let after_telling = told_after(async |setting| {
        let _ = setting.report_webhook(1, at(100)).await;
    });
    assert_eq!(after_telling.await, (vec![Discovery::Webhook], 0));
}
