//! Single files of members.

use std::path::{Path, PathBuf};

use oh_api::{
    DataFile, DirectUpload, Download, Error, FileMetadata, MemberClient, Upload, safe_file_name,
};
use serde_json::json;

use super::members::warn_if_left;
use super::records;
use crate::access::Access;
use crate::args::{self, ExistingFiles, FileDetails, FileSelector, Target};
use crate::confirm::confirm;
use crate::error::CliError;
use crate::output;
use crate::progress::FileProgress;
use crate::text::{count, one_line};

pub(crate) async fn list(access: &Access, args: &args::Files) -> Result<(), CliError> {
    let member = access.member(args.member.member.as_ref())?;
    records::FILE
        .print_list(member.files(), &args.listing)
        .await?;
    warn_if_left(access, args.member.member.as_ref()).await
}

pub(crate) async fn download_file(
    access: &Access,
    args: &args::DownloadFile,
) -> Result<(), CliError> {
    let member = access.member(args.member.member.as_ref())?;
    let file = find(&member, &args.file, args.source.as_deref()).await?;
    let download = member.download(&file);
    fetch(download, &file.basename, &args.target, &args.existing).await?;
    warn_if_left(access, args.member.member.as_ref()).await
}

/// Finds the file with the given id, or the newest file with the given name.
async fn find(
    member: &MemberClient,
    selector: &FileSelector,
    source: Option<&str>,
) -> Result<DataFile, CliError> {
    let mut files = member.files();
    let mut newest: Option<DataFile> = None;
    while let Some(file) = files.try_next().await? {
        if source.is_some_and(|source| file.source.as_deref() != Some(source)) {
            continue;
        }
        if selector.file_id == Some(file.id) {
            return Ok(file);
        }
        let is_newer = newest
            .as_ref()
            .is_none_or(|other| (file.created, file.id) > (other.created, other.id));
        if selector.name.as_ref() == Some(&file.basename) && is_newer {
            newest = Some(file);
        }
    }
    newest.ok_or_else(|| {
        CliError::from(Error::NotFound).with_hint("`oh files` lists the files with their ids")
    })
}

/// Downloads one file to `target`.
pub(crate) async fn fetch(
    download: Download,
    name: &str,
    target: &Target,
    existing: &ExistingFiles,
) -> Result<(), CliError> {
    let progress = FileProgress::start("");
    let max_size = target.max_size.map_or(u64::MAX, |size| size.as_u64());
    let mut download = download.max_size(max_size).on_progress(progress.callback());
    if existing.ignore_md5 {
        download = download.ignore_md5();
    }
    download = match (existing.verify, existing.force) {
        (_, true) => download,
        (true, _) => download.skip_verified(),
        _ => download.skip_existing(),
    };
    if target.out.as_deref() == Some(Path::new("-")) {
        let written = download.to_writer(&mut tokio::io::stdout()).await;
        progress.finish();
        let written = written.map_err(|error| match error {
            Error::Mismatch { .. } => CliError::from(error).with_hint(
                "the output does not match the MD5 that its uploader gave; --ignore-md5 accepts it",
            ),
            error => error.into(),
        })?;
        let name = one_line(name);
        output::status(format!("{name}: {}", progress.summary(written)));
        return Ok(());
    }
    let path = match &target.out {
        Some(path) if path.is_dir() => path.join(safe_file_name(name)),
        Some(path) => path.clone(),
        None => PathBuf::from(safe_file_name(name)),
    };
    let result = download.to_path(&path).await;
    progress.finish();
    let downloaded = result?;
    let outcome = match downloaded.already_present {
        true => "already present".to_owned(),
        false => progress.summary(downloaded.size),
    };
    let path = one_line(&downloaded.path.to_string_lossy());
    output::status(format!("{path}: {outcome}"));
    Ok(())
}

pub(crate) async fn upload_file(access: &Access, args: args::UploadFile) -> Result<(), CliError> {
    let member = access.member(args.member.member.as_ref())?;
    let upload = match (args.file.as_os_str() == "-", args.name) {
        (true, Some(name)) => {
            tracing::debug!("reading standard input");
            Upload::reader(name, tokio::io::stdin())
        }
        (true, None) => {
            return Err(CliError::Usage(
                "an upload from standard input requires --name".into(),
            ));
        }
        (false, Some(name)) => Upload::path(&args.file).name(name),
        (false, None) => Upload::path(&args.file),
    };
    let progress = FileProgress::start("(computing the MD5)");
    let upload = upload
        .metadata(metadata(&args.details))
        .data_types(args.details.data_types)
        .with_md5()
        .on_progress(progress.callback());
    let result = member.upload(upload).await;
    progress.finish();
    let uploaded = result?;
    output::status(format!("uploaded {}", progress.summary(uploaded.size)));
    output::json(&json!({
        "id": uploaded.id,
        "size": uploaded.size,
        "md5": uploaded.md5,
    }))
}

fn metadata(details: &FileDetails) -> FileMetadata {
    FileMetadata::new(&details.description).tags(details.tags.iter().map(String::as_str))
}

pub(crate) async fn direct_upload(
    access: &Access,
    args: args::DirectUpload,
) -> Result<(), CliError> {
    match args {
        args::DirectUpload::Begin {
            name,
            member,
            details,
        } => {
            let member = access.member(member.member.as_ref())?;
            let upload = DirectUpload::new(name)
                .metadata(metadata(&details))
                .data_types(details.data_types);
            let started = member.begin_upload(upload).await?;
            output::json(&json!({ "id": started.id, "url": started.url.expose() }))
        }
        args::DirectUpload::Complete { id, member } => {
            let member = access.member(member.member.as_ref())?;
            let size = member.complete_upload(id).await?;
            output::json(&json!({ "id": id, "size": size }))
        }
    }
}

pub(crate) async fn delete(access: &Access, args: &args::Delete) -> Result<(), CliError> {
    let member = access.member(args.member.member.as_ref())?;
    let confirmation = &args.confirmation;
    if confirmation.dry_run || args.all && !confirmation.yes {
        let files = project_files(&member, args).await?;
        let total = count(files.len(), "file");
        if confirmation.dry_run {
            for file in &files {
                output::row([&file.id.to_string(), &file.basename])?;
            }
            output::status(format!("would delete {total}"));
            return Ok(());
        }
        let question = format!("Delete all files of the project for this member ({total})");
        confirm(&question, false).await?;
    }
    let deleted = match (args.file_id, &args.name) {
        (Some(id), _) => member.delete_file(id).await?,
        (None, Some(name)) => member.delete_files_named(name).await?,
        (None, None) => member.delete_all_files().await?,
    };
    if deleted.is_empty() && !args.all {
        return Err(CliError::from(Error::NotFound).with_hint(
            "a project can delete only files that it uploaded; `oh files` lists them with their ids",
        ));
    }
    for id in &deleted {
        output::line(id.to_string())?;
    }
    output::status(format!("deleted {}", count(deleted.len(), "file")));
    Ok(())
}

/// Returns the files that the project uploaded and the arguments select.
async fn project_files(
    member: &MemberClient,
    args: &args::Delete,
) -> Result<Vec<DataFile>, CliError> {
    let shared = member.exchange_member().await?.sources_shared;
    let mut files = member.files();
    let mut selected = Vec::new();
    while let Some(file) = files.try_next().await? {
        let is_shared = file.source.as_ref().is_some_and(|s| shared.contains(s));
        let matches = args.file_id.is_none_or(|id| id == file.id)
            && args.name.as_ref().is_none_or(|name| *name == file.basename);
        if !is_shared && matches {
            selected.push(file);
        }
    }
    Ok(selected)
}
