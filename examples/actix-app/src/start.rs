//! Where the app listens, where its database is, and where it finds Open Humans: all from the
//! environment, or from here to try it out, with a sandbox.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use oh_core::{OpenHumansBuilder, Settings};
use oh_sandbox::{Sandbox, defaults};
use oh_sqlx::{PgStore, SqliteStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// The member of the sandbox who is of the staff.
const BOB: &str = "00169953";

/// What the app is started with. A sandbox, and the database beside it, last as long as this.
pub(crate) struct Start {
    pub(crate) settings: Settings,
    /// A `postgres://` address, or the path of an SQLite file.
    database: String,
    /// The project member ids of those who may see the erasure desk.
    pub(crate) staff: Vec<String>,
    sandbox: Option<(Sandbox, TempDir)>,
}

impl Start {
    /// For an app that listens at `app`. With `OPENHUMANS_CLIENT_ID` set, everything comes from
    /// the environment, the database is the one that `DATABASE` names, and no sandbox starts.
    pub(crate) async fn new(app: SocketAddr) -> Result<Self> {
        if env::var_os("OPENHUMANS_CLIENT_ID").is_some() {
            let staff = env::var("STAFF").unwrap_or_default();
            return Ok(Self {
                settings: Settings::from_env()?,
                database: env::var("DATABASE").unwrap_or_else(|_| "openhumans.sqlite".to_owned()),
                staff: staff.split(',').map(|id| id.trim().to_owned()).collect(),
                sandbox: None,
            });
        }
        let home = format!("http://localhost:{}", app.port());
        let listen = SocketAddr::from(([127, 0, 0, 1], port("SANDBOX_PORT", 8001)?));
        let sandbox = Sandbox::builder()
            .listen(listen)
            .redirect_uri(format!("{home}/openhumans/complete"))
            .webhook_url(format!("{home}/openhumans/deauth"));
        let sandbox = defaults::MEMBERS
            .iter()
            .fold(sandbox, |sandbox, (id, username)| {
                sandbox.member(*id, *username)
            })
            .start()
            .await
            .context(
                "the sandbox does not start: if its port is taken, set SANDBOX_PORT to another",
            )?;
        for (id, _) in defaults::MEMBERS {
            add_files(&sandbox, id);
        }
        let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), home)
            .oh_base_url(sandbox.url().as_str())
            .webhook_secret(sandbox.webhook_secret())
            .master_token(sandbox.master_token())
            .build()?;
        let folder = tempfile::tempdir()?;
        Ok(Self {
            settings,
            database: folder
                .path()
                .join("openhumans.sqlite")
                .display()
                .to_string(),
            staff: vec![BOB.to_owned()],
            sandbox: Some((sandbox, folder)),
        })
    }

    /// Has tokens and the inbox kept in the database.
    pub(crate) async fn keep_in_database(
        &self,
        openhumans: OpenHumansBuilder,
    ) -> Result<OpenHumansBuilder> {
        let set = "DATABASE says which it is";
        if self.database.starts_with("postgres://") {
            let store = PgStore::connect(&self.database).await.context(set)?;
            return Ok(openhumans.token_store(store.clone()).deauth_inbox(store));
        }
        let store = SqliteStore::connect(&self.database).await.context(set)?;
        Ok(openhumans.token_store(store.clone()).deauth_inbox(store))
    }

    /// Tells whoever started the app where to go.
    #[expect(clippy::print_stdout, reason = "a program says where it is")]
    pub(crate) fn say_where(&self) {
        if let Some((sandbox, _)) = &self.sandbox {
            println!("A sandbox stands in for Open Humans at {}", sandbox.url());
            println!("Bob may see the erasure desk, at /openhumans/staff.");
        }
        println!("Open {} in a browser.", self.settings.app_base_url());
    }
}

/// Something to look at: the app's own files, and one that the member shares from elsewhere.
fn add_files(sandbox: &Sandbox, member: &str) {
    let said =
        |description: &str, tags: &[&str]| json!({ "description": description, "tags": tags });
    let nights = "night,hours,quality\n2026-11-01,7.5,good\n2026-11-02,6.0,poor\n".repeat(40);
    sandbox.add_file(
        member,
        "nights-2026-11.csv",
        nights.as_bytes(),
        said("Hours and quality of each night", &["sleep", "monthly"]),
    );
    sandbox.add_file(
        member,
        "summary.json",
        br#"{"mean_hours": 6.75}"#,
        said("What the nights come to", &["sleep"]),
    );
    sandbox.add_shared_file(
        member,
        "steps.csv",
        b"day,steps\n2026-11-01,8211\n",
        said("Steps a day, from a watch", &["activity"]),
    );
}

/// Listens where `HOST` and `PORT` say, or at port 8000 of this machine alone.
pub(crate) async fn listen() -> Result<TcpListener> {
    let host = match env::var("HOST") {
        Ok(text) => text.parse().context("HOST is not an IP address")?,
        Err(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
    };
    let address = SocketAddr::new(host, port("PORT", 8000)?);
    // Tokio's has room for a thousand who wait to be let in, the standard library's for 128.
    let listening = TcpListener::bind(address).await;
    listening.with_context(|| {
        format!("the app cannot listen at {address}: if the port is taken, set PORT to another")
    })
}

/// The port in an environment variable, or the usual one. 0 takes any that is free.
fn port(name: &str, usual: u16) -> Result<u16> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name} is not a port: 0 to 65535 is one")),
        Err(_) => Ok(usual),
    }
}

/// Logs what `RUST_LOG` asks for, or what is worth knowing.
pub(crate) fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
