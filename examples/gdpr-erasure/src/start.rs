//! Where the app finds its database and Open Humans: from the environment, or made for the
//! occasion.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use oh_core::Settings;
use oh_core::ledger::SigningKey;
use oh_sandbox::Sandbox;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::Staff;

/// Listens at port `PORT` of this machine, or at 8000.
pub(crate) async fn listen() -> Result<TcpListener> {
    let port = port("PORT", 8000)?;
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listening.with_context(|| {
        format!("the app cannot listen at port {port}: if it is taken, set PORT to another")
    })
}

/// A port from the environment, or the usual one.
pub(crate) fn port(name: &str, usual: u16) -> Result<u16> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name} is not a port: 0 to 65535 is one")),
        Err(_) => Ok(usual),
    }
}

/// The database file `GDPR_ERASURE_DB` names, or one in a folder that goes when it is dropped.
pub(crate) fn database() -> Result<(PathBuf, Option<TempDir>)> {
    if let Some(path) = env::var_os("GDPR_ERASURE_DB") {
        return Ok((path.into(), None));
    }
    let folder = tempfile::tempdir()?;
    Ok((folder.path().join("diary.sqlite"), Some(folder)))
}

/// Who is of the staff: the members whose ids `STAFF` lists, or bob of the sandbox.
pub(crate) fn staff() -> Staff {
    let ids = env::var("STAFF").unwrap_or_else(|_| match env::var_os("OPENHUMANS_CLIENT_ID") {
        Some(_) => String::new(),
        None => "00169953".to_owned(),
    });
    Staff(ids.split(',').map(|id| id.trim().to_owned()).collect())
}

/// The key that seals the ledger where the environment names none: kept beside the database, so
/// that it is there after a restart. A real app keeps it where it keeps its other secrets, and not
/// with what it seals.
pub(crate) fn signing_key(database: &Path) -> Result<String> {
    let path = database.with_extension("signing-key");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return Ok(text);
    }
    let key = SigningKey::generate("diary.example/erasure")?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(&path)?, key.to_secret_text().as_bytes())?;
    Ok(key.to_secret_text().to_string())
}

/// Settings from the environment, or a sandbox and the settings for it.
pub(crate) async fn settings(
    app: SocketAddr,
    sandbox_port: u16,
    signing_key: String,
) -> Result<(Settings, Option<Sandbox>)> {
    if env::var_os("OPENHUMANS_CLIENT_ID").is_some() {
        return Ok((Settings::from_env()?, None));
    }
    let app_base_url = format!("http://localhost:{}", app.port());
    let sandbox = Sandbox::builder()
        .listen(SocketAddr::from(([127, 0, 0, 1], sandbox_port)))
        .redirect_uri(format!("{app_base_url}/openhumans/complete"))
        .webhook_url(format!("{app_base_url}/openhumans/deauth"))
        .start()
        .await
        .context("the sandbox does not start: if its port is taken, set SANDBOX_PORT to another")?;
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), app_base_url)
        .oh_base_url(sandbox.url().as_str())
        .webhook_secret(sandbox.webhook_secret())
        .master_token(sandbox.master_token())
        .ledger_signing_key(signing_key)
        .build()?;
    Ok((settings, Some(sandbox)))
}
