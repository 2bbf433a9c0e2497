//! The project and its members.

use oh_api::{Message as Text, Project, Removal};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::access::{Access, Who};
use crate::args::{Listing, Message, OfMember, Remove};
use crate::failure::Failure;
use crate::output::{self, plain};

pub(crate) async fn whoami(access: &Access, args: &OfMember) -> Result<(), Failure> {
    let member = access.member(args.member.as_ref())?;
    let who = member.exchange_member().await?;
    output::json(&json!({
        "project_member_id": who.project_member_id,
        "username": who.username,
        "created": who.created,
        "sources_shared": who.sources_shared,
        "file_count": who.count,
    }))
}

pub(crate) async fn project(access: &Access) -> Result<(), Failure> {
    let project = match access.who(None)? {
        Who::Member(member) => member.project().await?,
        Who::Project(project) => project.project().await?,
    };
    output::json(&shown(&project))
}

pub(crate) fn shown(project: &Project) -> Value {
    json!({
        "id": project.id,
        "id_label": project.id_label,
        "name": project.name,
        "slug": project.slug,
        "type": project.kind,
        "active": project.active,
        "approved": project.approved,
        "authorized_members": project.authorized_members,
        "leader": project.leader,
        "organization": project.organization,
        "info_url": project.info_url,
        "short_description": project.short_description,
        "registered_datatypes": project.registered_datatypes,
        "request_sources_access": project.request_sources_access,
        "request_username_access": project.request_username_access,
    })
}

pub(crate) async fn members(access: &Access, args: &Listing) -> Result<(), Failure> {
    let mut members = access.project()?.members();
    while let Some(member) = members.try_next().await? {
        if args.json {
            output::json(&json!({
                "project_member_id": member.project_member_id,
                "username": member.username,
                "created": member.created,
                "sources_shared": member.sources_shared,
                "file_count": member.file_count,
            }))?;
            continue;
        }
        let id = &member.project_member_id;
        let name = plain(member.username.as_deref().unwrap_or_default());
        let count = member.file_count.unwrap_or_default();
        output::line(format!("{id}\t{name}\t{count}"))?;
    }
    Ok(())
}

pub(crate) async fn message(access: &Access, args: Message) -> Result<(), Failure> {
    let text = match args.text.as_str() {
        "-" => {
            let mut text = String::new();
            tokio::io::stdin().read_to_string(&mut text).await?;
            text
        }
        _ => args.text,
    };
    let mut message = Text::new(text);
    if let Some(subject) = args.subject {
        message = message.subject(subject);
    }
    if args.all {
        access.project()?.message_all(&message).await?;
    } else if args.members.is_empty() {
        let why = "with the master token this wants --member or --all";
        match access.who(None)? {
            Who::Member(member) => member.message(&message).await?,
            Who::Project(_) => return Err(Failure::Usage(why.into())),
        }
    } else {
        access.project()?.message(&args.members, &message).await?;
    }
    Ok(())
}

pub(crate) async fn remove(access: &Access, args: &Remove) -> Result<(), Failure> {
    let outcomes = access.project()?.remove_members(&args.members).await;
    let mut failed = Vec::new();
    let count = outcomes.len();
    for (member, outcome) in outcomes {
        match outcome {
            Ok(Removal::NotAMember) => output::line(format!("{member}\tnot a member"))?,
            Ok(_) => output::line(format!("{member}\tremoved"))?,
            Err(error) => {
                output::note(format!("oh: {member}: {error}"));
                failed.push(error);
            }
        }
    }
    match (failed.pop(), count) {
        (None, _) => Ok(()),
        (Some(error), 1) => Err(error.into()),
        (Some(_), _) => Err(Failure::Partly(failed.len() + 1)),
    }
}
