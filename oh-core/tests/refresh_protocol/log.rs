//! Log messages about refreshes. Only an operator can correct a secret, a store or a clock.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oh_core::Timestamp;
use oh_core::store::RefreshLease;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::setup::{Fault, LEASE, MINUTE, NOW, Setup, change_record};

/// The messages of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Log {
    fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    fn count(&self, level: Level, text: &str) -> usize {
        let messages = self.0.lock().unwrap();
        let matches = |(at, message): &&(Level, String)| *at == level && message.contains(text);
        messages.iter().filter(matches).count()
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

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let level = *event.metadata().level();
        self.0.lock().unwrap().push((level, message.0));
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
async fn log_names_client_secret_when_open_humans_rejects_it() {
    let (log, _guard) = Log::capture();
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    setup.server.fault_next(Fault::Status(500));
    process.fails_temporarily().await;
    assert_eq!(log.count(Level::WARN, "token refresh failed"), 1);
    setup.server.fault_next(Fault::InvalidClient);
    assert!(process.request_token().await.unwrap().is_err());
    assert_eq!(log.count(Level::ERROR, "OPENHUMANS_CLIENT_SECRET"), 1);
}

#[tokio::test(start_paused = true)]
async fn log_reports_store_outage_immediately_and_then_rarely() {
    let (log, _guard) = Log::capture();
    let setup = Setup::new(Duration::ZERO).await;
    let process = setup.process(NOW);
    let caller = setup.start_held_refresh(&process).await;
    process.store.set_down(true);
    setup.server.release();
    assert!(caller.await.unwrap().is_ok());
    let warnings = || log.count(Level::WARN, "failed to store refreshed tokens");
    assert!(warnings() > 0);
    process.oh.wait_for_refreshes().await;
    assert!(warnings() < 10, "{}", warnings());
    assert_eq!(log.count(Level::ERROR, "lost refreshed tokens"), 1);
}

#[tokio::test(start_paused = true)]
async fn log_reports_lease_that_only_a_wrong_clock_can_have_written() {
    let max = NOW + LEASE + 5 * MINUTE;
    for (until, expected) in [
        (NOW, 0),
        (NOW + 5 * MINUTE, 0),
        (max, 0),
        (max + Duration::from_micros(1), 1),
        (Timestamp::from_micros(i64::MAX), 1),
    ] {
        let (log, _guard) = Log::capture();
        let setup = Setup::new(Duration::ZERO).await;
        change_record(&setup.store, |mut record| {
            record.refresh = Some(RefreshLease::new("dead", until));
            record
        })
        .await;
        assert_eq!(setup.process(NOW).token().await, "a2");
        let count = log.count(Level::WARN, "the clock of a process is or was wrong");
        assert_eq!(count, expected, "{until}");
    }
}
