//! The commands.

mod bulk;
#[cfg(feature = "database")]
mod database;
mod doctor;
mod documentation;
mod files;
#[cfg(feature = "database")]
mod import_django;
mod ledger;
mod login;
mod members;
mod metadata;
mod public;
mod records;
mod tokens;

use crate::args::{Args, Command};
use crate::error::CliError;

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let access = &args.access;
    match args.command {
        Command::Login(args) => login::run(access, args).await,
        Command::AuthorizeUrl(args) => tokens::authorize_url(access, &args),
        Command::Exchange(args) => tokens::exchange(access, args).await,
        Command::Refresh(args) => tokens::refresh(access, &args).await,
        Command::Revoke(args) => tokens::revoke(access, &args).await,
        Command::Introspect(args) => tokens::introspect(access, &args).await,
        Command::Whoami(args) => members::whoami(access, &args).await,
        Command::Project(args) => members::project(access, &args).await,
        Command::Members(args) => members::members(access, &args).await,
        Command::AccessLog(args) => members::access_log(access, &args).await,
        Command::Message(args) => members::message(access, args).await,
        Command::Remove(args) => members::remove(access, &args).await,
        Command::Files(args) => files::list(access, &args).await,
        Command::Download(args) => bulk::download(access, args).await,
        Command::DownloadFile(args) => files::download_file(access, &args).await,
        Command::Upload(args) => bulk::upload(access, args).await,
        Command::UploadFile(args) => files::upload_file(access, args).await,
        Command::DirectUpload(args) => files::direct_upload(access, args).await,
        Command::Delete(args) => files::delete(access, &args).await,
        Command::Metadata(args) => metadata::run(access, args).await,
        Command::Doctor(args) => doctor::run(access, args).await,
        #[cfg(feature = "database")]
        Command::ImportDjango(args) => import_django::run(args).await,
        Command::Public(args) => public::run(access, args).await,
        Command::Ledger(args) => ledger::run(args).await,
        Command::Completions { shell } => documentation::completions(shell),
        Command::Man { directory } => documentation::man(directory.as_deref()),
        Command::Migrate => documentation::migrate(),
    }
}
