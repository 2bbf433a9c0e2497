//! The CSVs.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use oh_api::bulk::Manifest;

use crate::access::Access;
use crate::args::Metadata;
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(access: &Access, args: Metadata) -> Result<(), Failure> {
    match args {
        Metadata::Draft {
            directory,
            out,
            max_size,
        } => {
            let manifest = Manifest::draft(directory, max_size.unwrap_or(u64::MAX)).await?;
            let mut csv = Vec::new();
            manifest.write(&mut csv)?;
            write(out.as_deref(), &csv)
        }
        Metadata::Review { directory, csv } => {
            let manifest = Manifest::read(File::open(csv)?)?;
            let problems = manifest.review(directory).await?;
            for problem in &problems {
                output::line(output::plain(problem))?;
            }
            match problems.len() {
                0 => Ok(()),
                count => Err(Failure::Wrong(format!("{count} things do not fit"))),
            }
        }
        Metadata::List { out } => {
            let project = access.project()?;
            match out {
                Some(path) => {
                    let file = std::io::BufWriter::new(File::create(path)?);
                    project.write_file_list(file).await?;
                }
                // Standard output's lock cannot be held while waiting for the next page.
                None => {
                    project.write_file_list(std::io::stdout()).await?;
                }
            }
            Ok(())
        }
    }
}

fn write(path: Option<&Path>, csv: &[u8]) -> Result<(), Failure> {
    match path {
        Some(path) => std::fs::write(path, csv)?,
        None => std::io::stdout().lock().write_all(csv)?,
    }
    Ok(())
}
