//! The command line: one room for each kind of thing that commands are about.

mod app;
mod files;
mod ledger;
mod metadata;
mod people;
mod public;
mod tokens;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};
use oh_api::ProjectMemberId;

pub(crate) use app::Doctor;
#[cfg(feature = "database")]
pub(crate) use app::ImportDjango;
pub(crate) use files::{
    Delete, Download, DownloadFile, Files, Here, Target, Upload, UploadFile, WhichFile,
};
pub(crate) use ledger::{Check, Export, Keygen, Keys, Ledger, Prove, Report, Verify};
pub(crate) use metadata::Metadata;
pub(crate) use people::{Message, Remove};
pub(crate) use public::{Public, PublicDownload, PublicWhich};
pub(crate) use tokens::{
    Asked, ClientSecret, Exchange, Introspect, Login, Refresh, RefreshSecret, Revoke,
};

use crate::access::Access;
use crate::failure::EXPLAINED;
use crate::migrate;

/// Open Humans from the command line: tokens, files, members, messages, public data.
#[derive(Parser)]
#[command(name = "oh", version, after_help = EXPLAINED, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) access: Access,
    /// Show no progress and no notes, only results and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say each file and member; twice, each request, too
    ///
    /// No token is among it. RUST_LOG chooses more finely, as in RUST_LOG=oh_api=debug.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Have a member authorize the project in a browser, and print or keep the tokens
    ///
    /// Opens the authorization page, listens at the redirect URI for the member to come back, and
    /// exchanges the code. The redirect URI must be one of the project's and lead to this machine,
    /// such as http://localhost:8000/openhumans/complete.
    Login(Login),
    /// Print the address where a member authorizes the project, as JSON with its state and PKCE
    /// verifier
    ///
    /// Open the url in a browser. It comes back to the redirect URI with `code` and `state` in the
    /// query: compare the state, and give the code to `oh exchange`, with the verifier. `oh login`
    /// does all of it where the redirect URI leads to this machine.
    AuthorizeUrl(Asked),
    /// Exchange an authorization code for tokens, printed as JSON
    ///
    /// Codes work once. Where the tokens go is made ready before the code is sent.
    Exchange(Exchange),
    /// Exchange a refresh token for a new pair of tokens, printed as JSON
    ///
    /// The old pair is dead at once. Where the new one goes is made ready before; should it fail
    /// all the same, the tokens are kept beside or shown, and the exit code is not 0.
    Refresh(Refresh),
    /// Make a member's tokens unusable; the member stays in the project
    Revoke(Revoke),
    /// Print what the token endpoint knows of a member's access token, as JSON
    Introspect(Introspect),
    /// Print who a member's token belongs to, as JSON
    Whoami(Whoami),
    /// Print the project's own record, as JSON
    Project(Raw),
    /// List the project's members: id, username, number of files
    Members(Listing),
    /// List a member's files: id, source, name
    Files(Files),
    /// Download files that are shared with the project, or its own, into a directory
    ///
    /// Of one member, or with the master token of all, each into a directory of their own. Files
    /// that are here and have the right size are left alone, and interrupted downloads resumed.
    Download(Download),
    /// Download one file of a member, by its id or name
    DownloadFile(DownloadFile),
    /// Upload a directory of files, with the metadata of a CSV
    ///
    /// For one member, or with the master token for all that the directory has a folder of. `oh
    /// metadata draft` makes a CSV to begin with. A file of the same name at Open Humans is
    /// replaced, unless it has the same MD5; --safe and --sync change that.
    Upload(Upload),
    /// Upload one file of a member
    UploadFile(UploadFile),
    /// Draft or review a metadata CSV, or list the metadata of all files of all members
    #[command(subcommand)]
    Metadata(Metadata),
    /// Send a message to a member, to some, or to all
    ///
    /// `{{ PROJECT_MEMBER_ID }}` in it becomes the receiver's id. Other text in {{ }} or {% %}
    /// would keep it from arriving, or leave a hole in it, and is refused.
    Message(Message),
    /// Delete files that the project has uploaded
    Delete(Delete),
    /// Remove members from the project
    Remove(Remove),
    /// Look at and download public data; needs no token
    #[command(subcommand)]
    Public(Public),
    /// Check how an app is set up, from the environment it is started with, and change nothing
    ///
    /// Reads the same variables as the app. Asks Open Humans whether it knows the project, the app
    /// whether it can be reached and has the same webhook secret, and the database whether it is as
    /// it should be. A line for each: fine, or what is wrong and what to do. Exits with 1 if
    /// something is wrong.
    Doctor(Doctor),
    /// Bring members and their tokens over from the database of a django-open-humans app
    ///
    /// Reads what the package django-open-humans 0.2 keeps, and writes it into the database of
    /// an app that keeps its tokens with oh-sqlx; sealed, if OPENHUMANS_STORE_KEYS is set. Stop the
    /// Django app first: of two apps that refresh one token, the second has lost its member. It can
    /// be interrupted, and run again as often as one likes: what is newer here is left alone.
    #[cfg(feature = "database")]
    ImportDjango(ImportDjango),
    /// Check the ledger of erasure requests that an app keeps; needs no token, and no network
    #[command(subcommand)]
    Ledger(Ledger),
    /// Print a script that completes commands and options in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page of oh, or write those of all commands into a directory
    Man {
        /// The directory, which must exist
        #[arg(short, long, value_name = "DIRECTORY")]
        directory: Option<std::path::PathBuf>,
    },
    /// Show what each command of open-humans-api is here
    #[command(
        help_template = "{about}\n\nUsage: {usage}\n\n{after-help}",
        after_help = migrate::text()
    )]
    Migrate {
        /// As Markdown
        #[arg(long)]
        markdown: bool,
    },
}

#[derive(ClapArgs)]
pub(crate) struct OfMember {
    /// The member to act for, with the master token
    #[arg(short, long, value_name = "ID", value_parser = member_id)]
    pub(crate) member: Option<ProjectMemberId>,
}

#[derive(ClapArgs)]
pub(crate) struct Whoami {
    #[command(flatten)]
    pub(crate) of: OfMember,
    #[command(flatten)]
    pub(crate) raw: Raw,
}

#[derive(ClapArgs)]
pub(crate) struct Raw {
    /// The whole record as Open Humans sent it; tokens in addresses are left out
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Listing {
    /// Print a line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a line of JSON for each: the whole record as Open Humans sent it; tokens in addresses
    /// are left out
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Sure {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Reads a member's id. One that is too short has mostly lost its zeros to a spreadsheet or a
/// shell.
pub(crate) fn member_id(text: &str) -> Result<ProjectMemberId, String> {
    let id: ProjectMemberId = text
        .parse()
        .map_err(|_| "it is not a project member id, which has 8 digits".to_owned())?;
    match text.len() {
        ..8 => Err(format!(
            "it has not 8 digits; leading zeros belong to it: {text:0>8}?"
        )),
        _ => Ok(id),
    }
}
