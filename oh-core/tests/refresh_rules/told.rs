//! What operators are told of refreshes: only they can mend a secret, a store or a clock.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oh_core::Timestamp;
use oh_core::store::RefreshLease;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::world::{Fault, LEASE, MINUTE, NOW, World, change_record};

/// What is logged in this thread.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<(Level, String)>>>);

impl Logged {
    fn listen() -> (Self, DefaultGuard) {
        let logged = Self::default();
        let listening = tracing::subscriber::set_default(logged.clone());
        (logged, listening)
    }

    /// How often that was said.
    fn times(&self, level: Level, what: &str) -> usize {
        let events = self.0.lock().unwrap();
        let said = |(at, text): &&(Level, String)| *at == level && text.contains(what);
        events.iter().filter(said).count()
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Logged {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let told = (*event.metadata().level(), message.0);
        self.0.lock().unwrap().push(told);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_accepted_is_named() {
    let (logged, _listening) = Logged::listen();
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    world.server.then(Fault::Status(500));
    process.is_told_to_wait().await;
    assert_eq!(logged.times(Level::WARN, "token refresh failed"), 1);
    world.server.then(Fault::InvalidClient);
    assert!(process.ask().await.unwrap().is_err());
    let secret = "OPENHUMANS_CLIENT_SECRET";
    assert_eq!(logged.times(Level::ERROR, secret), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_take_a_new_pair_is_said_at_once_and_ever_more_rarely() {
    let (logged, _listening) = Logged::listen();
    let world = World::new(Duration::ZERO).await;
    let process = world.process(NOW);
    let caller = world.held(&process).await;
    process.door.set_down(true);
    world.server.release();
    assert!(caller.await.unwrap().is_ok());
    let not_yet = || logged.times(Level::WARN, "failed to store refreshed tokens");
    assert!(not_yet() > 0);
    process.oh.wait_for_refreshes().await;
    assert!(not_yet() < 10, "{}", not_yet());
    assert_eq!(logged.times(Level::ERROR, "lost refreshed tokens"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_only_a_wrong_clock_can_have_written_is_told_of() {
    let furthest = NOW + LEASE + 5 * MINUTE;
    for (until, told) in [
        (NOW, 0),
        (NOW + 5 * MINUTE, 0),
        (furthest, 0),
        (furthest + Duration::from_micros(1), 1),
        (Timestamp::from_micros(i64::MAX), 1),
    ] {
        let (logged, _listening) = Logged::listen();
        let world = World::new(Duration::ZERO).await;
        change_record(&world.store, |mut record| {
            record.refresh = Some(RefreshLease::new("dead", until));
            record
        })
        .await;
        assert_eq!(world.process(NOW).token().await, "a2");
        let times = logged.times(Level::WARN, "the clock of a process is or was wrong");
        assert_eq!(times, told, "{until}");
    }
}
