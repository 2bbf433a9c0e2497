//! The process that is to be starved, and the sandbox beside it.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use oh_core::deauth::DeauthInbox;
use oh_sandbox::Sandbox;
use oh_sqlx::SqliteStore;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Outcome;
use crate::server::Framework;

pub(crate) struct Victim {
    pub(crate) address: SocketAddr,
    pub(crate) sandbox: Sandbox,
    folder: TempDir,
    child: Child,
}

impl Victim {
    /// Starts a server that may open so many files.
    pub(crate) async fn start(framework: Framework, descriptors: u32) -> Outcome<Self> {
        let sandbox = Sandbox::builder()
            .redirect_uri("http://localhost:8000/openhumans/complete")
            .start()
            .await?;
        let folder = tempfile::tempdir()?;
        let limit = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
        let framework = format!("{framework:?}").to_lowercase();
        let mut child = Command::new("sh")
            .args(["-c", &limit])
            .arg(std::env::current_exe()?)
            .args(["--serve", &framework])
            .env("STARVE_FOLDER", folder.path())
            .env("OPENHUMANS_CLIENT_ID", sandbox.client_id())
            .env("OPENHUMANS_CLIENT_SECRET", sandbox.client_secret())
            .env("OPENHUMANS_WEBHOOK_SECRET", sandbox.webhook_secret())
            .env("OPENHUMANS_APP_BASE_URL", "http://localhost:8000")
            .env("OPENHUMANS_OH_BASE_URL", sandbox.url().as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let port: u16 = line.ok_or("the server did not start")?.trim().parse()?;
        Ok(Self {
            address: ([127, 0, 0, 1], port).into(),
            sandbox,
            folder,
            child,
        })
    }

    /// What the process has in memory now, in MB.
    pub(crate) fn memory(&self) -> Outcome<u64> {
        self.status("VmRSS:")
    }

    /// The most it has ever had.
    pub(crate) fn peak_memory(&self) -> Outcome<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Outcome<u64> {
        let pid = self.child.id().ok_or("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes.ok_or("no memory is told of")?.parse::<u64>()? / 1024)
    }

    /// Waits until every event is done.
    pub(crate) async fn settled(&self, patience: Duration) -> Result<u64, String> {
        let file = self.folder.path().join("openhumans.sqlite");
        let store = SqliteStore::connect(file)
            .await
            .map_err(|e| e.to_string())?;
        let end = tokio::time::Instant::now() + patience;
        loop {
            let stats = store.stats().await.map_err(|e| e.to_string())?;
            let open = stats.pending + stats.dead_letters + stats.stale + stats.quarantined;
            match stats.done {
                done if open == 0 => return Ok(done),
                _ if tokio::time::Instant::now() > end => return Err(format!("{stats:?}")),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}
