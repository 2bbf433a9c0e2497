//! Configures and starts a sandbox.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use tokio::sync::oneshot;
use url::Url;

use crate::objects::ObjectStore;
use crate::sandbox::Sandbox;
use crate::secret::Key;
use crate::server;
use crate::server::connection::{ResetHandle, ResettableListener};
use crate::state::database::{MASTER_TOKEN_LIFETIME, Settings};
use crate::state::{Credentials, Shared};
use crate::web::loopback::loopback_only;

/// The default credentials and members of a sandbox. They never change, so a configuration file
/// remains valid.
pub mod defaults {
    /// The client id.
    pub const CLIENT_ID: &str = "sandbox-client-id";
    /// The client secret.
    pub const CLIENT_SECRET: &str = "sandbox-client-secret";
    /// The master token of the project.
    pub const MASTER_TOKEN: &str = "sandbox-master-token";
    /// The secret that signs webhooks.
    pub const WEBHOOK_SECRET: &str = "sandbox-webhook-secret";
    /// The registered redirect URIs.
    pub const REDIRECT_URIS: [&str; 2] = [
        "http://localhost:8000/openhumans/complete",
        "http://127.0.0.1:8000/openhumans/complete",
    ];
    /// The members: their ids, and their usernames if they share them.
    pub const MEMBERS: [(&str, Option<&str>); 3] = [
        ("01026778", Some("alice")),
        ("00169953", Some("bob")),
        ("15546131", None),
    ];
}

/// The error that [`SandboxBuilder::start`] returns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is not a loopback address, and the builder does not allow that.
    #[error(
        "{0} is not a loopback address, and anyone who reaches the sandbox can act as any member"
    )]
    NotLoopback(SocketAddr),
    /// A setting is not a URL.
    #[error("{setting} must be a URL, but is {value:?}")]
    NotAUrl {
        /// The name of the setting.
        setting: &'static str,
        /// The value.
        value: String,
    },
    /// A project member id is invalid.
    #[error(
        "a project member id must have 1 to 16 letters or digits, as in 01026778, but is {0:?}"
    )]
    NotAMemberId(String),
    /// The sandbox could not listen on an address, for example because the port is in use.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The sandbox could not create its runtime or its thread.
    #[error("failed to start the sandbox: {0}")]
    Io(#[from] std::io::Error),
}

/// Configures a [`Sandbox`]. Created by [`Sandbox::builder`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), oh_sandbox::StartError> {
/// let sandbox = oh_sandbox::Sandbox::builder()
///     .listen(([127, 0, 0, 1], 0).into())
///     .webhook_url("http://127.0.0.1:8000/openhumans/deauth")
///     .member("01026778", Some("alice"))
///     .start()
///     .await?;
/// assert_eq!(sandbox.url().host_str(), Some("127.0.0.1"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct SandboxBuilder {
    listen: SocketAddr,
    object_store_listen: Option<SocketAddr>,
    allow_non_loopback: bool,
    credentials: Credentials,
    redirect_uris: Vec<String>,
    webhook_url: Option<String>,
    members: Vec<(String, Option<String>)>,
    expiring_master_token: bool,
    // Without the two kinds of URL, which are parsed at the start.
    settings: Settings,
}

impl std::fmt::Debug for SandboxBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandboxBuilder")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Returns a builder with the default settings.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            object_store_listen: None,
            allow_non_loopback: false,
            credentials: Credentials {
                client_id: defaults::CLIENT_ID.into(),
                client_secret: defaults::CLIENT_SECRET.into(),
                master_token: defaults::MASTER_TOKEN.into(),
            },
            redirect_uris: Vec::new(),
            webhook_url: None,
            members: Vec::new(),
            expiring_master_token: false,
            settings: Settings {
                redirect_uris: Vec::new(),
                webhook_url: None,
                webhook_secret: Some(defaults::WEBHOOK_SECRET.into()),
                silent_leave: false,
                remove_members_fails: false,
                account_deletion_fails: false,
                active: true,
                approved: true,
                on_site: false,
                access_logs: false,
                master_token_expires: None,
            },
        }
    }
}

impl SandboxBuilder {
    /// Sets the listening address. Default: a free port on 127.0.0.1.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Sets the listening address of the object store. Default: a free port on the same host.
    pub fn object_store_listen(mut self, address: SocketAddr) -> Self {
        self.object_store_listen = Some(address);
        self
    }

    /// Allows listening addresses that other machines can reach. Anyone who reaches the sandbox can
    /// act as any member.
    pub fn allow_non_loopback(mut self, allow: bool) -> Self {
        self.allow_non_loopback = allow;
        self
    }

    /// Sets the client id. Default: [`defaults::CLIENT_ID`].
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.credentials.client_id = id.into();
        self
    }

    /// Sets the client secret. Default: [`defaults::CLIENT_SECRET`].
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.credentials.client_secret = secret.into();
        self
    }

    /// Sets the master token. Default: [`defaults::MASTER_TOKEN`].
    pub fn master_token(mut self, token: impl Into<String>) -> Self {
        self.credentials.master_token = token.into();
        self
    }

    /// Adds a redirect URI. An authorization request without `redirect_uri` uses the first. Default:
    /// [`defaults::REDIRECT_URIS`].
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Sets the URL that receives webhooks. Default: none.
    pub fn webhook_url(mut self, url: impl Into<String>) -> Self {
        self.webhook_url = Some(url.into());
        self
    }

    /// Sets the secret that signs webhooks. An empty secret turns signatures off. Default:
    /// [`defaults::WEBHOOK_SECRET`].
    pub fn webhook_secret(mut self, secret: impl Into<String>) -> Self {
        let secret = Some(secret.into());
        self.settings.webhook_secret = secret.filter(|secret: &String| !secret.is_empty());
        self
    }

    /// Adds a member of Open Humans, who joins the project by authorizing it. A member without a
    /// username does not share it with the project. Default: [`defaults::MEMBERS`].
    pub fn member(mut self, id: impl Into<String>, username: Option<&str>) -> Self {
        self.members.push((id.into(), username.map(str::to_owned)));
        self
    }

    /// Behaves like the newest server, which fails in three cases: it sends no webhook when a member
    /// leaves and does not request erasure, it responds 500 after it removed a member by API, and it
    /// responds 500 to the deletion of an account that takes part in a project. Default: false.
    pub fn newest_server(mut self, newest: bool) -> Self {
        self.settings.silent_leave = newest;
        self.settings.remove_members_fails = newest;
        self.settings.account_deletion_fails = newest;
        self
    }

    /// Omits the webhook when a member leaves and does not request erasure, like the newest server.
    pub fn silent_leave(mut self, silent: bool) -> Self {
        self.settings.silent_leave = silent;
        self
    }

    /// Sets whether Open Humans has approved the project. An unapproved project is in no public list
    /// and can have up to 20 members. Default: true.
    pub fn approved(mut self, approved: bool) -> Self {
        self.settings.approved = approved;
        self
    }

    /// Makes the project an on-site project. Members join such a project at Open Humans itself. It
    /// has a master token but no OAuth2 client, so authorization and client secrets are rejected.
    pub fn on_site(mut self, on_site: bool) -> Self {
        self.settings.on_site = on_site;
        self
    }

    /// Allows the project to read the access logs of its members' files.
    pub fn access_logs(mut self, allowed: bool) -> Self {
        self.settings.access_logs = allowed;
        self
    }

    /// Makes the master token expire after 24 hours. Open Humans does this unless an administrator
    /// has turned it off.
    pub fn expiring_master_token(mut self, expires: bool) -> Self {
        self.expiring_master_token = expires;
        self
    }

    /// Starts the sandbox.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid or an address is not available.
    // Reserved for a start that performs asynchronous I/O.
    #[allow(clippy::unused_async)]
    pub async fn start(self) -> Result<Sandbox, StartError> {
        self.start_blocking()
    }

    /// Starts the sandbox outside of an asynchronous context.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid or an address is not available.
    pub fn start_blocking(self) -> Result<Sandbox, StartError> {
        let site = self.bind(self.listen)?;
        let same_host = SocketAddr::new(site.local_addr()?.ip(), 0);
        let store = self.bind(self.object_store_listen.unwrap_or(same_host))?;
        let key = Key::generate();
        let objects = ObjectStore::new(address_url(&store)?, key.clone());
        let settings = self.settings()?;
        let members = self.members()?;
        let url = address_url(&site)?;
        let shared = Shared::new(url, self.credentials, settings, objects, key);
        let now = shared.clock.now();
        if self.expiring_master_token {
            shared.db().settings.master_token_expires = Some(now + MASTER_TOKEN_LIFETIME);
        }
        for (id, username) in members {
            shared.db().add_member(&id, username.as_deref(), now);
        }
        run(Arc::new(shared), site, store)
    }

    fn bind(&self, address: SocketAddr) -> Result<TcpListener, StartError> {
        if !address.ip().is_loopback() && !self.allow_non_loopback {
            return Err(StartError::NotLoopback(address));
        }
        let listener =
            TcpListener::bind(address).map_err(|source| StartError::Listen { address, source })?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    fn settings(&self) -> Result<Settings, StartError> {
        let mut settings = self.settings.clone();
        let configured = self.redirect_uris.iter().map(String::as_str);
        let default = defaults::REDIRECT_URIS.iter().copied();
        let default = default.filter(|_| self.redirect_uris.is_empty());
        for uri in configured.chain(default) {
            settings.redirect_uris.push(parse("redirect_uri", uri)?);
        }
        if let Some(url) = &self.webhook_url {
            settings.webhook_url = Some(parse("webhook_url", url)?);
        }
        Ok(settings)
    }

    fn members(&self) -> Result<Vec<(String, Option<String>)>, StartError> {
        if self.members.is_empty() {
            let members = defaults::MEMBERS.iter();
            return Ok(members
                .map(|(id, name)| ((*id).to_owned(), name.map(str::to_owned)))
                .collect());
        }
        let is_valid = |id: &str| {
            (1..=16).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        match self.members.iter().find(|(id, _)| !is_valid(id)) {
            Some((id, _)) => Err(StartError::NotAMemberId(id.clone())),
            None => Ok(self.members.clone()),
        }
    }
}

fn parse(setting: &'static str, value: &str) -> Result<Url, StartError> {
    Url::parse(value).map_err(|_| StartError::NotAUrl {
        setting,
        value: value.to_owned(),
    })
}

fn address_url(listener: &TcpListener) -> Result<Url, StartError> {
    let address = listener.local_addr()?;
    parse("listen", &format!("http://{address}/"))
}

/// Restricts a sandbox on a loopback address to requests for loopback host names.
fn restrict_hosts(listener: &tokio::net::TcpListener, app: Router) -> Router {
    let address = listener.local_addr();
    if address.is_ok_and(|address| address.ip().is_loopback()) {
        app.layer(axum::middleware::from_fn(loopback_only))
    } else {
        app
    }
}

/// Serves on a separate runtime, so the sandbox works with and without a runtime of the caller.
fn run(shared: Arc<Shared>, site: TcpListener, store: TcpListener) -> Result<Sandbox, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("oh-sandbox")
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let (site, store) = {
        let _guard = runtime.enter();
        (
            tokio::net::TcpListener::from_std(site)?,
            tokio::net::TcpListener::from_std(store)?,
        )
    };
    let state = shared.clone();
    let thread = std::thread::Builder::new()
        .name("oh-sandbox".into())
        .spawn(move || {
            runtime.block_on(async {
                let app = Router::new()
                    .fallback(server::site)
                    .with_state(state.clone());
                let app = restrict_hosts(&site, app);
                let site = axum::serve(
                    ResettableListener(site),
                    app.into_make_service_with_connect_info::<ResetHandle>(),
                );
                let app = Router::new()
                    .fallback(server::object_store)
                    .with_state(state);
                let app = restrict_hosts(&store, app);
                let store = axum::serve(
                    ResettableListener(store),
                    app.into_make_service_with_connect_info::<ResetHandle>(),
                );
                // Dropping the servers frees their ports.
                tokio::select! {
                    _ = site.into_future() => {}
                    _ = store.into_future() => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        })?;
    Ok(Sandbox::new(shared, handle, stop, thread))
}
