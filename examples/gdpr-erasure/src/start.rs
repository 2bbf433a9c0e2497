//! The database, the signing key, and Open Humans or a sandbox.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use example_shared::start::{BOB, sandbox};
use oh_core::Settings;
use oh_core::ledger::SigningKey;
use oh_sandbox::Sandbox;
use tempfile::TempDir;

use crate::Staff;

/// Returns the path in `GDPR_ERASURE_DB`, or one in a temporary folder.
pub(crate) fn database() -> Result<(PathBuf, Option<TempDir>)> {
    if let Some(path) = env::var_os("GDPR_ERASURE_DB") {
        return Ok((path.into(), None));
    }
    let folder = tempfile::tempdir()?;
    Ok((folder.path().join("diary.sqlite"), Some(folder)))
}

/// Returns the members listed in `STAFF`, by default bob of the sandbox.
pub(crate) fn staff() -> Staff {
    let ids = env::var("STAFF").unwrap_or_else(|_| match env::var_os("OPENHUMANS_CLIENT_ID") {
        Some(_) => String::new(),
        None => BOB.to_owned(),
    });
    Staff(ids.split(',').map(|id| id.trim().to_owned()).collect())
}

/// Reads the key that signs checkpoints from a file beside the database, or creates it.
///
/// A real application stores this key with its other secrets, apart from the ledger.
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

/// Reads the settings from the environment, or starts a sandbox and returns settings for it.
pub(crate) async fn settings(
    address: SocketAddr,
    sandbox_port: u16,
    signing_key: String,
) -> Result<(Settings, Option<Sandbox>)> {
    if env::var_os("OPENHUMANS_CLIENT_ID").is_some() {
        return Ok((Settings::from_env()?, None));
    }
    let base_url = format!("http://localhost:{}", address.port());
    let sandbox = sandbox(&base_url, sandbox_port).await?;
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), base_url)
        .oh_base_url(sandbox.url().as_str())
        .webhook_secret(sandbox.webhook_secret())
        .master_token(sandbox.master_token())
        .ledger_signing_key(signing_key)
        .build()?;
    Ok((settings, Some(sandbox)))
}
