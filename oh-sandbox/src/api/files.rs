//! Download and deletion of files.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::caller::Caller;
use super::datafiles::opens;
use crate::state::Shared;
use crate::state::database::{Access, AccessKind, PROJECT};
use crate::web::call::Call;
use crate::web::params::Params;
use crate::web::path::segment;
use crate::web::respond::{ApiResult, field_error, html, json_error, not_found, ok};

/// `GET /data-management/datafile-download/<id>/`: redirects to the object store.
pub(crate) fn download(shared: &Shared, call: &Call) -> Response {
    let id = segment(&call.path, "/data-management/datafile-download/")
        .and_then(|id| id.parse::<u64>().ok());
    let Some(id) = id else { return not_found() };
    let now = shared.clock.now();
    let presented = call.query.get("key").unwrap_or_default();
    let mut db = shared.db();
    let opened = opens(&shared.key, id, presented, now).zip(db.files.get(&id).cloned());
    let Some((key_made, file)) = opened else {
        return html(
            StatusCode::FORBIDDEN,
            "<h1>You are not authorized to view this file.</h1>",
        );
    };
    let mut response = html(StatusCode::FOUND, "");
    let link = shared.objects.get_link(&file.object, presented, now);
    if let Ok(link) = HeaderValue::from_str(&link) {
        response.headers_mut().insert(header::LOCATION, link);
    }
    if !db.settings.access_logs {
        return response;
    }
    let key = presented.to_owned();
    db.accesses.push(Access {
        at: now,
        file,
        what: AccessKind::Site {
            key,
            key_made,
            link,
        },
    });
    response
}

/// `POST project/files/delete/`
///
/// Deletes only complete files that the project uploaded. Other files are ignored as if they did
/// not exist.
pub(crate) fn delete(shared: &Shared, caller: Caller, params: &Params) -> ApiResult {
    let mut db = shared.db();
    let member = caller.member(&db, params)?;
    let id = params.text("file_id").map(|text| text.parse::<i128>());
    let id = id.transpose();
    let id = id.map_err(|_| field_error("file_id", "Enter a whole number."))?;
    let id = id.filter(|&id| id != 0);
    let basename = params.text("file_basename");
    let all = params.flag("all_files");
    let error = match usize::from(id.is_some()) + usize::from(basename.is_some()) + usize::from(all)
    {
        0 => Some("missing_field"),
        1 => None,
        _ => Some("too_many"),
    };
    if let Some(error) = error {
        let text = "one of file_id, file_basename, or all_files is required";
        return Err(json_error(StatusCode::BAD_REQUEST, error, text).into());
    }
    let own = db.files_of(member).filter(|file| file.project == PROJECT);
    let matching = own.filter(|file| {
        all || id == Some(i128::from(file.id)) || basename.as_deref() == Some(&file.basename)
    });
    let ids: Vec<u64> = matching.map(|file| file.id).collect();
    let objects: Vec<String> = ids.iter().filter_map(|&id| db.remove_file(id)).collect();
    drop(db);
    shared.objects.remove(objects);
    Ok(ok(&serde_json::json!({ "ids": ids })))
}
