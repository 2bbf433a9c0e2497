//! The access logs of members' files, which one project may read.
//!
//! Implemented from the server's public source and measured filters. The log of the object store is
//! complete immediately; the real server imports Amazon's logs hours later.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json as object};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::caller::Caller;
use super::datafiles::{download_url, stamp};
use super::paging;
use crate::clock::iso;
use crate::state::Shared;
use crate::state::database::{Access, AccessKind, PROJECT, source};
use crate::web::call::Call;
use crate::web::respond::detail;

/// The address in every log entry.
const CLIENT_IP: &str = "127.0.0.1";

/// `GET /data-management/newdatafileaccesslog/`
pub(crate) fn site(shared: &Shared, call: &Call, caller: Caller) -> Response {
    list(shared, call, caller, |access| match &access.what {
        AccessKind::Site {
            key,
            key_made,
            link,
        } => Some(object!({
            "date": stamp(access.at),
            "ip_address": CLIENT_IP,
            "user": null,
            "datafile": file(shared, call, access),
            "key": {
                "created": format!("{}+00:00", iso(*key_made)),
                "key": key,
                "datafile_id": access.file.id,
                "key_creation_ip_address": CLIENT_IP,
                "access_token": null,
                "project_id": PROJECT,
            },
            "aws_url": link,
        })),
        AccessKind::Store { .. } => None,
    })
}

/// `GET /data-management/awsdatafileaccesslog/`
pub(crate) fn store(shared: &Shared, call: &Call, caller: Caller) -> Response {
    list(shared, call, caller, |access| match &access.what {
        AccessKind::Store {
            status,
            size,
            agent,
        } => Some(object!({
            "time": stamp(access.at),
            "remote_ip": CLIENT_IP,
            "request_id": "SANDBOX",
            "operation": "REST.GET.OBJECT",
            "bucket_key": access.file.object,
            "request_uri": format!("GET {} HTTP/1.1", access.file.object),
            "status": status,
            "bytes_sent": size,
            "object_size": size,
            "total_time": null,
            "turn_around_time": null,
            "referrer": null,
            "user_agent": agent,
            "cipher_suite": null,
            "host_header": null,
            "datafile": file(shared, call, access),
        })),
        AccessKind::Site { .. } => None,
    })
}

/// Lists the accesses to the caller's own files that match the query. Invalid values are ignored.
///
/// Measured: `date` and `time` match exactly, and a `start_date` that equals `end_date` selects 24
/// hours.
fn list(
    shared: &Shared,
    call: &Call,
    caller: Caller,
    entry: impl Fn(&Access) -> Option<Value>,
) -> Response {
    let db = shared.db();
    let index = match caller {
        Caller::Member(index) if db.settings.access_logs => index,
        _ => {
            let text = "You do not have permission to perform this action.";
            return detail(StatusCode::FORBIDDEN, text);
        }
    };
    let time = |name| OffsetDateTime::parse(call.query.get(name)?, &Rfc3339).ok();
    let exact = time("date").or_else(|| time("time"));
    let (start, mut end) = (time("start_date"), time("end_date"));
    if start.is_some() && start == end {
        end = end.map(|end| end + time::Duration::DAY);
    }
    let id = call.query.get("datafile_id");
    let id = id.and_then(|text| text.parse::<u64>().ok());
    let accesses = db.accesses.iter().filter(|access| {
        access.file.member == index
            && exact.is_none_or(|exact| access.at == exact)
            && start.is_none_or(|start| access.at >= start)
            && end.is_none_or(|end| access.at <= end)
            && id.is_none_or(|id| access.file.id == id)
    });
    let entries: Vec<Value> = accesses.filter_map(entry).collect();
    paging::list(call, entries.len(), entries.into_iter())
}

fn file(shared: &Shared, call: &Call, access: &Access) -> Value {
    let file = &access.file;
    object!({
        "id": file.id,
        "basename": file.basename,
        "created": format!("{}+00:00", iso(file.created)),
        "download_url": download_url(file, &call.base, &shared.key, access.at),
        "metadata": file.metadata,
        "source": source(file.project),
        "user_id": file.member + 1,
    })
}
