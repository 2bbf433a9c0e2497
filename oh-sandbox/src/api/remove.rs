//! Removing members from the project by API, which takes the same way as their leaving.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use super::caller::Caller;
use super::message::{errors, known, strings};
use crate::state::world::World;
use crate::state::{Shared, leave};
use crate::web::params::{Param, Params};
use crate::web::respond::{Refused, crash, json};

/// `POST project/remove-members/`
///
/// The project's own webhook is called during this. Should the server crash on the way, those
/// before in the list are gone, and so is the one it crashed over.
pub(crate) async fn remove_members(
    shared: &Arc<Shared>,
    caller: Caller,
    params: &Params,
) -> Response {
    let named = {
        let world = shared.world();
        match named(&world, caller, params) {
            Ok(ids) => ids,
            Err(refusal) => return *refusal,
        }
    };
    let shared = shared.clone();
    // Runs to its end even if the client goes away.
    let removing = tokio::spawn(async move {
        for id in named {
            let departure = leave(&shared, &id, false).await.unwrap_or_default();
            let settings = shared.world().settings.clone();
            let fails = settings.remove_members_fails && settings.webhook_url.is_some();
            // Silence is a crash of its own, unless only the leave pages are to show it.
            if fails || departure.crashed && !settings.silent_leave {
                return crash();
            }
        }
        json(StatusCode::OK, &"success")
    });
    removing.await.unwrap_or_else(|_| crash())
}

fn named(world: &World, caller: Caller, params: &Params) -> Result<Vec<String>, Refused> {
    let ids = match (caller, params.get("project_member_ids")) {
        (Caller::Member(index), _) => vec![world.members[index].id.clone()],
        (Caller::Project, Some(Param::Json(Value::Array(items)))) if !items.is_empty() => {
            strings(&Value::Array(items.clone()))?
        }
        (Caller::Project, Some(Param::Json(Value::String(_)))) => return Err(crash().into()),
        (Caller::Project, Some(Param::Text(text))) if !text.trim().is_empty() => {
            text.split(',').map(|id| id.trim().to_owned()).collect()
        }
        (Caller::Project, _) => {
            let text = "You must provide a list of project member IDs.";
            return Err(errors("__all__", text).into());
        }
    };
    known(world, &ids)?;
    Ok(ids)
}
