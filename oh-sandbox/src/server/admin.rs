//! The HTTP interface for tests in other processes: the methods of `Sandbox` as JSON.
//!
//! Parameters are accepted in the query, in a form or as JSON. The real server has no such paths.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json as object};
use url::Url;

use crate::api::{NewFile, store_file};
use crate::state::database::{MASTER_TOKEN_LIFETIME, Membership, OTHER_PROJECT, PROJECT};
use crate::state::grants::SCOPES;
use crate::state::{Shared, leave, populate};
use crate::web::call::{Call, Fields};
use crate::web::params::Params;
use crate::web::respond::{crash, detail, json, ok, response};
use crate::{Endpoint, Fault};

/// The response to `GET /sandbox/`.
const HELP: &str = r#"GET    /sandbox/stats                      request counts
DELETE /sandbox/stats                      reset the counts
GET    /sandbox/members                    all members and their membership in the project
POST   /sandbox/members                    add one: id, username, joined=true; or joined members: count
POST   /sandbox/members/ID/leave           leave the project: erasure=true|false; returns the webhook requests
POST   /sandbox/members/ID/join            join without the authorization page
POST   /sandbox/members/ID/tokens          join and issue a pair of tokens
POST   /sandbox/members/ID/expire-tokens   expire the access tokens
POST   /sandbox/members/ID/revoke-tokens   revoke all tokens
POST   /sandbox/members/ID/delete-account  delete the account; no webhook is sent
POST   /sandbox/members/ID/account         active=true|false, hidden=true|false
POST   /sandbox/members/ID/files           add a file: basename, content or data_file, metadata;
                                           shared=true adds it to the other project
POST   /sandbox/expire-codes               expire all authorization codes
POST   /sandbox/master-token               expires=now|tomorrow|never
POST   /sandbox/clock                      advance the clock: advance=SECONDS
POST   /sandbox/settings                   redirect_uri (repeatable), webhook_url, webhook_secret (empty: none),
                                           silent_leave, remove_members_fails, account_deletion_fails,
                                           active, approved, on_site, access_logs
POST   /sandbox/faults                     JSON: {"endpoint": "token", "times": 1, "fault": {"kind": "html500"}}
DELETE /sandbox/faults                     remove all faults
POST   /sandbox/release                    let hanging requests continue
GET    /sandbox/messages                   messages to members
"#;

#[derive(Deserialize)]
struct FaultRequest {
    endpoint: Endpoint,
    times: Option<u64>,
    fault: Fault,
}

/// The parameters of a request, from its body and its query.
struct Parameters {
    fields: Fields,
    body: Params,
}

impl Parameters {
    async fn read(call: &Call) -> Self {
        let body = Params::read(call).await;
        // `Fields::get` returns the last value, so the body takes precedence.
        let mut fields = call.query.clone();
        match &body {
            Params::Form { fields: form, .. } => fields.0.extend_from_slice(&form.0),
            Params::Json(object) => fields.0.extend(object.iter().map(|(name, value)| {
                let text = value.as_str().map(str::to_owned);
                (name.clone(), text.unwrap_or_else(|| value.to_string()))
            })),
            _ => {}
        }
        Self { fields, body }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Some(true),
            "false" | "0" | "off" | "no" => Some(false),
            _ => None,
        }
    }
}

/// Handles a request under `/sandbox/`.
pub(crate) async fn dispatch(shared: &Arc<Shared>, call: &Call, rest: &str) -> Response {
    // Protects against pages of other sites that are open in the same browser.
    if matches!(
        call.header("sec-fetch-site"),
        Some("cross-site" | "same-site")
    ) {
        return detail(
            StatusCode::FORBIDDEN,
            "Cross-site requests are not allowed.",
        );
    }
    let parameters = Parameters::read(call).await;
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    match (&call.method, parts.as_slice()) {
        (&Method::GET, [""]) => response(StatusCode::OK, "text/plain; charset=utf-8", HELP),
        (&Method::GET, ["stats"]) => ok(&shared.counter.snapshot()),
        (&Method::DELETE, ["stats"]) => {
            shared.counter.reset();
            done()
        }
        (&Method::GET, ["members"]) => members(shared),
        (&Method::POST, ["members"]) => add_members(shared, &parameters),
        (&Method::POST, ["members", id, action]) => member(shared, id, action, &parameters).await,
        (&Method::POST, ["expire-codes"]) => {
            shared.db().grants.expire_codes();
            done()
        }
        (&Method::POST, ["clock"]) => {
            match parameters.get("advance").and_then(|text| text.parse().ok()) {
                Some(seconds) => {
                    shared.clock.advance(Duration::from_secs(seconds));
                    done()
                }
                None => bad("advance must be a number of seconds"),
            }
        }
        (&Method::POST, ["master-token"]) => {
            let now = shared.clock.now();
            let expires = match parameters.get("expires") {
                Some("now") => Some(now),
                Some("tomorrow") => Some(now + MASTER_TOKEN_LIFETIME),
                Some("never") => None,
                _ => return bad("expires must be now, tomorrow or never"),
            };
            shared.db().settings.master_token_expires = expires;
            done()
        }
        (&Method::POST, ["settings"]) => settings(shared, &parameters),
        (&Method::POST, ["faults"]) => match serde_json::from_slice::<FaultRequest>(call.body()) {
            Ok(request) => {
                let FaultRequest {
                    endpoint,
                    fault,
                    times,
                } = request;
                shared.faults.add(endpoint, fault, times);
                done()
            }
            Err(error) => bad(&format!("not a valid fault: {error}")),
        },
        (&Method::DELETE, ["faults"]) => {
            shared.faults.clear_all();
            done()
        }
        (&Method::POST, ["release"]) => {
            shared.faults.release();
            done()
        }
        (&Method::GET, ["messages"]) => ok(&shared.db().messages),
        _ => unknown_path(),
    }
}

fn unknown_path() -> Response {
    detail(
        StatusCode::NOT_FOUND,
        "Not found. GET /sandbox/ lists the paths.",
    )
}

fn done() -> Response {
    ok(&object!({ "status": "ok" }))
}

fn bad(text: &str) -> Response {
    detail(StatusCode::BAD_REQUEST, text)
}

fn members(shared: &Shared) -> Response {
    let db = shared.db();
    let members = db
        .members
        .iter()
        .filter(|member| member.membership != Membership::Deleted);
    let members: Vec<Value> = members
        .map(|member| {
            object!({ "project_member_id": member.id, "username": member.username, "membership": member.membership })
        })
        .collect();
    ok(&members)
}

fn add_members(shared: &Shared, parameters: &Parameters) -> Response {
    if let Some(count) = parameters.get("count") {
        return match count.parse() {
            Ok(count) => json(StatusCode::CREATED, &populate(shared, count)),
            Err(_) => bad("count must be a number"),
        };
    }
    let Some(id) = parameters.get("id") else {
        return bad("id is required");
    };
    let now = shared.clock.now();
    let mut db = shared.db();
    let index = db.add_member(id, parameters.get("username"), now);
    if parameters.flag("joined") == Some(true) {
        db.join(index, now);
    }
    json(StatusCode::CREATED, &object!({ "project_member_id": id }))
}

async fn member(shared: &Arc<Shared>, id: &str, action: &str, parameters: &Parameters) -> Response {
    let now = shared.clock.now();
    let Some(index) = shared.db().find(id) else {
        return detail(StatusCode::NOT_FOUND, "no such member");
    };
    match action {
        "leave" => {
            let Some(erasure) = parameters.flag("erasure") else {
                return bad("erasure must be true or false");
            };
            return match leave(shared, id, erasure).await {
                Some(outcome) => ok(&object!({
                    "project_member_id": id,
                    "erasure_requested": erasure,
                    "deliveries": outcome.deliveries,
                })),
                None => detail(
                    StatusCode::CONFLICT,
                    "the member has not joined the project",
                ),
            };
        }
        "join" => shared.db().join(index, now),
        "tokens" => {
            let mut db = shared.db();
            db.join(index, now);
            let tokens = db.grants.issue(index, SCOPES, now);
            return json(
                StatusCode::CREATED,
                &object!({
                    "access_token": tokens.access_token,
                    "refresh_token": tokens.refresh_token,
                    "expires_in": tokens.expires_in,
                    "scope": tokens.scope,
                }),
            );
        }
        "account" => {
            let member = &mut shared.db().members[index];
            member.active = parameters.flag("active").unwrap_or(member.active);
            member.hidden = parameters.flag("hidden").unwrap_or(member.hidden);
        }
        "expire-tokens" => shared.db().grants.expire(index, now),
        "files" => return add_file(shared, index, parameters),
        "revoke-tokens" => shared.db().grants.revoke_all(index),
        "delete-account" => {
            let Some(objects) = shared.db().delete_account(index) else {
                return crash();
            };
            shared.objects.remove(objects);
        }
        _ => return unknown_path(),
    }
    done()
}

fn add_file(shared: &Shared, member: usize, parameters: &Parameters) -> Response {
    let upload = parameters.body.file("data_file");
    let basename = parameters.get("basename");
    let Some(basename) = basename.or(upload.map(|file| file.file_name.as_str())) else {
        return bad("basename is required");
    };
    let text = parameters.get("content").unwrap_or_default();
    let metadata = parameters.get("metadata").map(serde_json::from_str);
    let Ok(metadata) = metadata.transpose() else {
        return bad("metadata must be JSON");
    };
    let project = if parameters.flag("shared") == Some(true) {
        OTHER_PROJECT
    } else {
        PROJECT
    };
    let file = NewFile {
        member,
        project,
        basename,
        content: upload.map_or(text.as_bytes(), |file| &file.content),
        metadata: metadata.unwrap_or_else(|| object!({ "tags": [], "description": "" })),
        datatypes: Vec::new(),
    };
    match store_file(shared, file) {
        Ok(id) => json(StatusCode::CREATED, &object!({ "id": id })),
        Err(error) => detail(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn settings(shared: &Shared, parameters: &Parameters) -> Response {
    let values = parameters.fields.0.iter();
    let uris = values.filter(|(name, _)| name == "redirect_uri");
    let Ok(uris) = uris
        .map(|(_, uri)| Url::parse(uri))
        .collect::<Result<Vec<_>, _>>()
    else {
        return bad("redirect_uri must be a URL");
    };
    let non_empty = |name| parameters.get(name).filter(|value| !value.is_empty());
    let Ok(url) = non_empty("webhook_url").map(Url::parse).transpose() else {
        return bad("webhook_url must be a URL");
    };
    let settings = &mut shared.db().settings;
    if !uris.is_empty() {
        settings.redirect_uris = uris;
    }
    if parameters.get("webhook_url").is_some() {
        settings.webhook_url = url;
    }
    if parameters.get("webhook_secret").is_some() {
        settings.webhook_secret = non_empty("webhook_secret").map(str::to_owned);
    }
    let flags = [
        ("silent_leave", &mut settings.silent_leave),
        ("remove_members_fails", &mut settings.remove_members_fails),
        (
            "account_deletion_fails",
            &mut settings.account_deletion_fails,
        ),
        ("active", &mut settings.active),
        ("approved", &mut settings.approved),
        ("on_site", &mut settings.on_site),
        ("access_logs", &mut settings.access_logs),
    ];
    for (name, setting) in flags {
        *setting = parameters.flag(name).unwrap_or(*setting);
    }
    done()
}
