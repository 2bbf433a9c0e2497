//! Commands for metadata CSVs.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Metadata {
    /// Draft a CSV for the files of a directory
    Draft {
        /// The directory with one member's files, or with a subdirectory for each member
        #[arg(short, long)]
        directory: PathBuf,
        /// The CSV to write; by default standard output. An existing file is not overwritten
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Overwrite an existing CSV, including its descriptions
        #[arg(long, requires = "out")]
        overwrite: bool,
        /// Skip files that are larger, for example 500k, 128m or 2GiB
        #[arg(long, value_name = "SIZE")]
        max_size: Option<ByteSize>,
    },
    /// Compare a CSV with a directory, and print the differences
    Review {
        /// The directory
        #[arg(short, long)]
        directory: PathBuf,
        /// The CSV
        csv: PathBuf,
    },
    /// Write a CSV of all files of all members that the project can see; requires the master token
    List {
        /// The CSV to write; by default standard output
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}
