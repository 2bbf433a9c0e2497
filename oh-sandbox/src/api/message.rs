//! Messages to members, and the validation of id lists, which `remove-members/` shares.

use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use super::caller::Caller;
use crate::state::Shared;
use crate::state::database::{Database, Message};
use crate::web::params::{Param, Params};
use crate::web::respond::{ApiResult, ErrorResponse, crash, json, ok};

/// `{"errors": {"<field>": ["<text>"]}}`
pub(crate) fn errors(field: &str, text: &str) -> Response {
    json(
        StatusCode::BAD_REQUEST,
        &serde_json::json!({ "errors": { field: [text] } }),
    )
}

/// `POST project/message/`
pub(crate) fn message(shared: &Shared, caller: Caller, params: &Params) -> ApiResult {
    let mut db = shared.db();
    let recipients = recipients(&db, caller, params)?;
    let message = params.text("message");
    let message = message.ok_or_else(|| errors("message", "This field is required."))?;
    let to = recipients.into_iter();
    let to = to.map(|index| db.members[index].id.clone()).collect();
    let subject = params.text("subject").unwrap_or_default();
    db.messages.push(Message {
        subject,
        message,
        to,
    });
    Ok(ok(&"success"))
}

fn recipients(db: &Database, caller: Caller, params: &Params) -> Result<Vec<usize>, ErrorResponse> {
    if let Caller::Member(index) = caller {
        // With a member's token the message goes to that member only.
        let id = vec![db.members[index].id.clone()];
        return known(db, &id, Database::find_joined);
    }
    let ids = ids(params.get("project_member_ids"))?;
    match (params.flag("all_members"), ids.is_empty()) {
        (true, true) => Ok(db.listed().collect()),
        (false, false) => known(db, &ids, Database::find_listed),
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

/// Parses a list of ids: a JSON array of strings, or ids separated by commas. A number crashes the
/// server.
fn ids(param: Option<Param<'_>>) -> Result<Vec<String>, ErrorResponse> {
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

/// Returns the strings of a JSON array.
pub(crate) fn strings(value: &Value) -> Result<Vec<String>, ErrorResponse> {
    let items = value.as_array().ok_or_else(crash)?;
    let texts: Option<_> = items
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect();
    Ok(texts.ok_or_else(crash)?)
}

/// Returns the members with these ids. Fails if `find` does not know one of them or an id occurs
/// twice.
pub(crate) fn known(
    db: &Database,
    ids: &[String],
    find: fn(&Database, &str) -> Option<usize>,
) -> Result<Vec<usize>, ErrorResponse> {
    // Measured: ids of 16 digits are accepted as well, contrary to the error message.
    let is_valid =
        |id: &String| matches!(id.len(), 8 | 16) && id.bytes().all(|byte| byte.is_ascii_digit());
    if !ids.iter().all(is_valid) {
        let text = "Project member IDs are always 8 digits long.";
        return Err(errors("project_member_ids", text).into());
    }
    let unknown: Vec<&str> = ids
        .iter()
        .map(String::as_str)
        .filter(|id| find(db, id).is_none())
        .collect();
    let mut distinct: Vec<&String> = ids.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    // The server compares the numbers of ids and of members, so it also rejects duplicates, with an
    // empty list in the message.
    if !unknown.is_empty() || distinct.len() != ids.len() {
        let text = format!("Invalid project member ID(s): {}", unknown.join(", "));
        return Err(errors("project_member_ids", &text).into());
    }
    Ok(ids.iter().filter_map(|id| find(db, id)).collect())
}
