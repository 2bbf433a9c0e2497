//! Public data.

use oh_api::bulk::BulkDownload;
use oh_api::{DataFile, DataType, FileFilter, List, PublicClient, PublicMember};
use serde_json::{Value, json};

use super::{directories, files, people};
use crate::access::Access;
use crate::args::{Listing, Public, PublicDownload, PublicWhich};
use crate::failure::Failure;
use crate::output::{self, plain};
use crate::progress::{Many, Way};

pub(crate) async fn run(access: &Access, args: Public) -> Result<(), Failure> {
    let public = access.server()?.public();
    match args {
        Public::Projects { username, listing } => {
            let mut projects = match username {
                Some(username) => public.member_projects(&username)?,
                None => public.projects(),
            };
            while let Some(project) = projects.try_next().await? {
                let columns = || numbered(project.id, project.name.as_deref());
                show(&listing, project.raw(), || people::shown(&project), columns)?;
            }
        }
        Public::Project { number, raw } => {
            let project = public.project(number).await?;
            one(raw.raw, project.raw(), || people::shown(&project))?;
        }
        Public::Members { project, listing } => {
            let mut members = match project {
                Some(project) => public.project_members(project),
                None => public.members(),
            };
            while let Some(member) = members.try_next().await? {
                let username = member.username.as_deref().unwrap_or_default();
                let name = member.name.as_deref().unwrap_or_default();
                let columns = || format!("{}\t{}", plain(username), plain(name));
                show(&listing, member.raw(), || shown_member(&member), columns)?;
            }
        }
        Public::Member { username, raw } => {
            let member = public.member(&username).await?;
            one(raw.raw, member.raw(), || shown_member(&member))?;
        }
        Public::DataTypes(listing) => {
            let mut types = public.data_types();
            while let Some(kind) = types.try_next().await? {
                let columns = || numbered(kind.id, kind.name.as_deref());
                show(&listing, kind.raw(), || shown_type(&kind), columns)?;
            }
        }
        Public::DataType { number, raw } => {
            let kind = public.data_type(number).await?;
            one(raw.raw, kind.raw(), || shown_type(&kind))?;
        }
        Public::MembersBySource { source, listing } => {
            members_by_source(&public, source.as_deref(), &listing).await?;
        }
        Public::SourcesByMember { username, listing } => {
            sources_by_member(&public, username.as_deref(), &listing).await?;
        }
        Public::Files(args) => {
            let (found, source) = chosen(&public, &args.which)?;
            files::print(found, &args.listing, source).await?;
        }
        Public::File { id, raw } => {
            let file = public.file(id).await?;
            one(raw.raw, file.raw(), || files::shown(&file))?;
        }
        Public::Download(args) => download(&public, &args).await?,
        Public::DownloadFile { id, target, here } => {
            let file = public.file(id).await?;
            files::fetch(public.download(&file), &file.basename, &target, &here).await?;
        }
    }
    Ok(())
}

/// Prints a record of a list as it is asked for.
fn show(
    listing: &Listing,
    raw: &str,
    json: impl FnOnce() -> Value,
    columns: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match (listing.raw, listing.json) {
        (true, _) => output::raw(raw),
        (_, true) => output::json(&json()),
        _ => output::line(columns()),
    }
}

fn one(as_it_is: bool, raw: &str, json: impl FnOnce() -> Value) -> Result<(), Failure> {
    match as_it_is {
        true => output::raw(raw),
        false => output::json(&json()),
    }
}

fn numbered(id: Option<u64>, name: Option<&str>) -> String {
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    format!("{id}\t{}", plain(name.unwrap_or_default()))
}

fn shown_member(member: &PublicMember) -> Value {
    json!({
        "username": member.username,
        "name": member.name,
        "profile_url": member.profile_url,
    })
}

fn shown_type(kind: &DataType) -> Value {
    json!({
        "id": kind.id,
        "name": kind.name,
        "parent": kind.parent,
        "children": kind.children,
        "description": kind.description,
        "uploadable": kind.uploadable,
    })
}

async fn members_by_source(
    public: &PublicClient,
    source: Option<&str>,
    listing: &Listing,
) -> Result<(), Failure> {
    let mut list = public.members_by_source();
    while let Some(found) = list.try_next().await? {
        if source.is_some_and(|source| source != found.source) {
            continue;
        }
        let shown = || {
            json!({
                "source": found.source,
                "name": found.name,
                "usernames": found.usernames,
            })
        };
        if listing.raw || listing.json {
            show(listing, found.raw(), shown, String::new)?;
            continue;
        }
        for username in &found.usernames {
            output::line(format!("{}\t{}", plain(&found.source), plain(username)))?;
        }
    }
    Ok(())
}

async fn sources_by_member(
    public: &PublicClient,
    username: Option<&str>,
    listing: &Listing,
) -> Result<(), Failure> {
    let mut list = public.sources_by_member();
    while let Some(found) = list.try_next().await? {
        if username.is_some_and(|username| username != found.username) {
            continue;
        }
        let shown = || json!({ "username": found.username, "sources": found.sources });
        if listing.raw || listing.json {
            show(listing, found.raw(), shown, String::new)?;
            continue;
        }
        for source in &found.sources {
            output::line(format!("{}\t{}", plain(&found.username), plain(source)))?;
        }
    }
    Ok(())
}

/// The files that are asked for, and the source of those that count among them.
fn chosen<'a>(
    public: &PublicClient,
    which: &'a PublicWhich,
) -> Result<(List<DataFile>, Option<&'a str>), Failure> {
    let PublicWhich {
        project,
        source,
        username,
        data_type,
        include_children,
    } = which;
    let files = match (project, source, username, data_type) {
        (None, None, None, None) => public.files(),
        (Some(id), None, None, None) => public.project_files(*id),
        (None, None, Some(name), None) => public.member_files(name)?,
        (None, None, None, Some(id)) if !include_children => public.data_type_files(*id),
        // The older list alone names sources.
        (None, Some(source), None, None) => return Ok((public.public_data(), Some(source))),
        _ => {
            let mut wanted = FileFilter::new();
            if let Some(id) = data_type {
                wanted = wanted.data_type(*id);
            }
            if *include_children {
                wanted = wanted.include_children();
            }
            if let Some(id) = project.or(number_of(source.as_deref())?) {
                wanted = wanted.source_project(id);
            }
            if let Some(name) = username {
                wanted = wanted.username(name);
            }
            public.files_matching(&wanted)
        }
    };
    Ok((files, None))
}

/// The number of the project that a source is.
fn number_of(source: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(source) = source else {
        return Ok(None);
    };
    let number = source.strip_prefix("direct-sharing-");
    match number.and_then(|number| number.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(Failure::Usage(format!(
            "--source {source} can be given together with others only where it is a project's, as \
             direct-sharing-1 is"
        ))),
    }
}

async fn download(public: &PublicClient, args: &PublicDownload) -> Result<(), Failure> {
    let (files, source) = chosen(public, &args.which)?;
    let bar = Many::new(Way::Down).printing(&args.directory);
    let mut what = directories::here(BulkDownload::shared(), &args.here)
        .max_size(args.max_size)
        .concurrency(args.jobs)
        .on_event({
            let bar = bar.clone();
            move |event| bar.event(event)
        });
    if let Some(source) = source {
        what = what.source(source);
    }
    let report = public.download_all(files, &args.directory, &what).await;
    bar.finish();
    bar.conclude(&report?)
}
