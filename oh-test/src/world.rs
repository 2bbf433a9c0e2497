//! What kit and browsers share: the sandbox, the settings, and one clock for both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oh_core::{Clock, ProjectMemberId, Settings, Timestamp};
use oh_sandbox::Sandbox;

use crate::webhook::Webhook;

/// What kit and browsers share.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) settings: Settings,
    /// The app's. It stands still by itself.
    pub(crate) clock: Clock,
    /// How far the clocks were moved, in microseconds.
    advanced: AtomicU64,
}

impl World {
    pub(crate) fn new(sandbox: Sandbox, settings: Settings) -> Self {
        Self {
            sandbox,
            settings,
            clock: Clock::manual(Timestamp::now()),
            advanced: AtomicU64::new(0),
        }
    }

    /// Moves both clocks forward.
    pub(crate) fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.advanced.fetch_add(micros, Ordering::SeqCst);
        self.sandbox.advance(by);
        self.keep_time();
    }

    /// Has the app's clock catch up with the sandbox's, and says the time.
    pub(crate) fn keep_time(&self) -> Timestamp {
        let advanced = Duration::from_micros(self.advanced.load(Ordering::SeqCst));
        let now = Timestamp::now() + advanced;
        self.clock.set(now);
        now
    }

    /// A webhook that says that a member has left just now.
    pub(crate) fn webhook(&self, member: &str) -> Webhook {
        let member: ProjectMemberId = member
            .parse()
            .unwrap_or_else(|error| panic!("{member:?}: {error}"));
        Webhook::new(member, self.keep_time(), &self.settings)
    }
}
