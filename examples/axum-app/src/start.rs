//! Where the app finds Open Humans: the real one from the environment, or a sandbox of its own.

use std::env;
use std::net::SocketAddr;

use oh_core::Settings;
use oh_core::transport::BoxError;
use oh_sandbox::Sandbox;

/// The port in an environment variable, or the usual one. 0 takes any that is free.
pub fn port(name: &str, usual: u16) -> Result<u16, BoxError> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} is not a port").into()),
        Err(_) => Ok(usual),
    }
}

/// The settings, and the sandbox if one was started. It runs until it is dropped.
///
/// With `OPENHUMANS_CLIENT_ID` set, everything comes from the environment and no sandbox starts.
pub async fn settings(app: SocketAddr) -> Result<(Settings, Option<Sandbox>), BoxError> {
    if env::var_os("OPENHUMANS_CLIENT_ID").is_some() {
        return Ok((Settings::from_env()?, None));
    }
    let app_base_url = format!("http://localhost:{}", app.port());
    let sandbox = Sandbox::builder()
        .listen(SocketAddr::from(([127, 0, 0, 1], port("SANDBOX_PORT", 8001)?)))
        .redirect_uri(format!("{app_base_url}/openhumans/complete"))
        .webhook_url(format!("{app_base_url}/openhumans/deauth"))
        .start()
        .await?;
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), app_base_url)
        .oh_base_url(sandbox.url())
        .webhook_secret(sandbox.webhook_secret())
        .master_token(sandbox.master_token())
        .build()?;
    Ok((settings, Some(sandbox)))
}
