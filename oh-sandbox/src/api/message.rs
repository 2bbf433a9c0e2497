//! Sending messages to members, and the list of ids that this and removing share.

use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use super::caller::Caller;
use crate::state::Shared;
use crate::state::world::{Message, World};
use crate::web::params::{Param, Params};
use crate::web::respond::{Refused, crash, json};

/// `{"errors": {"<field>": ["<text>"]}}`
pub(crate) fn errors(field: &str, text: &str) -> Response {
    json(
        StatusCode::BAD_REQUEST,
        &serde_json::json!({ "errors": { field: [text] } }),
    )
}

/// `POST project/message/`
pub(crate) fn message(shared: &Shared, caller: Caller, params: &Params) -> Response {
    let mut world = shared.world();
    let to = match recipients(&world, caller, params) {
        Ok(to) => to,
        Err(refusal) => return *refusal,
    };
    let Some(message) = params.text("message") else {
        return errors("message", "This field is required.");
    };
    let subject = params.text("subject").unwrap_or_default();
    let to = to
        .into_iter()
        .map(|index| world.members[index].id.clone())
        .collect();
    world.messages.push(Message {
        subject,
        message,
        to,
    });
    json(StatusCode::OK, &"success")
}

fn recipients(world: &World, caller: Caller, params: &Params) -> Result<Vec<usize>, Refused> {
    if let Caller::Member(index) = caller {
        // Whatever else a member's token names, it reaches that member only.
        let id = vec![world.members[index].id.clone()];
        return known(world, &id);
    }
    let ids = ids(params.get("project_member_ids"))?;
    match (params.flag("all_members"), ids.is_empty()) {
        (true, true) => Ok(world.joined().collect()),
        (false, false) => known(world, &ids),
        (false, true) => {
            let text = "You must specify either all members or provide a list of IDs.";
            Err(errors("__all__", text).into())
        }
        (true, false) => {
            let text = "You must specify either all members or provide a list of IDs but not both.";
            Err(errors("__all__", text).into())
        }
    }
}

/// A list of ids: JSON strings in an array, or one text with commas. A number crashes the server.
fn ids(param: Option<Param<'_>>) -> Result<Vec<String>, Refused> {
    let texts: Vec<String> = match param {
        None | Some(Param::Json(Value::Null)) => Vec::new(),
        Some(Param::Text(text)) => split(text),
        Some(Param::Json(Value::String(text))) => split(text),
        Some(Param::Json(value)) => strings(value)?,
    };
    Ok(texts)
}

fn split(text: &str) -> Vec<String> {
    text.split(',')
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty())
        .collect()
}

/// The strings of a JSON array.
pub(crate) fn strings(value: &Value) -> Result<Vec<String>, Refused> {
    let items = value.as_array().ok_or_else(crash)?;
    let texts: Option<_> = items
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect();
    Ok(texts.ok_or_else(crash)?)
}

/// The members with these ids, if all of them take part and none is named twice.
pub(crate) fn known(world: &World, ids: &[String]) -> Result<Vec<usize>, Refused> {
    if ids
        .iter()
        .any(|id| id.len() != 8 || !id.bytes().all(|byte| byte.is_ascii_digit()))
    {
        let text = "Project member IDs are always 8 digits long.";
        return Err(errors("project_member_ids", text).into());
    }
    let unknown: Vec<&str> = ids
        .iter()
        .map(String::as_str)
        .filter(|id| world.find_joined(id).is_none())
        .collect();
    let mut distinct: Vec<&String> = ids.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    // The server counts what it found against what was named, and so refuses duplicates too,
    // with nothing to say about them.
    if !unknown.is_empty() || distinct.len() != ids.len() {
        let text = format!("Invalid project member ID(s): {}", unknown.join(", "));
        return Err(errors("project_member_ids", &text).into());
    }
    Ok(ids.iter().filter_map(|id| world.find_joined(id)).collect())
}
