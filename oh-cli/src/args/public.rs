//! Commands for public data.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Subcommand};
use oh_api::DataFileId;

use super::{ExistingFiles, Listing, Raw, Target};

#[derive(Subcommand)]
pub(crate) enum Public {
    /// List projects: number, name
    Projects {
        /// List projects that this member has joined publicly
        #[arg(short, long)]
        username: Option<String>,
        /// List projects with this name
        #[arg(long, conflicts_with = "username")]
        name: Option<String>,
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
        /// List members who have publicly joined the project with this number
        #[arg(long, value_name = "NUMBER")]
        project: Option<u64>,
        /// List members whose username contains this text
        #[arg(long, conflicts_with = "project")]
        name: Option<String>,
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
    DataTypes {
        /// List the data types that the project with this number has registered
        #[arg(long, value_name = "NUMBER")]
        project: Option<u64>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Print one data type, as JSON
    DataType {
        /// Its number
        number: u64,
        #[command(flatten)]
        raw: Raw,
    },
    /// List the members who made a source public: source, username
    MembersBySource {
        /// List this source only, for example direct-sharing-1
        #[arg(short, long)]
        source: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// List the sources that each member made public: username, source
    SourcesByMember {
        /// List this member only
        #[arg(short, long)]
        username: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// List public files: id, source, name
    Files {
        #[command(flatten)]
        filter: PublicFilter,
        #[command(flatten)]
        listing: Listing,
    },
    /// Print the record of one public file, as JSON
    File {
        /// Its id
        id: DataFileId,
        #[command(flatten)]
        raw: Raw,
    },
    /// Download public files into a directory, and print their paths
    Download(PublicDownload),
    /// Download one public file, by its id
    DownloadFile {
        /// Its id
        id: DataFileId,
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        existing: ExistingFiles,
    },
}

#[derive(Args)]
pub(crate) struct PublicDownload {
    /// The directory to download into
    #[arg(short, long, default_value = ".")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) filter: PublicFilter,
    /// Skip files that are larger, for example 500k, 128m or 2GiB
    #[arg(long, value_name = "SIZE", default_value = "128m")]
    pub(crate) max_size: ByteSize,
    /// The number of files to transfer at the same time
    #[arg(short, long, default_value_t = 4, value_name = "COUNT")]
    pub(crate) jobs: usize,
    #[command(flatten)]
    pub(crate) existing: ExistingFiles,
}

/// Conditions on public files. All of them must be met.
#[derive(Args)]
pub(crate) struct PublicFilter {
    /// Files of the project with this number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) project: Option<u64>,
    /// Files from this source, for example direct-sharing-1
    #[arg(short, long, conflicts_with = "project")]
    pub(crate) source: Option<String>,
    /// Files of this member
    #[arg(short, long)]
    pub(crate) username: Option<String>,
    /// Files of the data type with this number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) data_type: Option<u64>,
    /// With --data-type, also files of its subtypes
    #[arg(long, requires = "data_type")]
    pub(crate) include_children: bool,
}
