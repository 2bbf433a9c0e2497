//! An example application, started with the command of its README on free ports.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::browser::free_port;

/// A running example and its sandbox.
pub(crate) struct App {
    pub(crate) home: String,
    pub(crate) sandbox: String,
    _process: Child,
}

impl App {
    /// Starts an example on free ports, and waits until it prints its URL.
    pub(crate) async fn start(package: &str) -> Self {
        let (port, sandbox_port) = (free_port(), free_port());
        let mut process = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "-p", package])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .env("PORT", port.to_string())
            .env("SANDBOX_PORT", sandbox_port.to_string())
            .env_remove("OPENHUMANS_CLIENT_ID")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let home = format!("http://localhost:{port}");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(&home) {
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                let sandbox = format!("http://127.0.0.1:{sandbox_port}");
                return Self {
                    home,
                    sandbox,
                    _process: process,
                };
            }
        }
        panic!("{package} ended without saying where it is");
    }
}
