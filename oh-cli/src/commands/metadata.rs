//! Metadata CSVs.

use std::fs::File;
use std::path::Path;

use oh_api::Error;
use oh_api::bulk::Manifest;

use super::bulk::read_manifest;
use crate::access::Access;
use crate::args::Metadata;
use crate::error::CliError;
use crate::output::{self, PrintableStdout};
use crate::progress::FileProgress;
use crate::text::count;

pub(crate) async fn run(access: &Access, args: Metadata) -> Result<(), CliError> {
    match args {
        Metadata::Draft {
            directory,
            out,
            overwrite,
            max_size,
        } => {
            let max_size = max_size.map_or(u64::MAX, |size| size.as_u64());
            draft(&directory, out.as_deref(), overwrite, max_size).await
        }
        Metadata::Review { directory, csv } => review(&directory, &csv).await,
        Metadata::List { out } => list(access, out.as_deref()).await,
    }
}

async fn draft(
    directory: &Path,
    out: Option<&Path>,
    overwrite: bool,
    max_size: u64,
) -> Result<(), CliError> {
    // Before the files are read, which can take long.
    if let Some(path) = out
        && !overwrite
        && path.is_file()
    {
        return Err(CliError::Invalid(format!(
            "{} exists and may contain descriptions: choose another file, or pass --overwrite",
            path.display()
        )));
    }
    let progress = FileProgress::start("");
    let draft = Manifest::draft(directory, max_size, progress.callback()).await;
    progress.finish();
    let manifest = draft?;
    let mut csv = Vec::new();
    manifest.write(&mut csv)?;
    output::document(out, &csv)?;
    if let Some(path) = out {
        output::status(format!(
            "{} describes {}: add the descriptions, then run `oh upload`",
            path.display(),
            count(manifest.len(), "file")
        ));
    }
    Ok(())
}

async fn review(directory: &Path, csv: &Path) -> Result<(), CliError> {
    let manifest = read_manifest(csv)?;
    let progress = FileProgress::start("");
    let review = manifest.review(directory, progress.callback()).await;
    progress.finish();
    let problems = review?;
    problems
        .iter()
        .try_for_each(|problem| output::row([problem]))?;
    match problems.len() {
        0 => {
            let files = count(manifest.len(), "file");
            output::status(format!("no differences in {files}"));
            Ok(())
        }
        problems => Err(CliError::Invalid(format!(
            "{} differs from {} in {}",
            csv.display(),
            directory.display(),
            count(problems, "place")
        ))),
    }
}

async fn list(access: &Access, out: Option<&Path>) -> Result<(), CliError> {
    let project = access.project()?;
    let Some(path) = out else {
        project.write_file_list(PrintableStdout::default()).await?;
        return Ok(());
    };
    let file = File::create(path).map_err(|e| Error::from(e).at(path))?;
    let written = project.write_file_list(std::io::BufWriter::new(file)).await;
    let files = written.map_err(|e| e.at(path))?;
    output::status(format!("{} lists {}", path.display(), count(files, "file")));
    Ok(())
}
