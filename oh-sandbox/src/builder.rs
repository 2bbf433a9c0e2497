//! Setting a sandbox up and starting it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use tokio::sync::oneshot;
use url::Url;

use crate::objects::ObjectStore;
use crate::sandbox::Sandbox;
use crate::secret::Key;
use crate::server;
use crate::server::connection::{Switch, Switchboard};
use crate::state::world::{MASTER_LIFE, Settings};
use crate::state::{Credentials, Shared};
use crate::web::host::loopback_only;

/// What a sandbox is called and who is in it if nothing else is said. Always the same, so that a
/// configuration written once keeps working.
pub mod defaults {
    /// The client id.
    pub const CLIENT_ID: &str = "sandbox-client-id";
    /// The client secret.
    pub const CLIENT_SECRET: &str = "sandbox-client-secret";
    /// The project's master token.
    pub const MASTER_TOKEN: &str = "sandbox-master-token";
    /// The secret that webhooks are signed with.
    pub const WEBHOOK_SECRET: &str = "sandbox-webhook-secret";
    /// Where members are sent back to.
    pub const REDIRECT_URIS: [&str; 2] = [
        "http://localhost:8000/openhumans/complete",
        "http://127.0.0.1:8000/openhumans/complete",
    ];
    /// The members: their ids, and their names where they share them.
    pub const MEMBERS: [(&str, Option<&str>); 3] = [
        ("01026778", Some("alice")),
        ("00169953", Some("bob")),
        ("15546131", None),
    ];
}

/// Why a sandbox did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address is not on loopback, and that was not asked for by name.
    NotLoopback(SocketAddr),
    /// A setting that has to be a URL is none.
    NotAUrl {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: String,
    },
    /// A project member id that cannot be one: empty, longer than 16 characters, or with other
    /// characters than letters and digits.
    NotAMemberId(String),
    /// An address could not be listened at: another program may have the port.
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The temporary folder could not be made, or a thread not be started.
    Io(std::io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotLoopback(address) => {
                write!(
                    f,
                    "{address} is not a loopback address; anyone could take the sandbox for the real thing"
                )
            }
            Self::NotAUrl { setting, value } => {
                write!(f, "{setting} has to be a URL, and {value:?} is none")
            }
            Self::NotAMemberId(id) => {
                write!(
                    f,
                    "{id:?} is no project member id: 1 to 16 letters or digits, as in 01026778"
                )
            }
            Self::Listen { address, source } => {
                write!(f, "the sandbox cannot listen at {address}: {source}")
            }
            Self::Io(error) => write!(f, "the sandbox could not start: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } => Some(source),
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Says what a [`Sandbox`] is to be like. Made by [`Sandbox::builder`].
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
    webhook_secret: Option<String>,
    members: Vec<(String, Option<String>)>,
    silent_leave: bool,
    remove_members_500: bool,
    approved: bool,
    on_site: bool,
    access_logs: bool,
    expiring_master_token: bool,
}

impl std::fmt::Debug for SandboxBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandboxBuilder")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Default for SandboxBuilder {
    fn default() -> Self {
        Self {
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
            webhook_secret: Some(defaults::WEBHOOK_SECRET.into()),
            members: Vec::new(),
            silent_leave: false,
            remove_members_500: false,
            approved: true,
            on_site: false,
            access_logs: false,
            expiring_master_token: false,
        }
    }
}

impl Sandbox {
    /// Says what the sandbox is to be like.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }
}

impl SandboxBuilder {
    /// Where to listen. Without it, a free port of 127.0.0.1.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Where the object store listens. Without it, a free port beside the site's.
    pub fn object_store_listen(mut self, address: SocketAddr) -> Self {
        self.object_store_listen = Some(address);
        self
    }

    /// Allows addresses that others can reach. Everybody who reaches the sandbox can be anybody
    /// in it.
    pub fn allow_non_loopback(mut self, allow: bool) -> Self {
        self.allow_non_loopback = allow;
        self
    }

    /// The client id, [`defaults::CLIENT_ID`] without it.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.credentials.client_id = id.into();
        self
    }

    /// The client secret, [`defaults::CLIENT_SECRET`] without it.
    pub fn client_secret(mut self, secret: impl Into<String>) -> Self {
        self.credentials.client_secret = secret.into();
        self
    }

    /// The master token, [`defaults::MASTER_TOKEN`] without it.
    pub fn master_token(mut self, token: impl Into<String>) -> Self {
        self.credentials.master_token = token.into();
        self
    }

    /// Adds an address that members may be sent back to. The first one is used when an
    /// authorization URL names none. Without any, [`defaults::REDIRECT_URIS`].
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Where leaving is announced. Without it, nowhere.
    pub fn webhook_url(mut self, url: impl Into<String>) -> Self {
        self.webhook_url = Some(url.into());
        self
    }

    /// What webhooks are signed with, [`defaults::WEBHOOK_SECRET`] without it. An empty secret is
    /// none: webhooks are not signed then.
    pub fn webhook_secret(mut self, secret: impl Into<String>) -> Self {
        self.webhook_secret = Some(secret.into()).filter(|secret: &String| !secret.is_empty());
        self
    }

    /// Adds a member of Open Humans, who has yet to join the project. Without a name, the project
    /// is not told it. Without any member, [`defaults::MEMBERS`].
    pub fn member(mut self, id: impl Into<String>, username: Option<&str>) -> Self {
        self.members.push((id.into(), username.map(str::to_owned)));
        self
    }

    /// Whether leaving without erasure goes unannounced, as at the newest server.
    pub fn silent_leave(mut self, silent: bool) -> Self {
        self.silent_leave = silent;
        self
    }

    /// Whether removing members by API answers 500 once the first is gone, as at the newest server
    /// when a webhook URL is set.
    pub fn remove_members_500(mut self, fails: bool) -> Self {
        self.remove_members_500 = fails;
        self
    }

    /// Whether Open Humans has approved the project, as it has without this. One that is not approved
    /// is in no public list, and nobody can join it once it has 20 members.
    pub fn approved(mut self, approved: bool) -> Self {
        self.approved = approved;
        self
    }

    /// Whether it is an on-site project, which members join at Open Humans itself. It has a master
    /// token and no OAuth2 client: authorizing it, and every client secret, is refused.
    pub fn on_site(mut self, on_site: bool) -> Self {
        self.on_site = on_site;
        self
    }

    /// Whether this is the one project that may see who has fetched its members' files.
    pub fn access_logs(mut self, allowed: bool) -> Self {
        self.access_logs = allowed;
        self
    }

    /// Whether the master token expires after 24 hours, as it does at Open Humans unless an
    /// administrator has switched that off.
    pub fn expiring_master_token(mut self, expires: bool) -> Self {
        self.expiring_master_token = expires;
        self
    }

    /// Starts the sandbox.
    ///
    /// # Errors
    ///
    /// When a setting makes no sense, or an address cannot be listened at.
    // It has nothing to wait for, but a start may one day.
    #[allow(clippy::unused_async)]
    pub async fn start(self) -> Result<Sandbox, StartError> {
        self.start_blocking()
    }

    /// Starts the sandbox from where there is no runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<Sandbox, StartError> {
        let site = self.bind(self.listen)?;
        let beside = SocketAddr::new(site.local_addr()?.ip(), 0);
        let store = self.bind(self.object_store_listen.unwrap_or(beside))?;
        let key = Key::generate();
        let objects = ObjectStore::new(address_url(&store)?, key.clone());
        let settings = self.settings()?;
        let members = self.members()?;
        let expiring = self.expiring_master_token;
        let shared = Shared::new(
            address_url(&site)?,
            self.credentials,
            settings,
            objects,
            key,
        );
        let now = shared.clock.now();
        if expiring {
            shared.world().settings.master_expires = Some(now + MASTER_LIFE);
        }
        for (id, username) in members {
            shared.world().add_member(&id, username.as_deref(), now);
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
        let uris = match self.redirect_uris.as_slice() {
            [] => defaults::REDIRECT_URIS.map(str::to_owned).to_vec(),
            given => given.to_vec(),
        };
        let redirect_uris = uris
            .iter()
            .map(|uri| parse("redirect_uri", uri))
            .collect::<Result<_, _>>()?;
        let webhook_url = self
            .webhook_url
            .as_deref()
            .map(|url| parse("webhook_url", url))
            .transpose()?;
        Ok(Settings {
            redirect_uris,
            webhook_url,
            webhook_secret: self.webhook_secret.clone(),
            silent_leave: self.silent_leave,
            remove_members_fails: self.remove_members_500,
            active: true,
            approved: self.approved,
            on_site: self.on_site,
            access_logs: self.access_logs,
            master_expires: None,
        })
    }

    fn members(&self) -> Result<Vec<(String, Option<String>)>, StartError> {
        if self.members.is_empty() {
            let members = defaults::MEMBERS.iter();
            return Ok(members
                .map(|(id, name)| ((*id).to_owned(), name.map(str::to_owned)))
                .collect());
        }
        let good = |id: &str| {
            (1..=16).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        match self.members.iter().find(|(id, _)| !good(id)) {
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

/// What listens on loopback answers to names of loopback only.
fn answer_for(listener: &tokio::net::TcpListener, app: Router) -> Router {
    let address = listener.local_addr();
    if address.is_ok_and(|address| address.ip().is_loopback()) {
        app.layer(axum::middleware::from_fn(loopback_only))
    } else {
        app
    }
}

/// Serves on threads of its own, so that neither the caller's runtime nor its absence matters.
fn run(shared: Arc<Shared>, site: TcpListener, store: TcpListener) -> Result<Sandbox, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("oh-sandbox")
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let (site, store) = {
        let _inside = runtime.enter();
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
                let app = answer_for(&site, app);
                let site = axum::serve(
                    Switchboard(site),
                    app.into_make_service_with_connect_info::<Switch>(),
                );
                let app = Router::new()
                    .fallback(server::object_store)
                    .with_state(state);
                let app = answer_for(&store, app);
                let store = axum::serve(
                    Switchboard(store),
                    app.into_make_service_with_connect_info::<Switch>(),
                );
                // Both serve for ever; the ports are free again once this is over.
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
