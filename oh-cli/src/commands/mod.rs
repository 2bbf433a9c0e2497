//! The commands.

mod authorize;
mod files;
mod metadata;
mod people;
mod public;

use crate::args::{Args, Command};
use crate::failure::Failure;

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let access = &args.access;
    let quiet = args.quiet;
    match args.command {
        Command::AuthorizeUrl(args) => authorize::url(access, &args),
        Command::Exchange(args) => authorize::exchange(access, args).await,
        Command::Refresh(args) => authorize::refresh(access, &args).await,
        Command::Whoami(args) => people::whoami(access, &args).await,
        Command::Project => people::project(access).await,
        Command::Members(args) => people::members(access, &args).await,
        Command::Message(args) => people::message(access, args).await,
        Command::Remove(args) => people::remove(access, &args).await,
        Command::Files(args) => files::list(access, &args).await,
        Command::Download(args) => files::download(access, args, quiet).await,
        Command::Upload(args) => files::upload(access, args, quiet).await,
        Command::UploadFile(args) => files::upload_file(access, args, quiet).await,
        Command::Delete(args) => files::delete(access, &args).await,
        Command::Metadata(args) => metadata::run(access, args).await,
        Command::Public(args) => public::run(access, args, quiet).await,
    }
}
