//! The ledger of erasure requests that an app keeps: checked offline, without Open Humans.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs, Subcommand};
use oh_api::Timestamp;

#[derive(Subcommand)]
pub(crate) enum Ledger {
    /// Make a key to seal a ledger with, and the one to check it with, printed as JSON
    Keygen(Keygen),
    /// Check that an export of a ledger is what was sealed, and list the requests that did not have
    /// their end in time
    ///
    /// Nothing before the last checkpoint was changed, removed or put in, or the exit code is 12. Only
    /// a checkpoint that was kept elsewhere shows that the end was cut off, or all was written again.
    Verify(Verify),
    /// Write the report for the data protection officer from an export that was checked: HTML that
    /// prints well, and CSV
    Report(Report),
    /// Write the proofs that a member's lines, or an event's, are in the ledger
    ///
    /// A file for each line. Members are named by pseudonym, never by id: the search of the app's
    /// desk, or `Ledger::pseudonym`, says what pseudonym a member has.
    Prove(Prove),
    /// Check proofs of single lines, and print the lines
    Check(Check),
}

#[derive(ClapArgs)]
pub(crate) struct Keygen {
    /// The ledger's name: best an address without its scheme, such as example.org/erasure
    pub(crate) name: String,
    /// Write the signing key to this file, readable by you alone, rather than print it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write the verifying key to this file as well, for those who check: --key reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) verifying_out: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct Keys {
    /// A verifying key, as `oh ledger keygen` printed it, or a file of such, a line each or as the
    /// JSON it printed; can be given several times, as when one replaced another
    #[arg(long = "key", value_name = "KEY", required = true)]
    pub(crate) keys: Vec<String>,
}

#[derive(ClapArgs)]
pub(crate) struct Export {
    /// The export of the ledger, from the desk or the app
    pub(crate) export: PathBuf,
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// A file of checkpoints that were kept elsewhere: one as it was mailed, or several as records
    /// or as the app's log has them, a line each; can be given several times
    #[arg(long = "checkpoint", value_name = "FILE")]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// How many days a request may take
    #[arg(long, default_value_t = 30)]
    pub(crate) days: u32,
    /// Judge as of this time, rather than now
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<Timestamp>,
}

#[derive(ClapArgs)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) export: Export,
    /// Print what was found as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
#[command(group = ArgGroup::new("form").required(true).multiple(true))]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) export: Export,
    /// The page to write
    #[arg(long, group = "form", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The table to write
    #[arg(long, group = "form", value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
}

#[derive(ClapArgs)]
#[command(group = ArgGroup::new("whose").required(true))]
pub(crate) struct Prove {
    #[command(flatten)]
    pub(crate) export: Export,
    /// All lines of the member with this pseudonym, 32 hexadecimal digits
    #[arg(long, group = "whose", value_name = "PSEUDONYM")]
    pub(crate) member: Option<String>,
    /// All lines of this event
    #[arg(long, group = "whose", value_name = "ID")]
    pub(crate) event: Option<String>,
    /// The directory the proofs go to
    #[arg(short, long)]
    pub(crate) directory: PathBuf,
}

#[derive(ClapArgs)]
pub(crate) struct Check {
    /// The proofs
    #[arg(required = true, value_name = "FILE")]
    pub(crate) proofs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) keys: Keys,
}
