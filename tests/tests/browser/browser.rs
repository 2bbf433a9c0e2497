//! Headless Chromium, driven over WebDriver.

use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scripts {
    On,
    Off,
}

/// A browser with an empty profile.
pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    /// The download directory.
    pub(crate) downloads: TempDir,
    process: Child,
}

impl Browser {
    pub(crate) async fn start(scripts: Scripts) -> Option<Self> {
        let port = free_port();
        let spawned = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut process) = spawned else {
            assert!(
                std::env::var_os("CI").is_none(),
                "chromedriver is not installed"
            );
            eprintln!("SKIPPED: chromedriver is not installed, so no browser was tried");
            return None;
        };
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("started successfully") {
                break;
            }
        }
        let mut chrome = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
        ] {
            chrome.add_arg(argument).unwrap();
        }
        let downloads = tempfile::tempdir().unwrap();
        let allowed = match scripts {
            Scripts::On => 1,
            Scripts::Off => 2,
        };
        let prefs = json!({
            "download.default_directory": downloads.path(),
            "download.prompt_for_download": false,
            "profile.managed_default_content_settings.javascript": allowed,
        });
        chrome.add_experimental_option("prefs", prefs).unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), chrome)
            .await
            .unwrap();
        Some(Self {
            driver,
            downloads,
            process,
        })
    }

    pub(crate) async fn stop(mut self) {
        let _ = self.driver.quit().await;
        let _ = self.process.kill().await;
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
