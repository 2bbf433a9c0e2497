//! The test kit: a sandbox, matching settings, a shared clock, and stores in memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use oh_core::deauth::{MemoryInbox, WorkerSettings};
use oh_core::store::MemoryStore;
use oh_core::{OpenHumans, OpenHumansBuilder, Settings, SettingsBuilder, SettingsError};
use oh_sandbox::{Sandbox, SandboxBuilder, StartError, defaults};

use crate::app::{App, Axum};
use crate::browser::Browser;
use crate::environment::Environment;
use crate::webhook::Webhook;

/// A member of the sandbox, with the username alice.
pub const ALICE: &str = defaults::MEMBERS[0].0;

/// A member of the sandbox, with the username bob.
pub const BOB: &str = defaults::MEMBERS[1].0;

/// A member of the sandbox without a shared username.
pub const NAMELESS: &str = defaults::MEMBERS[2].0;

/// The environment of a test: a sandbox, matching settings, a shared clock, and stores in memory.
///
/// Clones share everything. The sandbox stops when the last clone is dropped.
#[derive(Clone)]
pub struct Kit {
    environment: Arc<Environment>,
    store: Arc<MemoryStore>,
    inbox: Arc<MemoryInbox>,
}

/// An error while a [`Kit`] starts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// The sandbox did not start.
    #[error(transparent)]
    Sandbox(#[from] StartError),
    /// A setting is invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// A builder for a [`Kit`], created by [`Kit::builder`].
#[must_use]
pub struct KitBuilder {
    app_base_url: String,
    settings: Box<dyn FnOnce(SettingsBuilder) -> SettingsBuilder + Send>,
    sandbox: Box<dyn FnOnce(SandboxBuilder) -> SandboxBuilder + Send>,
}

impl Kit {
    /// Starts a kit for an application at `https://app.example`, with the members [`ALICE`],
    /// [`BOB`] and [`NAMELESS`].
    ///
    /// # Errors
    ///
    /// Returns an error if the sandbox cannot listen on a loopback port.
    pub async fn start() -> Result<Self, KitError> {
        Self::builder().start().await
    }

    /// Returns a builder with which you can change settings and sandbox.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), oh_test::KitError> {
    /// let kit = oh_test::Kit::builder()
    ///     .settings(|settings| settings.mount_path("/oh").login_redirect_url("/nights"))
    ///     .sandbox(|sandbox| sandbox.member("00000001", Some("carol")))
    ///     .start()
    ///     .await?;
    /// assert_eq!(kit.settings().redirect_uri().as_str(), "https://app.example/oh/complete");
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> KitBuilder {
        KitBuilder {
            app_base_url: "https://app.example".to_owned(),
            settings: Box::new(|settings| settings),
            sandbox: Box::new(|sandbox| sandbox),
        }
    }

    /// Returns the sandbox: [faults](Sandbox::fault), files, messages, unannounced departures.
    pub fn sandbox(&self) -> &Sandbox {
        &self.environment.sandbox
    }

    /// Returns the settings for the sandbox.
    pub fn settings(&self) -> &Settings {
        &self.environment.settings
    }

    /// Returns a builder for the handle, with these settings, this clock, and stores in memory.
    ///
    /// Add the application's handlers, or replace the stores, and build it.
    pub fn openhumans(&self) -> OpenHumansBuilder {
        OpenHumans::builder(self.environment.settings.clone())
            .clock(self.environment.clock.clone())
            .unencrypted_token_store(Arc::clone(&self.store))
            .deauth_inbox(Arc::clone(&self.inbox))
    }

    /// Returns a new browser for an axum application.
    pub fn axum(&self, app: &Router) -> Browser<Axum> {
        self.browser(Axum(app.clone()))
    }

    /// Returns a new browser for an actix-web application from `actix_web::test::init_service`.
    #[cfg(feature = "actix")]
    pub fn actix<'a, S>(&self, service: &'a S) -> Browser<crate::Actix<'a, S>>
    where
        crate::Actix<'a, S>: App,
    {
        self.browser(crate::Actix(service))
    }

    /// Returns a new browser for an application of another framework.
    pub fn browser<A: App>(&self, app: A) -> Browser<A> {
        Browser::new(app, Arc::clone(&self.environment))
    }

    /// Returns a webhook for a departure of `member` now, with an erasure request.
    ///
    /// # Panics
    ///
    /// Panics if `member` is not a project member id.
    pub fn webhook(&self, member: &str) -> Webhook {
        self.environment.webhook(member)
    }

    /// Advances the clocks of the application and the sandbox: tokens expire, sessions age, and
    /// failed events become due. Otherwise the clocks run normally.
    pub fn advance(&self, by: Duration) {
        self.environment.advance(by);
    }

    /// Calls the application's `DeauthHandler` once for each due event.
    ///
    /// A failed event becomes due again after its backoff; see [`advance`](Self::advance).
    pub async fn run_worker(&self, openhumans: &OpenHumans) {
        self.environment.sync_clock();
        let worker = openhumans.worker(WorkerSettings::default());
        worker.run_until_idle().await;
    }
}

impl KitBuilder {
    /// Sets the base URL of the application. The default is `https://app.example`; no request is
    /// sent there.
    pub fn app_base_url(mut self, url: impl Into<String>) -> Self {
        self.app_base_url = url.into();
        self
    }

    /// Changes the settings of the application.
    pub fn settings(
        mut self,
        change: impl FnOnce(SettingsBuilder) -> SettingsBuilder + Send + 'static,
    ) -> Self {
        self.settings = Box::new(change);
        self
    }

    /// Changes the configuration of the sandbox.
    pub fn sandbox(
        mut self,
        change: impl FnOnce(SandboxBuilder) -> SandboxBuilder + Send + 'static,
    ) -> Self {
        self.sandbox = Box::new(change);
        self
    }

    /// Starts the kit.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid or the sandbox cannot listen on a loopback port.
    pub async fn start(self) -> Result<Kit, KitError> {
        let sandbox = (self.sandbox)(Sandbox::builder()).start().await?;
        let settings = Settings::builder(
            sandbox.client_id(),
            sandbox.client_secret(),
            self.app_base_url,
        )
        .oh_base_url(sandbox.url().as_str())
        .master_token(sandbox.master_token());
        let settings = match sandbox.webhook_secret() {
            // The sandbox represents a project without a webhook secret by an empty one.
            secret if secret.is_empty() => settings,
            secret => settings.webhook_secret(secret),
        };
        let settings = (self.settings)(settings).build()?;
        sandbox.set_redirect_uris([settings.redirect_uri().as_str()]);
        Ok(Kit {
            environment: Arc::new(Environment::new(sandbox, settings)),
            store: Arc::new(MemoryStore::new()),
            inbox: Arc::new(MemoryInbox::new()),
        })
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit")
            .field("sandbox", &self.environment.sandbox)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KitBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KitBuilder")
            .field("app_base_url", &self.app_base_url)
            .finish_non_exhaustive()
    }
}
