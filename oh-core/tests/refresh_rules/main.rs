//! The rules of the refresh that take minutes or a store in trouble to see: against a server in a
//! few lines, on a clock that is moved by hand.

#![allow(clippy::unwrap_used)]

mod told;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use oh_core::Error;
use oh_core::deauth::Discovery;
use oh_core::store::{MemberRecord, RefreshLease, Tokens};
use tokio::time::Instant;

use world::{Fault, LEASE, MINUTE, NOW, World, alice, change_record};

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_costs_no_pair() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    let caller = world.held(&process).await;
    process.door.set_down(true);
    world.server.release();
    let begun = Instant::now();
    // The caller is answered, and so are others, although the store is still away.
    assert_eq!(caller.await.unwrap().unwrap().expose(), "a2");
    assert!(begun.elapsed() < Duration::from_secs(5));
    tokio::time::sleep(Duration::from_secs(240)).await;
    assert_eq!(process.token().await, "a2");
    // Whoever shuts down waits for it.
    let stopping = tokio::spawn({
        let oh = process.oh.clone();
        async move { oh.wait_for_refreshes().await }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!stopping.is_finished());
    process.door.set_down(false);
    stopping.await.unwrap();
    assert_eq!(world.stored().await, "a2");
    assert!(!world.record().await.refresh_unanswered);
    assert_eq!(world.server.token_requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_ends_the_trying() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    let caller = world.held(&process).await;
    process.door.set_down(true);
    world.server.release();
    assert!(caller.await.unwrap().is_ok());
    process.oh.wait_for_refreshes().await;
    // A time limit that bounds what a shutdown waits for.
    assert_eq!(world.stored().await, "a1");
}

#[tokio::test(start_paused = true)]
async fn a_new_pair_is_kept_although_the_record_changes_meanwhile() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    *process.door.before_keeping.lock().unwrap() = Some(Box::new(|mut record| {
        record.confirmed_at = NOW;
        record
    }));
    assert_eq!(process.token().await, "a2");
    assert_eq!(world.stored().await, "a2");
}

#[tokio::test(start_paused = true)]
async fn a_newer_login_is_not_overwritten() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::HoldAnswer);
    let caller = process.ask();
    world.server.asked(1).await;
    change_record(&world.store, |record| {
        let tokens = Tokens::new("of the login", "its refresh token", NOW + 60 * MINUTE);
        MemberRecord::authorized(record.member, tokens, NOW)
    })
    .await;
    world.server.release();
    assert_eq!(caller.await.unwrap().unwrap().expose(), "of the login");
    assert_eq!(world.stored().await, "of the login");
}

#[tokio::test(start_paused = true)]
async fn what_is_about_to_be_sent_is_written_down_first() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    let caller = world.held(&process).await;
    let record = world.record().await;
    assert!(record.refresh_unanswered && record.refresh.is_some());
    world.server.release();
    assert!(caller.await.unwrap().is_ok());
    let record = world.record().await;
    assert!(!record.refresh_unanswered && record.refresh.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_process_reads_the_store_once_for_all_who_wait() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::Hold);
    let callers: Vec<_> = (0..1_000).map(|_| process.ask()).collect();
    world.server.asked(1).await;
    world.server.release();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().expose(), "a2");
    }
    // Each looks for itself whether there is need of a refresh; the refresh looks twice.
    let loads = process.door.loads.load(Ordering::SeqCst);
    assert!(loads <= 1_002, "{loads}");
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_do_not_use_a_token_twice() {
    for (ahead, behind) in [(30, 0), (299, 0), (0, 30), (0, 299)] {
        let world = World::new(Duration::ZERO).await;
        let one = world.process(NOW + Duration::from_secs(behind));
        let other = world.process(NOW + Duration::from_secs(ahead));
        world.server.then(Fault::HoldAnswer);
        let first = one.ask();
        world.server.asked(1).await;
        let second = other.ask();
        // As long as Open Humans may take.
        tokio::time::sleep(Duration::from_secs(14)).await;
        assert!(!second.is_finished(), "{ahead} {behind}");
        world.server.release();
        assert_eq!(first.await.unwrap().unwrap().expose(), "a2");
        assert_eq!(second.await.unwrap().unwrap().expose(), "a2");
        assert_eq!(world.server.token_requests(), 1, "{ahead} {behind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_died_holds_nobody_up_for_longer_than_its_lease() {
    // The second has a clock that was ten years ahead.
    for until in [NOW + LEASE, NOW + 10 * 365 * 24 * 60 * MINUTE] {
        let world = World::new(Duration::ZERO).await;
        change_record(&world.store, |mut record| {
            record.refresh = Some(RefreshLease::new("dead", until));
            record
        })
        .await;
        let begun = Instant::now();
        assert_eq!(world.process(NOW).token().await, "a2");
        let waited = begun.elapsed();
        assert!(
            LEASE <= waited && waited < LEASE + Duration::from_secs(1),
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_took_too_long_to_write_is_not_used() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    *process.door.slow.lock().unwrap() = Duration::from_secs(20);
    let caller = process.ask();
    tokio::time::sleep(Duration::from_secs(19)).await;
    // Another process may take this lease for run out any time now.
    assert_eq!(world.server.token_requests(), 0);
    let first = world.record().await.refresh.unwrap();
    world.server.then(Fault::Hold);
    world.server.asked(1).await;
    let second = world.record().await.refresh.unwrap();
    assert_ne!(first.holder, second.holder);
    world.server.release();
    assert_eq!(caller.await.unwrap().unwrap().expose(), "a2");
    assert!(!world.record().await.refresh_unanswered);
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_another_process_still_holds_is_not_lost() {
    let world = World::new(Duration::ZERO).await;
    let (one, other) = (world.process(NOW), world.process(NOW));
    let first = world.held(&one).await;
    one.door.set_down(true);
    world.server.release();
    assert_eq!(first.await.unwrap().unwrap().expose(), "a2");
    // The other one can reach the store, and finds the lease run out and the token used up.
    other.is_told_to_wait().await;
    assert_eq!(world.server.token_requests(), 2);
    tokio::time::sleep(Duration::from_secs(290) - LEASE).await;
    other.is_told_to_wait().await;
    assert_eq!(world.server.token_requests(), 2);
    one.door.set_down(false);
    one.oh.wait_for_refreshes().await;
    assert_eq!(other.token().await, "a2");
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(world.discoveries().await, []);
    assert_eq!(world.stored().await, "a2");
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_nobody_can_be_holding_is_lost() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::LoseAnswer);
    process.is_told_to_wait().await;
    assert!(world.record().await.refresh_unanswered);
    process.is_told_to_wait().await;
    // So that another process does not take the next refusal for a departure.
    assert!(world.record().await.refresh_unanswered);
    tokio::time::sleep(5 * MINUTE).await;
    process.is_told_to_wait().await;
    assert_eq!(world.discoveries().await, []);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(world.discoveries().await, [Discovery::TokenLoss]);
    let error = process.ask().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Deauthorized), "{error:?}");
    assert_eq!(world.server.token_requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_nothing_when_another_process_had_its_turn_meanwhile() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    let caller = world.held(&process).await;
    // While our request was delayed, another process took the lease over, rotated, and died.
    change_record(&world.store, |mut record| {
        record.refresh = Some(RefreshLease::new("another", NOW));
        record
    })
    .await;
    world.server.living.store(2, Ordering::SeqCst);
    world.server.release();
    let error = caller.await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(world.discoveries().await, []);
    assert!(world.record().await.refresh_unanswered);
}

#[tokio::test(start_paused = true)]
async fn a_server_error_that_rotated_nothing_leaves_no_doubt() {
    for (status, left, asked, unanswered) in [
        // The access token is alive, so nothing was rotated.
        (500, 30, 1, false),
        // It has run out and cannot tell.
        (500, 0, 0, true),
        // A gateway that did not wait: it may still happen.
        (503, 30, 0, true),
        (504, 30, 0, true),
        // Not understood at all.
        (501, 0, 0, false),
    ] {
        let world = World::new(Duration::from_secs(left)).await;
        let process = world.process(NOW);
        world.server.then(Fault::Status(status));
        process.is_told_to_wait().await;
        assert_eq!(
            world.server.exchange_requests.load(Ordering::SeqCst),
            asked,
            "{status}"
        );
        let record = world.record().await;
        assert_eq!(record.refresh_unanswered, unanswered, "{status} {left}");
        assert!(record.refresh.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_access_token_that_works_speaks_against_a_refusal() {
    let world = World::new(Duration::from_secs(30)).await;
    change_record(&world.store, |mut record| {
        record.refresh_unanswered = true;
        // The server takes another refresh token, but this access token.
        record.tokens.as_mut().unwrap().refresh_token = "r9".into();
        record
    })
    .await;
    let process = world.process(NOW);
    process.is_told_to_wait().await;
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(world.discoveries().await, []);
    assert!(world.record().await.is_authorized());
}

/// As when something between here and there mixes answers up.
#[tokio::test(start_paused = true)]
async fn an_access_token_of_somebody_else_proves_nothing() {
    let world = World::new(Duration::from_secs(30)).await;
    let process = world.process(NOW);
    *world.server.says_it_is.lock().unwrap() = "99999999".parse().unwrap();
    world.server.then(Fault::Status(500));
    process.is_told_to_wait().await;
    assert_eq!(world.server.exchange_requests.load(Ordering::SeqCst), 1);
    assert!(world.record().await.refresh_unanswered);
    // So the next refusal may be our own doing.
    world.server.living.store(2, Ordering::SeqCst);
    process.is_told_to_wait().await;
    assert_eq!(world.discoveries().await, []);
    assert!(world.record().await.is_authorized());
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_is_kept_at_the_last_moment_is_not_lost() {
    let world = World::new(Duration::ZERO).await;
    change_record(&world.store, |mut record| {
        record.refresh_unanswered = true;
        record
    })
    .await;
    world.server.living.store(2, Ordering::SeqCst);
    let process = world.process(NOW);
    process.is_told_to_wait().await;
    // The access token has run out, and could tell nothing.
    assert_eq!(world.server.exchange_requests.load(Ordering::SeqCst), 0);
    // As long as another process may have waited for its answer, and then for the store.
    tokio::time::sleep(LEASE + 5 * MINUTE + Duration::from_secs(35)).await;
    assert_eq!(world.discoveries().await, []);
    change_record(&world.store, |record| {
        let tokens = Tokens::new("a2", "r2", NOW + 60 * MINUTE);
        MemberRecord::authorized(record.member, tokens, NOW)
    })
    .await;
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(world.discoveries().await, []);
    assert_eq!(process.token().await, "a2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_good_for_a_minute_is_given_as_it_is() {
    for (left, token) in [(MINUTE, "a1"), (MINUTE - Duration::from_micros(1), "a2")] {
        let world = World::new(left).await;
        assert_eq!(world.process(NOW).token().await, token, "{left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_pair_is_word_of_the_member() {
    let world = World::new(Duration::ZERO).await;
    assert!(world.record().await.confirmed_at < NOW);
    assert_eq!(world.process(NOW).token().await, "a2");
    assert_eq!(world.record().await.confirmed_at, NOW);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_although_others_wait_for_that_very_token() {
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    change_record(&world.store, |mut record| {
        record.refresh = Some(RefreshLease::new("another", NOW + LEASE));
        record
    })
    .await;
    // Looks at the store four times a second or less, by now.
    let waiting = process.ask();
    tokio::time::sleep(Duration::from_secs(1)).await;
    change_record(&world.store, |record| {
        let tokens = Tokens::new("of another", "r1", NOW + 60 * MINUTE);
        MemberRecord::authorized(record.member, tokens, NOW)
    })
    .await;
    let client = process.oh.member_client(&alice());
    let who = client.exchange_member().await.unwrap();
    assert_eq!(who.project_member_id, alice());
    assert_eq!(waiting.await.unwrap().unwrap().expose(), "of another");
    assert_eq!(world.stored().await, "a2");
    assert_eq!(world.server.token_requests(), 1);
}
