//! What tests in other processes do to the sandbox: the handle's methods as JSON over HTTP.
//!
//! Parameters come in the query, a form or JSON. Nothing here exists at the real server.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json as object};
use url::Url;

use crate::api::store_file;
use crate::state::grants::SCOPES;
use crate::state::world::{MASTER_LIFE, OTHER_PROJECT, PROJECT, Standing};
use crate::state::{Shared, leave, populate};
use crate::web::call::{Call, Fields};
use crate::web::params::Params;
use crate::web::respond::{detail, json};
use crate::{Endpoint, Fault};

/// The places under `/sandbox/`.
const HELP: &[(&str, &str)] = &[
    ("GET /sandbox/stats", "what was asked so far"),
    ("DELETE /sandbox/stats", "count anew"),
    (
        "GET /sandbox/members",
        "all members and what they are to the project",
    ),
    (
        "POST /sandbox/members",
        "add one: id, username, joined=true; or many who have joined: count",
    ),
    (
        "POST /sandbox/members/ID/leave",
        "leave: erasure=true|false; answers with the webhook requests made",
    ),
    (
        "POST /sandbox/members/ID/join",
        "join without the authorize page",
    ),
    (
        "POST /sandbox/members/ID/tokens",
        "a pair of tokens without the flow; the member joins",
    ),
    (
        "POST /sandbox/members/ID/expire-tokens",
        "access tokens expire now",
    ),
    (
        "POST /sandbox/members/ID/revoke-tokens",
        "all tokens are revoked",
    ),
    (
        "POST /sandbox/members/ID/delete-account",
        "the account goes, announced to nobody",
    ),
    (
        "POST /sandbox/members/ID/files",
        "add a file: basename, content or a data_file, metadata, shared=true for one of another source",
    ),
    (
        "POST /sandbox/expire-codes",
        "codes not yet exchanged expire",
    ),
    (
        "POST /sandbox/master-token",
        "expire it now: expires=now; or make it good again: expires=tomorrow|never",
    ),
    (
        "POST /sandbox/clock",
        "push the clock forward: advance=SECONDS",
    ),
    (
        "POST /sandbox/settings",
        "redirect_uri (repeatable), webhook_url, webhook_secret, silent_leave, \
                                remove_members_500, active, approved, on_site, access_logs; \
                                an empty webhook_url or webhook_secret is none",
    ),
    (
        "POST /sandbox/faults",
        "JSON: {\"endpoint\": \"token\", \"times\": 1, \"fault\": {\"kind\": \"html500\"}}",
    ),
    ("DELETE /sandbox/faults", "clear all faults"),
    ("POST /sandbox/release", "let hanging requests go on"),
    ("GET /sandbox/messages", "messages sent to members"),
];

#[derive(Deserialize)]
struct Plant {
    endpoint: Endpoint,
    times: Option<u64>,
    fault: Fault,
}

/// The parameters of a request, wherever they are.
struct Given<'a> {
    query: &'a Fields,
    params: Params,
}

impl Given<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.params
            .text(name)
            .or_else(|| self.query.get(name).map(str::to_owned))
    }

    fn has(&self, name: &str) -> bool {
        self.params.get(name).is_some() || self.query.get(name).is_some()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        match self.text(name)?.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Some(true),
            "false" | "0" | "off" | "no" => Some(false),
            _ => None,
        }
    }

    fn all(&self, name: &str) -> Vec<String> {
        let form = match &self.params {
            Params::Form { fields, .. } => fields.0.as_slice(),
            _ => &[],
        };
        let pairs = form.iter().chain(&self.query.0);
        pairs
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .collect()
    }
}

/// Answers a request under `/sandbox/`.
pub(crate) async fn dispatch(shared: &Arc<Shared>, call: &Call, rest: &str) -> Response {
    // A page of another site, open in the same browser, has no business here.
    if matches!(
        call.header("sec-fetch-site"),
        Some("cross-site" | "same-site")
    ) {
        return detail(StatusCode::FORBIDDEN, "Not from another site.");
    }
    let given = Given {
        query: &call.query,
        params: Params::read(call).await,
    };
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    match (&call.method, parts.as_slice()) {
        (&Method::GET, [""]) => {
            let help = HELP
                .iter()
                .map(|(place, what)| ((*place).to_owned(), Value::from(*what)));
            json(StatusCode::OK, &Value::Object(help.collect()))
        }
        (&Method::GET, ["stats"]) => json(StatusCode::OK, &shared.counter.snapshot()),
        (&Method::DELETE, ["stats"]) => {
            shared.counter.reset();
            done()
        }
        (&Method::GET, ["members"]) => members(shared),
        (&Method::POST, ["members"]) => add_members(shared, &given),
        (&Method::POST, ["members", id, what]) => member(shared, id, what, &given).await,
        (&Method::POST, ["expire-codes"]) => {
            shared.world().grants.expire_codes();
            done()
        }
        (&Method::POST, ["clock"]) => {
            match given.text("advance").and_then(|text| text.parse().ok()) {
                Some(seconds) => {
                    shared.clock.advance(Duration::from_secs(seconds));
                    done()
                }
                None => bad("advance has to be a number of seconds"),
            }
        }
        (&Method::POST, ["master-token"]) => {
            let now = shared.clock.now();
            let expires = match given.text("expires").as_deref() {
                Some("now") => Some(now),
                Some("tomorrow") => Some(now + MASTER_LIFE),
                Some("never") => None,
                _ => return bad("expires has to be now, tomorrow or never"),
            };
            shared.world().settings.master_expires = expires;
            done()
        }
        (&Method::POST, ["settings"]) => settings(shared, &given),
        (&Method::POST, ["faults"]) => match serde_json::from_slice::<Plant>(call.body()) {
            Ok(plant) => {
                shared
                    .faults
                    .plant(plant.endpoint, plant.fault, plant.times);
                done()
            }
            Err(error) => bad(&format!("that is no fault: {error}")),
        },
        (&Method::DELETE, ["faults"]) => {
            shared.faults.clear_all();
            done()
        }
        (&Method::POST, ["release"]) => {
            shared.faults.release();
            done()
        }
        (&Method::GET, ["messages"]) => json(StatusCode::OK, &shared.world().messages),
        _ => detail(
            StatusCode::NOT_FOUND,
            "There is no such thing; GET /sandbox/ says what there is.",
        ),
    }
}

fn done() -> Response {
    json(StatusCode::OK, &object!({ "status": "ok" }))
}

fn bad(text: &str) -> Response {
    detail(StatusCode::BAD_REQUEST, text)
}

fn members(shared: &Shared) -> Response {
    let world = shared.world();
    let there = world
        .members
        .iter()
        .filter(|member| member.standing != Standing::Deleted);
    let members: Vec<Value> = there
        .map(|member| {
            object!({ "project_member_id": member.id, "username": member.username, "standing": member.standing })
        })
        .collect();
    json(StatusCode::OK, &members)
}

fn add_members(shared: &Shared, given: &Given<'_>) -> Response {
    if let Some(count) = given.text("count") {
        return match count.parse() {
            Ok(count) => json(StatusCode::CREATED, &populate(shared, count)),
            Err(_) => bad("count has to be a number"),
        };
    }
    let Some(id) = given.text("id") else {
        return bad("id is required");
    };
    let now = shared.clock.now();
    let mut world = shared.world();
    let index = world.add_member(&id, given.text("username").as_deref(), now);
    if given.flag("joined") == Some(true) {
        world.join(index, now);
    }
    json(StatusCode::CREATED, &object!({ "project_member_id": id }))
}

async fn member(shared: &Arc<Shared>, id: &str, what: &str, given: &Given<'_>) -> Response {
    let now = shared.clock.now();
    let Some(index) = shared.world().find(id) else {
        return detail(StatusCode::NOT_FOUND, "no such member");
    };
    match what {
        "leave" => {
            let Some(erasure) = given.flag("erasure") else {
                return bad("erasure has to be true or false");
            };
            return match leave(shared, id, erasure).await {
                Some(departure) => json(
                    StatusCode::OK,
                    &object!({
                        "project_member_id": id,
                        "erasure_requested": erasure,
                        "deliveries": departure.deliveries,
                    }),
                ),
                None => detail(
                    StatusCode::CONFLICT,
                    "this member takes no part in the project",
                ),
            };
        }
        "join" => shared.world().join(index, now),
        "tokens" => {
            let mut world = shared.world();
            world.join(index, now);
            let tokens = world.grants.issue(index, SCOPES, now);
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
        "expire-tokens" => shared.world().grants.expire(index, now),
        "files" => return add_file(shared, index, given),
        "revoke-tokens" => shared.world().grants.revoke_all(index),
        "delete-account" => {
            let objects = shared.world().delete_account(index);
            shared.objects.remove(objects);
        }
        _ => {
            return detail(
                StatusCode::NOT_FOUND,
                "There is no such thing; GET /sandbox/ says what there is.",
            );
        }
    }
    done()
}

fn add_file(shared: &Shared, index: usize, given: &Given<'_>) -> Response {
    let sent = given.params.file("data_file");
    let basename = given
        .text("basename")
        .or_else(|| sent.map(|file| file.file_name.clone()));
    let Some(basename) = basename else {
        return bad("basename is required");
    };
    let text = given.text("content").unwrap_or_default();
    let content = sent.map_or(text.as_bytes(), |file| &file.content);
    let metadata = given
        .text("metadata")
        .map(|text| serde_json::from_str(&text))
        .transpose();
    let Ok(metadata) = metadata else {
        return bad("metadata has to be JSON");
    };
    let metadata = metadata.unwrap_or_else(|| object!({ "tags": [], "description": "" }));
    let project = if given.flag("shared") == Some(true) {
        OTHER_PROJECT
    } else {
        PROJECT
    };
    match store_file(
        shared,
        index,
        project,
        &basename,
        content,
        metadata,
        Vec::new(),
    ) {
        Ok(id) => json(StatusCode::CREATED, &object!({ "id": id })),
        Err(error) => detail(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn settings(shared: &Shared, given: &Given<'_>) -> Response {
    let mut uris = Vec::new();
    for uri in given.all("redirect_uri") {
        match Url::parse(&uri) {
            Ok(uri) => uris.push(uri),
            Err(_) => return bad("redirect_uri has to be a URL"),
        }
    }
    let url = given.text("webhook_url").filter(|url| !url.is_empty());
    let Ok(url) = url.map(|url| Url::parse(&url)).transpose() else {
        return bad("webhook_url has to be a URL");
    };
    let settings = &mut shared.world().settings;
    if !uris.is_empty() {
        settings.redirect_uris = uris;
    }
    if given.has("webhook_url") {
        settings.webhook_url = url;
    }
    if given.has("webhook_secret") {
        settings.webhook_secret = given
            .text("webhook_secret")
            .filter(|secret| !secret.is_empty());
    }
    let flags = [
        ("silent_leave", &mut settings.silent_leave),
        ("remove_members_500", &mut settings.remove_members_fails),
        ("active", &mut settings.active),
        ("approved", &mut settings.approved),
        ("on_site", &mut settings.on_site),
        ("access_logs", &mut settings.access_logs),
    ];
    for (name, setting) in flags {
        if let Some(flag) = given.flag(name) {
            *setting = flag;
        }
    }
    done()
}
