//! Public data.

use oh_api::bulk::BulkDownload;
use oh_api::{DataFile, FileFilter, List, PublicClient};

use super::{bulk, files, records};
use crate::access::Access;
use crate::args::{Public, PublicDownload, PublicFilter};
use crate::error::CliError;
use crate::progress::{BulkProgress, Direction};

pub(crate) async fn run(access: &Access, args: Public) -> Result<(), CliError> {
    let public = access.server()?.public();
    match args {
        Public::Projects {
            username,
            name,
            listing,
        } => {
            let list = match (username, name) {
                (Some(username), _) => public.member_projects(&username)?,
                (None, Some(name)) => public.projects_named(&name),
                (None, None) => public.projects(),
            };
            records::PROJECT.print_list(list, &listing).await
        }
        Public::Project { number, raw } => {
            let project = public.project(number).await?;
            records::PROJECT.print(&project, raw.raw)
        }
        Public::Members {
            project,
            name,
            listing,
        } => {
            let list = match (project, name) {
                (Some(project), _) => public.project_members(project),
                (None, Some(name)) => public.members_named(&name),
                (None, None) => public.members(),
            };
            records::PUBLIC_MEMBER.print_list(list, &listing).await
        }
        Public::Member { username, raw } => {
            let member = public.member(&username).await?;
            records::PUBLIC_MEMBER.print(&member, raw.raw)
        }
        Public::DataTypes { project, listing } => {
            let list = match project {
                Some(project) => public.data_types_of(project),
                None => public.data_types(),
            };
            records::DATA_TYPE.print_list(list, &listing).await
        }
        Public::DataType { number, raw } => {
            let data_type = public.data_type(number).await?;
            records::DATA_TYPE.print(&data_type, raw.raw)
        }
        Public::MembersBySource { source, listing } => {
            records::MEMBERS_OF_SOURCE
                .print_matching(public.members_by_source(), &listing, |record| {
                    source
                        .as_ref()
                        .is_none_or(|source| *source == record.source)
                })
                .await
        }
        Public::SourcesByMember { username, listing } => {
            records::SOURCES_OF_MEMBER
                .print_matching(public.sources_by_member(), &listing, |record| {
                    username
                        .as_ref()
                        .is_none_or(|name| *name == record.username)
                })
                .await
        }
        Public::Files { filter, listing } => {
            let (list, source) = select(&public, &filter)?;
            records::FILE
                .print_matching(list, &listing, |file| {
                    source.is_none_or(|source| file.source.as_deref() == Some(source))
                })
                .await
        }
        Public::File { id, raw } => {
            let file = public.file(id).await?;
            records::FILE.print(&file, raw.raw)
        }
        Public::Download(args) => download(&public, &args).await,
        Public::DownloadFile {
            id,
            target,
            existing,
        } => {
            let file = public.file(id).await?;
            files::fetch(public.download(&file), &file.basename, &target, &existing).await
        }
    }
}

/// Returns the files that match the filter. If it also returns a source, the list contains other
/// sources too, and the caller must skip them.
fn select<'a>(
    public: &PublicClient,
    filter: &'a PublicFilter,
) -> Result<(List<DataFile>, Option<&'a str>), CliError> {
    let PublicFilter {
        project,
        source,
        username,
        data_type,
        include_children,
    } = filter;
    let files = match (project, source, username, data_type) {
        (None, None, None, None) => public.files(),
        (Some(id), None, None, None) => public.project_files(*id),
        (None, None, Some(name), None) => public.member_files(name)?,
        (None, None, None, Some(id)) if !include_children => public.data_type_files(*id),
        // Only the legacy list contains sources.
        (None, Some(source), None, None) => return Ok((public.public_data(), Some(source))),
        _ => {
            let mut matching = FileFilter::new();
            if let Some(id) = data_type {
                matching = matching.data_type(*id);
            }
            if *include_children {
                matching = matching.include_children();
            }
            if let Some(id) = project.or(project_of(source.as_deref())?) {
                matching = matching.source_project(id);
            }
            if let Some(name) = username {
                matching = matching.username(name);
            }
            public.files_matching(&matching)
        }
    };
    Ok((files, None))
}

/// Returns the number of the project in a source such as `direct-sharing-1`.
fn project_of(source: Option<&str>) -> Result<Option<u64>, CliError> {
    let Some(source) = source else {
        return Ok(None);
    };
    let number = source.strip_prefix("direct-sharing-");
    match number.and_then(|number| number.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(CliError::Usage(format!(
            "--source {source} cannot be combined with other conditions, because it is not a \
             project's, such as direct-sharing-1"
        ))),
    }
}

async fn download(public: &PublicClient, args: &PublicDownload) -> Result<(), CliError> {
    let (files, source) = select(public, &args.filter)?;
    let progress = BulkProgress::start(Direction::Download).print_paths(&args.directory);
    let mut download = bulk::with_existing(BulkDownload::shared(), &args.existing)
        .max_size(args.max_size.as_u64())
        .concurrency(args.jobs)
        .on_event(progress.callback());
    if let Some(source) = source {
        download = download.source(source);
    }
    let report = public.download_all(files, &args.directory, &download).await;
    progress.finish();
    progress.conclude(&report?)
}
