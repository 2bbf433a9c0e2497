//! Downloading and uploading directories.

use std::fs::File;
use std::path::Path;

use oh_api::bulk::{BulkDownload, BulkReport, BulkUpload, Manifest, Mode, UploadPlan};
use oh_api::{Error, ProjectMemberId};

use super::members::warn_if_left;
use crate::access::{Access, Caller};
use crate::args::{Download, ExistingFiles, Upload, member_id};
use crate::confirm::confirm;
use crate::error::CliError;
use crate::output;
use crate::progress::{BulkProgress, Direction, other_outcomes};
use crate::text::{count, one_line};
use crate::text_file;

pub(crate) async fn download(access: &Access, args: Download) -> Result<(), CliError> {
    let caller = access.caller(args.member.member.as_ref())?;
    if matches!(caller, Caller::Member(_))
        && (args.memberlist.is_some() || args.excludelist.is_some())
    {
        return Err(CliError::Usage(
            "--memberlist and --excludelist apply to downloads of all members only".into(),
        ));
    }
    let mut download = match args.project_data {
        true => BulkDownload::own(),
        false => BulkDownload::shared(),
    };
    for source in &args.source {
        download = download.source(source);
    }
    if let Some(path) = args.memberlist {
        download = download.only_members(read_ids(&path)?);
    }
    if let Some(path) = args.excludelist {
        download = download.except_members(read_ids(&path)?);
    }
    if args.id_filename {
        download = download.ids_in_names();
    }
    if let Some(size) = args.transfer.max_size {
        download = download.max_size(size.as_u64());
    }
    let progress = BulkProgress::start(Direction::Download);
    let download = with_existing(download, &args.existing)
        .concurrency(args.transfer.jobs)
        .on_event(progress.callback());
    let report = match caller {
        Caller::Member(member) => member.download_all(&args.directory, &download).await,
        Caller::Project(project) => project.download_all(&args.directory, &download).await,
    };
    progress.finish();
    let report = report?;
    let result = progress.conclude(&report);
    explain_empty(&report, args.project_data, &args.source);
    warn_if_left(access, args.member.member.as_ref()).await?;
    result
}

pub(super) fn with_existing(download: BulkDownload, existing: &ExistingFiles) -> BulkDownload {
    let download = match existing.ignore_md5 {
        true => download.ignore_md5(),
        false => download,
    };
    match (existing.verify, existing.force) {
        (_, true) => download.force(),
        (true, _) => download.verify(),
        _ => download,
    }
}

/// Prints which files exist if none matched the selection.
fn explain_empty(report: &BulkReport, project_data: bool, sources: &[String]) {
    let matched = report.done + report.unchanged + report.too_large;
    if matched > 0 || !report.failed.is_empty() || report.filtered_out == 0 {
        return;
    }
    let others = count(report.filtered_out, "other file");
    output::warning(match (project_data, sources) {
        (true, _) => format!(
            "oh: the project has no files of its own here. Download {others}, which members share \
             with it, without --project-data"
        ),
        (false, []) => format!(
            "oh: members share no files with the project. Download {others}, which are the \
             project's own, with --project-data"
        ),
        (false, sources) => format!(
            "oh: no shared files from {}, but {others}: `oh files` lists them with their sources, \
             and --project-data selects the project's own",
            sources.join(", ")
        ),
    });
}

/// Reads project member ids from a file with one id per line.
fn read_ids(path: &Path) -> Result<Vec<ProjectMemberId>, CliError> {
    let text = text_file::read(path)?;
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty());
    lines
        .map(|(number, line)| {
            member_id(line).map_err(|why| {
                let start: String = line.chars().take(40).collect();
                let path = path.display();
                CliError::Invalid(format!("{path}, line {number}: {start}: {why}"))
            })
        })
        .collect()
}

/// Reads a metadata CSV.
pub(super) fn read_manifest(path: &Path) -> Result<Manifest, CliError> {
    let file = File::open(path).map_err(|e| Error::from(e).at(path))?;
    Manifest::read(file).map_err(|error| match error {
        Error::InvalidInput { reason, .. } => {
            CliError::Invalid(format!("{}: {reason}", path.display()))
        }
        error => error.at(path).into(),
    })
}

pub(crate) async fn upload(access: &Access, args: Upload) -> Result<(), CliError> {
    let manifest = read_manifest(&args.metadata_csv)?;
    let mode = match (args.safe, args.sync) {
        (true, _) => Mode::Safe,
        (_, true) => Mode::Sync,
        _ => Mode::Default,
    };
    let progress = BulkProgress::start(Direction::Upload);
    let mut upload = BulkUpload::new(mode).concurrency(args.transfer.jobs);
    if let Some(size) = args.transfer.max_size {
        upload = upload.max_size(size.as_u64());
    }
    if args.update_metadata {
        upload = upload.update_metadata();
    }
    if args.ignore_md5 {
        upload = upload.ignore_md5();
    }
    let upload = upload.on_event(progress.callback());
    let directory = &args.directory;
    let plan = match access.caller(args.member.member.as_ref())? {
        Caller::Member(member) => member.plan_upload(directory, &manifest, &upload).await,
        Caller::Project(project) => project.plan_upload(directory, &manifest, &upload).await,
    };
    let plan = plan.map_err(|error| {
        progress.finish();
        name_files(error, &args)
    })?;
    if args.confirmation.dry_run {
        progress.finish();
        return dry_run(&plan);
    }
    if plan.deletions().next().is_some() {
        progress.finish();
        list_deletions(&plan);
        if let Some(question) = deletion_question(&plan) {
            confirm(&question, args.confirmation.yes).await?;
        }
        progress.resume();
    }
    let report = plan.run().await;
    progress.conclude(&report)
}

/// Adds the names of directory and CSV to an error about them.
fn name_files(error: Error, args: &Upload) -> CliError {
    match error {
        Error::InvalidInput {
            argument: "directory",
            reason,
        } => CliError::Invalid(format!(
            "{} does not match {}: {reason}",
            args.directory.display(),
            args.metadata_csv.display()
        ))
        .with_hint("to upload a subdirectory for one member, pass it with --directory"),
        error => error.into(),
    }
}

fn label(member: Option<&ProjectMemberId>, name: &str) -> String {
    match member {
        Some(member) => format!("{member}/{}", one_line(name)),
        None => one_line(name),
    }
}

fn dry_run(plan: &UploadPlan) -> Result<(), CliError> {
    for file in plan.uploads() {
        let action = if file.replaces.is_empty() {
            "upload"
        } else {
            "replace"
        };
        output::row([action, &label(file.member, file.name)])?;
    }
    for file in plan.deletions() {
        output::row(["delete", &label(file.member, file.name)])?;
    }
    let so_far = plan.report_so_far();
    output::status(format!(
        "would upload {}, delete {}{}",
        count(plan.uploads().count(), "file"),
        count(plan.deletions().count(), "file"),
        other_outcomes(so_far)
    ));
    match so_far.failed.len() {
        0 => Ok(()),
        failed => Err(CliError::Partial(failed)),
    }
}

fn list_deletions(plan: &UploadPlan) {
    const MAX_LISTED: usize = 50;
    output::status("These files are not in the directory and will be deleted at Open Humans:");
    for file in plan.deletions().take(MAX_LISTED) {
        output::status(format!(
            "    {} ({})",
            label(file.member, file.name),
            file.id
        ));
    }
    if let more @ 1.. = plan.deletions().count().saturating_sub(MAX_LISTED) {
        output::status(format!("    and {more} more: list all with --dry-run"));
    }
}

/// Returns the question to confirm deletions with, if they are many: ten files, a third of the
/// existing files, or all files of a member.
fn deletion_question(plan: &UploadPlan) -> Option<String> {
    let (deleted, existing) = (plan.deletions().count(), plan.remote_file_count());
    let details = match (
        plan.emptied_members().count(),
        deleted >= 10 || deleted * 3 >= existing,
    ) {
        (0, false) => return None,
        (0, true) => "",
        (1, _) => ", including all files of one member",
        (members, _) => &format!(", including all files of {members} members"),
    };
    Some(format!(
        "Delete {deleted} of {existing} files at Open Humans{details}"
    ))
}
