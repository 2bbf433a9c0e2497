//! What the log says of an app that lacks something it will miss when a member leaves.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io;
use std::sync::{Arc, Mutex};

use oh_core::deauth::{Departure, WorkerSettings};
use oh_core::store::MemoryStore;
use oh_core::{OpenHumans, OpenHumansBuilder, Settings, Timestamp};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// For as long as the guard lives, on this thread.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_ansi(false)
            .with_max_level(tracing::Level::WARN)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn says(&self, what: &str) -> bool {
        self.text().contains(what)
    }
}

/// An app with a webhook secret, and nothing else.
fn app(address: &str) -> OpenHumansBuilder {
    let settings = Settings::builder("id", "secret", address)
        .webhook_secret("abcdefghijklmnop")
        .build();
    OpenHumans::builder(settings.unwrap())
}

fn whole(builder: OpenHumansBuilder) -> OpenHumans {
    builder
        .token_store(MemoryStore::new())
        .deauth_inbox(oh_core::deauth::MemoryInbox::new())
        .deauth_handler(|_: Departure| async { Ok(()) })
        .build()
        .unwrap()
}

const STORE: &str = "OpenHumansBuilder::token_store";
const INBOX: &str = "OpenHumansBuilder::deauth_inbox";
const HANDLER: &str = "OpenHumansBuilder::deauth_handler";
const NO_WORKER: &str = "no worker was started";

#[test]
fn an_app_on_the_web_is_told_of_all_that_is_missing() {
    let (log, _guard) = Log::begin();
    app("https://app.example").build().unwrap();
    for what in [STORE, INBOX, HANDLER] {
        assert!(log.says(what), "{what}: {}", log.text());
    }
}

#[test]
fn an_app_on_loopback_may_keep_things_in_memory() {
    let (log, _guard) = Log::begin();
    app("http://localhost:8000").build().unwrap();
    assert!(!log.says(STORE) && !log.says(INBOX), "{}", log.text());
    assert!(log.says(HANDLER));
}

#[test]
fn an_app_that_lacks_nothing_is_told_nothing() {
    let (log, _guard) = Log::begin();
    whole(app("https://app.example"));
    assert_eq!(log.text(), "");
}

async fn leaves(openhumans: &OpenHumans, member: &str) {
    let accepted = oh_tests::webhook::deauthorize(openhumans, member, Timestamp::now());
    let _ = accepted.await.unwrap();
}

#[tokio::test]
async fn an_event_that_nobody_works_on_is_said_once() {
    let (log, _guard) = Log::begin();
    let openhumans = whole(app("https://app.example"));
    leaves(&openhumans, "00000001").await;
    leaves(&openhumans, "00000002").await;
    assert_eq!(log.text().matches(NO_WORKER).count(), 1, "{}", log.text());
}

#[tokio::test]
async fn where_a_worker_works_nothing_is_said() {
    let (log, _guard) = Log::begin();
    let openhumans = whole(app("https://app.example"));
    let background = openhumans.start_background();
    // The worker has started once it sends heartbeats.
    while openhumans.heartbeats().await.unwrap().worker.is_none() {
        tokio::task::yield_now().await;
    }
    leaves(&openhumans, "00000001").await;
    let worker = openhumans.worker(WorkerSettings::default());
    worker.run_until_idle().await;
    while openhumans.inbox().stats().await.unwrap().done == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(openhumans.inbox().stats().await.unwrap().done, 1);
    background.stop().await;
    assert!(!log.says(NO_WORKER), "{}", log.text());
}
