//! The state shared by kit and browsers: sandbox, settings and clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oh_core::{Clock, ProjectMemberId, Settings, Timestamp};
use oh_sandbox::Sandbox;

use crate::webhook::Webhook;

/// The state shared by kit and browsers.
pub(crate) struct Environment {
    pub(crate) sandbox: Sandbox,
    pub(crate) settings: Settings,
    /// The clock of the application, which only `sync_clock` moves.
    pub(crate) clock: Clock,
    /// The total time by which the clocks were advanced, in microseconds.
    advanced: AtomicU64,
}

impl Environment {
    pub(crate) fn new(sandbox: Sandbox, settings: Settings) -> Self {
        Self {
            sandbox,
            settings,
            clock: Clock::manual(Timestamp::now()),
            advanced: AtomicU64::new(0),
        }
    }

    /// Advances the clocks of the application and the sandbox.
    pub(crate) fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.advanced.fetch_add(micros, Ordering::SeqCst);
        self.sandbox.advance(by);
        self.sync_clock();
    }

    /// Sets the application's clock to the sandbox's time and returns it.
    pub(crate) fn sync_clock(&self) -> Timestamp {
        let advanced = Duration::from_micros(self.advanced.load(Ordering::SeqCst));
        let now = Timestamp::now() + advanced;
        self.clock.set(now);
        now
    }

    /// Returns a webhook for a departure of `member` now.
    pub(crate) fn webhook(&self, member: &str) -> Webhook {
        let member: ProjectMemberId = member
            .parse()
            .unwrap_or_else(|error| panic!("{member:?}: {error}"));
        Webhook::new(member, self.sync_clock(), &self.settings)
    }
}
