//! Removal of members by API, which has the same effects as a departure.

use std::sync::Arc;

use serde_json::Value;

use super::caller::Caller;
use super::message::{errors, known, strings};
use crate::state::database::Database;
use crate::state::{Shared, leave};
use crate::web::params::{Param, Params};
use crate::web::respond::{ApiResult, ErrorResponse, crash, ok};

/// `POST project/remove-members/`
///
/// Calls the project's webhook before it responds. If the server crashes, the members up to and
/// including the current one have been removed.
pub(crate) async fn remove_members(
    shared: &Arc<Shared>,
    caller: Caller,
    params: &Params,
) -> ApiResult {
    let ids = members_to_remove(&shared.db(), caller, params)?;
    let shared = shared.clone();
    // The removal continues when the client disconnects.
    let removing = tokio::spawn(async move {
        for id in ids {
            let outcome = leave(&shared, &id, false).await.unwrap_or_default();
            let settings = shared.db().settings.clone();
            let fails = settings.remove_members_fails && settings.webhook_url.is_some();
            // With `silent_leave` alone, only the form shows the crash.
            if fails || outcome.crashed && !settings.silent_leave {
                return crash();
            }
        }
        ok(&"success")
    });
    Ok(removing.await.unwrap_or_else(|_| crash()))
}

fn members_to_remove(
    db: &Database,
    caller: Caller,
    params: &Params,
) -> Result<Vec<String>, ErrorResponse> {
    let ids = match (caller, params.get("project_member_ids")) {
        (Caller::Member(index), _) => vec![db.members[index].id.clone()],
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
    known(db, &ids, Database::find_joined)?;
    Ok(ids)
}
