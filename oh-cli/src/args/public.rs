//! Commands about public data.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use oh_api::DataFileId;

use super::{Here, Listing, Raw, Target};
use crate::size;

#[derive(Subcommand)]
pub(crate) enum Public {
    /// List projects: number, name
    Projects {
        /// Only those this member is publicly in
        #[arg(short, long)]
        username: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Print one project, as JSON
    Project {
        /// Its number
        number: u64,
        #[command(flatten)]
        raw: Raw,
    },
    /// List public members: username, name
    Members {
        /// Only those who are publicly in this project, by its number
        #[arg(long, value_name = "NUMBER")]
        project: Option<u64>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Print one public member, as JSON
    Member {
        /// The username
        username: String,
        #[command(flatten)]
        raw: Raw,
    },
    /// List data types: number, name
    DataTypes(Listing),
    /// Print one data type, as JSON
    DataType {
        /// Its number
        number: u64,
        #[command(flatten)]
        raw: Raw,
    },
    /// List for each source the members who have made it public: source, username
    MembersBySource {
        /// Only this source's, such as direct-sharing-1
        #[arg(short, long)]
        source: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// List for each member the sources that are public: username, source
    SourcesByMember {
        /// Only this member's
        #[arg(short, long)]
        username: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// List public files: id, source, name
    Files(PublicFiles),
    /// Print one public file's record, as JSON
    File {
        /// Its id
        id: DataFileId,
        #[command(flatten)]
        raw: Raw,
    },
    /// Download public files into a directory, and print where they are
    Download(PublicDownload),
    /// Download one public file, by its id
    DownloadFile {
        /// Its id
        id: DataFileId,
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        here: Here,
    },
}

#[derive(Args)]
pub(crate) struct PublicDownload {
    /// The directory files go to
    #[arg(short, long, default_value = ".")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) which: PublicWhich,
    /// Leave out files of more bytes, such as 500k, 128m or 2GiB
    #[arg(long, value_parser = size::parse, value_name = "SIZE", default_value = "128m")]
    pub(crate) max_size: u64,
    /// How many files move at a time
    #[arg(short, long, default_value_t = 4, value_name = "COUNT")]
    pub(crate) jobs: usize,
    #[command(flatten)]
    pub(crate) here: Here,
}

#[derive(Args)]
pub(crate) struct PublicFiles {
    #[command(flatten)]
    pub(crate) which: PublicWhich,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

/// Which public files; those that fit all that is given.
#[derive(Args)]
pub(crate) struct PublicWhich {
    /// Only this project's, by its number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) project: Option<u64>,
    /// Only those from this source, such as direct-sharing-1
    #[arg(short, long, conflicts_with = "project")]
    pub(crate) source: Option<String>,
    /// Only this member's
    #[arg(short, long)]
    pub(crate) username: Option<String>,
    /// Only those of this data type, by its number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) data_type: Option<u64>,
    /// With --data-type, those of the types below it, too
    #[arg(long, requires = "data_type")]
    pub(crate) include_children: bool,
}
