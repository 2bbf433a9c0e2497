//! Where the app finds Open Humans: the real one from the environment, or a sandbox of its own.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;

use oh_core::Settings;
use oh_core::transport::BoxError;
use oh_sandbox::{Sandbox, defaults};
use serde_json::json;
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

/// The member of the sandbox who is of the staff.
const BOB: &str = "00169953";

/// What the app is started with. A sandbox, and the database beside it, last as long as this.
pub(crate) struct Start {
    pub(crate) settings: Settings,
    pub(crate) database: PathBuf,
    /// The project member ids of those who may see the erasure desk.
    pub(crate) staff: Vec<String>,
    sandbox: Option<(Sandbox, TempDir)>,
}

impl Start {
    /// For an app that listens at `app`. With `OPENHUMANS_CLIENT_ID` set, everything comes from
    /// the environment, the database is the file `DATABASE` names, and no sandbox starts.
    pub(crate) async fn new(app: SocketAddr) -> Result<Self, BoxError> {
        if env::var_os("OPENHUMANS_CLIENT_ID").is_some() {
            let database = env::var_os("DATABASE").unwrap_or_else(|| "openhumans.sqlite".into());
            let staff = env::var("STAFF").unwrap_or_default();
            return Ok(Self {
                settings: Settings::from_env()?,
                database: database.into(),
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
            .await?;
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
            database: folder.path().join("openhumans.sqlite"),
            staff: vec![BOB.to_owned()],
            sandbox: Some((sandbox, folder)),
        })
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

/// The port in an environment variable, or the usual one. 0 takes any that is free.
pub(crate) fn port(name: &str, usual: u16) -> Result<u16, BoxError> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("{name} is not a port").into()),
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
