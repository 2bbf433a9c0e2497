//! Rules of the token refresh that need minutes or a failing store, against a minimal server and on
//! paused time.

#![allow(clippy::unwrap_used)]

mod log;
mod setup;
#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use oh_core::Error;
use oh_core::deauth::Discovery;
use oh_core::store::{MemberRecord, RefreshLease, Tokens};
use tokio::time::Instant;

use setup::{Fault, LEASE, MINUTE, NOW, Setup, change_record};
use support::alice;

#[tokio::test(start_paused = true)]
async fn refresh_stores_new_pair_after_store_outage() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    let caller = setup.start_held_refresh(&process).await;
    process.store.set_down(true);
    setup.server.release();
    let begun = Instant::now();
    // All callers receive the token while the store still fails.
    assert_eq!(caller.await.unwrap().unwrap().expose(), "a2");
    assert!(begun.elapsed() < Duration::from_secs(5));
    tokio::time::sleep(Duration::from_secs(240)).await;
    assert_eq!(process.token().await, "a2");
    // A shutdown waits for the write.
    let stopping = tokio::spawn({
        let oh = process.oh.clone();
        async move { oh.wait_for_refreshes().await }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!stopping.is_finished());
    process.store.set_down(false);
    stopping.await.unwrap();
    assert_eq!(setup.stored_token().await, "a2");
    assert!(!setup.record().await.refresh_unanswered);
    assert_eq!(setup.server.token_requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn refresh_stops_storing_when_outage_exceeds_five_minutes() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    let caller = setup.start_held_refresh(&process).await;
    process.store.set_down(true);
    setup.server.release();
    assert!(caller.await.unwrap().is_ok());
    process.oh.wait_for_refreshes().await;
    // The limit also bounds a shutdown.
    assert_eq!(setup.stored_token().await, "a1");
}

#[tokio::test(start_paused = true)]
async fn refresh_stores_new_pair_when_record_changes_meanwhile() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    process.store.before_put(|stored| {
        let mut record = stored.unwrap();
        record.confirmed_at = NOW;
        record
    });
    assert_eq!(process.token().await, "a2");
    assert_eq!(setup.stored_token().await, "a2");
}

#[tokio::test(start_paused = true)]
async fn refresh_does_not_overwrite_newer_login() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    setup.server.fault_next(Fault::HoldResponse);
    let caller = process.request_token();
    setup.server.wait_for_requests(1).await;
    change_record(&setup.store, |record| {
        let tokens = Tokens::new("from login", "its refresh token", NOW + 60 * MINUTE);
        MemberRecord::authorized(record.member, tokens, NOW)
    })
    .await;
    setup.server.release();
    assert_eq!(caller.await.unwrap().unwrap().expose(), "from login");
    assert_eq!(setup.stored_token().await, "from login");
}

#[tokio::test(start_paused = true)]
async fn refresh_marks_record_before_request() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    let caller = setup.start_held_refresh(&process).await;
    let record = setup.record().await;
    assert!(record.refresh_unanswered && record.refresh.is_some());
    setup.server.release();
    assert!(caller.await.unwrap().is_ok());
    let record = setup.record().await;
    assert!(!record.refresh_unanswered && record.refresh.is_none());
}

#[tokio::test(start_paused = true)]
async fn refresh_loads_record_twice_for_any_number_of_callers() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    setup.server.fault_next(Fault::Hold);
    let callers: Vec<_> = (0..1_000).map(|_| process.request_token()).collect();
    setup.server.wait_for_requests(1).await;
    setup.server.release();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().expose(), "a2");
    }
    // Each caller loads the record once, and the refresh twice.
    let loads = process.store.loads.load(Ordering::SeqCst);
    assert!(loads <= 1_002, "{loads}");
}

#[tokio::test(start_paused = true)]
async fn refresh_sends_token_once_when_clocks_differ() {
    for (ahead, behind) in [(30, 0), (299, 0), (0, 30), (0, 299)] {
        let setup = Setup::new(Duration::ZERO).await;
        let one = setup.process(NOW + Duration::from_secs(behind));
        let other = setup.process(NOW + Duration::from_secs(ahead));
        setup.server.fault_next(Fault::HoldResponse);
        let first = one.request_token();
        setup.server.wait_for_requests(1).await;
        let second = other.request_token();
        // Just below the timeout of a request.
        tokio::time::sleep(Duration::from_secs(14)).await;
        assert!(!second.is_finished(), "{ahead} {behind}");
        setup.server.release();
        assert_eq!(first.await.unwrap().unwrap().expose(), "a2");
        assert_eq!(second.await.unwrap().unwrap().expose(), "a2");
        assert_eq!(setup.server.token_requests(), 1, "{ahead} {behind}");
    }
}

#[tokio::test(start_paused = true)]
async fn refresh_waits_one_lease_for_dead_process() {
    // In the second case, the clock of the dead process was ten years ahead.
    for until in [NOW + LEASE, NOW + 10 * 365 * 24 * 60 * MINUTE] {
        let setup = Setup::new(Duration::ZERO).await;
        change_record(&setup.store, |mut record| {
            record.refresh = Some(RefreshLease::new("dead", until));
            record
        })
        .await;
        let begun = Instant::now();
        assert_eq!(setup.process(NOW).token().await, "a2");
        let waited = begun.elapsed();
        assert!(
            LEASE <= waited && waited < LEASE + Duration::from_secs(1),
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn refresh_discards_lease_when_write_was_slow() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    *process.store.write_delay.lock().unwrap() = Duration::from_secs(20);
    let caller = process.request_token();
    tokio::time::sleep(Duration::from_secs(19)).await;
    // Another process may consider this lease expired any moment.
    assert_eq!(setup.server.token_requests(), 0);
    let first = setup.record().await.refresh.unwrap();
    setup.server.fault_next(Fault::Hold);
    setup.server.wait_for_requests(1).await;
    let second = setup.record().await.refresh.unwrap();
    assert_ne!(first.holder, second.holder);
    setup.server.release();
    assert_eq!(caller.await.unwrap().unwrap().expose(), "a2");
    assert!(!setup.record().await.refresh_unanswered);
}

#[tokio::test(start_paused = true)]
async fn rejection_reports_nothing_while_another_process_stores_pair() {
    let setup = Setup::new(Duration::ZERO).await;
    let (one, other) = (setup.process(NOW), setup.process(NOW));
    let first = setup.start_held_refresh(&one).await;
    one.store.set_down(true);
    setup.server.release();
    assert_eq!(first.await.unwrap().unwrap().expose(), "a2");
    // The other process reaches the store, finds an expired lease and sends the used token.
    other.fails_temporarily().await;
    assert_eq!(setup.server.token_requests(), 2);
    tokio::time::sleep(Duration::from_secs(290) - LEASE).await;
    other.fails_temporarily().await;
    assert_eq!(setup.server.token_requests(), 2);
    one.store.set_down(false);
    one.oh.wait_for_refreshes().await;
    assert_eq!(other.token().await, "a2");
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(setup.discoveries().await, []);
    assert_eq!(setup.stored_token().await, "a2");
}

#[tokio::test(start_paused = true)]
async fn rejection_reports_token_loss_after_grace_period() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    setup.server.fault_next(Fault::LoseResponse);
    process.fails_temporarily().await;
    assert!(setup.record().await.refresh_unanswered);
    process.fails_temporarily().await;
    // Otherwise another process would take the next rejection for a departure.
    assert!(setup.record().await.refresh_unanswered);
    tokio::time::sleep(5 * MINUTE).await;
    process.fails_temporarily().await;
    assert_eq!(setup.discoveries().await, []);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(setup.discoveries().await, [Discovery::TokenLoss]);
    let error = process.request_token().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Deauthorized), "{error:?}");
    assert_eq!(setup.server.token_requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn rejection_reports_nothing_when_lease_was_taken_over() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    let caller = setup.start_held_refresh(&process).await;
    // During the request, another process took over the lease, rotated the pair and died.
    change_record(&setup.store, |mut record| {
        record.refresh = Some(RefreshLease::new("another", NOW));
        record
    })
    .await;
    setup.server.current_pair.store(2, Ordering::SeqCst);
    setup.server.release();
    let error = caller.await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(setup.discoveries().await, []);
    assert!(setup.record().await.refresh_unanswered);
}

#[tokio::test(start_paused = true)]
async fn server_error_clears_mark_only_with_proof() {
    for (status, left, asked, unanswered) in [
        // The access token is valid, so the pair was not rotated.
        (500, 30, 1, false),
        // It has expired and proves nothing.
        (500, 0, 0, true),
        // From a gateway: the server may still rotate the pair.
        (503, 30, 0, true),
        (504, 30, 0, true),
        // Not implemented: certainly no rotation.
        (501, 0, 0, false),
    ] {
        let setup = Setup::new(Duration::from_secs(left)).await;
        let process = setup.process(NOW);
        setup.server.fault_next(Fault::Status(status));
        process.fails_temporarily().await;
        assert_eq!(
            setup.server.exchange_requests.load(Ordering::SeqCst),
            asked,
            "{status}"
        );
        let record = setup.record().await;
        assert_eq!(record.refresh_unanswered, unanswered, "{status} {left}");
        assert!(record.refresh.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn rejection_reports_nothing_when_access_token_is_valid() {
    let setup = Setup::new(Duration::from_secs(30)).await;
    change_record(&setup.store, |mut record| {
        record.refresh_unanswered = true;
        // The server rejects this refresh token and accepts the access token.
        record.tokens.as_mut().unwrap().refresh_token = "r9".into();
        record
    })
    .await;
    let process = setup.process(NOW);
    process.fails_temporarily().await;
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(setup.discoveries().await, []);
    assert!(setup.record().await.is_authorized());
}

/// A proxy may mix up responses.
#[tokio::test(start_paused = true)]
async fn server_error_keeps_mark_when_token_belongs_to_another_member() {
    let setup = Setup::new(Duration::from_secs(30)).await;
    let process = setup.process(NOW);
    *setup.server.identity.lock().unwrap() = "99999999".parse().unwrap();
    setup.server.fault_next(Fault::Status(500));
    process.fails_temporarily().await;
    assert_eq!(setup.server.exchange_requests.load(Ordering::SeqCst), 1);
    assert!(setup.record().await.refresh_unanswered);
    // The next rejection may therefore be caused by this application.
    setup.server.current_pair.store(2, Ordering::SeqCst);
    process.fails_temporarily().await;
    assert_eq!(setup.discoveries().await, []);
    assert!(setup.record().await.is_authorized());
}

#[tokio::test(start_paused = true)]
async fn rejection_reports_nothing_when_pair_is_stored_late() {
    let setup = Setup::new(Duration::ZERO).await;
    change_record(&setup.store, |mut record| {
        record.refresh_unanswered = true;
        record
    })
    .await;
    setup.server.current_pair.store(2, Ordering::SeqCst);
    let process = setup.process(NOW);
    process.fails_temporarily().await;
    // The access token has expired and would prove nothing.
    assert_eq!(setup.server.exchange_requests.load(Ordering::SeqCst), 0);
    // The longest time until another process stores its pair.
    tokio::time::sleep(LEASE + 5 * MINUTE + Duration::from_secs(35)).await;
    assert_eq!(setup.discoveries().await, []);
    change_record(&setup.store, |record| {
        let tokens = Tokens::new("a2", "r2", NOW + 60 * MINUTE);
        MemberRecord::authorized(record.member, tokens, NOW)
    })
    .await;
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(setup.discoveries().await, []);
    assert_eq!(process.token().await, "a2");
}

#[tokio::test(start_paused = true)]
async fn refresh_starts_when_token_expires_within_a_minute() {
    for (left, token) in [(MINUTE, "a1"), (MINUTE - Duration::from_micros(1), "a2")] {
        let setup = Setup::new(left).await;
        assert_eq!(setup.process(NOW).token().await, token, "{left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refresh_confirms_membership() {
    let setup = Setup::new(Duration::ZERO).await;
    assert!(setup.record().await.confirmed_at < NOW);
    assert_eq!(setup.process(NOW).token().await, "a2");
    assert_eq!(setup.record().await.confirmed_at, NOW);
}

#[tokio::test(start_paused = true)]
async fn refresh_replaces_refused_token_when_callers_wait_for_it() {
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    change_record(&setup.store, |mut record| {
        record.refresh = Some(RefreshLease::new("another", NOW + LEASE));
        record
    })
    .await;
    // Polls the store at most four times a second by now.
    let waiting = process.request_token();
    tokio::time::sleep(Duration::from_secs(1)).await;
    change_record(&setup.store, |record| {
        let tokens = Tokens::new("from another", "r1", NOW + 60 * MINUTE);
        MemberRecord::authorized(record.member, tokens, NOW)
    })
    .await;
    let client = process.oh.member_client(&alice());
    let who = client.exchange_member().await.unwrap();
    assert_eq!(who.project_member_id, alice());
    assert_eq!(waiting.await.unwrap().unwrap().expose(), "from another");
    assert_eq!(setup.stored_token().await, "a2");
    assert_eq!(setup.server.token_requests(), 1);
}
