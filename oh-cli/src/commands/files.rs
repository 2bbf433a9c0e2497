//! Members' files one by one: listing, fetching, sending, deleting.

use std::path::{Path, PathBuf};

use oh_api::{DataFile, Download, Error, FileMetadata, List, MemberClient, Upload, safe_file_name};
use serde_json::{Value, json};

use crate::access::Access;
use crate::args::{self, Here, Target, WhichFile};
use crate::ask;
use crate::counted::counted;
use crate::failure::Failure;
use crate::output::{self, plain};
use crate::progress::OneFile;

pub(crate) async fn list(access: &Access, args: &args::Files) -> Result<(), Failure> {
    let member = access.member(args.of.member.as_ref())?;
    print(member.files(), &args.listing, None).await
}

/// Prints a list of files, or those of one source.
pub(crate) async fn print(
    mut files: List<DataFile>,
    listing: &args::Listing,
    source: Option<&str>,
) -> Result<(), Failure> {
    while let Some(file) = files.try_next().await? {
        if source.is_some_and(|source| file.source.as_deref() != Some(source)) {
            continue;
        }
        if listing.raw {
            output::raw(file.raw())?;
        } else if listing.json {
            output::json(&shown(&file))?;
        } else {
            let source = file.source.or(file.source_project).unwrap_or_default();
            let (source, name) = (plain(&source), plain(&file.basename));
            output::line(format!("{}\t{source}\t{name}", file.id))?;
        }
    }
    Ok(())
}

/// A file's record. Its address is a secret, and left out.
pub(crate) fn shown(file: &DataFile) -> Value {
    json!({
        "id": file.id,
        "basename": file.basename,
        "created": file.created,
        "source": file.source,
        "source_project": file.source_project,
        "username": file.user.as_ref().and_then(|user| user.username.as_ref()),
        "metadata": file.metadata_map(),
    })
}

pub(crate) async fn download_file(
    access: &Access,
    args: &args::DownloadFile,
) -> Result<(), Failure> {
    let member = access.member(args.of.member.as_ref())?;
    let file = find(&member, &args.which, args.source.as_deref()).await?;
    fetch(
        member.download(&file),
        &file.basename,
        &args.target,
        &args.here,
    )
    .await
}

/// The file of this id, or the newest of this name.
async fn find(
    member: &MemberClient,
    which: &WhichFile,
    source: Option<&str>,
) -> Result<DataFile, Failure> {
    let mut files = member.files();
    let mut newest: Option<DataFile> = None;
    while let Some(file) = files.try_next().await? {
        if source.is_some_and(|source| file.source.as_deref() != Some(source)) {
            continue;
        }
        if which.file_id == Some(file.id) {
            return Ok(file);
        }
        let newer = newest
            .as_ref()
            .is_none_or(|other| (file.created, file.id) > (other.created, other.id));
        if which.name.as_ref() == Some(&file.basename) && newer {
            newest = Some(file);
        }
    }
    newest.ok_or_else(|| {
        Failure::from(Error::NotFound).advise("`oh files` lists what there is, with its ids")
    })
}

/// Fetches one file to where it is wanted.
pub(crate) async fn fetch(
    download: Download,
    name: &str,
    target: &Target,
    here: &Here,
) -> Result<(), Failure> {
    let bar = OneFile::new("");
    let mut download = download
        .max_size(target.max_size.unwrap_or(u64::MAX))
        .on_progress({
            let bar = bar.clone();
            move |progress| bar.moved(progress)
        });
    if here.ignore_md5 {
        download = download.ignore_md5();
    }
    download = match (here.verify, here.force) {
        (_, true) => download,
        (true, _) => download.skip_verified(),
        _ => download.skip_existing(),
    };
    if target.out.as_deref() == Some(Path::new("-")) {
        let written = download.to_writer(&mut tokio::io::stdout()).await;
        bar.finish();
        let written = written.map_err(|error| match error {
            Error::Mismatch { .. } => Failure::from(error).advise(
                "what was written is not what its uploader said it is; --ignore-md5 takes it",
            ),
            error => error.into(),
        })?;
        output::say(format!("{}: {}", plain(name), bar.said(written)));
        return Ok(());
    }
    let path = match &target.out {
        Some(path) if path.is_dir() => path.join(safe_file_name(name)),
        Some(path) => path.clone(),
        None => PathBuf::from(safe_file_name(name)),
    };
    let done = download.to_path(&path).await;
    bar.finish();
    let done = done?;
    let said = match done.already_present {
        true => "was there already".to_owned(),
        false => bar.said(done.size),
    };
    output::say(format!("{}: {said}", plain(&done.path.to_string_lossy())));
    Ok(())
}

pub(crate) async fn upload_file(access: &Access, args: args::UploadFile) -> Result<(), Failure> {
    let member = access.member(args.of.member.as_ref())?;
    let mut upload = match (args.file.as_os_str() == "-", args.name) {
        (true, Some(name)) => {
            tracing::debug!("reading standard input");
            Upload::reader(name, tokio::io::stdin())
        }
        (true, None) => {
            return Err(Failure::Usage("standard input wants a --name".into()));
        }
        (false, Some(name)) => Upload::path(&args.file).name(name),
        (false, None) => Upload::path(&args.file),
    };
    let metadata = FileMetadata::new(args.description).tags(args.tags);
    let bar = OneFile::new("(computing its MD5)");
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
    output::say(format!("uploaded {}", bar.said(uploaded.size)));
    output::json(&json!({
        "id": uploaded.id,
        "size": uploaded.size,
        "md5": uploaded.md5,
    }))
}

pub(crate) async fn delete(access: &Access, args: &args::Delete) -> Result<(), Failure> {
    let member = access.member(args.of.member.as_ref())?;
    if args.sure.dry_run || args.all && !args.sure.yes {
        let doomed = own(&member, args).await?;
        if args.sure.dry_run {
            for file in &doomed {
                output::line(format!("{}\t{}", file.id, plain(&file.basename)))?;
            }
            output::say(format!(
                "{} would be deleted",
                counted(doomed.len(), "file")
            ));
            return Ok(());
        }
        let question = match doomed.len() {
            1 => "Delete the one file of the project's own".to_owned(),
            count => format!("Delete all {count} files of the project's own"),
        };
        ask::whether(&question, args.sure.yes).await?;
    }
    let deleted = match (args.file_id, &args.name) {
        (Some(id), _) => member.delete_file(id).await?,
        (None, Some(name)) => member.delete_files_named(name).await?,
        (None, None) => member.delete_all_files().await?,
    };
    if deleted.is_empty() && !args.all {
        return Err(Failure::from(Error::NotFound).advise(
            "only the project's own files can be deleted; `oh files` lists them, with their ids",
        ));
    }
    for id in &deleted {
        output::line(id.to_string())?;
    }
    output::say(format!("{} deleted", counted(deleted.len(), "file")));
    Ok(())
}

/// The project's own files among those that the arguments name.
async fn own(member: &MemberClient, args: &args::Delete) -> Result<Vec<DataFile>, Failure> {
    let shared = member.exchange_member().await?.sources_shared;
    let mut files = member.files();
    let mut own = Vec::new();
    while let Some(file) = files.try_next().await? {
        let ours = !file.source.as_ref().is_some_and(|s| shared.contains(s));
        let named = args.file_id.is_none_or(|id| id == file.id)
            && args.name.as_ref().is_none_or(|name| *name == file.basename);
        if ours && named {
            own.push(file);
        }
    }
    Ok(own)
}
