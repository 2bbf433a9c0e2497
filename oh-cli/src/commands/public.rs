//! Public data.

use oh_api::bulk::BulkDownload;
use oh_api::{DataFile, DataType, List, PublicClient, PublicMember};
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
            let source = args.which.source.as_deref();
            files::print(chosen(&public, &args.which)?, &args.listing, source).await?;
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

fn chosen(public: &PublicClient, which: &PublicWhich) -> Result<List<DataFile>, Failure> {
    Ok(match which {
        PublicWhich {
            project: Some(id), ..
        } => public.project_files(*id),
        PublicWhich {
            username: Some(name),
            ..
        } => public.member_files(name)?,
        PublicWhich {
            data_type: Some(id),
            ..
        } => public.data_type_files(*id),
        // The older list alone names sources.
        PublicWhich {
            source: Some(_), ..
        } => public.public_data(),
        _ => public.files(),
    })
}

async fn download(public: &PublicClient, args: &PublicDownload) -> Result<(), Failure> {
    let files = chosen(public, &args.which)?;
    let bar = Many::new(Way::Down).printing(&args.directory);
    let mut what = directories::here(BulkDownload::shared(), &args.here)
        .max_size(args.max_size)
        .concurrency(args.jobs)
        .on_event({
            let bar = bar.clone();
            move |event| bar.event(event)
        });
    if let Some(source) = &args.which.source {
        what = what.source(source);
    }
    let report = public.download_all(files, &args.directory, &what).await;
    bar.finish();
    bar.conclude(&report?)
}
