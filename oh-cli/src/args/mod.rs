//! The options and arguments of each command, grouped by topic.

mod app;
mod files;
mod ledger;
mod members;
mod metadata;
mod public;
mod tokens;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};
use oh_api::ProjectMemberId;

pub(crate) use app::Doctor;
#[cfg(feature = "database")]
pub(crate) use app::ImportDjango;
pub(crate) use files::{
    Delete, DirectUpload, Download, DownloadFile, ExistingFiles, FileDetails, FileSelector, Files,
    Target, Upload, UploadFile,
};
pub(crate) use ledger::{Check, Export, Keygen, Keys, Ledger, Prove, Report, Verify};
pub(crate) use members::{AccessLog, Message, Remove};
pub(crate) use metadata::Metadata;
pub(crate) use public::{Public, PublicDownload, PublicFilter};
pub(crate) use tokens::{
    AuthorizeUrl, ClientSecret, Credentials, Exchange, Login, Refresh, RefreshTokenArgs, Revoke,
};

use crate::access::Access;
use crate::error::AFTER_HELP;

/// The equivalents of each command and option of the Python package `open-humans-api`. The guide in
/// `docs/` is a copy.
pub(crate) const MIGRATION_GUIDE: &str = include_str!("../../migrating-from-ohapi.md");

/// Open Humans from the command line: tokens, files, members, messages, public data.
#[derive(Parser)]
#[command(name = "oh", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) access: Access,
    /// Print results and errors only, without progress and status messages
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Log each file and member; given twice, also each request
    ///
    /// The log contains no tokens. RUST_LOG sets the level per module, for example
    /// RUST_LOG=oh_api=debug.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Let a member authorize the project in a browser, and print or store the tokens
    ///
    /// Opens the authorization page, waits for the redirect and exchanges the code. The redirect URI
    /// must be registered for the project and point to this machine, for example
    /// http://localhost:8000/openhumans/complete.
    Login(Login),
    /// Print the URL at which a member authorizes the project, as JSON with state and PKCE verifier
    ///
    /// Open the URL in a browser. The redirect carries `code` and `state` in the query: compare the
    /// state, then pass the code and the verifier to `oh exchange`. `oh login` does all of this if
    /// the redirect URI points to this machine.
    AuthorizeUrl(AuthorizeUrl),
    /// Exchange an authorization code for tokens, printed as JSON
    ///
    /// A code works once. The output is opened before the code is sent.
    Exchange(Exchange),
    /// Exchange a refresh token for new tokens, printed as JSON
    ///
    /// Invalidates the old tokens. The output is opened before the request is sent; if the new tokens
    /// cannot be written there, they are written to another file or printed, and the exit code is 13.
    Refresh(Refresh),
    /// Revoke a member's tokens; the member stays in the project
    Revoke(Revoke),
    /// Print the token endpoint's information about a member's access token, as JSON
    Introspect(Credentials),
    /// Print the member that a token belongs to, as JSON
    Whoami(Whoami),
    /// Print the project's own record, as JSON
    Project(Raw),
    /// List the project's members: id, username, number of files
    Members(Listing),
    /// List a member's files: id, source, name
    Files(Files),
    /// List accesses to a member's files: time, IP address, file name
    ///
    /// Open Humans shows these logs to one project only, which its administrators choose.
    AccessLog(AccessLog),
    /// Download files that are shared with the project, or the project's own, into a directory
    ///
    /// Downloads the files of one member or, with the master token, of all members, each into a
    /// separate directory. Skips files that exist with the right size and resumes interrupted
    /// downloads.
    Download(Download),
    /// Download one file of a member, by id or name
    DownloadFile(DownloadFile),
    /// Upload a directory of files with the metadata of a CSV
    ///
    /// Uploads for one member or, with the master token, for each member with a subdirectory. `oh
    /// metadata draft` creates the CSV. Replaces a file of the same name at Open Humans unless it has
    /// the same MD5; --safe and --sync change that.
    Upload(Upload),
    /// Upload one file of a member
    UploadFile(UploadFile),
    /// Create upload URLs for other programs, such as a browser, and complete these uploads
    #[command(subcommand)]
    DirectUpload(DirectUpload),
    /// Draft or review a metadata CSV, or list the metadata of all files of all members
    #[command(subcommand)]
    Metadata(Metadata),
    /// Send a message to one, several or all members
    ///
    /// `{{ PROJECT_MEMBER_ID }}` in the text is replaced by the receiver's id. Other text in {{ }} or
    /// {% %} is rejected: Open Humans would not deliver the message, or would remove the text.
    Message(Message),
    /// Delete files that the project uploaded
    Delete(Delete),
    /// Remove members from the project
    Remove(Remove),
    /// List and download public data; requires no token
    #[command(subcommand)]
    Public(Public),
    /// Check the configuration of an app in its environment, without changing anything
    ///
    /// Reads the same variables as the app. Checks whether Open Humans accepts the credentials,
    /// whether the app is reachable and has the same webhook secret, and whether the database is up
    /// to date. Prints one line for each check and exits with 1 if one fails.
    Doctor(Doctor),
    /// Import members and their tokens from the database of a django-open-humans app
    ///
    /// Reads the tables of django-open-humans 0.2 and writes to the database of an app that stores
    /// its tokens with oh-sqlx, encrypted if OPENHUMANS_STORE_KEYS is set. Stop the Django app first:
    /// if two apps refresh the same token, one of them loses access. You can interrupt the import and
    /// run it again; it does not replace newer tokens.
    #[cfg(feature = "database")]
    ImportDjango(ImportDjango),
    /// Verify an app's ledger of erasure requests offline; requires no token
    #[command(subcommand)]
    Ledger(Ledger),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page of oh, or write the man pages of all commands into a directory
    Man {
        /// An existing directory
        #[arg(short, long, value_name = "DIRECTORY")]
        directory: Option<std::path::PathBuf>,
    },
    /// Print the equivalents of the commands of open-humans-api, as Markdown
    #[command(
        help_template = "{about}\n\nUsage: {usage}\n\n{after-help}",
        after_help = MIGRATION_GUIDE
    )]
    Migrate,
}

#[derive(ClapArgs)]
pub(crate) struct MemberArg {
    /// The member to act for; requires the master token
    #[arg(short, long, value_name = "ID", value_parser = member_id)]
    pub(crate) member: Option<ProjectMemberId>,
}

#[derive(ClapArgs)]
pub(crate) struct Whoami {
    #[command(flatten)]
    pub(crate) member: MemberArg,
    #[command(flatten)]
    pub(crate) raw: Raw,
}

#[derive(ClapArgs)]
pub(crate) struct Raw {
    /// Print the complete record as Open Humans sent it, without the tokens in its URLs
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Listing {
    /// Print each record as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print each record as Open Humans sent it, as one line of JSON, without the tokens in its URLs
    #[arg(long)]
    pub(crate) raw: bool,
    /// Print at most this many records
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
    /// Skip this many records
    #[arg(long, value_name = "COUNT")]
    pub(crate) offset: Option<u64>,
}

#[derive(ClapArgs)]
pub(crate) struct Confirmation {
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Print what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Parses a project member id. An id that is too short has usually lost its leading zeros to a
/// spreadsheet or a shell.
pub(crate) fn member_id(text: &str) -> Result<ProjectMemberId, String> {
    let id: ProjectMemberId = text
        .parse()
        .map_err(|_| "a project member id has 8 or 16 digits".to_owned())?;
    match text.len() {
        8 | 16 => Ok(id),
        ..8 => Err(format!(
            "a project member id has 8 or 16 digits, including leading zeros: did you mean \
             {text:0>8}?"
        )),
        _ => Err("a project member id has 8 or 16 digits".to_owned()),
    }
}
