//! Whole directories of files, down and up.

use std::fs::File;
use std::path::Path;

use oh_api::bulk::{BulkDownload, BulkReport, BulkUpload, Manifest, Mode, UploadPlan};
use oh_api::{Error, ProjectMemberId};

use crate::access::{Access, Who};
use crate::args::{Download, Here, Upload, member_id};
use crate::ask;
use crate::counted::counted;
use crate::failure::Failure;
use crate::output::{self, plain};
use crate::progress::{Many, Way};

pub(crate) async fn download(access: &Access, args: Download) -> Result<(), Failure> {
    let who = access.who(args.of.member.as_ref())?;
    if matches!(who, Who::Member(_)) && (args.memberlist.is_some() || args.excludelist.is_some()) {
        let why = "--memberlist and --excludelist are for the files of all members";
        return Err(Failure::Usage(why.into()));
    }
    let mut what = match args.project_data {
        true => BulkDownload::own(),
        false => BulkDownload::shared(),
    };
    for source in &args.source {
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
    let bar = Many::new(Way::Down);
    let what = here(what, &args.here)
        .concurrency(args.transfers.jobs)
        .on_event({
            let bar = bar.clone();
            move |event| bar.event(event)
        });
    let report = match who {
        Who::Member(member) => member.download_all(&args.directory, &what).await,
        Who::Project(project) => project.download_all(&args.directory, &what).await,
    };
    bar.finish();
    let report = report?;
    let concluded = bar.conclude(&report);
    nothing_found(&report, args.project_data, &args.source);
    concluded
}

/// What happens to files that are here, as the arguments say.
pub(super) fn here(what: BulkDownload, here: &Here) -> BulkDownload {
    let what = match here.ignore_md5 {
        true => what.ignore_md5(),
        false => what,
    };
    match (here.verify, here.force) {
        (_, true) => what.force(),
        (true, _) => what.verify(),
        _ => what,
    }
}

/// Says why a download may have found nothing.
fn nothing_found(report: &BulkReport, own: bool, sources: &[String]) {
    let found = report.done + report.unchanged + report.too_large;
    if found > 0 || !report.failed.is_empty() || report.filtered_out == 0 {
        return;
    }
    let others = report.filtered_out;
    output::note(match (own, sources) {
        (true, _) => format!(
            "oh: the project has no files of its own there. {others} files are shared with it: \
             those come without --project-data"
        ),
        (false, []) => format!(
            "oh: nothing is shared with the project. {others} files there are the project's own: \
             --project-data gets those"
        ),
        (false, sources) => format!(
            "oh: there are no shared files of {}. {others} others are there: `oh files` lists \
             them with their sources, and --project-data gets the project's own",
            sources.join(", ")
        ),
    });
}

/// Reads ids, a line each.
fn ids(path: &Path) -> Result<Vec<ProjectMemberId>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::from(e).at(path))?;
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty());
    lines
        .map(|(line, number)| {
            member_id(line).map_err(|why| {
                let line: String = line.chars().take(40).collect();
                let (path, line) = (path.display(), plain(&line));
                Failure::Wrong(format!("{path}, line {number}: {line}: {why}"))
            })
        })
        .collect()
}

/// Reads a metadata CSV.
pub(super) fn manifest(path: &Path) -> Result<Manifest, Failure> {
    let file = File::open(path).map_err(|e| Error::from(e).at(path))?;
    Manifest::read(file).map_err(|error| match error {
        Error::InvalidInput { reason, .. } => {
            Failure::Wrong(plain(&format!("{}: {reason}", path.display())))
        }
        error => error.at(path).into(),
    })
}

pub(crate) async fn upload(access: &Access, args: Upload) -> Result<(), Failure> {
    let manifest = manifest(&args.metadata_csv)?;
    let mode = match (args.safe, args.sync) {
        (true, _) => Mode::Safe,
        (_, true) => Mode::Sync,
        _ => Mode::Default,
    };
    let bar = Many::new(Way::Up);
    let mut how = BulkUpload::new(mode).concurrency(args.transfers.jobs);
    if let Some(bytes) = args.transfers.max_size {
        how = how.max_size(bytes);
    }
    if args.update_metadata {
        how = how.update_metadata();
    }
    if args.ignore_md5 {
        how = how.ignore_md5();
    }
    let how = how.on_event({
        let bar = bar.clone();
        move |event| bar.event(event)
    });
    let directory = &args.directory;
    let plan = match access.who(args.of.member.as_ref())? {
        Who::Member(member) => member.plan_upload(directory, &manifest, &how).await,
        Who::Project(project) => project.plan_upload(directory, &manifest, &how).await,
    };
    let plan = plan.map_err(|error| {
        bar.finish();
        not_fitting(error, &args)
    })?;
    if args.sure.dry_run {
        bar.finish();
        return dry_run(&plan);
    }
    if plan.deletions().next().is_some() {
        bar.finish();
        doomed(&plan)?;
        let question = match much(&plan) {
            Some(much) => format!("Delete {much} at Open Humans"),
            None => String::new(),
        };
        if !question.is_empty() {
            ask::whether(&question, args.sure.yes).await?;
        }
        bar.again();
    }
    let report = plan.run().await;
    bar.conclude(&report)
}

/// Names the two things that do not fit.
fn not_fitting(error: Error, args: &Upload) -> Failure {
    match error {
        Error::InvalidInput {
            argument: "directory",
            reason,
        } => Failure::Wrong(plain(&format!(
            "{} and {} do not fit: {reason}",
            args.directory.display(),
            args.metadata_csv.display()
        ))),
        error => error.into(),
    }
}

fn dry_run(plan: &UploadPlan) -> Result<(), Failure> {
    let whole = |member: Option<&ProjectMemberId>, name: &str| match member {
        Some(member) => format!("{member}/{}", plain(name)),
        None => plain(name),
    };
    for file in plan.uploads() {
        let what = match file.replaces {
            [] => "upload",
            _ => "replace",
        };
        output::line(format!("{what}\t{}", whole(file.member, file.name)))?;
    }
    for file in plan.deletions() {
        output::line(format!("delete\t{}", whole(file.member, file.name)))?;
    }
    let so_far = plan.report_so_far();
    output::say(format!(
        "{} would be uploaded, {} deleted, {} stay; nothing was done",
        counted(plan.uploads().count(), "file"),
        plan.deletions().count(),
        so_far.unchanged + so_far.metadata_differs
    ));
    match so_far.failed.len() {
        0 => Ok(()),
        failed => Err(Failure::Partly(failed)),
    }
}

/// Says which files will be deleted.
fn doomed(plan: &UploadPlan) -> Result<(), Failure> {
    const SHOWN: usize = 50;
    output::say("These files are not in the directory, and will be deleted at Open Humans:");
    let mut more = 0;
    for (i, file) in plan.deletions().enumerate() {
        if i >= SHOWN {
            more += 1;
            continue;
        }
        output::say(match file.member {
            Some(member) => format!("    {member}/{} ({})", plain(file.name), file.id),
            None => format!("    {} ({})", plain(file.name), file.id),
        });
    }
    if more > 0 {
        output::say(format!("    and {more} more: --dry-run lists them all"));
    }
    Ok(())
}

/// What would be deleted, where that is much: ten files, a third of what is there, or all of a
/// member's.
fn much(plan: &UploadPlan) -> Option<String> {
    let (deleted, there) = (plan.deletions().count(), plan.remote_file_count());
    let emptied = plan.emptied_members().count();
    match (emptied, deleted >= 10 || deleted * 3 >= there) {
        (0, false) => None,
        (0, true) => Some(format!("{deleted} of {there} files")),
        (1, _) => Some(format!("{deleted} of {there} files, all of one member's")),
        (members, _) => Some(format!(
            "{deleted} of {there} files, all that {members} members have of the project"
        )),
    }
}
