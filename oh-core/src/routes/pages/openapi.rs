//! The routes as an OpenAPI 3.1 document, for programs.

use serde_json::{Map, Value, json};

use super::context::Context;
use super::json;
use crate::pages::route::PageRoute;
use crate::routes::{Route, RouteOutcome};

/// The two ways to write a small form.
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

pub(super) fn answer(cx: &Context<'_>) -> RouteOutcome {
    let mut paths = Map::new();
    for route in cx.openhumans.routes() {
        let operations: Map<String, Value> = route
            .methods()
            .iter()
            .map(|method| {
                let name = method.as_str().to_ascii_lowercase();
                (name, operation(route, method == http::Method::POST))
            })
            .collect();
        // Whole, and no server beside them: home is at the mount path without a slash behind it.
        paths.insert(cx.path(route.path()), operations.into());
    }
    RouteOutcome::keep(json::answer(&json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("{}: Open Humans routes", cx.pages.name),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Pages for people, and the same as JSON for whoever prefers application/json by Accept. POSTs have to come from the app's own origin. Members are known by the app's session cookie.",
        },
        "paths": paths,
        "components": { "schemas": {
            "Problem": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": { "type": "string", "description": "One word for why." },
                    "message": { "type": "string", "description": "An explanation, in the language of Accept-Language. Whoever is not logged in gets none." },
                },
            },
            "Done": {
                "type": "object",
                "required": ["done"],
                "properties": {
                    "done": { "type": "string" },
                    "id": { "type": "integer" },
                    "size": { "type": "integer", "description": "Bytes." },
                },
            },
            "File": {
                "type": "object",
                "required": ["id", "name", "description", "tags", "own"],
                "properties": {
                    "id": { "type": "integer" },
                    "name": { "type": "string" },
                    "size": { "type": ["integer", "null"], "description": "Bytes." },
                    "kind": { "type": ["string", "null"] },
                    "description": { "type": "string" },
                    "tags": { "type": "array", "items": { "type": "string" } },
                    "created": { "type": ["string", "null"], "format": "date-time" },
                    "own": { "type": "boolean", "description": "Whether the app may edit and delete it." },
                },
            },
        } },
    })))
}

/// What a route does, in a line.
const fn summary(route: Route, is_post: bool) -> &'static str {
    match route {
        Route::Login => "Sends the person to Open Humans to log in",
        Route::Complete => "Where Open Humans sends the person back",
        Route::Logout if is_post => "Logs out",
        Route::Logout => "Asks whether to log out",
        Route::Deauth => "Open Humans' webhook: a member has left",
        Route::Page(page) => match (page, is_post) {
            (PageRoute::Home, _) => "Who is connected, since when, and what is shared",
            (PageRoute::Files, _) => "The member's files, the newest first",
            (PageRoute::Upload, _) => "Stores a file in the member's account",
            (PageRoute::DeleteAll, false) => "How many files of the app there are to delete",
            (PageRoute::DeleteAll, true) => "Deletes all files of the app",
            (PageRoute::Download, _) => "Redirects to where the file can be fetched",
            (PageRoute::Edit, false) => "A file of the app's",
            (PageRoute::Edit, true) => "Changes description and tags; the file gets another id",
            (PageRoute::Delete, false) => "A file of the app's",
            (PageRoute::Delete, true) => "Deletes a file of the app's",
            (PageRoute::Disconnect, false) => "Who would be disconnected",
            (PageRoute::Disconnect, true) => "Ends the connection, with or without erasure",
            (PageRoute::Asset, _) => "Stylesheet and script of the pages",
            (PageRoute::OpenApi, _) => "This document",
            (PageRoute::Health, _) => "Whether the process answers",
            (PageRoute::Ready, _) => "Whether its stores answer",
            (PageRoute::Desk, _) => "Staff: how erasure stands",
            (PageRoute::Events, _) => "Staff: events, the newest first",
            (PageRoute::Event, _) => "Staff: one event and its history",
            (PageRoute::Requeue, _) => {
                "Staff: puts a dead letter or stale event back into the queue"
            }
            (PageRoute::Release, _) => "Staff: has an event acted on that was held",
            (PageRoute::ReleaseAll, false) => "Staff: how many events are held",
            (PageRoute::ReleaseAll, true) => "Staff: has all events acted on that are held",
            (PageRoute::Member, _) => "Staff: what happened to one member",
            (PageRoute::Export, _) => "Staff: the whole ledger, as JSON lines",
            (PageRoute::Checkpoint, _) => "Staff: the last checkpoint of the ledger, a signed note",
        },
    }
}

fn operation(route: Route, is_post: bool) -> Value {
    let mut operation = json!({
        "summary": summary(route, is_post),
        "responses": responses(route, is_post),
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = body(route).filter(|_| is_post) {
        operation["requestBody"] = body;
    }
    operation
}

fn parameters(route: Route) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 1 });
    let query =
        |name: &str, schema: &Value| json!({ "name": name, "in": "query", "schema": schema });
    let path = |name: &str, schema: &Value| json!({ "name": name, "in": "path", "required": true, "schema": schema });
    match route {
        Route::Login => vec![query("next", &text)],
        Route::Complete => ["state", "code", "error"]
            .map(|name| query(name, &text))
            .into(),
        Route::Page(PageRoute::Files) => vec![query("page", &number)],
        Route::Page(PageRoute::Download | PageRoute::Edit | PageRoute::Delete) => {
            vec![path("id", &number)]
        }
        Route::Page(PageRoute::Asset) => vec![path("name", &text)],
        Route::Page(PageRoute::Events) => vec![query("state", &text), query("before", &text)],
        Route::Page(PageRoute::Event | PageRoute::Requeue | PageRoute::Release) => {
            vec![path("id", &text)]
        }
        Route::Page(PageRoute::Member) => vec![query("who", &text)],
        _ => Vec::new(),
    }
}

fn body(route: Route) -> Option<Value> {
    let line = json!({ "type": "string", "description": "Separated by commas." });
    let content = match route {
        Route::Page(PageRoute::Upload) => json!({ "multipart/form-data": { "schema": {
            "type": "object",
            "required": ["file"],
            "description": "The file comes last. With its size before it, it is streamed through.",
            "properties": {
                "description": { "type": "string" },
                "tags": line,
                "size": { "type": "integer", "description": "Of the file, in bytes." },
                "file": { "type": "string", "format": "binary" },
            },
        } } }),
        Route::Page(PageRoute::Edit) => {
            let edited = |tags: &Value| {
                json!({ "schema": {
                    "type": "object",
                    "description": "What is not given is emptied.",
                    "properties": { "description": { "type": "string" }, "tags": tags },
                } })
            };
            let list = json!({ "type": "array", "items": { "type": "string" } });
            json!({ JSON: edited(&list), FORM: edited(&line) })
        }
        Route::Page(PageRoute::Disconnect) => {
            let choice = json!({ "schema": {
                "type": "object",
                "required": ["data"],
                "properties": { "data": { "enum": ["erase", "keep"] } },
            } });
            json!({ JSON: choice, FORM: choice })
        }
        _ => return None,
    };
    Some(json!({ "required": true, "content": content }))
}

fn responses(route: Route, is_post: bool) -> Value {
    let to = |name: &str| {
        let schema = format!("#/components/schemas/{name}");
        json!({ JSON: { "schema": { "$ref": schema } } })
    };
    let problem = json!({ "description": "It could not be done.", "content": to("Problem") });
    match route {
        Route::Page(page) if is_post => {
            let status = if page == PageRoute::Upload {
                "201"
            } else {
                "200"
            };
            json!({ status: { "description": "Done.", "content": to("Done") }, "default": problem })
        }
        Route::Page(PageRoute::Edit | PageRoute::Delete) => {
            json!({ "200": { "description": "The file.", "content": to("File") }, "default": problem })
        }
        Route::Page(PageRoute::Download) => {
            json!({ "303": { "description": "Where it can be fetched, for an hour." }, "default": problem })
        }
        Route::Page(PageRoute::Ready) => json!({
            "200": { "description": "All of them do." },
            "503": { "description": "One of them does not." },
        }),
        Route::Page(_) => json!({ "200": { "description": "As told." }, "default": problem }),
        Route::Deauth => json!({
            "204": { "description": "It is durably kept." },
            "default": { "description": "It is not kept." },
        }),
        Route::Complete => json!({ "303": { "description": "A redirect." }, "default": problem }),
        Route::Logout if !is_post => json!({ "200": { "description": "Where to POST for it." } }),
        _ => json!({ "303": { "description": "A redirect." } }),
    }
}
