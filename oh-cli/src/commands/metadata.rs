//! The CSVs.

use std::fs::File;

use oh_api::Error;
use oh_api::bulk::Manifest;

use super::directories::manifest;
use crate::access::Access;
use crate::args::Metadata;
use crate::counted::counted;
use crate::failure::Failure;
use crate::output;
use crate::progress::OneFile;

pub(crate) async fn run(access: &Access, args: Metadata) -> Result<(), Failure> {
    match args {
        Metadata::Draft {
            directory,
            out,
            max_size,
        } => {
            let bar = OneFile::new("");
            let told = bar.clone();
            let most = max_size.unwrap_or(u64::MAX);
            let drafted = Manifest::draft(directory, most, move |p| told.moved(p)).await;
            bar.finish();
            let manifest = drafted?;
            let mut csv = Vec::new();
            manifest.write(&mut csv)?;
            output::write(out.as_deref(), &csv)?;
            if let Some(path) = out {
                output::say(format!(
                    "{} describes {}: fill in the descriptions, then `oh upload`",
                    path.display(),
                    counted(manifest.len(), "file")
                ));
            }
            Ok(())
        }
        Metadata::Review { directory, csv } => {
            let manifest = manifest(&csv)?;
            let bar = OneFile::new("");
            let told = bar.clone();
            let reviewed = manifest.review(directory, move |p| told.moved(p)).await;
            bar.finish();
            let problems = reviewed?;
            for problem in &problems {
                output::line(output::plain(problem))?;
            }
            match problems.len() {
                0 => {
                    output::say(match manifest.len() {
                        1 => "the one file fits".to_owned(),
                        count => format!("all {count} files fit"),
                    });
                    Ok(())
                }
                1 => Err(Failure::Wrong("one thing does not fit".into())),
                count => Err(Failure::Wrong(format!("{count} things do not fit"))),
            }
        }
        Metadata::List { out } => {
            let project = access.project()?;
            match out {
                Some(path) => {
                    let file = File::create(&path).map_err(|e| Error::from(e).at(&path))?;
                    let file = std::io::BufWriter::new(file);
                    let listed = project.write_file_list(file).await;
                    let count = listed.map_err(|e| e.at(&path))?;
                    output::say(format!(
                        "{} lists {}",
                        path.display(),
                        counted(count, "file")
                    ));
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
