//! The page of one member: files, messages and the access log.

use maud::{Markup, html};
use serde_json::Value;
use time::OffsetDateTime;

use crate::api::download_url;
use crate::clock::iso;
use crate::state::Shared;
use crate::state::database::{
    AccessKind, DataFile, Database, Membership, Message, PROJECT, source,
};

/// Renders the page of a member.
pub(crate) fn page(shared: &Shared, db: &Database, base: &str, index: usize) -> String {
    let member = &db.members[index];
    let now = shared.clock.now();
    let files: Vec<&DataFile> = member
        .files
        .iter()
        .filter_map(|id| db.files.get(id))
        .collect();
    let messages: Vec<&Message> = db
        .messages
        .iter()
        .filter(|message| message.to.contains(&member.id))
        .collect();
    super::page(
        &format!("{} ({})", member.account_name(), member.id),
        &html! {
            p id="membership" {
                @match member.membership {
                    Membership::Joined => { "Takes part in the project." }
                    Membership::Left => { "Has left the project." }
                    Membership::NeverJoined | Membership::Deleted => { "Does not take part in the project." }
                }
                @if db.grants.has_live(index, "", now) {
                    " The project has a valid access token."
                } @else {
                    " The project has no valid access token."
                }
            }
            h2 { "Files" }
            @if files.is_empty() { p id="no-files" { "The member has no files." } } @else {
                table id="files" {
                    thead { tr { th { "Name" } th { "Bytes" } th { "Source" } th { "Metadata" } th { "Uploaded" } } }
                    tbody { @for file in files { (row(shared, file, base, now)) } }
                }
            }
            h2 { "Messages" }
            @if messages.is_empty() { p id="no-messages" { "The project has sent no messages." } }
            @for message in messages { (sent(message, &member.id)) }
            @if db.settings.access_logs { (accesses(db, index)) }
            p { a href="/" { "Start page" } }
        },
    )
}

fn row(shared: &Shared, file: &DataFile, base: &str, now: OffsetDateTime) -> Markup {
    let size = shared.objects.get(&file.object).map(|content| content.size);
    let from = if file.project == PROJECT {
        "the project".to_owned()
    } else {
        source(file.project)
    };
    html! {
        tr id={ "file-" (file.id) } {
            td {
                @if file.complete {
                    a href=(download_url(file, base, &shared.key, now)) { (file.basename) }
                } @else {
                    (file.basename) " (not completed)"
                }
            }
            td { @if let Some(size) = size { (size) } }
            td { (from) }
            td { (metadata_text(&file.metadata)) }
            td { (moment(file.created)) }
        }
    }
}

/// Renders the description, the tags and the other fields.
fn metadata_text(metadata: &Value) -> Markup {
    let Some(fields) = metadata.as_object() else {
        return html! { (metadata.to_string()) };
    };
    let tags = fields.get("tags").and_then(Value::as_array);
    let tags = tags.into_iter().flatten().map(text);
    let tags: Vec<String> = tags.collect();
    let others = fields
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "tags" | "description"));
    html! {
        (fields.get("description").map(text).unwrap_or_default())
        @if !tags.is_empty() { " [" (tags.join(", ")) "]" }
        @for (name, value) in others { br; (name) ": " (text(value)) }
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Renders a message as the member receives it. Only the member id is substituted.
fn sent(message: &Message, id: &str) -> Markup {
    let subject = if message.subject.is_empty() {
        "(default subject)"
    } else {
        &message.subject
    };
    let body = message.message.replace("{{ PROJECT_MEMBER_ID }}", id);
    html! {
        section.card.message {
            h3 { (subject) }
            pre { (body) }
            @if body.contains("{{") || body.contains("{%") {
                p { "Open Humans renders this message as a template. It does not deliver a message with invalid syntax." }
            }
        }
    }
}

fn accesses(db: &Database, index: usize) -> Markup {
    let accesses = db.accesses.iter().rev();
    let accesses = accesses.filter(|access| access.file.member == index);
    html! {
        h2 { "File accesses" }
        ul id="accesses" {
            @for access in accesses {
                li {
                    (moment(access.at)) " " (access.file.basename) ": "
                    @match &access.what {
                        AccessKind::Site { .. } => { "requested at Open Humans" }
                        AccessKind::Store { size, agent, .. } => {
                            "downloaded from the object store, " (size) " bytes, by " (agent)
                        }
                    }
                }
            }
        }
    }
}

fn moment(at: OffsetDateTime) -> String {
    iso(at)
        .replace('T', " ")
        .split('.')
        .next()
        .unwrap_or_default()
        .to_owned()
}
