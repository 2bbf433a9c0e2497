//! Files of members.

use std::fs::File;
use std::path::Path;

use oh_api::ProjectMemberId;
use oh_api::bulk::{BulkDownload, BulkUpload, Manifest, Mode};
use oh_api::{DataFile, FileMetadata, List, Upload};
use serde_json::json;

use crate::access::{Access, Who};
use crate::args;
use crate::failure::Failure;
use crate::output::{self, plain};
use crate::progress::Bar;

pub(crate) async fn list(access: &Access, args: &args::Files) -> Result<(), Failure> {
    let member = access.member(args.of.member.as_ref())?;
    print(member.files(), args.listing.json).await
}

/// Prints a list of files. Their addresses are secrets, and left out.
pub(crate) async fn print(mut files: List<DataFile>, as_json: bool) -> Result<(), Failure> {
    while let Some(file) = files.try_next().await? {
        if as_json {
            let metadata = file.metadata_map();
            output::json(&json!({
                "id": file.id,
                "basename": file.basename,
                "created": file.created,
                "source": file.source,
                "source_project": file.source_project,
                "username": file.user.and_then(|user| user.username),
                "metadata": metadata,
            }))?;
            continue;
        }
        let source = file.source.or(file.source_project).unwrap_or_default();
        let (source, name) = (plain(&source), plain(&file.basename));
        output::line(format!("{}\t{source}\t{name}", file.id))?;
    }
    Ok(())
}

pub(crate) async fn download(
    access: &Access,
    args: args::Download,
    quiet: bool,
) -> Result<(), Failure> {
    let who = access.who(args.of.member.as_ref())?;
    if matches!(who, Who::Member(_)) && (args.memberlist.is_some() || args.excludelist.is_some()) {
        let why = "--memberlist and --excludelist are for the files of all members";
        return Err(Failure::Usage(why.into()));
    }
    let bar = Bar::of_many(quiet);
    let mut what = match args.project_data {
        true => BulkDownload::own(),
        false => BulkDownload::shared(),
    };
    for source in args.source {
        what = what.source(source);
    }
    if let Some(path) = args.memberlist {
        what = what.only_members(ids(&path)?);
    }
    if let Some(path) = args.excludelist {
        what = what.except_members(ids(&path)?);
    }
    if args.id_filename {
        what = what.ids_in_names();
    }
    if let Some(bytes) = args.transfers.max_size {
        what = what.max_size(bytes);
    }
    let what = what.concurrency(args.transfers.jobs).on_event({
        let bar = bar.clone();
        move |event| bar.event(event)
    });
    let report = match who {
        Who::Member(member) => member.download_all(&args.directory, &what).await,
        Who::Project(project) => project.download_all(&args.directory, &what).await,
    };
    bar.finish();
    bar.conclude(&report?)
}

/// Reads ids, a line each.
fn ids(path: &Path) -> Result<Vec<ProjectMemberId>, Failure> {
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty());
    lines
        .map(|(line, number)| {
            line.parse().map_err(|error| {
                Failure::Wrong(format!("{}, line {number}: {error}", path.display()))
            })
        })
        .collect()
}

pub(crate) async fn upload(
    access: &Access,
    args: args::Upload,
    quiet: bool,
) -> Result<(), Failure> {
    let manifest = Manifest::read(File::open(&args.metadata_csv)?)?;
    let mode = match (args.safe, args.sync) {
        (true, _) => Mode::Safe,
        (_, true) => Mode::Sync,
        _ => Mode::Default,
    };
    let bar = Bar::of_many(quiet);
    let mut how = BulkUpload::new(mode).concurrency(args.transfers.jobs);
    if let Some(bytes) = args.transfers.max_size {
        how = how.max_size(bytes);
    }
    let how = how.on_event({
        let bar = bar.clone();
        move |event| bar.event(event)
    });
    let report = match access.who(args.of.member.as_ref())? {
        Who::Member(member) => member.upload_dir(&args.directory, &manifest, &how).await,
        Who::Project(project) => project.upload_dir(&args.directory, &manifest, &how).await,
    };
    bar.finish();
    bar.conclude(&report?)
}

pub(crate) async fn upload_file(
    access: &Access,
    args: args::UploadFile,
    quiet: bool,
) -> Result<(), Failure> {
    let member = access.member(args.of.member.as_ref())?;
    let mut upload = match (args.file.as_os_str() == "-", args.name) {
        (true, Some(name)) => Upload::reader(name, tokio::io::stdin()),
        (true, None) => {
            return Err(Failure::Usage("standard input wants a --name".into()));
        }
        (false, Some(name)) => Upload::path(&args.file).name(name),
        (false, None) => Upload::path(&args.file),
    };
    let metadata = FileMetadata::new(args.description).tags(args.tags);
    let bar = Bar::of_file(quiet);
    upload = upload
        .metadata(metadata)
        .data_types(args.data_types)
        .with_md5()
        .on_progress({
            let bar = bar.clone();
            move |progress| bar.moved(progress)
        });
    let uploaded = member.upload(upload).await;
    bar.finish();
    let uploaded = uploaded?;
    output::json(&json!({
        "id": uploaded.id,
        "size": uploaded.size,
        "md5": uploaded.md5,
    }))
}

pub(crate) async fn delete(access: &Access, args: &args::Delete) -> Result<(), Failure> {
    let member = access.member(args.of.member.as_ref())?;
    let deleted = match (args.file_id, &args.name) {
        (Some(id), _) => member.delete_file(id).await?,
        (None, Some(name)) => member.delete_files_named(name).await?,
        (None, None) => member.delete_all_files().await?,
    };
    if deleted.is_empty() && !args.all {
        return Err(oh_api::Error::NotFound.into());
    }
    for id in deleted {
        output::line(id.to_string())?;
    }
    Ok(())
}
