//! Commands about members' files.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use oh_api::DataFileId;

use super::{Listing, OfMember, Sure};
use crate::size;

#[derive(Args)]
pub(crate) struct Files {
    #[command(flatten)]
    pub(crate) of: OfMember,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

#[derive(Args)]
pub(crate) struct Transfers {
    /// Leave out files of more bytes, such as 500k, 128m or 2GiB
    #[arg(long, value_parser = size::parse, value_name = "SIZE")]
    pub(crate) max_size: Option<u64>,
    /// How many files move at a time
    #[arg(short, long, default_value_t = 4, value_name = "COUNT")]
    pub(crate) jobs: usize,
}

/// What happens to files that are here already, and to those that are not what they should be.
#[derive(Args)]
pub(crate) struct Here {
    /// Read files that are here, and fetch those again that have not the MD5 that is known
    #[arg(long, conflicts_with_all = ["force", "ignore_md5"])]
    pub(crate) verify: bool,
    /// Fetch all files, whatever is here
    #[arg(long)]
    pub(crate) force: bool,
    /// Take files whose MD5 is not the one their uploader gave
    #[arg(long)]
    pub(crate) ignore_md5: bool,
}

#[derive(Args)]
pub(crate) struct Download {
    /// The directory files go to
    #[arg(short, long)]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) of: OfMember,
    /// Only files from this source, such as direct-sharing-1; can be given several times
    #[arg(short, long, conflicts_with = "project_data")]
    pub(crate) source: Vec<String>,
    /// The project's own files, rather than those members share with it
    #[arg(long)]
    pub(crate) project_data: bool,
    /// A file with the ids of the only members to download from, a line each
    #[arg(long, value_name = "FILE", conflicts_with = "member")]
    pub(crate) memberlist: Option<PathBuf>,
    /// A file with the ids of members to leave out, a line each
    #[arg(long, value_name = "FILE", conflicts_with = "member")]
    pub(crate) excludelist: Option<PathBuf>,
    /// Put files' ids before their names, and take all files of one name
    #[arg(long)]
    pub(crate) id_filename: bool,
    #[command(flatten)]
    pub(crate) transfers: Transfers,
    #[command(flatten)]
    pub(crate) here: Here,
}

/// One file, by its id or its name.
#[derive(Args)]
#[command(group = ArgGroup::new("which_file").required(true))]
pub(crate) struct WhichFile {
    /// The file of this id
    #[arg(short = 'i', long, group = "which_file", value_name = "ID")]
    pub(crate) file_id: Option<DataFileId>,
    /// The newest file of this name
    #[arg(
        short = 'b',
        long,
        group = "which_file",
        value_name = "NAME",
        allow_hyphen_values = true
    )]
    pub(crate) name: Option<String>,
}

/// Where one file goes.
#[derive(Args)]
pub(crate) struct Target {
    /// The file to write; - for standard output; without it, the file's own name here
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Refuse a file of more bytes, such as 500k, 128m or 2GiB
    #[arg(long, value_parser = size::parse, value_name = "SIZE")]
    pub(crate) max_size: Option<u64>,
}

#[derive(Args)]
pub(crate) struct DownloadFile {
    #[command(flatten)]
    pub(crate) which: WhichFile,
    #[command(flatten)]
    pub(crate) of: OfMember,
    /// Only among files from this source, such as direct-sharing-1
    #[arg(short, long)]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) here: Here,
}

#[derive(Args)]
pub(crate) struct Upload {
    /// The directory: one member's files, or a folder for each member
    #[arg(short, long)]
    pub(crate) directory: PathBuf,
    /// The metadata CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_csv: PathBuf,
    #[command(flatten)]
    pub(crate) of: OfMember,
    /// Leave files alone that are at Open Humans, whatever is in them
    #[arg(long, conflicts_with = "sync")]
    pub(crate) safe: bool,
    /// Delete the project's files at Open Humans that are not in the directory
    ///
    /// Asks first where that is ten files or more, a third of what is there, or all files of a
    /// member. Hidden files count for nothing on either side. A member's files are deleted only
    /// once all of that member's uploads have succeeded.
    #[arg(long)]
    pub(crate) sync: bool,
    /// Upload files again of which only the CSV's metadata have changed
    #[arg(long, conflicts_with = "safe")]
    pub(crate) update_metadata: bool,
    /// Send each file's own MD5, whatever the CSV says
    #[arg(long)]
    pub(crate) ignore_md5: bool,
    #[command(flatten)]
    pub(crate) sure: Sure,
    #[command(flatten)]
    pub(crate) transfers: Transfers,
}

#[derive(Args)]
pub(crate) struct UploadFile {
    /// The file; - for standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) of: OfMember,
    /// Another name than the file's own
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) name: Option<String>,
    /// What it is
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub(crate) description: String,
    /// A tag; can be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// A data type, by name or number; can be given several times
    #[arg(long = "data-type", value_name = "TYPE")]
    pub(crate) data_types: Vec<String>,
}

#[derive(Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) of: OfMember,
    /// The file of this id
    #[arg(short = 'i', long, group = "which", value_name = "ID")]
    pub(crate) file_id: Option<DataFileId>,
    /// All files of this name
    #[arg(
        short = 'b',
        long,
        group = "which",
        value_name = "NAME",
        allow_hyphen_values = true
    )]
    pub(crate) name: Option<String>,
    /// All files; asks first
    #[arg(long, group = "which")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) sure: Sure,
}
