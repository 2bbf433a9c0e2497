//! The handle [`OpenHumans`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{Client, MemberClient, ProjectClient};
#[cfg(feature = "checkpoints")]
use crate::deauth::CheckpointArchive;
use crate::deauth::{
    Accepted, CircuitBreaker, Context, DeauthHandler, DeauthInbox, Deauthorizer, ErasureRequest,
    InboxError, MemberList, MemoryInbox, Pseudonymizer, TokensOnly,
};
use crate::login::pending::PendingLoginCookies;
use crate::login::{AcceptAllLogins, Login, LoginHandler, LoginPages};
use crate::mount::MountCheck;
use crate::session::{Member, SessionCache, SessionMember};
use crate::settings::Warning;
use crate::store::{EncryptedStore, MemoryStore, ReencryptReport, StoreError, TokenStore};
use crate::tokens::{MemberTokens, TokenRefresher};
use crate::transport::{Transport, TransportError};
use crate::webhook::Deauthorization;
use crate::{AccessToken, Clock, Error, ProjectMemberId, Settings};

/// How long [`OpenHumans::deauthorize`] waits for the inbox.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(8);

/// The application's handle to this library. Cheap to clone; clones share all state.
///
/// ```
/// use oh_core::{OpenHumans, Settings};
///
/// let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
/// let oh = OpenHumans::builder(settings).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OpenHumans {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    pub(crate) store: Arc<dyn TokenStore>,
    encrypted_store: Option<EncryptedStore<Arc<dyn TokenStore>>>,
    pub(crate) login: Login,
    pub(crate) deauth_handler: Arc<dyn DeauthHandler>,
    pub(crate) deauthorizer: Deauthorizer,
    pub(crate) member_list: Arc<MemberList>,
    #[cfg(feature = "checkpoints")]
    pub(crate) checkpoint_archive: Option<Arc<dyn CheckpointArchive>>,
    pub(crate) sessions: Arc<SessionCache>,
    pub(crate) tokens: TokenRefresher,
    pub(crate) mount_check: MountCheck,
    pub(crate) login_pages: Option<Arc<dyn LoginPages>>,
}

impl OpenHumans {
    /// Creates a builder. All options have defaults that work in a single process.
    pub fn builder(settings: Settings) -> OpenHumansBuilder {
        OpenHumansBuilder {
            settings,
            clock: Clock::system(),
            transport: None,
            store: None,
            encrypt_tokens: true,
            inbox: None,
            login_handler: Arc::new(AcceptAllLogins),
            deauth_handler: None,
            circuit_breaker: CircuitBreaker::default(),
            #[cfg(feature = "checkpoints")]
            checkpoint_archive: None,
            login_pages: None,
        }
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Returns the store of members' tokens.
    pub fn token_store(&self) -> &Arc<dyn TokenStore> {
        &self.inner.store
    }

    /// Decrypts the first 100 stored records, to find a wrong or missing key before a member does.
    /// [`start_background`](Self::start_background) does it, and logs the error.
    ///
    /// # Errors
    ///
    /// When a record does not decrypt, or the token store fails.
    pub async fn check_token_store(&self) -> Result<(), StoreError> {
        match &self.inner.encrypted_store {
            Some(store) => store.check().await,
            None => Ok(()),
        }
    }

    /// Encrypts all stored tokens with the first of the [`store_keys`](Settings::store_keys), see
    /// [`EncryptedStore::reencrypt_all`]. Does nothing in a store without encryption.
    ///
    /// # Errors
    ///
    /// When the token store fails.
    pub async fn reencrypt_tokens(&self) -> Result<ReencryptReport, StoreError> {
        match &self.inner.encrypted_store {
            Some(store) => store.reencrypt_all().await,
            None => Ok(ReencryptReport::default()),
        }
    }

    /// Returns the inbox of deauthorizations.
    pub fn inbox(&self) -> &Arc<dyn DeauthInbox> {
        self.inner.deauthorizer.inbox()
    }

    /// Returns the member of a session, if the session is valid: the member is still authorized
    /// and has not logged out since, and the session has not reached its
    /// [maximum age](crate::SettingsBuilder::session_max_age).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the token store fails.
    pub async fn member(
        &self,
        session: Option<SessionMember>,
    ) -> Result<Option<Member>, StoreError> {
        match session {
            Some(session) => {
                self.inner
                    .sessions
                    .member(&*self.inner.store, session)
                    .await
            }
            None => Ok(None),
        }
    }

    /// Ends all current sessions of a member, on every device and in every copy of a cookie. Other
    /// processes accept them for up to
    /// [`session_cache_ttl`](crate::SettingsBuilder::session_cache_ttl). Call it only in your own
    /// logout route; the [routes](crate::routes) call it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the token store fails.
    pub async fn log_out(&self, session: &SessionMember) -> Result<(), StoreError> {
        let inner = &self.inner;
        inner.sessions.end_all(&*inner.store, session).await
    }

    /// Stores the event of a verified webhook and ends the member's authorization in this
    /// application. Call it only in your own webhook route; the [routes](crate::routes) call it.
    ///
    /// Returns after 8 seconds at the latest, because Open Humans waits about 30 seconds for a
    /// response and sends each erasure request only once. An event that is not stored in that time
    /// is retried in the background for a day.
    ///
    /// # Errors
    ///
    /// [`InboxError`] if the event is not stored yet. Answer the webhook with 503 then.
    pub async fn deauthorize(&self, webhook: &Deauthorization) -> Result<Accepted, InboxError> {
        let erasure = if webhook.erasure_requested() {
            ErasureRequest::Requested
        } else {
            ErasureRequest::NotRequested
        };
        self.inner
            .deauthorizer
            .report_webhook(ACCEPT_TIMEOUT, webhook.member(), erasure, webhook.left_at())
            .await
    }

    /// Returns an access token of the member that is valid for at least a minute. Refreshes it if
    /// necessary, once for all tasks and processes that ask at the same time.
    ///
    /// # Errors
    ///
    /// [`Error::Deauthorized`] if the member is not authorized, and other errors if Open Humans or
    /// the token store fails.
    pub async fn access_token(&self, member: &ProjectMemberId) -> Result<AccessToken, Error> {
        self.inner.tokens.get(member).await
    }

    /// Returns a new access token in place of `refused`, which Open Humans rejected with 401.
    ///
    /// # Errors
    ///
    /// As [`access_token`](Self::access_token).
    pub async fn refreshed_access_token(
        &self,
        member: &ProjectMemberId,
        refused: &AccessToken,
    ) -> Result<AccessToken, Error> {
        self.inner.tokens.replace(member, refused).await
    }

    /// Waits until every pending token refresh has a response and its new tokens are stored. Call
    /// it before the process ends, so that no tokens are lost;
    /// [`Background::stop`](crate::Background::stop) does. Takes up to the
    /// [timeout](crate::SettingsBuilder::timeout), or six minutes while the token store fails.
    pub async fn wait_for_refreshes(&self) {
        self.inner.tokens.wait().await;
    }

    /// Returns an API client that acts as the member and refreshes tokens when necessary.
    pub fn member_client(&self, member: &ProjectMemberId) -> MemberClient {
        self.inner.client.member_with(Arc::new(MemberTokens {
            tokens: self.inner.tokens.clone(),
            member: member.clone(),
        }))
    }

    /// Returns an API client that acts as the project, with the master token.
    ///
    /// # Errors
    ///
    /// [`Error::NotConfigured`] if the settings have no master token.
    pub fn project_client(&self) -> Result<ProjectClient, Error> {
        let token = self.inner.settings.master_token.clone();
        let token = token.ok_or(Error::NotConfigured {
            what: "a master token",
        })?;
        Ok(self.inner.client.project(token))
    }
}

impl fmt::Debug for OpenHumans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenHumans")
            .field("client_id", &self.inner.settings.client_id)
            .finish_non_exhaustive()
    }
}

/// An error while building an [`OpenHumans`] handle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The built-in HTTP client failed to initialize.
    #[error("failed to initialize the HTTP client")]
    Transport(#[from] TransportError),
    /// The feature `http-client` is disabled and no transport was set.
    #[error(
        "the feature http-client is disabled: set a transport with OpenHumansBuilder::transport"
    )]
    NoTransport,
}

/// Builds an [`OpenHumans`] handle.
#[must_use]
pub struct OpenHumansBuilder {
    settings: Settings,
    clock: Clock,
    transport: Option<Arc<dyn Transport>>,
    store: Option<Arc<dyn TokenStore>>,
    encrypt_tokens: bool,
    inbox: Option<Arc<dyn DeauthInbox>>,
    login_handler: Arc<dyn LoginHandler>,
    deauth_handler: Option<Arc<dyn DeauthHandler>>,
    circuit_breaker: CircuitBreaker,
    #[cfg(feature = "checkpoints")]
    checkpoint_archive: Option<Arc<dyn CheckpointArchive>>,
    login_pages: Option<Arc<dyn LoginPages>>,
}

impl OpenHumansBuilder {
    /// Sets the handler that accepts or rejects logins. Default: accepts all.
    pub fn login_handler(mut self, handler: impl LoginHandler) -> Self {
        self.login_handler = Arc::new(handler);
        self
    }

    /// Sets the store for members' tokens. Default: in memory.
    ///
    /// Tokens are encrypted with the [keys of the settings](Settings::store_keys) before they reach
    /// the store.
    pub fn token_store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self.encrypt_tokens = true;
        self
    }

    /// Sets a store that receives the tokens in plain text and must encrypt them itself: anyone who
    /// can read the database or one of its backups could otherwise act for every member.
    pub fn unencrypted_token_store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self.encrypt_tokens = false;
        self
    }

    /// Sets the inbox that stores deauthorizations. Default: in memory, lost in a crash.
    pub fn deauth_inbox(mut self, inbox: impl DeauthInbox) -> Self {
        self.inbox = Some(Arc::new(inbox));
        self
    }

    /// Sets the handler that deletes a member's data after a deauthorization. Default: only the
    /// tokens are deleted.
    pub fn deauth_handler(mut self, handler: impl DeauthHandler) -> Self {
        self.deauth_handler = Some(Arc::new(handler));
        self
    }

    /// Sets the limits above which deauthorizations are quarantined, see [`CircuitBreaker`].
    pub fn circuit_breaker(mut self, circuit_breaker: CircuitBreaker) -> Self {
        self.circuit_breaker = circuit_breaker;
        self
    }

    #[cfg(feature = "checkpoints")]
    /// Sets an archive that receives each checkpoint of the ledger. Default: checkpoints are stored
    /// in the inbox and logged. Needs a
    /// [signing key](crate::SettingsBuilder::ledger_signing_key).
    pub fn checkpoint_archive(mut self, archive: impl CheckpointArchive) -> Self {
        self.checkpoint_archive = Some(Arc::new(archive));
        self
    }

    /// Replaces the built-in pages of the login routes. The crate `oh-pages` provides some.
    pub fn login_pages(mut self, pages: impl LoginPages) -> Self {
        self.login_pages = Some(Arc::new(pages));
        self
    }

    /// Sets the HTTP client for requests to Open Humans. Default: the built-in client.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Sets the clock. Use it in tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the handle and logs [warnings](crate::settings::Warning). Sends no request.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if there is no usable HTTP client.
    pub fn build(self) -> Result<OpenHumans, BuildError> {
        for warning in self.warnings() {
            tracing::warn!("{warning}");
        }
        let Self {
            settings, clock, ..
        } = self;
        let transport = match self.transport {
            Some(transport) => transport,
            None => default_transport()?,
        };
        let client = Client::with_transport(settings.oh_base_url.as_str(), transport)
            .expect("the settings have validated the URL")
            .timeout(settings.timeout)
            .clock(clock.clone());
        let oauth = client
            .oauth(
                settings.client_id.as_str(),
                settings.client_secret.clone(),
                settings.redirect_uri.as_str(),
            )
            .expect("the settings have validated client id, secret and redirect URI");
        let plain_store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let encrypted_store = self
            .encrypt_tokens
            .then(|| EncryptedStore::new(Arc::clone(&plain_store), settings.store_keys()));
        let store = match &encrypted_store {
            Some(encrypted) => Arc::new(encrypted.clone()),
            None => plain_store,
        };
        let sessions = Arc::new(SessionCache::new(
            clock.clone(),
            settings.session_max_age,
            settings.session_cache_ttl,
        ));
        let on_deauthorized = Arc::clone(&sessions);
        let project = settings.master_token.clone();
        let project = project.map(|token| client.project(token));
        let member_list = Arc::new(MemberList::new(project, clock.clone()));
        let deauthorizer = Deauthorizer::new(
            Context {
                store: Arc::clone(&store),
                inbox: self.inbox.unwrap_or_else(|| Arc::new(MemoryInbox::new())),
                pseudonymizer: pseudonymizer(&settings),
                clock: clock.clone(),
            },
            self.circuit_breaker,
            Arc::clone(&member_list),
            Box::new(move |member| on_deauthorized.invalidate(member)),
        );
        let tokens = TokenRefresher::new(
            oauth.clone(),
            client.clone(),
            deauthorizer.clone(),
            settings.timeout,
        );
        let login = Login {
            oauth,
            cookies: login_cookies(&settings),
            clock: clock.clone(),
            client: client.clone(),
            store: Arc::clone(&store),
            deauthorizer: deauthorizer.clone(),
            handler: self.login_handler,
            sessions: Arc::clone(&sessions),
            timeout: settings.timeout,
            redirect_url: settings.login_redirect_url.clone(),
        };
        let inner = Arc::new(Inner {
            client,
            login,
            clock,
            store,
            encrypted_store,
            deauth_handler: self.deauth_handler.unwrap_or_else(|| Arc::new(TokensOnly)),
            deauthorizer,
            member_list,
            #[cfg(feature = "checkpoints")]
            checkpoint_archive: self.checkpoint_archive,
            sessions,
            tokens,
            mount_check: MountCheck::default(),
            settings,
            login_pages: self.login_pages,
        });
        Ok(OpenHumans { inner })
    }

    /// Storage in memory is a mistake only in a public application.
    fn warnings(&self) -> Vec<Warning> {
        let is_public = self.settings.is_https();
        let mut warnings = self.settings.warnings();
        for (applies, warning) in [
            (is_public && self.store.is_none(), Warning::TokensInMemory),
            (is_public && self.inbox.is_none(), Warning::InboxInMemory),
            (self.deauth_handler.is_none(), Warning::NoDeauthHandler),
        ] {
            if applies {
                warnings.push(warning);
            }
        }
        warnings
    }
}

impl fmt::Debug for OpenHumansBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenHumansBuilder").finish_non_exhaustive()
    }
}

#[cfg(feature = "http-client")]
fn default_transport() -> Result<Arc<dyn Transport>, BuildError> {
    Ok(Arc::new(crate::transport::HttpClient::new()?))
}

#[cfg(not(feature = "http-client"))]
fn default_transport() -> Result<Arc<dyn Transport>, BuildError> {
    Err(BuildError::NoTransport)
}

fn pseudonymizer(settings: &Settings) -> Pseudonymizer {
    match &settings.ledger_key {
        Some(key) => Pseudonymizer::new(key),
        None => Pseudonymizer::from_client_secret(&settings.client_secret),
    }
}

fn login_cookies(settings: &Settings) -> PendingLoginCookies {
    let key = match &settings.cookie_key {
        Some(key) => key.expose(),
        None => settings.client_secret.expose(),
    };
    PendingLoginCookies::new(key, settings.is_https())
}
