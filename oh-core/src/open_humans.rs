//! The one handle an app holds: [`OpenHumans`].

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::api::{Client, MemberClient, ProjectClient};
use crate::deauth::{
    Accepted, CheckpointArchive, CircuitBreaker, DeauthHandler, DeauthInbox, Deauthorizer,
    ErasureRequest, Extras, InboxError, MemberList, MemoryInbox, Pseudonymizer, TokensOnly,
};
use crate::login::pending::PendingLoginCookies;
use crate::login::{AcceptAllLogins, Login, LoginHandler};
use crate::mount::MountCheck;
use crate::session::{Member, SessionCache, SessionMember};
use crate::store::{EncryptedStore, MemoryStore, ReencryptReport, StoreError, TokenStore};
use crate::tokens::{MemberTokens, TokenRefresher};
use crate::transport::{Transport, TransportError};
use crate::webhook::Deauthorization;
use crate::{AccessToken, Clock, Error, ProjectMemberId, Settings};

/// How long [`OpenHumans::deauthorize`] waits for the inbox.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(8);

/// Everything an app does with Open Humans begins here. Cheap to clone; clones share all state.
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
    pub(crate) checkpoint_archive: Option<Arc<dyn CheckpointArchive>>,
    pub(crate) sessions: Arc<SessionCache>,
    pub(crate) tokens: TokenRefresher,
    pub(crate) mount_check: MountCheck,
    #[cfg(feature = "pages")]
    pub(crate) pages: Option<crate::pages::Pages>,
}

impl OpenHumans {
    /// Starts from the settings; everything else has a default that works in one process.
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
            brake: CircuitBreaker::default(),
            checkpoint_archive: None,
            #[cfg(feature = "pages")]
            pages: None,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Where tokens live.
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

    /// Where events of members leaving are kept.
    pub fn inbox(&self) -> &Arc<dyn DeauthInbox> {
        self.inner.deauthorizer.inbox()
    }

    /// Where members leaving are reported.
    pub fn deauthorizer(&self) -> &Deauthorizer {
        &self.inner.deauthorizer
    }

    /// The member a session belongs to, if the member is still authorized and has not logged out
    /// since, and the session is not [too old](crate::SettingsBuilder::session_max_age).
    ///
    /// # Errors
    ///
    /// When the token store cannot answer.
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

    /// Logs a member out: ends the sessions of the member that have begun so far, on every device
    /// and with every copy of a cookie. Other processes go on believing them for as long as
    /// [`session_cache_ttl`](crate::SettingsBuilder::session_cache_ttl) says. The
    /// [routes](crate::routes) do it; this is for those who write their own.
    ///
    /// # Errors
    ///
    /// When the token store cannot answer.
    pub async fn log_out(&self, session: &SessionMember) -> Result<(), StoreError> {
        let inner = &self.inner;
        inner.sessions.end_all(&*inner.store, session).await
    }

    /// Stores the event of a verified webhook and ends the member's authorization in this
    /// application. Only a webhook route of your own needs it; the [routes](crate::routes) call it.
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
            .report_webhook_within(ACCEPT_TIMEOUT, webhook.member(), erasure, webhook.left_at())
            .await
    }

    /// A member's access token that is good for a minute at least, refreshed if need be.
    ///
    /// Whatever number of tasks and processes ask at once, Open Humans is asked once.
    ///
    /// # Errors
    ///
    /// [`Error::Deauthorized`] when the member has not authorized the project or has left, and
    /// whatever can go wrong on the way to Open Humans and the store.
    pub async fn access_token(&self, member: &ProjectMemberId) -> Result<AccessToken, Error> {
        self.inner.tokens.get(member).await
    }

    /// Another access token than `refused`, which Open Humans answered with 401.
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

    /// Waits until every refresh that was sent has its answer, and the new tokens are kept. Call it
    /// before the process ends, so that no pair is lost; [`Background::stop`](crate::Background::stop)
    /// does. Takes as long as a token request at most; while the token store is away, up to six
    /// minutes.
    pub async fn wait_for_refreshes(&self) {
        self.inner.tokens.settled().await;
    }

    /// The API as one member, with a live token for every call.
    pub fn member_client(&self, member: &ProjectMemberId) -> MemberClient {
        self.inner.client.member_with(Arc::new(MemberTokens::new(
            self.inner.tokens.clone(),
            member.clone(),
        )))
    }

    /// The API as the project, with the master token.
    ///
    /// # Errors
    ///
    /// [`Error::NotConfigured`] when the settings hold no master token.
    pub fn project_client(&self) -> Result<ProjectClient, Error> {
        let token = self.inner.settings.master_token.clone();
        let token = token.ok_or(Error::NotConfigured {
            what: "a master token",
        })?;
        Ok(self.inner.client.project(token))
    }
}

/// The ids of all members of the project.
async fn members(project: ProjectClient) -> Result<HashSet<ProjectMemberId>, Error> {
    let mut list = project.members();
    let mut members = HashSet::new();
    while let Some(member) = list.try_next().await? {
        members.insert(member.project_member_id);
    }
    Ok(members)
}

impl fmt::Debug for OpenHumans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenHumans")
            .field("client_id", &self.inner.settings.client_id)
            .finish_non_exhaustive()
    }
}

/// The handle could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The built-in HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Transport(#[from] TransportError),
    /// The `http-client` feature is off and no transport was given.
    #[error("no transport was given, and the http-client feature is off")]
    NoTransport,
}

/// Collects what [`OpenHumans`] is made of.
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
    brake: CircuitBreaker,
    checkpoint_archive: Option<Arc<dyn CheckpointArchive>>,
    #[cfg(feature = "pages")]
    pages: Option<crate::pages::Pages>,
}

impl OpenHumansBuilder {
    /// Who is welcome, and where to. Default: everyone.
    pub fn login_handler(mut self, handler: impl LoginHandler) -> Self {
        self.login_handler = Arc::new(handler);
        self
    }

    /// Sets the store for members' tokens. Default: in memory.
    ///
    /// Tokens are encrypted before the store sees them, with the [keys](Settings::store_keys) of the
    /// settings. The store itself knows nothing about it.
    pub fn token_store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self.encrypt_tokens = true;
        self
    }

    /// Sets a store that receives the tokens in plain text. Whoever can read the database or one of
    /// its backups can then act for every member, so the store must encrypt them itself.
    pub fn unencrypted_token_store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self.encrypt_tokens = false;
        self
    }

    /// Where events of members leaving are kept. Default: in memory, lost in a crash. An `Arc` of an
    /// inbox is an inbox.
    pub fn deauth_inbox(mut self, inbox: impl DeauthInbox) -> Self {
        self.inbox = Some(Arc::new(inbox));
        self
    }

    /// What leaving means to the app. Default: the tokens go, and nothing else.
    pub fn deauth_handler(mut self, handler: impl DeauthHandler) -> Self {
        self.deauth_handler = Some(Arc::new(handler));
        self
    }

    /// How many members may turn out gone within an hour before the others are held; see [`CircuitBreaker`].
    pub fn circuit_breaker(mut self, brake: CircuitBreaker) -> Self {
        self.brake = brake;
        self
    }

    /// Where checkpoints of the ledger go besides the inbox, so that others hold them, too. Default:
    /// to the log alone. Nothing is sealed without a
    /// [signing key](crate::SettingsBuilder::ledger_signing_key).
    pub fn checkpoint_archive(mut self, archive: impl CheckpointArchive) -> Self {
        self.checkpoint_archive = Some(Arc::new(archive));
        self
    }

    /// Pages for members, and a desk for those who see to erasure. Default: none.
    #[cfg(feature = "pages")]
    pub fn pages(mut self, pages: crate::pages::Pages) -> Self {
        self.pages = Some(pages);
        self
    }

    /// How requests leave. Default: the built-in client.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Another clock, for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What works for trying things out is said where it cannot be meant.
    fn warn_of_defaults(&self) {
        if self.settings.is_https() && self.store.is_none() {
            tracing::warn!(
                "members' tokens are kept in memory and lost with the process: give a store by \
                 OpenHumansBuilder::token_store"
            );
        }
        if self.settings.is_https() && self.inbox.is_none() {
            tracing::warn!(
                "the deauthorization inbox is in memory: wishes to be erased are lost with the \
                 process. Give one by OpenHumansBuilder::deauth_inbox"
            );
        }
        if self.deauth_handler.is_none() {
            tracing::warn!(
                "there is no DeauthHandler: when members ask to be erased only their tokens go. Give \
                 one by OpenHumansBuilder::deauth_handler"
            );
        }
    }

    /// Makes the handle. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When the HTTP client cannot be set up.
    pub fn build(self) -> Result<OpenHumans, BuildError> {
        self.warn_of_defaults();
        for warning in self.settings.warnings() {
            tracing::warn!("{warning}");
        }
        let transport = match self.transport {
            Some(transport) => transport,
            None => default_transport()?,
        };
        let settings = self.settings;
        if settings.webhook_secrets.is_empty() && !settings.unsigned_webhooks {
            tracing::warn!(
                "no webhook secret is configured: no webhook will be believed, and nothing will be \
                 known of what members who leave wish"
            );
        }
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let encrypted_store = self
            .encrypt_tokens
            .then(|| EncryptedStore::new(Arc::clone(&store), settings.store_keys()));
        let store = match &encrypted_store {
            Some(encrypted) => Arc::new(encrypted.clone()),
            None => store,
        };
        let inbox = self.inbox.unwrap_or_else(|| Arc::new(MemoryInbox::new()));
        let deauth_handler = self.deauth_handler.unwrap_or_else(|| Arc::new(TokensOnly));
        let secret = settings.client_secret.expose();
        let names = match &settings.ledger_key {
            Some(key) => Pseudonymizer::new(key),
            None => Pseudonymizer::from_client_secret(&settings.client_secret),
        };
        let cookie_key = settings
            .cookie_key
            .as_ref()
            .map_or(secret, |key| key.expose());
        let cookies = PendingLoginCookies::new(cookie_key, settings.is_https());
        let sessions = Arc::new(SessionCache::new(
            self.clock.clone(),
            settings.session_max_age,
            settings.session_cache_ttl,
        ));
        let on_deauthorized = Arc::clone(&sessions);
        let client = Client::with_transport(settings.oh_base_url.as_str(), transport)
            .expect("the address was checked with the settings")
            .timeout(settings.timeout)
            .clock(self.clock.clone());
        let roster = settings.master_token.clone().map(|token| {
            let project = client.project(token);
            Box::new(move || members(project.clone()).boxed()) as MemberList
        });
        let deauthorizer = Deauthorizer::assemble(
            Arc::clone(&store),
            inbox,
            names,
            self.clock.clone(),
            Extras {
                brake: self.brake,
                roster,
                gone: Box::new(move |member| on_deauthorized.invalidate(member)),
            },
        );
        let oauth = client
            .oauth(
                settings.client_id.as_str(),
                settings.client_secret.clone(),
                settings.redirect_uri.as_str(),
            )
            .expect("client id, secret and redirect URI were checked with the settings");
        let tokens = TokenRefresher::new(
            oauth.clone(),
            client.clone(),
            deauthorizer.clone(),
            settings.timeout,
        );
        let login = Login {
            oauth,
            cookies,
            clock: self.clock.clone(),
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
            clock: self.clock,
            store,
            encrypted_store,
            deauth_handler,
            deauthorizer,
            checkpoint_archive: self.checkpoint_archive,
            sessions,
            tokens,
            mount_check: MountCheck::default(),
            settings,
            #[cfg(feature = "pages")]
            pages: self.pages,
        });
        Ok(OpenHumans { inner })
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
