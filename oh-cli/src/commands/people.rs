//! The project and its members.

use oh_api::{Message as Text, Project, Removal};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::access::{Access, Who};
use crate::args::{Listing, Message, Raw, Remove, Whoami};
use crate::ask;
use crate::failure::{Failure, told};
use crate::output::{self, plain};

pub(crate) async fn whoami(access: &Access, args: &Whoami) -> Result<(), Failure> {
    let member = access.member(args.of.member.as_ref())?;
    let who = member.exchange_member().await?;
    if args.raw.raw {
        return output::raw(who.raw());
    }
    output::json(&json!({
        "project_member_id": who.project_member_id,
        "username": who.username,
        "created": who.created,
        "sources_shared": who.sources_shared,
        "file_count": who.count,
    }))
}

pub(crate) async fn project(access: &Access, args: &Raw) -> Result<(), Failure> {
    let project = match access.who(None)? {
        Who::Member(member) => member.project().await?,
        Who::Project(project) => project.project().await?,
    };
    match args.raw {
        true => output::raw(project.raw()),
        false => output::json(&shown(&project)),
    }
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
        if args.raw {
            output::raw(member.raw())?;
            continue;
        }
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
    if args.template {
        message = message.as_template();
    }
    // What is wrong with it is said before anybody is asked.
    message.check()?;
    let dry_run = args.sure.dry_run;
    let to = if args.all {
        let project = access.project()?;
        let mut members = project.member_ids().page_size(1);
        let count = match members.try_next().await? {
            Some(_) => members.total().unwrap_or(1),
            None => 0,
        };
        let to = match count {
            1 => "the one member of the project".to_owned(),
            count => format!("all {count} members of the project"),
        };
        if !dry_run {
            ask::whether(&format!("Send this message to {to}"), args.sure.yes).await?;
            project.message_all(&message).await?;
        }
        to
    } else if args.members.is_empty() {
        let why = "with the master token this wants --member or --all";
        match access.who(None)? {
            Who::Member(_) if dry_run => {}
            Who::Member(member) => member.message(&message).await?,
            Who::Project(_) => return Err(Failure::Usage(why.into())),
        }
        "the member".to_owned()
    } else {
        let project = access.project()?;
        if !dry_run {
            project.message(&args.members, &message).await?;
        }
        match args.members.as_slice() {
            [one] => format!("member {one}"),
            many => format!("{} members", many.len()),
        }
    };
    match dry_run {
        true => output::line(format!("the message would be sent to {to}"))?,
        false => output::say(format!("the message to {to} is queued at Open Humans")),
    }
    Ok(())
}

pub(crate) async fn remove(access: &Access, args: &Remove) -> Result<(), Failure> {
    let project = access.project()?;
    let who = match args.members.as_slice() {
        [one] => format!("member {one}"),
        many => format!("{} members", many.len()),
    };
    if args.sure.dry_run {
        for member in &args.members {
            output::line(format!("{member}\twould be removed"))?;
        }
        return Ok(());
    }
    let question = format!("Remove {who} from the project, whose tokens and access end with it");
    ask::whether(&question, args.sure.yes).await?;
    let mut failed = Vec::new();
    for member in &args.members {
        match project.remove(member).await {
            Ok(Removal::NotAMember) => output::line(format!("{member}\tnot a member"))?,
            Ok(_) => output::line(format!("{member}\tremoved"))?,
            Err(error) => {
                output::note(format!("oh: {member}: {}", told(&error)));
                failed.push(error);
            }
        }
    }
    match (failed.pop(), args.members.len()) {
        (None, _) => Ok(()),
        (Some(error), 1) => Err(error.into()),
        (Some(_), _) => Err(Failure::Partly(failed.len() + 1)),
    }
}
