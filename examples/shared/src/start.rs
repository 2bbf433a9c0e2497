//! Startup: logging, the listener, the database, and Open Humans or a sandbox.

use std::env;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use oh_core::ledger::SigningKey;
use oh_core::{OpenHumansBuilder, Settings};
use oh_sandbox::{Sandbox, defaults};
use oh_sqlx::{PgStore, SqliteStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::signal;
use tracing_subscriber::EnvFilter;

/// The configuration of an application. The sandbox and its database exist until this is dropped.
#[derive(Debug)]
pub struct Startup {
    /// The settings for Open Humans or the sandbox.
    pub settings: Settings,
    /// Project member ids with access to the erasure dashboard.
    pub staff: Vec<String>,
    /// A `postgres://` URL or the path of a SQLite file.
    pub database: String,
    /// The sandbox, unless the environment configures Open Humans.
    pub sandbox: Option<Sandbox>,
    _folder: Option<TempDir>,
}

impl Startup {
    /// Reads the configuration of the application that listens at `address`.
    ///
    /// If `OPENHUMANS_CLIENT_ID` is set, the configuration is read from the environment: the
    /// settings, `DATABASE` and `STAFF`. Otherwise, this starts a sandbox at `sandbox_port` with a
    /// temporary database.
    ///
    /// # Errors
    ///
    /// Returns an error for invalid settings, or if the sandbox does not start.
    pub async fn new(address: SocketAddr, sandbox_port: u16) -> Result<Self> {
        if env::var_os("OPENHUMANS_CLIENT_ID").is_some() {
            let staff = env::var("STAFF").unwrap_or_default();
            return Ok(Self {
                settings: Settings::from_env()?,
                database: env::var("DATABASE").unwrap_or_else(|_| "openhumans.sqlite".to_owned()),
                staff: staff.split(',').map(|id| id.trim().to_owned()).collect(),
                sandbox: None,
                _folder: None,
            });
        }
        let base_url = format!("http://localhost:{}", address.port());
        let sandbox = sandbox(&base_url, sandbox_port).await?;
        for (id, _) in defaults::MEMBERS {
            add_files(&sandbox, id);
        }
        let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), base_url)
            .oh_base_url(sandbox.url().as_str())
            .webhook_secret(sandbox.webhook_secret())
            .master_token(sandbox.master_token())
            .ledger_signing_key(
                SigningKey::generate("app.example/erasure")?
                    .to_secret_text()
                    .as_str(),
            )
            .build()?;
        let folder = tempfile::tempdir()?;
        let database = folder.path().join("openhumans.sqlite");
        Ok(Self {
            settings,
            database: database.display().to_string(),
            // Bob is the only staff member in the sandbox.
            staff: vec![defaults::MEMBERS[1].0.to_owned()],
            sandbox: Some(sandbox),
            _folder: Some(folder),
        })
    }

    /// Connects to the database and sets it as token store and inbox.
    ///
    /// # Errors
    ///
    /// Returns an error if the database cannot be opened.
    pub async fn connect(&self, openhumans: OpenHumansBuilder) -> Result<OpenHumansBuilder> {
        let hint = "set DATABASE to a postgres:// URL or the path of a SQLite file";
        if self.database.starts_with("postgres://") {
            let store = PgStore::connect(&self.database).await.context(hint)?;
            return Ok(openhumans.token_store(store.clone()).deauth_inbox(store));
        }
        let store = SqliteStore::connect(&self.database).await.context(hint)?;
        Ok(openhumans.token_store(store.clone()).deauth_inbox(store))
    }

    /// Prints the URLs of the application and the sandbox.
    #[expect(clippy::print_stdout, reason = "the program prints its URL")]
    pub fn print_urls(&self) {
        if let Some(sandbox) = &self.sandbox {
            println!("The sandbox runs at {}", sandbox.url());
            println!("Log in as bob to open the erasure dashboard at /openhumans/staff.");
        }
        println!("Open {} in a browser.", self.settings.app_base_url());
    }
}

async fn sandbox(base_url: &str, port: u16) -> Result<Sandbox> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let sandbox = Sandbox::builder()
        .listen(address)
        .redirect_uri(format!("{base_url}/openhumans/complete"))
        .webhook_url(format!("{base_url}/openhumans/deauth"));
    let sandbox = defaults::MEMBERS
        .iter()
        .fold(sandbox, |sandbox, (id, username)| {
            sandbox.member(*id, *username)
        });
    let hint = "the sandbox does not start; set SANDBOX_PORT if the port is in use";
    sandbox.start().await.context(hint)
}

/// Adds two files of the application and one that the member shares from another project.
fn add_files(sandbox: &Sandbox, member: &str) {
    let metadata =
        |description: &str, tags: &[&str]| json!({ "description": description, "tags": tags });
    let nights = "night,hours,quality\n2026-11-01,7.5,good\n2026-11-02,6.0,poor\n".repeat(40);
    sandbox.add_file(
        member,
        "nights-2026-11.csv",
        nights.as_bytes(),
        metadata("Duration and quality of each night", &["sleep", "monthly"]),
    );
    sandbox.add_file(
        member,
        "summary.json",
        br#"{"mean_hours": 6.75}"#,
        metadata("Average duration of sleep", &["sleep"]),
    );
    sandbox.add_shared_file(
        member,
        "steps.csv",
        b"day,steps\n2026-11-01,8211\n",
        metadata("Steps per day, from a watch", &["activity"]),
    );
}

/// Listens at `HOST` and `PORT`, by default at port 8000 of the loopback interface.
///
/// # Errors
///
/// Returns an error if a variable is invalid or the port is in use.
pub async fn listen() -> Result<TcpListener> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let host = host.parse().context("HOST is not an IP address")?;
    let address = SocketAddr::new(host, port("PORT", 8000)?);
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen at {address}; set PORT if the port is in use"))
}

/// Reads `SANDBOX_PORT`, by default 8001.
///
/// # Errors
///
/// Returns an error if the variable is not a port.
pub fn sandbox_port() -> Result<u16> {
    port("SANDBOX_PORT", 8001)
}

/// Reads a port from the environment. Port 0 selects any free port.
fn port(name: &str, default: u16) -> Result<u16> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name} is not a port: expected 0 to 65535")),
        Err(_) => Ok(default),
    }
}

/// Waits for Ctrl-C or, on Unix, for `SIGTERM`.
pub async fn shutdown_signal() {
    let ctrl_c = signal::ctrl_c();
    #[cfg(unix)]
    if let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = ctrl_c => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = ctrl_c.await;
}

/// Logs to standard error, filtered by `RUST_LOG` (default `info`).
pub fn init_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
