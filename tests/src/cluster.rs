//! A private PostgreSQL server that a test can stop and start.
//!
//! The binaries are those in `PG_BIN`, in the `PATH`, or in Debian's directory. PostgreSQL refuses to
//! run as root, so root runs it as the user `postgres`.

use std::env;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A PostgreSQL cluster in a temporary folder on a free port. Dropping it removes it.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Cluster {
    /// Creates and starts a cluster. Returns `None` and prints a message if PostgreSQL is not installed.
    ///
    /// # Panics
    ///
    /// If PostgreSQL is not installed and `CI` is set.
    ///
    /// # Errors
    ///
    /// If PostgreSQL does not start.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(bin) = find_bin() else {
            assert!(
                env::var_os("CI").is_none(),
                "no PostgreSQL binaries, and CI must run this test"
            );
            skip("no PostgreSQL binaries were found; set PG_BIN");
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let cluster = Self { bin, folder, port };
        if is_root() {
            checked(
                Command::new("chown")
                    .arg("postgres")
                    .arg(cluster.folder.path()),
            )?;
        }
        let data = cluster.data();
        checked(
            cluster
                .command("initdb")
                .args(["-A", "trust", "-U", "postgres"])
                .arg("-D")
                .arg(data),
        )?;
        cluster.resume()?;
        Ok(Some(cluster))
    }

    /// Returns the URL of the server.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops the server as a crash would: connections break, and nothing more is flushed.
    ///
    /// # Errors
    ///
    /// If the server does not stop.
    pub fn crash(&self) -> io::Result<()> {
        checked(
            self.command("pg_ctl")
                .args(["-w", "-m", "immediate", "stop", "-D"])
                .arg(self.data()),
        )
    }

    /// Starts the server again.
    ///
    /// # Errors
    ///
    /// If the server does not start.
    pub fn resume(&self) -> io::Result<()> {
        let folder = self.folder.path().display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}",
            self.port
        );
        checked(
            self.command("pg_ctl")
                .args(["-w", "-o", &options, "-l"])
                .arg(self.folder.path().join("log"))
                .arg("start")
                .arg("-D")
                .arg(self.data()),
        )
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command.current_dir(self.folder.path());
            command
        } else {
            Command::new(program)
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The server may already be stopped.
        let _ = self.crash();
    }
}

/// Prints that a test was skipped, so that it is not mistaken for a success.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

fn find_bin() -> Option<PathBuf> {
    let has = |folder: &Path| folder.join("initdb").is_file();
    if let Some(folder) = env::var_os("PG_BIN").map(PathBuf::from) {
        return has(&folder).then_some(folder);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    if let Some(folder) = env::split_paths(&path).find(|folder| has(folder)) {
        return Some(folder);
    }
    let mut debian: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| has(folder))
        .collect();
    debian.sort();
    debian.pop()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

// The server inherits the pipes of pg_ctl and keeps them open, so reading them would not end.
fn checked(command: &mut Command) -> io::Result<()> {
    let Output { status, .. } = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{command:?} ended with {status}")))
    }
}
