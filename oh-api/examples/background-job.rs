//! A cron job that uploads a monthly report for every member of a project.
//!
//! ```sh
//! OPENHUMANS_MASTER_TOKEN=… cargo run -p oh-api --example background-job -- 2026-11
//! ```
//!
//! It can run repeatedly: a member receives each report once, and an interrupted run resumes. The exit
//! status is 0 when every member has the report.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use oh_api::job::{JobMember, JobReport, MemberJob};
use oh_api::{Client, Error, FileMetadata, MatchBy, ProjectClient, Upload};

/// Uploads the month's report for every member. Finished members are recorded in `journal`.
pub(crate) async fn report(
    project: &ProjectClient,
    month: &str,
    journal: &str,
) -> Result<JobReport, Error> {
    let job = MemberJob::new()
        .concurrency(8)
        .resume(journal)
        .on_progress(|p| {
            println!(
                "{} of {}: {:?}",
                p.members,
                p.of_members.unwrap_or(0),
                p.outcome
            )
        });
    let process = async |member: JobMember| {
        let (mut files, mut count) = (member.files(), 0);
        while files.try_next().await?.is_some() {
            count += 1;
        }
        let text = format!("In {month} this project could see {count} of your files.\n");
        let report = Upload::bytes(format!("report-{month}.txt"), text)
            .metadata(FileMetadata::new("Monthly report").tags(["report"]));
        member.upload_if_absent(report, MatchBy::Name).await?;
        Ok(())
    };
    project.for_each_member(&job, process).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = run().await.unwrap_or_else(|error| {
        eprintln!("{error}");
        false
    });
    ExitCode::from(u8::from(!done))
}

/// Returns whether every member has the report.
async fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let server = std::env::var("OPENHUMANS_OH_BASE_URL");
    let server = server.unwrap_or_else(|_| "https://www.openhumans.org".into());
    let project = Client::new(&server)?.project(
        std::env::var("OPENHUMANS_MASTER_TOKEN")
            .map_err(|error| format!("OPENHUMANS_MASTER_TOKEN: {error}"))?,
    );
    let month = std::env::args()
        .nth(1)
        .ok_or("expected the month as argument, such as 2026-11")?;
    let report = report(&project, &month, &format!("report-{month}.done")).await?;
    for failure in &report.failed {
        eprintln!("{}: {}", failure.member, failure.error);
    }
    Ok(report.is_complete())
}
