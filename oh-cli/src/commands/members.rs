//! The project and its members.

use oh_api::{AccessLogFilter, Error, Message as Text, ProjectMemberId, Removal};
use tokio::io::AsyncReadExt;

use super::records;
use crate::access::{Access, Caller};
use crate::args::{AccessLog, Listing, Message, Raw, Remove, Whoami};
use crate::confirm::confirm;
use crate::error::{CliError, describe};
use crate::output;
use crate::text::count;

pub(crate) async fn whoami(access: &Access, args: &Whoami) -> Result<(), CliError> {
    let member = access.member(args.member.member.as_ref())?;
    let record = member.exchange_member().await?;
    records::EXCHANGE_MEMBER.print(&record, args.raw.raw)?;
    warn_if_left(access, args.member.member.as_ref()).await
}

/// Warns if a member has left the project: Open Humans still returns their data to the master token.
pub(super) async fn warn_if_left(
    access: &Access,
    member: Option<&ProjectMemberId>,
) -> Result<(), CliError> {
    let Some(member) = member else { return Ok(()) };
    let mut ids = access.project()?.member_ids();
    while let Some(id) = ids.try_next().await? {
        if id == *member {
            return Ok(());
        }
    }
    output::warning(format!(
        "oh: warning: member {member} has left the project or has a deactivated account; Open \
         Humans still returns their data to the master token"
    ));
    Ok(())
}

pub(crate) async fn project(access: &Access, args: &Raw) -> Result<(), CliError> {
    let project = match access.caller(None)? {
        Caller::Member(member) => member.project().await?,
        Caller::Project(project) => project.project().await?,
    };
    records::PROJECT.print(&project, args.raw)
}

pub(crate) async fn members(access: &Access, args: &Listing) -> Result<(), CliError> {
    let members = access.project()?.members();
    records::PROJECT_MEMBER.print_list(members, args).await
}

pub(crate) async fn access_log(access: &Access, args: &AccessLog) -> Result<(), CliError> {
    let member = access.member(args.member.member.as_ref())?;
    let mut range = AccessLogFilter::new();
    if let Some(start) = args.start {
        range = range.start(start);
    }
    if let Some(end) = args.end {
        range = range.end(end);
    }
    if let Some(id) = args.file_id {
        range = range.file(id);
    }
    let listing = &args.listing;
    match args.object_store {
        true => {
            let accesses = member.store_accesses(range);
            records::STORE_ACCESS.print_list(accesses, listing).await
        }
        false => {
            let accesses = member.file_accesses(range);
            records::FILE_ACCESS.print_list(accesses, listing).await
        }
    }
}

pub(crate) async fn message(access: &Access, args: Message) -> Result<(), CliError> {
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
    // Before the confirmation is asked for.
    message.check()?;
    let dry_run = args.confirmation.dry_run;
    let receivers = if args.all {
        let project = access.project()?;
        let mut members = project.member_ids().page_size(1);
        let total = match members.try_next().await? {
            Some(_) => members.total().unwrap_or(1),
            None => {
                output::status("the project has no members: no message was sent");
                return Ok(());
            }
        };
        let receivers = format!("all members of the project ({total})");
        if !dry_run {
            let question = format!("Send this message to {receivers}");
            confirm(&question, args.confirmation.yes).await?;
            project.message_all(&message).await?;
        }
        receivers
    } else if args.members.is_empty() {
        match access.caller(None)? {
            Caller::Member(_) if dry_run => {}
            Caller::Member(member) => member.message(&message).await?,
            Caller::Project(_) => {
                return Err(CliError::Usage(
                    "with the master token, this command requires --member or --all".into(),
                ));
            }
        }
        "the member".to_owned()
    } else {
        let project = access.project()?;
        if !dry_run {
            let sent = project.message(&args.members, &message).await;
            sent.map_err(receiver_error)?;
        }
        count(args.members.len(), "member")
    };
    match dry_run {
        true => output::line(format!("would send the message to {receivers}"))?,
        false => output::status(format!(
            "Open Humans queued the message to {receivers} for delivery"
        )),
    }
    Ok(())
}

/// Converts the error for receivers who have left to the one that uploads return.
fn receiver_error(error: Error) -> CliError {
    match error.field("project_member_ids") {
        Some(problem) => CliError::from(Error::Deauthorized).with_hint(format!(
            "no message was sent: Open Humans reports {problem}"
        )),
        None => error.into(),
    }
}

pub(crate) async fn remove(access: &Access, args: &Remove) -> Result<(), CliError> {
    let project = access.project()?;
    if args.confirmation.dry_run {
        for member in &args.members {
            output::row([member.as_str(), "would be removed"])?;
        }
        return Ok(());
    }
    let members = match args.members.as_slice() {
        [member] => format!("member {member}"),
        members => count(members.len(), "member"),
    };
    let question = format!("Remove {members} from the project and revoke their tokens");
    confirm(&question, args.confirmation.yes).await?;
    let mut errors = Vec::new();
    for member in &args.members {
        match project.remove(member).await {
            Ok(Removal::NotAMember) => output::row([member.as_str(), "not a member"])?,
            Ok(_) => output::row([member.as_str(), "removed"])?,
            Err(error) => {
                output::warning(format!("oh: {member}: {}", describe(&error)));
                errors.push(error);
            }
        }
    }
    match (errors.pop(), args.members.len()) {
        (None, _) => Ok(()),
        (Some(error), 1) => Err(error.into()),
        (Some(_), _) => Err(CliError::Partial(errors.len() + 1)),
    }
}
