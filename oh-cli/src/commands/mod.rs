//! The commands.

mod authorize;
#[cfg(feature = "database")]
mod database;
mod directories;
mod doctor;
mod files;
#[cfg(feature = "database")]
mod import_django;
mod ledger;
mod login;
mod metadata;
mod people;
mod public;
mod shell;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::{migrate, output};

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let access = &args.access;
    match args.command {
        Command::Login(args) => login::run(access, args).await,
        Command::AuthorizeUrl(args) => authorize::url(access, &args),
        Command::Exchange(args) => authorize::exchange(access, args).await,
        Command::Refresh(args) => authorize::refresh(access, &args).await,
        Command::Revoke(args) => authorize::revoke(access, &args).await,
        Command::Introspect(args) => authorize::introspect(access, &args).await,
        Command::Whoami(args) => people::whoami(access, &args).await,
        Command::Project(args) => people::project(access, &args).await,
        Command::Members(args) => people::members(access, &args).await,
        Command::Message(args) => people::message(access, args).await,
        Command::Remove(args) => people::remove(access, &args).await,
        Command::Files(args) => files::list(access, &args).await,
        Command::Download(args) => directories::download(access, args).await,
        Command::DownloadFile(args) => files::download_file(access, &args).await,
        Command::Upload(args) => directories::upload(access, args).await,
        Command::UploadFile(args) => files::upload_file(access, args).await,
        Command::Delete(args) => files::delete(access, &args).await,
        Command::Metadata(args) => metadata::run(access, args).await,
        Command::Doctor(args) => doctor::run(access, args).await,
        #[cfg(feature = "database")]
        Command::ImportDjango(args) => import_django::run(args).await,
        Command::Public(args) => public::run(access, args).await,
        Command::Ledger(args) => ledger::run(args).await,
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { directory } => shell::man(directory.as_deref()),
        Command::Migrate { markdown: true } => output::write(None, migrate::markdown().as_bytes()),
        Command::Migrate { markdown: false } => output::write(None, migrate::text().as_bytes()),
    }
}
