//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs, Parser, Subcommand};
use oh_api::DataFileId;
use oh_api::ProjectMemberId;

use crate::access::Access;
use crate::failure::EXPLAINED;
use crate::size;

/// Open Humans from the command line: tokens, files, members, messages, public data.
#[derive(Parser)]
#[command(name = "oh", version, after_help = EXPLAINED, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) access: Access,
    /// Show no progress bars and no notes, only results and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the address where a member authorizes the project, as JSON with its state and PKCE
    /// verifier
    ///
    /// Open the url in a browser. It comes back to the redirect URI with `code` and `state` in the
    /// query: compare the state, and give the code to `oh exchange`, with the verifier.
    AuthorizeUrl(Client),
    /// Exchange an authorization code for tokens, printed as JSON
    Exchange(Exchange),
    /// Exchange a refresh token for a new pair of tokens, printed as JSON
    ///
    /// The old pair is dead at once. With --out the new one is written before anything else can go
    /// wrong.
    Refresh(Refresh),
    /// Print who a member's token belongs to, as JSON
    Whoami(OfMember),
    /// Print the project's own record, as JSON
    Project,
    /// List the project's members: id, username, number of files
    Members(Listing),
    /// List a member's files: id, source, name
    Files(Files),
    /// Download files that are shared with the project, or its own, into a directory
    ///
    /// Of one member, or with the master token of all, each into a directory of their own. Files
    /// that are here and have the right size are left alone, and interrupted downloads resumed.
    Download(Download),
    /// Upload a directory of files, with the metadata of a CSV
    ///
    /// For one member, or with the master token for all that the directory has a folder of. `oh
    /// metadata draft` makes a CSV to begin with.
    Upload(Upload),
    /// Upload one file of a member
    UploadFile(UploadFile),
    /// Draft or review a metadata CSV, or list the metadata of all files of all members
    #[command(subcommand)]
    Metadata(Metadata),
    /// Send a message to a member, to some, or to all
    Message(Message),
    /// Delete files that the project has uploaded
    Delete(Delete),
    /// Remove members from the project
    Remove(Remove),
    /// Look at and download public data; needs no token
    #[command(subcommand)]
    Public(Public),
}

#[derive(ClapArgs)]
pub(crate) struct Client {
    /// The project's client id
    #[arg(long, env = "OPENHUMANS_CLIENT_ID")]
    pub(crate) client_id: String,
    /// The project's redirect URI, letter for letter
    #[arg(long, env = "OPENHUMANS_REDIRECT_URI", value_name = "URL")]
    pub(crate) redirect_uri: String,
}

#[derive(ClapArgs)]
pub(crate) struct ClientSecret {
    /// The project's client secret; better in a file or OPENHUMANS_CLIENT_SECRET
    #[arg(long, env = "OPENHUMANS_CLIENT_SECRET", hide_env_values = true)]
    pub(crate) client_secret: Option<String>,
    /// A file that holds the project's client secret
    #[arg(
        long,
        env = "OPENHUMANS_CLIENT_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "client_secret"
    )]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// Write the tokens to this file, readable by you alone, rather than print them
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct Exchange {
    #[command(flatten)]
    pub(crate) client: Client,
    #[command(flatten)]
    pub(crate) secret: ClientSecret,
    /// The code the member came back with
    #[arg(long)]
    pub(crate) code: String,
    /// The verifier that `oh authorize-url` printed; not wanted for an address made otherwise
    #[arg(long)]
    pub(crate) verifier: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct Refresh {
    /// The project's client id
    #[arg(long, env = "OPENHUMANS_CLIENT_ID")]
    pub(crate) client_id: String,
    #[command(flatten)]
    pub(crate) secret: ClientSecret,
    /// The refresh token; better in a file or OPENHUMANS_REFRESH_TOKEN
    #[arg(long, env = "OPENHUMANS_REFRESH_TOKEN", hide_env_values = true)]
    pub(crate) refresh_token: Option<String>,
    /// A file that holds the refresh token
    #[arg(long, value_name = "FILE", conflicts_with = "refresh_token")]
    pub(crate) refresh_token_file: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct OfMember {
    /// The member to act for, with the master token
    #[arg(short, long, value_name = "ID")]
    pub(crate) member: Option<ProjectMemberId>,
}

#[derive(ClapArgs)]
pub(crate) struct Listing {
    /// Print a line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Files {
    #[command(flatten)]
    pub(crate) of: OfMember,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

#[derive(ClapArgs)]
pub(crate) struct Transfers {
    /// Leave out files of more bytes, such as 500k, 128m or 2GiB
    #[arg(long, value_parser = size::parse, value_name = "SIZE")]
    pub(crate) max_size: Option<u64>,
    /// How many files move at a time
    #[arg(short, long, default_value_t = 4, value_name = "COUNT")]
    pub(crate) jobs: usize,
}

#[derive(ClapArgs)]
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
}

#[derive(ClapArgs)]
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
    #[arg(long)]
    pub(crate) sync: bool,
    #[command(flatten)]
    pub(crate) transfers: Transfers,
}

#[derive(ClapArgs)]
pub(crate) struct UploadFile {
    /// The file; - for standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) of: OfMember,
    /// Another name than the file's own
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What it is
    #[arg(long, default_value = "")]
    pub(crate) description: String,
    /// A tag; can be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// A data type, by name or number; can be given several times
    #[arg(long = "data-type", value_name = "TYPE")]
    pub(crate) data_types: Vec<String>,
}

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

#[derive(ClapArgs)]
pub(crate) struct Message {
    /// The text; - reads it from standard input
    pub(crate) text: String,
    /// The subject
    #[arg(short, long)]
    pub(crate) subject: Option<String>,
    /// A member it goes to, with the master token; can be given several times
    #[arg(short, long = "member", value_name = "ID")]
    pub(crate) members: Vec<ProjectMemberId>,
    /// To all members, with the master token
    #[arg(long, conflicts_with = "members")]
    pub(crate) all: bool,
}

#[derive(ClapArgs)]
#[command(group = ArgGroup::new("which").required(true))]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) of: OfMember,
    /// The file of this id
    #[arg(short = 'i', long, group = "which", value_name = "ID")]
    pub(crate) file_id: Option<DataFileId>,
    /// All files of this name
    #[arg(short = 'b', long, group = "which", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// All files
    #[arg(long, group = "which")]
    pub(crate) all: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Remove {
    /// The members, with the master token
    #[arg(required = true, value_name = "ID")]
    pub(crate) members: Vec<ProjectMemberId>,
}

#[derive(Subcommand)]
pub(crate) enum Public {
    /// List projects: number, name
    Projects(Listing),
    /// List public members: username, name
    Members(Listing),
    /// List data types: number, name
    DataTypes(Listing),
    /// List public files: id, source, name
    Files(PublicFiles),
    /// Download public files into a directory
    Download {
        /// The directory files go to
        #[arg(short, long)]
        directory: PathBuf,
        #[command(flatten)]
        which: PublicWhich,
        /// Leave out files of more bytes, such as 500k, 128m or 2GiB
        #[arg(long, value_parser = size::parse, value_name = "SIZE", default_value = "128m")]
        max_size: u64,
    },
}

#[derive(ClapArgs)]
pub(crate) struct PublicFiles {
    #[command(flatten)]
    pub(crate) which: PublicWhich,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

#[derive(ClapArgs)]
#[group(multiple = false)]
pub(crate) struct PublicWhich {
    /// Only this project's, by its number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) project: Option<u64>,
    /// Only this member's
    #[arg(short, long)]
    pub(crate) username: Option<String>,
    /// Only those of this data type, by its number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) data_type: Option<u64>,
}
