//! Where the app finds Open Humans: the real one from the environment, or a sandbox of its own.

use std::env;
use std::net::SocketAddr;

use oh_core::transport::BoxError;
use oh_core::{OpenHumans, Settings};
use oh_sandbox::{Sandbox, defaults};
use tracing_subscriber::EnvFilter;

/// What is logged: `RUST_LOG`, or what is worth knowing.
pub(crate) fn log_filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}

/// The port in an environment variable, or the usual one. 0 takes any that is free.
pub(crate) fn port(name: &str, usual: u16) -> Result<u16, BoxError> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("{name} is not a port").into()),
        Err(_) => Ok(usual),
    }
}

/// The settings for an app at `app`, and the sandbox if one was started; it runs until dropped.
///
/// With `OPENHUMANS_CLIENT_ID` set, everything comes from the environment and no sandbox starts.
pub(crate) async fn settings(app: SocketAddr) -> Result<(Settings, Option<Sandbox>), BoxError> {
    if env::var_os("OPENHUMANS_CLIENT_ID").is_some() {
        return Ok((Settings::from_env()?, None));
    }
    let app_base_url = format!("http://localhost:{}", app.port());
    let mut sandbox = Sandbox::builder()
        .listen(SocketAddr::from((
            [127, 0, 0, 1],
            port("SANDBOX_PORT", 8001)?,
        )))
        .redirect_uri(format!("{app_base_url}/openhumans/complete"))
        .webhook_url(format!("{app_base_url}/openhumans/deauth"));
    for (id, username) in defaults::MEMBERS {
        sandbox = sandbox.member(id, username);
    }
    let sandbox = sandbox.start().await?;
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), app_base_url)
        .oh_base_url(sandbox.url().as_str())
        .webhook_secret(sandbox.webhook_secret())
        .master_token(sandbox.master_token())
        .build()?;
    Ok((settings, Some(sandbox)))
}

/// Tells whoever started the app where to go.
#[expect(
    clippy::print_stdout,
    reason = "a program that says where it can be found"
)]
pub(crate) fn say(openhumans: &OpenHumans, sandbox: Option<&Sandbox>) {
    println!("the app:         {}", openhumans.settings().app_base_url());
    match sandbox {
        Some(sandbox) => println!("its Open Humans: {} (a sandbox)", sandbox.url()),
        None => println!("its Open Humans: {}", openhumans.settings().oh_base_url()),
    }
}
