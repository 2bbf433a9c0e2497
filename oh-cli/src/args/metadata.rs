//! Commands about metadata CSVs.

use std::path::PathBuf;

use clap::Subcommand;

use crate::size;

#[derive(Subcommand)]
pub(crate) enum Metadata {
    /// Draft a CSV for the files of a directory
    Draft {
        /// The directory: one member's files, or a folder for each member
        #[arg(short, long)]
        directory: PathBuf,
        /// The CSV to write; standard output without it
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Leave out files of more bytes, such as 500k, 128m or 2GiB
        #[arg(long, value_parser = size::parse, value_name = "SIZE")]
        max_size: Option<u64>,
    },
    /// Hold a CSV against a directory, and print what does not fit
    Review {
        /// The directory
        #[arg(short, long)]
        directory: PathBuf,
        /// The CSV
        csv: PathBuf,
    },
    /// Write a CSV of all files of all members that the project can see; wants the master token
    List {
        /// The CSV to write; standard output without it
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}
