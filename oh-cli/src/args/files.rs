//! Commands for members' files.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{ArgGroup, Args, Subcommand};
use oh_api::DataFileId;

use super::{Confirmation, Listing, MemberArg};

#[derive(Args)]
pub(crate) struct Files {
    #[command(flatten)]
    pub(crate) member: MemberArg,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

#[derive(Args)]
pub(crate) struct Transfer {
    /// Skip files that are larger, for example 500k, 128m or 2GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<ByteSize>,
    /// The number of files to transfer at the same time
    #[arg(short, long, default_value_t = 4, value_name = "COUNT")]
    pub(crate) jobs: usize,
}

/// What to do with files that exist already or do not match their MD5.
#[derive(Args)]
pub(crate) struct ExistingFiles {
    /// Read existing files, and download those again whose MD5 does not match
    #[arg(long, conflicts_with_all = ["force", "ignore_md5"])]
    pub(crate) verify: bool,
    /// Download all files again
    #[arg(long)]
    pub(crate) force: bool,
    /// Accept files that do not match the MD5 their uploader gave
    #[arg(long)]
    pub(crate) ignore_md5: bool,
}

#[derive(Args)]
pub(crate) struct Download {
    /// The directory to download into
    #[arg(short, long)]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) member: MemberArg,
    /// Download files from this source only, for example direct-sharing-1; repeatable
    #[arg(short, long, conflicts_with = "project_data")]
    pub(crate) source: Vec<String>,
    /// Download the project's own files instead of files that members share with it
    #[arg(long)]
    pub(crate) project_data: bool,
    /// A file with the ids of the members to download from, one per line
    #[arg(long, value_name = "FILE", conflicts_with = "member")]
    pub(crate) memberlist: Option<PathBuf>,
    /// A file with the ids of members to skip, one per line
    #[arg(long, value_name = "FILE", conflicts_with = "member")]
    pub(crate) excludelist: Option<PathBuf>,
    /// Prefix file names with file ids, and download all files of the same name
    #[arg(long)]
    pub(crate) id_filename: bool,
    #[command(flatten)]
    pub(crate) transfer: Transfer,
    #[command(flatten)]
    pub(crate) existing: ExistingFiles,
}

#[derive(Args)]
#[command(group = ArgGroup::new("selector").required(true))]
pub(crate) struct FileSelector {
    /// The file's id
    #[arg(short = 'i', long, group = "selector", value_name = "ID")]
    pub(crate) file_id: Option<DataFileId>,
    /// The file's name; selects the newest file of this name
    #[arg(
        short = 'b',
        long,
        group = "selector",
        value_name = "NAME",
        allow_hyphen_values = true
    )]
    pub(crate) name: Option<String>,
}

/// The destination of one file.
#[derive(Args)]
pub(crate) struct Target {
    /// The file or directory to write, or - for standard output; by default the file's own name
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Fail if the file is larger, for example 500k, 128m or 2GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<ByteSize>,
}

#[derive(Args)]
pub(crate) struct DownloadFile {
    #[command(flatten)]
    pub(crate) file: FileSelector,
    #[command(flatten)]
    pub(crate) member: MemberArg,
    /// Consider files from this source only, for example direct-sharing-1
    #[arg(short, long)]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) existing: ExistingFiles,
}

#[derive(Args)]
pub(crate) struct Upload {
    /// The directory with one member's files, or with a subdirectory for each member
    #[arg(short, long)]
    pub(crate) directory: PathBuf,
    /// The metadata CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_csv: PathBuf,
    #[command(flatten)]
    pub(crate) member: MemberArg,
    /// Skip files whose name exists at Open Humans, even if their content differs
    #[arg(long, conflicts_with = "sync")]
    pub(crate) safe: bool,
    /// Delete the project's files at Open Humans that are not in the directory
    ///
    /// Asks for confirmation before deleting ten or more files, a third of the existing files, or all
    /// files of a member. Ignores hidden files on both sides. Deletes a member's files only after all
    /// uploads for that member have succeeded.
    #[arg(long)]
    pub(crate) sync: bool,
    /// Upload files again if only their metadata in the CSV has changed
    #[arg(long, conflicts_with = "safe")]
    pub(crate) update_metadata: bool,
    /// Send the MD5 of each file instead of the one in the CSV
    #[arg(long)]
    pub(crate) ignore_md5: bool,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
    #[command(flatten)]
    pub(crate) transfer: Transfer,
}

/// The metadata of one file.
#[derive(Args)]
pub(crate) struct FileDetails {
    /// The description
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub(crate) description: String,
    /// A tag; repeatable
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// A data type, by name or number; repeatable
    #[arg(long = "data-type", value_name = "TYPE")]
    pub(crate) data_types: Vec<String>,
}

#[derive(Args)]
pub(crate) struct UploadFile {
    /// The file, or - for standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) member: MemberArg,
    /// The name at Open Humans, if it differs from the file's own
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) details: FileDetails,
}

#[derive(Subcommand)]
pub(crate) enum DirectUpload {
    /// Register a file, and print its id and upload URL as JSON
    ///
    /// Send the file with one PUT request to the URL within six hours. The URL permits the upload
    /// without a token.
    Begin {
        /// The name at Open Humans
        name: String,
        #[command(flatten)]
        member: MemberArg,
        #[command(flatten)]
        details: FileDetails,
    },
    /// Complete an upload after the file was sent, so that the file is listed
    Complete {
        /// The file's id
        id: DataFileId,
        #[command(flatten)]
        member: MemberArg,
    },
}

#[derive(Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) member: MemberArg,
    /// The file's id
    #[arg(short = 'i', long, group = "which", value_name = "ID")]
    pub(crate) file_id: Option<DataFileId>,
    /// Delete all files of this name
    #[arg(
        short = 'b',
        long,
        group = "which",
        value_name = "NAME",
        allow_hyphen_values = true
    )]
    pub(crate) name: Option<String>,
    /// Delete all files of the project; asks for confirmation
    #[arg(long, group = "which")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}
