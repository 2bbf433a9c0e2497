//! Public data.

use std::path::Path;

use oh_api::Error;
use oh_api::{DataFile, List, PublicClient, safe_file_name};
use serde_json::json;

use super::{files, people};
use crate::access::Access;
use crate::args::{Public, PublicWhich};
use crate::failure::Failure;
use crate::output::{self, plain};
use crate::progress::Bar;

pub(crate) async fn run(access: &Access, args: Public, quiet: bool) -> Result<(), Failure> {
    let public = access.server()?.public();
    match args {
        Public::Projects(args) => {
            let mut projects = public.projects();
            while let Some(project) = projects.try_next().await? {
                match args.json {
                    true => output::json(&people::shown(&project))?,
                    false => row(project.id, project.name.as_deref())?,
                }
            }
        }
        Public::Members(args) => {
            let mut members = public.members();
            while let Some(member) = members.try_next().await? {
                let username = member.username.as_deref().unwrap_or_default();
                let name = member.name.as_deref().unwrap_or_default();
                match args.json {
                    true => output::json(&json!({ "username": username, "name": name }))?,
                    false => output::line(format!("{}\t{}", plain(username), plain(name)))?,
                }
            }
        }
        Public::DataTypes(args) => {
            let mut types = public.data_types();
            while let Some(kind) = types.try_next().await? {
                match args.json {
                    true => output::json(&json!({
                        "id": kind.id,
                        "name": kind.name,
                        "parent": kind.parent,
                        "description": kind.description,
                        "uploadable": kind.uploadable,
                    }))?,
                    false => row(kind.id, kind.name.as_deref())?,
                }
            }
        }
        Public::Files(args) => {
            files::print(chosen(&public, &args.which)?, args.listing.json).await?;
        }
        Public::Download {
            directory,
            which,
            max_size,
        } => {
            let files = chosen(&public, &which)?;
            download(&public, files, &directory, max_size, quiet).await?;
        }
    }
    Ok(())
}

fn row(id: Option<u64>, name: Option<&str>) -> Result<(), Failure> {
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    output::line(format!("{id}\t{}", plain(name.unwrap_or_default())))
}

fn chosen(public: &PublicClient, which: &PublicWhich) -> Result<List<DataFile>, Failure> {
    Ok(match which {
        PublicWhich {
            project: Some(id), ..
        } => public.project_files(*id),
        PublicWhich {
            username: Some(name),
            ..
        } => public.member_files(name)?,
        PublicWhich {
            data_type: Some(id),
            ..
        } => public.data_type_files(*id),
        _ => public.files(),
    })
}

/// Downloads file after file. Names of public files are not unique: their ids come before them.
async fn download(
    public: &PublicClient,
    mut files: List<DataFile>,
    directory: &Path,
    max_size: u64,
    quiet: bool,
) -> Result<(), Failure> {
    tokio::fs::create_dir_all(directory).await?;
    let bar = Bar::of_file(quiet);
    let mut failed = 0;
    while let Some(file) = files.try_next().await? {
        let name = safe_file_name(&format!("{}-{}", file.id, safe_file_name(&file.basename)));
        let download = public
            .download(&file)
            .max_size(max_size)
            .keep_existing()
            .on_progress({
                let bar = bar.clone();
                move |progress| bar.moved(progress)
            });
        match download.to_path(directory.join(&name)).await {
            Ok(done) => output::line(plain(&done.path.to_string_lossy()))?,
            Err(Error::TooLarge { .. }) if quiet => {}
            Err(Error::TooLarge { .. }) => bar.say(format!("{}: too large", plain(&name))),
            Err(error) => {
                bar.say(format!("oh: {}: {error}", plain(&name)));
                failed += 1;
            }
        }
    }
    bar.finish();
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Partly(failed)),
    }
}
