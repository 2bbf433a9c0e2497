//! What a test begins with: a sandbox, settings that fit it, one clock for both, stores in memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use oh_core::deauth::MemoryInbox;
use oh_core::store::MemoryStore;
use oh_core::{OpenHumans, OpenHumansBuilder, Settings, SettingsBuilder, SettingsError, Timestamp};
use oh_sandbox::{Sandbox, SandboxBuilder, StartError, defaults};

use crate::app::{App, Axum};
use crate::browser::Browser;
use crate::webhook::Webhook;
use crate::world::World;

/// A member of the sandbox, with the username alice.
pub const ALICE: &str = defaults::MEMBERS[0].0;

/// A member of the sandbox, with the username bob.
pub const BOB: &str = defaults::MEMBERS[1].0;

/// A member of the sandbox who does not share a username.
pub const NAMELESS: &str = defaults::MEMBERS[2].0;

/// What a test begins with. Cheap to clone; clones share all of it. The sandbox stops when the last
/// one is dropped.
#[derive(Clone)]
pub struct Kit {
    world: Arc<World>,
    store: Arc<MemoryStore>,
    inbox: Arc<MemoryInbox>,
}

/// Why a kit did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// The sandbox did not start.
    #[error(transparent)]
    Sandbox(#[from] StartError),
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// Says what a [`Kit`] is to be like. Made by [`Kit::builder`].
#[must_use]
pub struct KitBuilder {
    app_base_url: String,
    settings: Box<dyn FnOnce(SettingsBuilder) -> SettingsBuilder + Send>,
    sandbox: Box<dyn FnOnce(SandboxBuilder) -> SandboxBuilder + Send>,
}

impl Kit {
    /// Starts one for an app at `https://app.example`, with the members [`ALICE`], [`BOB`] and
    /// [`NAMELESS`].
    ///
    /// # Errors
    ///
    /// When no port of this machine can be listened at.
    pub async fn start() -> Result<Self, KitError> {
        Self::builder().start().await
    }

    /// Says otherwise.
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

    /// The Open Humans of this test: [faults](Sandbox::fault), files, messages, members who leave
    /// and tell nobody.
    pub fn sandbox(&self) -> &Sandbox {
        &self.world.sandbox
    }

    /// Settings that fit the sandbox.
    pub fn settings(&self) -> &Settings {
        &self.world.settings
    }

    /// Begins a handle: these settings, this clock, and stores in memory, all of which can be
    /// changed. Add the app's handlers, and build it.
    pub fn openhumans(&self) -> OpenHumansBuilder {
        OpenHumans::builder(self.world.settings.clone())
            .clock(self.world.clock.clone())
            .unencrypted_token_store(Arc::clone(&self.store))
            .deauth_inbox(Arc::clone(&self.inbox))
    }

    /// The token store of [`openhumans`](Self::openhumans). Its tokens are not encrypted.
    pub fn token_store(&self) -> &Arc<MemoryStore> {
        &self.store
    }

    /// The inbox of [`openhumans`](Self::openhumans).
    pub fn deauth_inbox(&self) -> &Arc<MemoryInbox> {
        &self.inbox
    }

    /// Someone's browser, at an axum app.
    pub fn axum(&self, app: &Router) -> Browser<Axum> {
        self.browser(Axum::new(app))
    }

    /// Someone's browser, at an app of actix-web: what `actix_web::test::init_service` gives.
    #[cfg(feature = "actix")]
    pub fn actix<'a, S>(&self, service: &'a S) -> Browser<crate::Actix<'a, S>>
    where
        crate::Actix<'a, S>: App,
    {
        self.browser(crate::Actix::new(service))
    }

    /// Someone's browser, at an app of another framework.
    pub fn browser<A: App>(&self, app: A) -> Browser<A> {
        Browser::new(app, Arc::clone(&self.world))
    }

    /// A webhook that says that a member has left just now, with the wish to be erased; addressed
    /// to the app's route, to be signed with its secret.
    ///
    /// # Panics
    ///
    /// When `member` cannot be one.
    pub fn webhook(&self, member: &str) -> Webhook {
        self.world.webhook(member)
    }

    /// Moves the clocks of the app and the sandbox forward: tokens expire, sessions age, what
    /// failed is due again. Between such moves time goes on as ever.
    pub fn advance(&self, by: Duration) {
        self.world.advance(by);
    }

    /// The time, as the app and the sandbox have it.
    pub fn now(&self) -> Timestamp {
        self.world.keep_time()
    }

    /// Has the app's `DeauthHandler` act on all departures that are due, once each. What fails is
    /// due again when the clock has been [moved](Self::advance).
    pub async fn run_worker(&self, openhumans: &OpenHumans) {
        self.world.keep_time();
        let worker = openhumans.worker().spawn();
        worker.drain().await;
        worker.stop().await;
    }
}

impl KitBuilder {
    /// The app's address, if it is not to be `https://app.example`. Nothing is ever sent there.
    pub fn app_base_url(mut self, url: impl Into<String>) -> Self {
        self.app_base_url = url.into();
        self
    }

    /// Changes the settings of the app.
    pub fn settings(
        mut self,
        change: impl FnOnce(SettingsBuilder) -> SettingsBuilder + Send + 'static,
    ) -> Self {
        self.settings = Box::new(change);
        self
    }

    /// Changes what the sandbox is like.
    pub fn sandbox(
        mut self,
        change: impl FnOnce(SandboxBuilder) -> SandboxBuilder + Send + 'static,
    ) -> Self {
        self.sandbox = Box::new(change);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// When a setting cannot be used, or no port of this machine can be listened at.
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
            // A project without one.
            none if none.is_empty() => settings,
            secret => settings.webhook_secret(secret),
        };
        let settings = (self.settings)(settings).build()?;
        sandbox.set_redirect_uris([settings.redirect_uri().as_str()]);
        Ok(Kit {
            world: Arc::new(World::new(sandbox, settings)),
            store: Arc::new(MemoryStore::new()),
            inbox: Arc::new(MemoryInbox::new()),
        })
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit")
            .field("sandbox", &self.world.sandbox)
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
