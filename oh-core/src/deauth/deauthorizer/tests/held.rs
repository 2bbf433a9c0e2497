//! Events that are held.

use super::*;

#[tokio::test]
async fn that_a_mass_departure_is_held_is_said_once() {
    let log = test_support::Log::default();
    let _here = tracing::subscriber::set_default(log.clone());
    let (setting, _) = everyone_seems_gone(30).await;
    assert_eq!(setting.events(EventState::Quarantined).await.len(), 20);
    assert_eq!(log.errors(), 1);
}

#[tokio::test]
async fn all_are_released_however_many_there_are() {
    let setting = test_support::Setting::new();
    for number in 0..501 {
        let _ = setting.report_webhook(number, at(-4 * 24 * 3_600)).await;
    }
    assert_eq!(setting.events(EventState::Quarantined).await.len(), 501);
    assert_eq!(setting.deauthorizer.release_all().await.unwrap(), 501);
    assert!(setting.events(EventState::Quarantined).await.is_empty());
}
