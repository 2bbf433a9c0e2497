//! Commands for the ledger of erasure requests. They work offline.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs, Subcommand};
use oh_api::Timestamp;

#[derive(Subcommand)]
pub(crate) enum Ledger {
    /// Generate a key that signs checkpoints and the key that verifies them, printed as JSON
    Keygen(Keygen),
    /// Verify an export of a ledger against its checkpoints, and list late and overdue requests
    ///
    /// Exits with 12 if a line before the last checkpoint was changed, removed or inserted. A removed
    /// end, or a ledger rewritten by the holder of the signing key, is detected only with --checkpoint.
    Verify(Verify),
    /// Verify an export, and write a report for the data protection officer as HTML or CSV
    Report(Report),
    /// Verify an export, and write proofs that a member's or an event's lines are in the ledger
    ///
    /// Writes one file per line of the ledger. The ledger identifies members by pseudonym: find it
    /// with the search of the app's erasure dashboard or with `Ledger::pseudonym`.
    Prove(Prove),
    /// Verify proofs, and print the lines that they prove
    Check(Check),
}

#[derive(ClapArgs)]
pub(crate) struct Keygen {
    /// The ledger's name, preferably a URL without its scheme, for example example.org/erasure
    pub(crate) name: String,
    /// Write the signing key to this file, readable by you only, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Also write the verifying key to this file, for use with --key
    #[arg(long, value_name = "FILE")]
    pub(crate) verifying_out: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct Keys {
    /// A verifying key, or a file with one key per line or with the JSON of `oh ledger keygen`;
    /// repeatable, for ledgers whose key was replaced
    #[arg(long = "key", value_name = "KEY", required = true)]
    pub(crate) keys: Vec<String>,
}

#[derive(ClapArgs)]
pub(crate) struct Export {
    /// The export of the ledger, from the erasure dashboard or the app
    pub(crate) export: PathBuf,
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// A file with trusted checkpoints, as they were mailed, exported or logged; repeatable
    #[arg(long = "checkpoint", value_name = "FILE")]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// The number of days in which a request must be completed
    #[arg(long, default_value_t = 30)]
    pub(crate) days: u32,
    /// The time at which to evaluate deadlines; by default the current time
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<Timestamp>,
}

#[derive(ClapArgs)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) export: Export,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
#[command(group = ArgGroup::new("form").required(true).multiple(true))]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) export: Export,
    /// The HTML file to write
    #[arg(long, group = "form", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The CSV file to write
    #[arg(long, group = "form", value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
}

#[derive(ClapArgs)]
#[command(group = ArgGroup::new("subject").required(true))]
pub(crate) struct Prove {
    #[command(flatten)]
    pub(crate) export: Export,
    /// Prove all lines of the member with this pseudonym, 32 hexadecimal digits
    #[arg(long, group = "subject", value_name = "PSEUDONYM")]
    pub(crate) member: Option<String>,
    /// Prove all lines of this event
    #[arg(long, group = "subject", value_name = "ID")]
    pub(crate) event: Option<String>,
    /// The directory to write the proofs to
    #[arg(short, long)]
    pub(crate) directory: PathBuf,
}

#[derive(ClapArgs)]
pub(crate) struct Check {
    /// The files with the proofs
    #[arg(required = true, value_name = "FILE")]
    pub(crate) proofs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) keys: Keys,
}
